"""A TCP proxy on loopback that can cut its connections, swallow answers, and stay silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from yarl import URL


@dataclass(slots=True)
class Proxy:
    """What goes through it, and what of that it should spoil."""

    upstream: URL
    url: str = ""
    refuses: bool = False  # new connections are closed at once
    swallow_answers_to: bytes = b""  # a request with these bytes reaches the service; its answer is never heard
    swallowed: int = 0
    connected: int = 0
    requests: list[bytes] = field(default_factory=list)  # what clients sent, a chunk each
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """End all connections."""
        for writer in list(self.writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, both ways, until one side ends."""
        if self.refuses:
            writer.transport.abort()
            return
        self.connected += 1
        self.writers.add(writer)
        try:
            assert self.upstream.host is not None
            upstream_reader, upstream = await asyncio.open_connection(self.upstream.host, self.upstream.port)
            self.writers.add(upstream)
            spoilt = asyncio.Event()
            ways = [
                asyncio.create_task(self._requests(reader, upstream, spoilt)),
                asyncio.create_task(self._answers(upstream_reader, writer, spoilt)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            upstream.transport.abort()
            self.writers.discard(upstream)
        finally:
            writer.transport.abort()
            self.writers.discard(writer)

    async def _requests(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, spoilt: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(65536):
                self.requests.append(piece)
                if self.swallow_answers_to and self.swallow_answers_to in piece:
                    self.swallow_answers_to = b""
                    spoilt.set()
                upstream.write(piece)

    async def _answers(
        self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, spoilt: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while piece := await upstream.read(65536):
                if spoilt.is_set():
                    self.swallowed += 1
                    return
                writer.write(piece)


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """Stand between clients and a service."""
    proxy = Proxy(upstream=URL(url))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        await server.wait_closed()
        await asyncio.sleep(0.01)  # the tasks of connections that were cut end a little later


@asynccontextmanager
async def cutting(proxy: Proxy, *, every_s: float, for_s: float) -> AsyncIterator[None]:
    """Be away for a while, again and again."""

    async def cut() -> None:
        while True:
            await asyncio.sleep(every_s - for_s)
            proxy.refuses = True
            proxy.cut()
            await asyncio.sleep(for_s)
            proxy.refuses = False

    task = asyncio.create_task(cut())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        proxy.refuses = False
