"""Access tokens: ours are accepted for five minutes, and nothing that only looks like one is accepted at all."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import ECKey, RSAKey

from access.conftest import Place, Refused
from access.minting import part, signed
from qa_service.access.caller import CallerKind, Scope
from qa_service.access.clients import remove_client
from qa_service.access.compact import MAX_TOKEN_CHARS, read_compact
from qa_service.access.signing_keys import make_signing_key, read_signing_keys, retire_signing_key
from qa_service.domain.errors import Unauthenticated

Claims = dict[str, Any]
ALGORITHMS = ("none", "None", "NONE", "nOnE", "HS256", "HS384", "RS256", "ES384", "ES256K", "PS256", "EdDSA", "*", "")
HUNDRED_YEARS_S = 100 * 365 * 24 * 3600


def claims_of(place: Place, **changed: Any) -> Claims:
    """What a good token says, with some claims changed, and those that are None left out."""
    now = int(place.clock())
    usual = {
        "iss": "qa-service",
        "aud": "qa-service",
        "sub": "gateway",
        "client_id": "gateway",
        "tenant": "shop",
        "scope": "ask",
        "iat": now,
        "exp": now + 300,
        "jti": "one",
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


def by_our_key(place: Place, claims: Claims, **header: Any) -> str:
    """A token that our own key has signed, whatever it says."""
    members = {"alg": "ES256", "typ": "at+jwt", "kid": place.kid} | header
    key = read_signing_keys(place.folder)[0].key
    return jws.serialize_compact(
        {name: value for name, value in members.items() if value is not None}, json.dumps(claims), key, ["ES256"]
    )


def test_a_token_of_ours_speaks_for_its_client_with_its_scopes(place: Place) -> None:
    caller = place.gate().caller(place.access_token(Scope.ASK))
    assert (caller.kind, caller.client_id, caller.tenant) == (CallerKind.CLIENT, "gateway", "shop")
    assert caller.scopes == {Scope.ASK}


def test_it_carries_what_rfc_9068_asks_for_and_five_minutes(place: Place) -> None:
    token = place.access_token()
    read = jwt.decode(token, read_signing_keys(place.folder)[0].key, ["ES256"])
    assert read.header == {"alg": "ES256", "typ": "at+jwt", "kid": place.kid}
    assert set(read.claims) == {"iss", "aud", "sub", "client_id", "tenant", "scope", "iat", "exp", "jti"}
    assert read.claims["exp"] - read.claims["iat"] == 300


def test_a_changed_claim_alone_is_what_the_following_refusals_are_about(place: Place) -> None:
    assert place.gate().caller(by_our_key(place, claims_of(place))).client_id == "gateway"


SAYS: dict[str, Callable[[int], Claims]] = {
    "no exp": lambda now: {"exp": None},
    "no iat": lambda now: {"iat": None},
    "no iss": lambda now: {"iss": None},
    "no aud": lambda now: {"aud": None},
    "no jti": lambda now: {"jti": None},
    "no sub": lambda now: {"sub": None},
    "no tenant": lambda now: {"tenant": None},
    "no scope": lambda now: {"scope": None},
    "exp as a text": lambda now: {"exp": str(now + 300)},
    "exp as a fraction": lambda now: {"exp": now + 300.5},
    "exp as a truth": lambda now: {"exp": True},
    "exp below zero": lambda now: {"exp": -1},
    "exp beyond any number": lambda now: {"exp": 10**30},
    "exp in a hundred years": lambda now: {"exp": now + HUNDRED_YEARS_S},
    "exp a second too late": lambda now: {"exp": now + 301},
    "an ancient exp": lambda now: {"iat": 1, "exp": 300},
    "exp just past": lambda now: {"iat": now - 311, "exp": now - 11},
    "exp before iat": lambda now: {"exp": now - 1},
    "iat in the future": lambda now: {"iat": now + 60, "exp": now + 300},
    "nbf in the future": lambda now: {"nbf": now + 60},
    "nbf as a text": lambda now: {"nbf": str(now)},
    "another iss": lambda now: {"iss": "https://elsewhere"},
    "iss as a list": lambda now: {"iss": ["qa-service"]},
    "another aud": lambda now: {"aud": "elsewhere"},
    "a list of other auds": lambda now: {"aud": ["elsewhere", ["qa-service"]]},
    "another sub": lambda now: {"sub": "admin"},
    "an unknown client": lambda now: {"client_id": "nobody", "sub": "nobody"},
    "another tenant": lambda now: {"tenant": "bank"},
    "an unknown scope": lambda now: {"scope": "ask root"},
    "scopes as a list": lambda now: {"scope": ["ask"]},
}


@pytest.mark.parametrize("name", SAYS)
def test_what_our_own_key_signed_is_refused_when_it_says(place: Place, refused: Refused, name: str) -> None:
    token = by_our_key(place, claims_of(place, **SAYS[name](int(place.clock()))))
    assert refused(place.gate().caller, token)


def test_a_scope_that_the_client_has_not_is_not_granted_by_a_token(place: Place) -> None:
    token = by_our_key(place, claims_of(place, scope="ask admin"))
    assert place.gate().caller(token).scopes == {Scope.ASK}


HEADERS: dict[str, Claims] = {
    "no typ": {"typ": None},
    "typ JWT": {"typ": "JWT"},
    "typ of a user token": {"typ": "qa-user+jwt"},
    "no kid": {"kid": None},
    "an unknown kid": {"kid": "20200101T000000.000000Z"},
    "a kid that is a path": {"kid": "../../../../dev/null"},
    "a kid that is a query": {"kid": "' OR 1=1 --"},
    "a kid of another kind": {"kid": "key.pem"},
    "a jku": {"jku": "https://elsewhere/jwks.json"},
    "a jwk": {"jwk": {"kty": "oct", "k": "AAAA"}},
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_not_exactly_ours_is_refused(place: Place, refused: Refused, name: str) -> None:
    assert refused(place.gate().caller, by_our_key(place, claims_of(place), **HEADERS[name]))


def test_no_algorithm_but_ours_is_accepted_whatever_the_header_says(place: Place, refused: Refused) -> None:
    public = read_signing_keys(place.folder)[0].key
    pem, jwk = public.as_pem(private=False), json.dumps(public.as_dict(private=False)).encode()
    gate, claims = place.gate(), claims_of(place)
    for alg in ALGORITHMS:
        header = {"alg": alg, "typ": "at+jwt", "kid": place.kid}
        for secret in (b"", pem, pem.strip(), jwk, place.kid.encode(), b"null"):  # HS/RS confusion
            assert refused(gate.caller, signed(header, claims, secret))
        assert refused(gate.caller, f"{part(json.dumps(header))}.{part(json.dumps(claims))}.")


@pytest.mark.parametrize("alg", [["ES256"], None, 256, {"alg": "ES256"}, True])
def test_an_algorithm_that_is_no_text_is_refused(place: Place, refused: Refused, alg: object) -> None:
    header = {"alg": alg, "typ": "at+jwt", "kid": place.kid}
    assert refused(place.gate().caller, signed(header, claims_of(place), b"secret"))


def test_a_token_signed_by_somebody_else_is_refused_under_every_kid_of_ours(place: Place, refused: Refused) -> None:
    second = make_signing_key(place.folder)
    gate = place.gate()
    stranger, ours = ECKey.generate_key("P-256"), {one.kid: one.key for one in read_signing_keys(place.folder)}
    for kid in (place.kid, second):
        header = {"alg": "ES256", "typ": "at+jwt", "kid": kid}
        other = ours[second if kid == place.kid else place.kid]
        for key in (stranger, other):  # forged; and ours, under the other's kid
            assert refused(gate.caller, jwt.encode(header, claims_of(place), key, ["ES256"]))
    rsa = jwt.encode(
        {"alg": "RS256", "typ": "at+jwt", "kid": second}, claims_of(place), RSAKey.generate_key(2048), ["RS256"]
    )
    assert refused(gate.caller, rsa)


@pytest.mark.parametrize("place_of", [0, 1, 2])
def test_a_token_in_which_one_character_is_changed_is_refused(place: Place, refused: Refused, place_of: int) -> None:
    gate, parts = place.gate(), place.access_token().split(".")
    changed = parts[place_of]
    parts[place_of] = ("A" if changed[0] != "A" else "B") + changed[1:]
    assert refused(gate.caller, ".".join(parts))


def test_a_signature_whose_last_bits_are_spelled_otherwise_is_refused(place: Place, refused: Refused) -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = place.access_token()
    last = letters.index(token[-1])  # 64 octets end with 2 bits in it; the other 4 say nothing
    for other in range(last + 1, last + 16):
        assert "canonical" in refused(place.gate().caller, token[:-1] + letters[other])


def test_another_spelling_of_the_same_token_is_refused(place: Place, refused: Refused) -> None:
    gate, token = place.gate(), place.access_token()
    head, body, signature = token.split(".")
    for spelling in (f"{token}=", f"{token}==", f"{token}\n", f"{head}.{body}.{signature}.", f"{head}.{body}"):
        assert refused(gate.caller, spelling)
    assert refused(gate.caller, f"{head}.{body}.{signature[:40]} {signature[40:]}")
    assert refused(gate.caller, f"{head}. {body}.{signature}")


def by_our_key_as_it_stands(place: Place, header: str, claims: str) -> str:
    """A token of two texts that no JSON writer would write, rightly signed."""
    signing_input = f"{part(header)}.{part(claims)}"
    signature = jws.JWSRegistry.algorithms["ES256"].sign(signing_input.encode(), read_signing_keys(place.folder)[0].key)
    return f"{signing_input}.{part(signature)}"


def head_of(place: Place) -> str:
    return json.dumps({"alg": "ES256", "typ": "at+jwt", "kid": place.kid})


def test_a_member_that_comes_twice_is_refused_though_one_of_the_two_would_do(place: Place, refused: Refused) -> None:
    gate, head, body = place.gate(), head_of(place), json.dumps(claims_of(place))
    assert gate.caller(by_our_key_as_it_stands(place, head, body)).client_id == "gateway"
    for twice in ('"exp": 1', '"tenant": "bank"', '"\\u0074enant": "bank"', '"x": {"a": 1, "a": 2}'):
        assert "twice" in refused(gate.caller, by_our_key_as_it_stands(place, head, f"{{{twice}, {body[1:]}"))
    for twice in ('"alg": "none"', '"kid": "other"', '"typ": "JWT"'):
        assert "twice" in refused(gate.caller, by_our_key_as_it_stands(place, f"{{{twice}, {head[1:]}", body))


@pytest.mark.parametrize(
    "claims", ['{"exp":NaN}', '{"exp":Infinity}', "[]", "null", "[" * 1500, "", "\x00", '{"a":1}x']
)
def test_claims_that_are_no_json_object_are_refused(place: Place, refused: Refused, claims: str) -> None:
    gate = place.gate()
    assert "JSON" in refused(gate.caller, by_our_key_as_it_stands(place, head_of(place), claims)) or not claims
    assert refused(gate.caller, by_our_key_as_it_stands(place, claims, json.dumps(claims_of(place))))


def test_an_oversized_token_is_refused_unread(place: Place, refused: Refused) -> None:
    gate = place.gate()
    big = by_our_key(place, claims_of(place, x="a" * MAX_TOKEN_CHARS))
    for token in (big, "a" * (MAX_TOKEN_CHARS + 1), "." * 1_000_000):
        assert f"{MAX_TOKEN_CHARS} characters" in refused(gate.caller, token)


@given(token=st.text(max_size=60) | st.text("ab.=-_", max_size=60) | st.from_regex(r"\A[\w-]{1,9}\.[\w-]*\.[\w-]*\Z"))
def test_a_refusal_repeats_nothing_of_any_token(token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        read_compact(token)
    assert re.fullmatch(r"[\x20-\x7e]+", caught.value.detail)


def test_a_token_ends_after_five_minutes_also_where_it_is_remembered(place: Place, refused: Refused) -> None:
    gate, token = place.gate(), place.access_token()
    gate.caller(token)
    place.clock.now_s += 305
    gate.caller(token)  # clocks of two API processes may differ by ten seconds
    place.clock.now_s += 10
    assert "expired" in refused(gate.caller, token)


def test_of_two_live_keys_the_newest_signs_and_both_verify(place: Place) -> None:
    gate, old = place.gate(), place.access_token()
    gate.caller(old)
    newest = make_signing_key(place.folder)
    issued = gate.issue(place.client, [Scope.ASK])
    assert issued
    assert jws.extract_compact(issued.token.encode()).headers()["kid"] == newest
    assert gate.caller(old) == gate.caller(issued.token)
    assert [key["kid"] for key in gate.public_keys()] == [newest, place.kid]


def test_a_retired_key_verifies_nothing_any_more_also_what_was_remembered(place: Place, refused: Refused) -> None:
    gate, old = place.gate(), place.access_token()
    gate.caller(old)
    newest = make_signing_key(place.folder)
    retire_signing_key(place.folder, place.kid)
    assert "kid" in refused(gate.caller, old)
    assert [key["kid"] for key in gate.public_keys()] == [newest]


def test_a_key_that_another_process_has_just_made_is_found_at_once(place: Place) -> None:
    gate = place.gate(every_s=3600)
    make_signing_key(place.folder)
    assert gate.caller(place.access_token()).client_id == "gateway"


def test_a_removed_client_is_refused_with_the_tokens_it_has(place: Place, refused: Refused) -> None:
    gate, token = place.gate(), place.access_token()
    gate.caller(token)
    remove_client(place.folder, "gateway")
    assert "client" in refused(gate.caller, token)
    assert gate.client("gateway", place.secret) is None


def test_the_public_keys_hold_no_private_part(place: Place) -> None:
    [key] = place.gate().public_keys()
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
