"""Who asks for application/problem+json hears every refusal as RFC 9457 has it, and nothing else changes."""

import json
from typing import Any

import httpx
import pytest
from api.service import BOT, Service, Talk
from hypothesis import given
from hypothesis import strategies as st

from qa_service.api.errors import PROBLEM, wants_problem
from qa_service.api.wire_bounds import WIRE_REFUSALS
from security.corpus.requests import REQUESTS
from security.wires import exchange

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id"}


def problem(response: httpx.Response) -> dict[str, Any]:
    """The problem that a refused request was told, checked for what every one has."""
    told: dict[str, Any] = response.json()
    assert response.headers["content-type"] == PROBLEM
    assert "accept" in response.headers["vary"].lower()
    assert told.keys() >= MEMBERS
    assert told["status"] == response.status_code
    assert told["request_id"] == response.headers["x-request-id"]
    assert told["type"] == f"urn:qa-service:error:{told['code']}"
    assert told["instance"] == f"urn:qa-service:request:{told['request_id']}"
    return told


REFUSED: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "no route": ("GET", "/nowhere", {}, 404, "route-not-found"),
    "no token": ("GET", f"{BOT}/sessions/1", {}, 401, "token-required"),
    "a wrong method": ("PUT", f"{BOT}/answers", {}, 405, "method-not-allowed"),
    "no JSON": ("POST", f"{BOT}/sessions", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, ""),
    "packed": ("POST", f"{BOT}/sessions", {"json": {}, "headers": {"Content-Encoding": "br"}}, 415, ""),
    "an unknown member": ("POST", f"{BOT}/sessions", {"json": {"a/b": 1}}, 422, "invalid-body"),
    "another host": ("GET", "/healthz", {"headers": {"Host": "evil.example"}}, 421, "unknown-host"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_told_as_a_problem_to_whom_asks_for_one(client: httpx.Client, name: str) -> None:
    method, path, more, status, code = REFUSED[name]
    headers = {**more.pop("headers", {}), "Accept": f"application/json, {PROBLEM}"}
    told = problem(client.request(method, path, headers=headers, **more))
    assert told["status"] == status
    assert told["code"] == (code or told["code"])
    if name == "an unknown member":
        assert told["source"] == {"pointer": "/a~1b"}


def test_what_succeeds_stays_what_it_is(talk: Talk) -> None:
    response = talk.send("GET", headers={"Accept": PROBLEM})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")


def test_what_is_refused_unread_is_told_as_a_problem_too(service: Service) -> None:
    raw = REQUESTS["101 fields"].replace(b"{method}", b"GET").replace(b"{path}", b"/healthz")
    [answer] = exchange(
        service, raw.replace(b"Host: localhost\r\n", b"Host: localhost\r\nAccept: %s\r\n" % PROBLEM.encode())
    )
    assert (answer.status, answer.headers["content-type"]) == (431, PROBLEM)
    assert json.loads(answer.body)["code"] == "headers-too-large"


def test_every_code_that_is_told_unread_is_described(client: httpx.Client) -> None:
    document = client.get("/schema/openapi.json").text
    assert [one.code for one in WIRE_REFUSALS if f'"{one.code}"' not in document] == []


@pytest.mark.parametrize(
    "accept",
    [PROBLEM, f"text/html, {PROBLEM};q=0.1", PROBLEM.upper(), f"{PROBLEM} ; charset=utf-8", f"*/*,{PROBLEM};q=0.001"],
)
def test_it_is_asked_for_by_its_name(accept: str) -> None:
    assert wants_problem(accept.encode())


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/*", "application/json", f"{PROBLEM};q=0", f"{PROBLEM}; q=0.000", f"x{PROBLEM}"]
)
def test_it_is_not_asked_for_by_anything_else(accept: str) -> None:
    assert not wants_problem(accept.encode())


@given(st.binary(max_size=60) | st.from_regex(rb"(application/problem\+json|[;,= q0.9])*", fullmatch=True))
def test_no_accept_header_is_a_failure(accept: bytes) -> None:
    assert wants_problem(accept) in {True, False}
