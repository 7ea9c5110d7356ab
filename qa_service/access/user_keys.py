"""The keys by which a host's back end vouches for its users: secrets (HS256) or public keys. It knows no token.

A key fixes its algorithm, never the token: a public key is no secret, so that a token cannot turn one into the other.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from qa_service.domain.errors import SettingsError

_LEAST_SECRET_BYTES = 32  # RFC 7518, 3.2: as long as the hash
_LEAST_DISTINCT_BYTES = 12  # 32 random bytes have fewer with probability 1e-14; "0000…" has one
_RSA_BITS = (2048, 4096)
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_MAKE_SECRET = "make one with `openssl rand -base64 32`"  # noqa: S105  # advice, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class UserKey:
    """A key that verifies user tokens, and the names of the one algorithm it does so by."""

    algorithms: frozenset[str]
    key: Key = field(repr=False)


def user_keys(*, secrets: Sequence[str], public_keys: bytes) -> tuple[UserKey, ...]:
    """Give the keys of one tenant; `public_keys` is a file of PEM blocks, empty when there is none.

    Raises:
        SettingsError: a secret is short or no secret, a public key is weak, of another kind, or not public.
    """
    blocks = [(match[1].decode(), match[0]) for match in _PEM.finditer(public_keys)]
    if public_keys.strip() and not blocks:
        raise SettingsError("the public key for user tokens is no PEM file: it begins with -----BEGIN PUBLIC KEY-----")
    return (*map(_secret, secrets), *(_public(label, block) for label, block in blocks))


def _secret(text: str) -> UserKey:
    if text.lstrip().startswith(("-----BEGIN", "{", "ssh-")):
        raise SettingsError("the secret for user tokens is a key file's text; a public key has a setting of its own")
    octets = text.encode()
    if len(octets) < _LEAST_SECRET_BYTES:
        raise SettingsError(f"the secret for user tokens has less than {_LEAST_SECRET_BYTES} bytes: {_MAKE_SECRET}")
    if len(set(octets)) < _LEAST_DISTINCT_BYTES:
        raise SettingsError(f"the secret for user tokens can be guessed: {_MAKE_SECRET}")
    return UserKey(algorithms=frozenset({"HS256"}), key=OctKey.import_key(octets))


def _public(label: str, block: bytes) -> UserKey:
    if "PRIVATE" in label:
        raise SettingsError("the key for user tokens is a private one: only its public half belongs here")
    if label not in {"PUBLIC KEY", "RSA PUBLIC KEY"}:
        raise SettingsError(f"the key for user tokens is a {label.lower()}, not a public key")
    key = _import(block)
    match key:
        case ECKey() if key.curve_name == "P-256":
            return UserKey(algorithms=frozenset({"ES256"}), key=key)
        case OKPKey() if key.curve_name == "Ed25519":
            return UserKey(algorithms=frozenset({"EdDSA", "Ed25519"}), key=key)  # before and after RFC 9864
        case RSAKey():
            bits = key.public_key.key_size
            if not _RSA_BITS[0] <= bits <= _RSA_BITS[1]:
                advice = "make one with `openssl genrsa 3072`"
                raise SettingsError(f"the RSA key for user tokens has {bits} bits, not 2048 to 4096: {advice}")
            return UserKey(algorithms=frozenset({"RS256"}), key=key)
        case _:
            raise SettingsError("the key for user tokens is of none of the kinds RSA, P-256 and Ed25519")


def _import(block: bytes) -> Key | None:
    for kind in (ECKey, OKPKey, RSAKey):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about short RSA keys, which are refused in our own words
                return kind.import_key(block)
        except (JoseError, ValueError, TypeError):
            continue
    return None
