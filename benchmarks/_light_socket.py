"""A WebSocket client of a few hundred bytes, for thousands of them in one process. It checks nothing it can do without.

It reads whole text frames, answers pings, and sends frames masked with zeros, which leaves them as they are.
"""

import asyncio
import json
import time
from typing import Any, cast

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_MASKED, _SIXTEEN_BITS, _SIXTY_FOUR_BITS = 0x80, 126, 127


class LightSocket(asyncio.Protocol):
    """One connection. `on_frame` is called with each frame and the moment (Unix seconds) at which it was read."""

    __slots__ = ("_buffer", "_request", "close_code", "is_open", "on_frame", "ready", "transport")

    def __init__(self, host: str, path: str, token: str, after: int, ready: "asyncio.Future[None]") -> None:
        self._request = (
            (
                f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Protocol: qa.v1\r\n\r\n"
            ).encode(),
            json.dumps({"op": "hello", "d": {"token": token, "after": after}}).encode(),
        )
        self._buffer = b""
        self.is_open = False
        self.close_code = 0
        self.ready = ready
        self.on_frame: Any = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type
        self.transport.write(self._request[0])

    def data_received(self, data: bytes) -> None:
        at = time.time()
        self._buffer += data
        if not self.is_open:
            head, ends, rest = self._buffer.partition(b"\r\n\r\n")
            if not ends:
                return
            if b" 101 " not in head:
                self._failed(f"refused: {head[:80]!r}")
                return
            self.is_open, self._buffer = True, rest
            self._write(_TEXT, self._request[1])
            self._request = b"", b""
        while self._take_frame(at):
            pass

    def connection_lost(self, exc: Exception | None) -> None:
        self._failed(f"closed with {self.close_code or exc}")

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame."""
        self._write(_TEXT, json.dumps(frame, ensure_ascii=False).encode())

    def _take_frame(self, at: float) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        opcode, size, begin = buffer[0] & 15, buffer[1], 2
        if size == _SIXTEEN_BITS:
            size, begin = int.from_bytes(buffer[2:4]), 4
        elif size == _SIXTY_FOUR_BITS:
            size, begin = int.from_bytes(buffer[2:10]), 10
        if len(buffer) < begin + size or begin > len(buffer):
            return False
        payload, self._buffer = buffer[begin : begin + size], buffer[begin + size :]
        if opcode == _PING:
            self._write(_PONG, payload)
        elif opcode == _CLOSE:
            self.close_code = int.from_bytes(payload[:2])
        elif opcode == _TEXT:
            self._heard(payload, at)
        return True

    def _heard(self, payload: bytes, at: float) -> None:
        if not self.ready.done():
            self.ready.set_result(None)  # the first frame is the one that says so
        if self.on_frame:
            self.on_frame(json.loads(payload), at)

    def _write(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size < _SIXTEEN_BITS:
            head = bytes((_MASKED | opcode, _MASKED | size))
        else:
            head = bytes((_MASKED | opcode, _MASKED | _SIXTEEN_BITS)) + size.to_bytes(2)
        self.transport.write(head + b"\0\0\0\0" + payload)

    def _failed(self, why: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(why))
