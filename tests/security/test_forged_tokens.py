"""The attacks on tokens that tests/access makes on the gate, made over HTTP on a service with keys."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from access.conftest import Place
from access.minting import SECRET, part, signed, user_token
from access.test_access_tokens import (
    ALGORITHMS,
    HEADERS,
    SAYS,
    by_our_key,
    by_our_key_as_it_stands,
    claims_of,
    head_of,
)
from api.service import BOT, Service, refusal
from joserfc import jwt
from joserfc.jwk import ECKey

from qa_service.access.caller import Scope
from qa_service.access.signing_keys import read_signing_keys
from security.figures import Book

_YEARS_S = 100 * 365 * 24 * 3600


@pytest.fixture(scope="module")
def client(guarded: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded.url, timeout=20) as client:
        yield client


def access_tokens(place: Place) -> Iterator[tuple[str, str]]:
    """Tokens of which each has one thing wrong."""
    now = int(place.clock())
    for name, says in SAYS.items():
        if name != "an unknown scope":
            yield name, by_our_key(place, claims_of(place, **says(now)))
    for name, header in HEADERS.items():
        yield name, by_our_key(place, claims_of(place), **header)
    key = read_signing_keys(place.folder)[0].key
    secrets = (b"", key.as_pem(private=False), json.dumps(key.as_dict(private=False)).encode(), place.kid.encode())
    for alg in ALGORITHMS:
        head = {"alg": alg, "typ": "at+jwt", "kid": place.kid}
        for number, secret in enumerate(secrets):
            yield f"{alg!r} signed with public thing {number}", signed(head, claims_of(place), secret)
        yield f"{alg!r} unsigned", f"{part(json.dumps(head))}.{part(json.dumps(claims_of(place)))}."
    stranger = jwt.encode(
        {"alg": "ES256", "typ": "at+jwt", "kid": place.kid}, claims_of(place), ECKey.generate_key("P-256"), ["ES256"]
    )
    yield "forged", stranger
    good = place.access_token()
    yield "cut short", good[:-1]
    yield "a byte changed", good[:20] + ("A" if good[20] != "A" else "B") + good[21:]
    yield "a dot too many", f"{good}."
    yield "padded", f"{good}=="
    yield (
        "a member twice",
        by_our_key_as_it_stands(place, head_of(place), json.dumps(claims_of(place))[:-1] + ', "exp": 1}'),
    )
    yield "claims that are a list", by_our_key_as_it_stands(place, head_of(place), "[]")
    yield "deep claims", by_our_key_as_it_stands(place, head_of(place), "[" * 1_500)
    yield "huge", "a" * 5_000
    yield "many dots", "." * 5_000


def user_tokens() -> Iterator[tuple[str, str]]:
    """User tokens of which each has one thing wrong."""
    now = int(time.time())
    wrong: dict[str, dict[str, Any]] = {
        "no exp": {"exp": None},
        "no iat": {"iat": None},
        "no aud": {"aud": None},
        "exp in a hundred years": {"exp": now + _YEARS_S},
        "exp as a text": {"exp": str(now + 60)},
        "exp past": {"iat": now - 3_600, "exp": now - 120},
        "another aud": {"aud": "elsewhere"},
    }
    for name, claims in wrong.items():
        yield name, user_token("alice", **claims)
    yield "no sub", user_token(None)
    yield "a sub that is a list", user_token(["alice"])
    yield "another iss", user_token("alice", issuer="elsewhere")
    yield "another secret", user_token("alice", secret="x" * 32)
    claims = {"iss": "shop", "aud": "qa-service", "sub": "alice", "iat": now, "exp": now + 60}
    yield "none", signed({"alg": "none", "typ": "qa-user+jwt"}, claims, SECRET.encode())
    yield "another typ", signed({"alg": "HS256", "typ": "JWT"}, claims, SECRET.encode())
    yield "an access token's typ", signed({"alg": "HS256", "typ": "at+jwt", "kid": "x"}, claims, SECRET.encode())


def is_refused(response: httpx.Response, token: str) -> bool:
    """Whether a token was refused as such, and nothing of it repeated."""
    if response.status_code != 401:
        return False
    return refusal(response)["code"] == "invalid-token" and token[:16] not in response.text


def test_every_forged_token_is_refused_over_http(client: httpx.Client, place: Place, book: Book) -> None:
    def ask(token: str) -> httpx.Response:
        return client.post(f"{BOT}/answers", json={"text": "a"}, headers={"Authorization": f"Bearer {token}"})

    def open_for(token: str) -> httpx.Response:
        return client.post(f"{BOT}/sessions", json={}, headers={"Authorization": f"Bearer {token}"})

    def name_in_body(token: str) -> httpx.Response:
        return client.post(f"{BOT}/sessions", json={"user_token": token})

    ways: tuple[tuple[Callable[[str], httpx.Response], list[tuple[str, str]]], ...] = (
        (ask, list(access_tokens(place))),
        (open_for, list(user_tokens())),
        (name_in_body, list(user_tokens())),
    )
    accepted = [name for send, tokens in ways for name, token in tokens if not is_refused(send(token), token)]
    book.note("forged tokens", "all refused", broken=len(accepted), tokens=sum(len(tokens) for _, tokens in ways))
    assert accepted == []
    assert ask(place.access_token()).status_code == 200  # a good one is good
    assert open_for(user_token("alice")).status_code == 201


def test_a_scope_that_a_token_does_not_grant_is_403(client: httpx.Client, place: Place) -> None:
    bearer = {"Authorization": f"Bearer {place.access_token(Scope.ASK)}"}
    refused = client.post(f"{BOT}/explain", json={"text": "a"}, headers=bearer)
    assert (refused.status_code, refusal(refused)["code"]) == (403, "insufficient-scope")
    unknown = by_our_key(place, claims_of(place, scope="root"))
    refused = client.post(f"{BOT}/answers", json={"text": "a"}, headers={"Authorization": f"Bearer {unknown}"})
    assert refused.status_code in {401, 403}
