"""Somebody else's session answers exactly as one that was never opened: on every verb, to every kind of caller."""

import re
import time
from collections.abc import Iterator

import httpx
import pytest
from access.conftest import Place
from access.minting import user_token
from api.service import BOT, Service, Talk

from security.figures import Book

_METHODS = ("get", "post", "put", "patch", "delete")
_ACCEPTS = ("application/json", "application/problem+json")


@pytest.fixture(scope="module")
def client(guarded: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded.url, timeout=20) as client:
        yield client


def verbs(client: httpx.Client) -> list[tuple[str, str]]:
    """Every method and path that names a session."""
    paths = client.get("/schema/openapi.json").json()["paths"]
    return [
        (method.upper(), path)
        for path, operations in paths.items()
        for method in _METHODS
        if "{sid}" in path and method in operations
    ]


def told(client: httpx.Client, method: str, path: str, token: str, accept: str) -> tuple[int, dict[str, str], bytes]:
    """What a caller hears, less the time of day."""
    headers = {"Authorization": f"Bearer {token}", "Accept": accept, "X-Request-ID": "same"}
    attributes = {"text": "怎么退货"} if path.endswith("messages") else {}
    if method == "PUT":
        attributes = {"value": "up"}
    if method == "PATCH":
        attributes = {"user_token": user_token("mallory")}
    body = None if method == "GET" else attributes
    response = client.request(method, path, headers=headers, json=body)
    kept = {name: value for name, value in response.headers.items() if name not in {"date", "ratelimit"}}
    return response.status_code, kept, response.content


def test_every_verb_answers_as_for_an_unknown_session(client: httpx.Client, place: Place, book: Book) -> None:
    anonymous, of_alice = Talk(client), Talk(client, user_token=user_token("alice"))
    stranger = Talk(client)
    mid = anonymous.ask("怎么退货").json()["data"]["id"]
    callers = {
        "another device": (stranger.token, (anonymous, of_alice)),
        "another user": (user_token("mallory"), (anonymous, of_alice)),
        "the user of another session": (user_token("alice"), (anonymous,)),
        "a client": (place.access_token(), (anonymous,)),
        "a token of nothing": ("a" * 43, (anonymous, of_alice)),
    }
    different, compared = [], 0
    unknown_sid = str(int(stranger.sid) - 1)
    for name, (token, others) in callers.items():
        for method, path in verbs(client):
            for other in others:
                for accept in _ACCEPTS:
                    filled = re.sub(r"{(?!sid)\w+}", mid, path)
                    theirs = told(client, method, filled.replace("{sid}", other.sid), token, accept)
                    nobodys = told(client, method, filled.replace("{sid}", unknown_sid), token, accept)
                    compared += 1
                    if theirs != nobodys or theirs[0] != 404:
                        different.append((name, method, path, theirs, nobodys))
    book.note("other people's sessions", "404, same as unknown", broken=len(different), compared=compared)
    assert different == []
    assert anonymous.pull().status_code == of_alice.pull().status_code == 200  # nothing happened to them


def test_it_takes_no_longer_either(client: httpx.Client) -> None:
    other, stranger = Talk(client), Talk(client)

    def median_ms(sid: str) -> float:
        times = []
        for _ in range(60):
            started = time.perf_counter()
            told(client, "GET", f"{BOT}/sessions/{sid}", stranger.token, _ACCEPTS[0])
            times.append((time.perf_counter() - started) * 1000)
        return sorted(times)[len(times) // 2]

    theirs, nobodys = median_ms(other.sid), median_ms(str(int(other.sid) - 1))
    assert abs(theirs - nobodys) < max(theirs, nobodys)  # one script in either case
