"""Which Host headers a service without keys answers: a web page must not reach it under a name of its own.

A page whose name was made to point at 127.0.0.1 (DNS rebinding) sends that name. It knows no route.
"""

import ipaddress
from collections.abc import Callable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from qa_service.api.errors import Refusal, accept_of
from qa_service.api.request_id import request_id_of

_UNKNOWN = Refusal(
    status=421,  # Misdirected Request
    code="unknown-host",
    title="Unknown host",
    detail="without keys this service answers to localhost alone; `qa-service keys new` makes a key",
)
_CLOSE = 4003  # forbidden
_CONNECTIONS = {ScopeType.HTTP, ScopeType.WEBSOCKET}


class LocalHosts:
    """ASGI middleware: while `only_local` says so, callers must name this machine as the host."""

    def __init__(self, app: ASGIApp, only_local: Callable[[], bool]) -> None:
        self._app = app
        self._only_local = only_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, or refuse it with 421 and the code unknown-host."""
        if scope["type"] not in _CONNECTIONS or not self._only_local() or _is_local(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == ScopeType.WEBSOCKET:
            await send({"type": "websocket.close", "code": _CLOSE, "reason": "unknown-host"})
        else:
            await _refuse(scope, send)


def is_local_name(host: str) -> bool:
    """Whether a Host header names this machine by localhost or a loopback address, with or without a port."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_local(scope: Scope) -> bool:
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    return len(hosts) == 1 and is_local_name(hosts[0]) and all(map(_is_local_page, _pages(scope)))


def _pages(scope: Scope) -> list[str]:
    """Give which pages a WebSocket is opened from: no browser asks first whether a page of elsewhere may open one."""
    if scope["type"] != ScopeType.WEBSOCKET:
        return []
    return [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]


def _is_local_page(origin: str) -> bool:
    return is_local_name(origin.partition("://")[2])


async def _refuse(scope: Scope, send: Send) -> None:
    told = _UNKNOWN.told(request_id_of(scope), accept=accept_of(scope))
    headers = [
        (b"content-type", told.media_type.encode()),
        (b"content-length", str(len(told.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": _UNKNOWN.status, "headers": headers})
    await send({"type": "http.response.body", "body": told.body, "more_body": False})
