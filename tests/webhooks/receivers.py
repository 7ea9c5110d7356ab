"""Real receivers on loopback: they answer as a test says, and remember what came."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from standardwebhooks import Webhook

Reaction = Callable[["Receiver", web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """One request."""

    headers: dict[str, str]
    body: bytes
    at_s: float

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        return dict(msgspec.json.decode(self.body))

    def verified(self, secret: str) -> dict[str, Any]:
        """What the standardwebhooks library makes of it; it raises where a signature is wrong."""
        return dict(Webhook(secret).verify(self.body, self.headers))


async def ok(_receiver: "Receiver", _request: web.Request) -> web.StreamResponse:
    return web.Response(status=204)


def status(code: int, **headers: str) -> Reaction:
    async def react(_receiver: "Receiver", _request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return react


def failing(times: int, code: int = 500) -> Reaction:
    """Fail so many times, then take everything."""

    async def react(receiver: "Receiver", _request: web.Request) -> web.StreamResponse:
        return web.Response(status=code if len(receiver.got) <= times else 200, text="sorry")

    return react


async def hang(receiver: "Receiver", _request: web.Request) -> web.StreamResponse:
    await receiver.closing.wait()
    return web.Response()


@dataclass(slots=True)
class Receiver:
    """A server that receives webhooks."""

    react: Reaction = ok
    port: int = 0
    got: list[Got] = field(default_factory=list)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    @property
    def place(self) -> str:
        """How a setting names it."""
        return f"127.0.0.1:{self.port}"

    async def until(self, number: int, within_s: float = 10.0) -> list[Got]:
        """Wait until so many requests have come."""
        ends = time.monotonic() + within_s
        while len(self.got) < number:
            assert time.monotonic() < ends, f"{len(self.got)} of {number} came"
            await asyncio.sleep(0.01)
        return self.got

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.got.append(Got(headers=dict(request.headers), body=body, at_s=time.monotonic()))
        return await self.react(self, request)


@asynccontextmanager
async def receiving(react: Reaction = ok) -> AsyncIterator[Receiver]:
    """Receive until the block ends."""
    receiver = Receiver(react=react)
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", receiver.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        receiver.closing.set()
        await runner.cleanup()


@asynccontextmanager
async def counting() -> AsyncIterator[tuple[int, list[object]]]:
    """Listen on all loopback addresses of both families; the port, and every connection that was made."""
    connects: list[object] = []

    async def connected(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connects.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(connected, "0.0.0.0", 0)
    port = server.sockets[0].getsockname()[1]
    servers = [server]
    with suppress(OSError):  # a machine without IPv6
        servers.append(await asyncio.start_server(connected, "::", port))
    try:
        yield port, connects
    finally:
        for one in servers:
            one.close()
            await one.wait_closed()
