"""A load generator that costs little itself: keep-alive connections, each with one request under way at a time."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(slots=True)
class Load:
    """What came back: seconds each request took, and how many were not 2xx."""

    elapsed_s: list[float] = field(default_factory=list)
    refused: int = 0


class _Connection(asyncio.Protocol):
    def __init__(self, next_request: Callable[[], bytes], load: Load, ends: float) -> None:
        self._next_request, self._load, self._ends = next_request, load, ends
        self._received = b""
        self._sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not separator or not length or len(body) < int(length.group(1)):
            return
        now = time.perf_counter()
        self._load.elapsed_s.append(now - self._sent_at)
        self._load.refused += head[9:10] != b"2"
        self._received = b""
        if now < self._ends:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._next_request())


async def run_load(
    host: str, port: int, next_request: Callable[[], bytes], *, connections: int, seconds: float
) -> Load:
    """Send requests from `next_request` over some connections for some seconds."""
    load, loop = Load(), asyncio.get_running_loop()
    ends = time.perf_counter() + seconds
    opened = [
        await loop.create_connection(lambda: _Connection(next_request, load, ends), host, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.done for _, connection in opened))
    return load


def request_bytes(path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """Make the bytes of one POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
