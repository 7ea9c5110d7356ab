"""The keys that sign access tokens: ES256, a PEM file each, named by their kid. It knows no token.

The newest signs, all verify: a key is rotated by making another, waiting until the tokens of the old one have expired,
and retiring it. Kids of ours begin with the moment they were made, so that their order is that of the files' names.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from qa_service.access.private_files import locked, read_private, write_new
from qa_service.domain.errors import SettingsError

ALGORITHM = "ES256"
_CURVE = "P-256"
_SUFFIX = ".pem"
_KID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key and the name by which tokens refer to it."""

    kid: str
    key: ECKey = field(repr=False)

    def public(self) -> dict[str, str]:
        """Give its public half as a member of a JWKS."""
        members = {name: str(value) for name, value in self.key.as_dict(private=False).items()}
        return {**members, "kid": self.kid, "use": "sig", "alg": ALGORITHM}


def signing_key_files(folder: Path) -> list[Path]:
    """Give the files that hold signing keys, oldest key first; none where there is no such folder."""
    return sorted(path for path in folder.glob(f"*{_SUFFIX}") if not path.name.startswith("."))


def read_signing_keys(folder: Path) -> tuple[SigningKey, ...]:
    """Read all keys of a folder, oldest first.

    Raises:
        SettingsError: a file is open to everybody, or no private key for ES256.
    """
    return tuple(_read(path) for path in signing_key_files(folder))


def make_signing_key(folder: Path) -> str:
    """Make a key that signs from now on; give its kid."""
    key = ECKey.generate_key(_CURVE, private=True)
    with locked(folder):
        kid = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        if not write_new(folder / f"{kid}{_SUFFIX}", key.as_pem(private=True)):
            raise SettingsError(f"there is a key {kid} already: try again")
    return kid


def retire_signing_key(folder: Path, kid: str) -> None:
    """Remove a key: what it signed is refused from now on.

    Raises:
        SettingsError: there is no such key, or no other.
    """
    with locked(folder):
        files = {path.stem: path for path in signing_key_files(folder)}
        if kid not in files:
            raise SettingsError(f"there is no key {kid!r} in {folder}; `qa-service keys list` shows what there is")
        if len(files) == 1:
            raise SettingsError("it is the only key: make another first with `qa-service keys new`")
        files[kid].unlink()


def by_kid(keys: Sequence[SigningKey]) -> dict[str, SigningKey]:
    """Give the keys by their names."""
    return {key.kid: key for key in keys}


def _read(path: Path) -> SigningKey:
    advice = f"{path} holds no private key of the curve {_CURVE}: remove it, and make one with `qa-service keys new`"
    if not _KID.fullmatch(path.stem):
        raise SettingsError(f"{path}: a key's name has at most 64 of A-Z a-z 0-9 . _ -")
    try:
        key = ECKey.import_key(read_private(path))
    except (JoseError, ValueError, TypeError) as error:
        raise SettingsError(advice) from error
    if not key.is_private or key.curve_name != _CURVE:
        raise SettingsError(advice)
    return SigningKey(kid=path.stem, key=key)
