"""User tokens: the host's back end vouches for a uid by the key set for it, and by no other."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from access.conftest import Place, Refused
from access.minting import HOUR_S, SECRET, part, signed, user_token
from qa_service.access.caller import CallerKind
from qa_service.access.user_keys import user_keys
from qa_service.domain.errors import SettingsError

OTHER = "Zq7Lm2Rt9Vx4Bn6Kc1Hy8Wd3Pf5Jg0Ts"


def test_a_user_token_speaks_for_its_uid(place: Place) -> None:
    caller = place.gate().caller(user_token("用户-7"))
    assert (caller.kind, caller.uid, caller.tenant) == (CallerKind.USER, "用户-7", "shop")
    assert caller.scopes == frozenset()


SAYS: dict[str, Callable[[int], dict[str, Any]]] = {
    "no exp": lambda now: {"exp": None},
    "no iat": lambda now: {"iat": None},
    "no aud": lambda now: {"aud": None},
    "no iss": lambda now: {"iss": None},
    "exp as a text": lambda now: {"exp": str(now + 60)},
    "more than an hour": lambda now: {"exp": now + HOUR_S + 1},
    "a hundred years": lambda now: {"exp": now + 100 * 365 * 24 * HOUR_S},
    "exp 61 seconds ago": lambda now: {"iat": now - 600, "exp": now - 61},
    "iat in 2 minutes": lambda now: {"iat": now + 120, "exp": now + 600},
    "another iss": lambda now: {"iss": "bank"},
    "iss as an object": lambda now: {"iss": {}},
    "another aud": lambda now: {"aud": "shop"},
}
UIDS = (None, "", 7, "x" * 129, "a\nb", "a\x00", "\ud800", ["u1"])


@pytest.mark.parametrize("name", SAYS)
def test_a_rightly_signed_user_token_is_refused_when_it_says(place: Place, refused: Refused, name: str) -> None:
    assert refused(place.gate().caller, user_token("u1", **SAYS[name](int(place.clock()))))


@pytest.mark.parametrize("uid", UIDS)
def test_a_uid_that_is_none_is_refused(place: Place, refused: Refused, uid: object) -> None:
    assert "sub" in refused(place.gate().caller, user_token(uid))


def test_clocks_may_differ_by_a_minute(place: Place) -> None:
    gate, now = place.gate(), int(place.clock())
    for issued, expires in ((now - 600, now - 59), (now + 59, now + 600)):
        assert gate.caller(user_token("u1", iat=issued, exp=expires)).uid == "u1"


@pytest.mark.parametrize("secret", [OTHER, SECRET[:-1], SECRET + "=", "", "secret"])
def test_another_secret_is_refused(place: Place, refused: Refused, secret: str) -> None:
    assert refused(place.gate().caller, user_token("u1", secret=secret))


def test_while_a_secret_is_exchanged_both_vouch(place: Place) -> None:
    gate = place.gate(secrets=(OTHER, SECRET))
    assert [gate.caller(user_token("u1", secret=one)).uid for one in (OTHER, SECRET)] == ["u1", "u1"]


def test_without_a_key_nobody_vouches_for_anybody(place: Place, refused: Refused) -> None:
    assert "no key for user tokens" in refused(place.gate(secrets=()).caller, user_token("u1"))


PUBLIC: dict[str, tuple[Key, str]] = {
    "ES256": (ECKey.generate_key("P-256"), "ES256"),
    "RS256": (RSAKey.generate_key(2048), "RS256"),
    "Ed25519": (OKPKey.generate_key("Ed25519"), "Ed25519"),
    "EdDSA": (OKPKey.generate_key("Ed25519"), "EdDSA"),
}


def pem_of(key: Key, *, private: bool = False) -> bytes:
    assert isinstance(key, ECKey | RSAKey | OKPKey)
    return key.as_pem(private=private)


def by_key(place: Place, key: Key, alg: str, **header: Any) -> str:
    now = int(place.clock())
    claims = {"iss": "shop", "aud": ["qa-service"], "sub": "u1", "iat": now, "exp": now + 60}
    members = {"alg": alg, "typ": "qa-user+jwt"} | header
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # EdDSA has a new name; hosts go on using the old one
        return jws.serialize_compact(members, json.dumps(claims), key, [alg])


@pytest.mark.parametrize("name", PUBLIC)
def test_a_host_may_sign_with_a_private_key_whose_public_half_is_set(
    place: Place, refused: Refused, tmp_path: Path, name: str
) -> None:
    key, alg = PUBLIC[name]
    file = tmp_path / "host.pem"
    file.write_bytes(pem_of(key))
    gate = place.gate(public_keys=file, secrets=())
    assert gate.caller(by_key(place, key, alg)).uid == "u1"
    assert gate.caller(by_key(place, key, alg, kid="whatever")).uid == "u1"
    for other, (stranger, its_alg) in PUBLIC.items():
        if other != name:
            assert refused(gate.caller, by_key(place, stranger, its_alg))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_key_is_no_secret(place: Place, refused: Refused, tmp_path: Path, name: str) -> None:
    key, _ = PUBLIC[name]
    file = tmp_path / "host.pem"
    file.write_bytes(pem_of(key))
    now = int(place.clock())
    claims = {"iss": "shop", "aud": "qa-service", "sub": "admin", "iat": now, "exp": now + 60}
    for gate in (place.gate(public_keys=file, secrets=()), place.gate(public_keys=file)):
        for alg in ("HS256", "none", "RS256", "ES256", "EdDSA"):
            header = {"alg": alg, "typ": "qa-user+jwt"}
            for secret in (pem_of(key), pem_of(key).strip(), b""):
                assert refused(gate.caller, signed(header, claims, secret))
            assert refused(gate.caller, f"{part(json.dumps(header))}.{part(json.dumps(claims))}.AA")


def test_several_public_keys_stand_in_one_file_and_are_read_again(
    place: Place, refused: Refused, tmp_path: Path
) -> None:
    (old, old_alg), (new, new_alg) = PUBLIC["ES256"], PUBLIC["RS256"]
    file = tmp_path / "host.pem"
    file.write_bytes(pem_of(old))
    gate = place.gate(public_keys=file)
    assert refused(gate.caller, by_key(place, new, new_alg))
    file.write_bytes(pem_of(old) + b"\n" + pem_of(new))
    assert gate.caller(by_key(place, new, new_alg)).uid == gate.caller(by_key(place, old, old_alg)).uid == "u1"
    file.write_bytes(pem_of(new))
    assert refused(gate.caller, by_key(place, old, old_alg))


def test_a_user_token_and_an_access_token_are_not_each_other(place: Place, refused: Refused) -> None:
    gate = place.gate()
    assert gate.user(user_token("u1")).uid == "u1"
    for no_user_token in (place.access_token(), "opaque", ""):
        assert refused(gate.user, no_user_token)
    now = int(place.clock())
    claims = {"iss": "qa-service", "aud": "qa-service", "sub": "gateway", "client_id": "gateway", "tenant": "shop"}
    times = {"iat": now, "exp": now + 60, "jti": "1", "scope": "ask"}
    header = {"alg": "HS256", "typ": "at+jwt", "kid": place.kid}
    assert refused(gate.caller, signed(header, claims | times, SECRET.encode()))


def ec(curve: str) -> bytes:
    return ECKey.generate_key(curve).as_pem(private=False)


def rsa(bits: int) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # short on purpose
        return RSAKey.generate_key(bits).as_pem(private=False)


@pytest.mark.parametrize(
    ("public_keys", "complaint"),
    [
        (rsa(1024), "1024 bits.*openssl"),
        (ec("P-384"), "none of the kinds"),
        (OKPKey.generate_key("Ed448").as_pem(private=False), "none of the kinds"),
        (OKPKey.generate_key("X25519").as_pem(private=False), "none of the kinds"),
        (ECKey.generate_key("P-256").as_pem(private=True), "private"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "none of the kinds"),
        (b"ssh-ed25519 AAAA host", "no PEM file"),
        (SECRET.encode(), "no PEM file"),
        (ec("P-256") + rsa(1024), "1024 bits"),
    ],
)
def test_a_weak_or_strange_public_key_is_refused_with_what_to_do(public_keys: bytes, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        user_keys(secrets=(), public_keys=public_keys)


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("short", "less than 32 bytes.*openssl rand"),
        ("x" * 31, "less than 32 bytes"),
        ("x" * 64, "guessed"),
        ("0123" * 16, "guessed"),
        (ec("P-256").decode(), "key file"),
        ('{"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}', "key file"),
    ],
)
def test_a_weak_secret_is_refused_with_what_to_do_and_never_repeated(secret: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint) as caught:
        user_keys(secrets=(secret,), public_keys=b"")
    assert secret not in caught.value.detail
