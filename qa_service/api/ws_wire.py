"""The WebSocket below its frames: bounds in time, and what a silent connection need not hold. It knows no frame.

A silent connection held 30 KB, of which a queue and two events of asyncio, made to be shared by many, were 4, and a
handshake that is over was 4 more (measured with tracemalloc).
"""

import asyncio
import re
from collections.abc import Iterable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from qa_service.api import wire_bounds as bounds
from qa_service.api.envelope import PREFIX

_A_SOCKET = re.compile(rf"{PREFIX}/sessions/[^/?]+/ws/?(\?.*)?".encode())
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")  # RFC 6455, 4.1: 16 bytes


def is_handshake(method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request that asks for a WebSocket is at a place where there is one, and says all that it takes.

    Anything else is a request as any other: a server need not go over to what it is asked for (RFC 9110, 7.8).
    """
    told = dict(headers)
    is_whole = _KEY.fullmatch(told.get(b"sec-websocket-key", b"")) and told.get(b"sec-websocket-version") == b"13"
    return method == b"GET" and bool(is_whole) and _A_SOCKET.fullmatch(target) is not None


class _Inbox:
    """What a client sent, for the one task that reads it: what uvicorn needs of an asyncio.Queue."""

    __slots__ = ("_messages", "_waiter")

    def __init__(self) -> None:
        self._messages: list[Any] = []  # a frame, and the end: reading is paused while one waits
        self._waiter: asyncio.Future[None] | None = None

    def put_nowait(self, message: Any) -> None:  # noqa: ANN401  # an ASGI message
        self._messages.append(message)
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def empty(self) -> bool:
        return not self._messages

    async def get(self) -> Any:  # noqa: ANN401  # an ASGI message
        while not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._messages.pop(0)


class _Gate:
    """Whether the client reads what it is sent: what uvicorn needs of an asyncio.Event."""

    __slots__ = ("_is_open", "_waiters")

    def __init__(self) -> None:
        self._is_open = True
        self._waiters: list[asyncio.Future[None]] = []

    def set(self) -> None:
        self._is_open = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        self._is_open = False

    async def wait(self) -> None:
        while not self._is_open:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter


class WebSocketWire(WebSocketsSansIOProtocol):
    """One connection after its upgrade; who does not read it is cut off, as over HTTP."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._unread: asyncio.TimerHandle | None = None
        self.queue = _Inbox()  # type: ignore[assignment]  # what is called of a queue, it has
        self.writable = _Gate()  # type: ignore[assignment]  # as for the queue

    def start_keepalive(self) -> None:
        """Begin to ping, once the handshake is over and forgotten."""
        super().start_keepalive()
        self.request.headers.clear()  # the parser keeps hold of the request
        del self.request, self.response

    def handle_parser_exception(self) -> None:
        """Say why a frame ends the connection, and close it for reading a moment later.

        Closed at once with bytes unread, a connection is reset, and its client may never see the code.
        """
        if self.close_timer:  # what follows is dropped
            return
        assert self.conn.close_sent is not None, "the parser has said why"
        self.queue.put_nowait({"type": "websocket.disconnect", "code": self.conn.close_sent.code})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(bounds.LINGER_S, self.transport.abort)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        """Wait for a client that does not read, and not for ever."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(bounds.READ_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on; the client reads again."""
        super().resume_writing()
        self._forget_the_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        super().connection_lost(exc)
        self._forget_the_clock()

    def _forget_the_clock(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None
