"""Every response carries X-Request-ID, every request leaves one log line. It wraps the whole application.

The caller's id is kept when it is harmless, else replaced: an id goes into log lines and through the queue.
"""

import re
import secrets
import time
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

_HARMLESS = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_HEADER = b"x-request-id"
_A_USER = re.compile(r"(?<=/users/)[^/]+")  # a uid may be a name, which no redactor knows
_QUIET = {"/healthz", "/readyz"}  # asked every few seconds by whatever watches the service

log = structlog.get_logger(__name__)


def request_id_of(scope: Scope) -> str:
    """Give the id of the request that `scope` belongs to."""
    return str(scope.get("qa_request_id", ""))


class RequestIds:
    """ASGI middleware around everything, so that routing errors carry an id too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the request its id, and log its outcome."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request = scope
        request_id = chosen_request_id(request["headers"])
        request["qa_request_id"] = request_id  # type: ignore[typeddict-unknown-key]  # ASGI allows further keys
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_HEADER, request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if request["path"] not in _QUIET:
                elapsed_ms = round((time.perf_counter() - started) * 1000, 2)
                path = _A_USER.sub("[uid]", request["path"])
                log.info("request", method=request["method"], path=path, status=status, elapsed_ms=elapsed_ms)


def new_request_id() -> str:
    """Give an id to a request that brought no harmless one: 16 hex digits."""
    return secrets.token_hex(8)


def chosen_request_id(headers: Any) -> str:  # noqa: ANN401  # an ASGI server's list or tuple of byte pairs
    """Give the id that a request brought, if it is a harmless one, else a new one."""
    given = next((value for name, value in headers if name == _HEADER), b"")
    return given.decode("ascii") if _HARMLESS.fullmatch(given) else new_request_id()
