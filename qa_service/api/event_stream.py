"""Server-sent events: one session followed over one response (HTML Living Standard, 9.2). It knows no route.

Who disconnects is let go, and nothing is cancelled; who comes back goes on after the last `id`.
"""

import asyncio
from typing import Any

import msgspec
import structlog
from litestar import Response
from litestar.types import Receive, Scope, Send

from qa_service.api.event_objects import error_members, event_object
from qa_service.conversation.streams import Following
from qa_service.domain.errors import QaError, Restarting
from qa_service.domain.event import Event, Happening

log = structlog.get_logger(__name__)

_PING_S = 10.0  # less than the idle time-out of any proxy in common use
_PING = b"event: ping\ndata: {}\n\n"
_BEGIN = b"retry: 1000\n\n"  # ms until a browser comes back; also the first bytes, so that it knows it is connected
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would collect what is written
]


class EventStream(Response[bytes]):
    """The response that tells what happens, until somebody ends it. It closes what it follows."""

    def __init__(self, following: Following) -> None:
        super().__init__(b"", media_type="text/event-stream")
        self._following = following

    def to_asgi_response(self, *_: Any, **__: Any) -> "_Telling":  # type: ignore[override]  # noqa: ANN401  # any ASGI application would do
        """Give the application that sends it."""
        return _Telling(self._following)


class _Telling:
    def __init__(self, following: Following) -> None:
        self._following = following

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
            await self._tell_until_gone(receive, send)
        finally:
            self._following.close()
        # Of no effect for who is gone; who does not read is cut off by the connection's own clock.
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell_until_gone(self, receive: Receive, send: Send) -> None:
        telling = asyncio.create_task(self._tell(send))
        leaving = asyncio.create_task(_gone(receive))
        self._following.on_too_slow = telling.cancel  # it may be stuck in sending
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (telling, leaving):
                task.cancel()
            for ended in await asyncio.gather(telling, leaving, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, OSError):  # uvicorn's word for who has left
                    log.error("stream broken", exc_info=ended)

    async def _tell(self, send: Send) -> None:
        told = _BEGIN
        while True:
            await send({"type": "http.response.body", "body": told, "more_body": True})
            try:
                happened = await self._following.hear(_PING_S)
            except Restarting:  # whoever is back in a second finds another process, or the next one
                return
            except QaError as error:
                await send({"type": "http.response.body", "body": _error(error), "more_body": True})
                return
            told = b"".join(_framed(self._following.sid, one) for one in happened) or _PING


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _framed(sid: str, happening: Happening) -> bytes:
    shown = event_object(sid, happening)
    named = b"id: %d\n" % happening.seq if isinstance(happening, Event) else b""
    # JSON has no line break of its own, which would end a field.
    return named + b"event: %s\ndata: %s\n\n" % (shown.type.encode(), msgspec.json.encode(shown))


def _error(error: QaError) -> bytes:
    return b"event: error\ndata: %s\n\n" % msgspec.json.encode({"type": "error", "data": error_members(error)})
