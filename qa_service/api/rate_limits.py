"""Limits in front of every route: 429 past them, 503 when nobody can count, and headers that say what is left.

It counts what no route answers too. `limits.py` says which limits hold; here stand their headers
(draft-ietf-httpapi-ratelimit-headers-10).
"""

import math
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils import normalize_path

from qa_service.access.caller import Caller
from qa_service.api.address import counted_address
from qa_service.api.caller import Connection, bearer_token, caller_in
from qa_service.api.envelope import PREFIX
from qa_service.api.errors import answer_known, retry_after_s, status_of
from qa_service.api.house import House, house_of
from qa_service.api.limits import Visit
from qa_service.domain.errors import NotFound, Overloaded, QaError, Unauthenticated
from qa_service.domain.limits import WINDOW_S, Verdict

_FREE = {"/healthz", "/readyz"}  # a probe is told how the service is, however busy
_QUESTION = re.compile(rf"{PREFIX}/sessions/([^/]+)/messages")
_CONNECTIONS = {ScopeType.HTTP, ScopeType.WEBSOCKET}
_NOT_FOUND = 404
_PEOPLE = {"uid": "questions of one user", "ip": "requests from one address", "client": "requests of one client"}


class RateLimits:
    """ASGI middleware around the routes. Before the house stands, nothing is counted and nothing answered."""

    def __init__(self, app: ASGIApp, house: Callable[[], House | None]) -> None:
        self._app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, or refuse it."""
        house = self._house()
        if scope["type"] not in _CONNECTIONS or house is None or normalize_path(scope["path"]) in _FREE:
            await self._app(scope, receive, send)
            return
        visit = visit_of(scope, house)
        try:
            verdict = await house.limits.admit(visit)
        except QaError as error:
            await _refuse(error, scope, receive, send)
            return

        async def send_with_rooms(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers_of(verdict)]
                if visit.sid and message["status"] == _NOT_FOUND:
                    house.limits.forget(visit)
            await send(message)

        if verdict.admitted:
            await self._app(scope, receive, send_with_rooms)
        else:
            await _refuse(refusal_of(verdict), scope, receive, send_with_rooms)


def visit_of(scope: Connection, house: House) -> Visit:
    """Tell who comes with a request, from where, and whether with a question."""
    asked = _QUESTION.fullmatch(normalize_path(scope["path"])) if scope.get("method") == "POST" else None
    caller, token = _caller(scope, house)
    return Visit(caller=caller, token=token, address=address_of(scope, house), sid=asked.group(1) if asked else "")


@asynccontextmanager
async def counted_question(
    request: Request[Any, Any, Any], *, sid: str, asker: Caller | None = None
) -> AsyncIterator[None]:
    """Count a question whose session, or the `asker` that one is opened for, stood in the body of its request.

    Raises:
        Overloaded: its user has asked too often (rate-limited).
    """
    house = house_of(request)
    visit = replace(visit_of(request.scope, house), sid=sid)
    if asker:
        visit = replace(visit, caller=asker)
    verdict = await house.limits.admit_question(visit)
    if not verdict.admitted:
        raise refusal_of(verdict)
    try:
        yield
    except NotFound:
        house.limits.forget(visit)
        raise


def address_of(scope: Connection, house: House) -> str:
    """Give the address that a request is counted by."""
    peer = scope["client"][0] if scope["client"] else ""
    return counted_address(peer, scope["headers"], house.limits.trusted)


def refusal_of(verdict: Verdict) -> Overloaded:
    """Give the error that says which limit has no room."""
    full = next(room for room in verdict.rooms if not room.left)
    detail = f"at most {full.quota} {_PEOPLE[full.name]} in {WINDOW_S} seconds"
    return Overloaded(detail, code="rate-limited", retry_after_s=verdict.retry_after_s)


def headers_of(verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """Give RateLimit-Policy and RateLimit; none where there is no limit."""
    if not verdict.rooms:
        return []
    policy = _policy(tuple((room.name, room.quota) for room in verdict.rooms))
    left = ", ".join(f'"{room.name}";r={room.left};t={math.ceil(room.more_in_s)}' for room in verdict.rooms)
    return [(b"ratelimit-policy", policy), (b"ratelimit", left.encode())]


@lru_cache(maxsize=16)
def _policy(quotas: tuple[tuple[str, int], ...]) -> bytes:
    return ", ".join(f'"{name}";q={quota};w={WINDOW_S}' for name, quota in quotas).encode()


def _caller(scope: Connection, house: House) -> tuple[Caller, str]:
    """Give the caller and the token; who brings a bad one is nobody in particular, and the route says so."""
    try:
        return caller_in(scope, house.gate), bearer_token(scope)
    except Unauthenticated:
        return house.gate.caller(""), ""


async def _refuse(error: QaError, scope: Connection, receive: Receive, send: Send) -> None:
    if scope["type"] == ScopeType.WEBSOCKET:
        # Before there is a WebSocket no code of one can be told: the handshake is answered as a request is.
        headers = [(b"retry-after", str(retry_after_s(error)).encode())]
        await send({"type": "websocket.http.response.start", "status": status_of(error), "headers": headers})
        await send({"type": "websocket.http.response.body", "body": error.code.encode(), "more_body": False})
        return
    request: Request[Any, Any, Any] = Request(scope, receive, send)
    response = answer_known(request, error).to_asgi_response(app=None, request=request)
    await response(scope, receive, send)
