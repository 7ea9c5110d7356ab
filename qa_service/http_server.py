"""The HTTP server around the application. It knows no route."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import cast

import uvicorn
from litestar.handlers import HTTPRouteHandler
from litestar.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from qa_service.api.app import Application, create_app
from qa_service.api.errors import body_of_no_http
from qa_service.api.house import House
from qa_service.api.request_id import new_request_id

_KEEP_ALIVE_S = 75  # longer than the 30 s of the gateway's connections, so that the gateway closes first
_DRAIN_S = 10  # for requests under way at a stop
_PART_WITHIN_S = 1.0  # for callers whose next request is on its way already
_PARENT_LOOK_S = 0.5


class _Protocol(HttpToolsProtocol):
    """Refuses what is no HTTP with the API's own kind of body; uvicorn sends plain text without an X-Request-ID."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's signature
        request_id = new_request_id()
        body = body_of_no_http(request_id)
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class _Parting:
    """ASGI middleware: once it is parting, each answer tells its caller to bring the next request elsewhere."""

    def __init__(self, app: Application) -> None:
        self._parting = False
        self._app = app

    def part(self) -> None:
        """Tell every caller, and answer at once those who wait."""
        self._parting = True
        self._app.stop_waiting()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_part(message: Message) -> None:
            if self._parting and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, send_and_part)


class _Server(uvicorn.Server):
    """Closes an idle connection a second after a stop: at once, it would cut off who has just sent a request."""

    def __init__(self, config: uvicorn.Config, app: _Parting) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new connections, part from the open ones, then finish what is under way."""
        self._app.part()
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        ends = loop.time() + _PART_WITHIN_S
        while self.server_state.connections and not self.force_exit and loop.time() < ends:  # noqa: ASYNC110  # uvicorn wakes nobody
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


def run_http(
    furnish: Callable[[], AbstractAsyncContextManager[House]],
    *,
    host: str,
    port: int,
    parent: int = 0,
    extra_routes: tuple[HTTPRouteHandler, ...] = (),
) -> None:
    """Serve until SIGINT or SIGTERM, or until the process `parent` is gone (0: nobody in particular)."""
    app = _Parting(create_app(furnish, extra_routes=extra_routes))
    config = uvicorn.Config(
        cast("Callable[..., object]", app),
        host=host,
        port=port,
        loop="uvloop",
        http=_Protocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    server = _Server(config, app)

    async def run() -> None:
        watching = asyncio.create_task(_stop_with_parent(server, parent))
        await server.serve()
        watching.cancel()

    import uvloop  # noqa: PLC0415

    uvloop.run(run())


async def _stop_with_parent(server: uvicorn.Server, parent: int) -> None:
    while parent and os.getppid() == parent:  # noqa: ASYNC110  # a parent that dies wakes nobody
        await asyncio.sleep(_PARENT_LOOK_S)
    if parent:
        server.should_exit = True
