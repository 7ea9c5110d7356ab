"""A session over a WebSocket, subprotocol qa.v1: ask, cancel, type, and hear what happens."""

from typing import Any

from litestar import WebSocket, websocket
from structlog.contextvars import clear_contextvars

from qa_service.api.envelope import PREFIX
from qa_service.api.house import house_of
from qa_service.api.ws_session import SessionSocket


@websocket(f"{PREFIX}/sessions/{{sid:str}}/ws")
async def talk(socket: WebSocket[Any, Any, Any], sid: str) -> None:
    """Serve one connection: `hello` with a token first, then frames both ways."""
    clear_contextvars()
    await SessionSocket(socket, house_of(socket), sid).serve()
