"""The HTTP server around the application. It knows no route."""

import asyncio
import os
import resource
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import cast

import uvicorn
from litestar.handlers import HTTPRouteHandler
from litestar.types import Message, Receive, Scope, Send

from qa_service.api.app import Application, create_app
from qa_service.api.house import House
from qa_service.api.wire import Room, WireProtocol
from qa_service.api.ws_frames import MAX_FRAME_BYTES
from qa_service.api.ws_session import HEARTBEAT_S
from qa_service.api.ws_wire import WebSocketWire

_KEEP_ALIVE_S = 75  # longer than the 30 s of the gateway's connections, so that the gateway closes first
_DRAIN_S = 10  # for requests under way at a stop
_PART_WITHIN_S = 1.0  # for callers whose next request is on its way already
_PARENT_LOOK_S = 0.5
_OWN_FILES = 128  # connections to Redis, the log, the libraries, and callers that are being refused


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
    most_connections: int = 10_000,
    extra_routes: tuple[HTTPRouteHandler, ...] = (),
) -> None:
    """Serve until SIGINT or SIGTERM, or until the process `parent` is gone (0: nobody in particular).

    At most `most_connections` are held at once, and no more than there are files for.
    """
    app = _Parting(create_app(furnish, extra_routes=extra_routes))
    config = uvicorn.Config(
        cast("Callable[..., object]", app),
        host=host,
        port=port,
        loop="uvloop",
        http=cast("type[asyncio.Protocol]", partial(WireProtocol, room=Room(most=_held_at_once(most_connections)))),
        ws=WebSocketWire,
        ws_max_size=MAX_FRAME_BYTES,
        ws_ping_interval=HEARTBEAT_S,
        ws_per_message_deflate=False,  # 125 KB a silent connection with it, 28 without
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # uvicorn would believe whoever calls from 127.0.0.1; api/address.py asks the settings
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


def _held_at_once(wished: int) -> int:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wished if files == resource.RLIM_INFINITY else max(1, min(wished, files - _OWN_FILES))


async def _stop_with_parent(server: uvicorn.Server, parent: int) -> None:
    while parent and os.getppid() == parent:  # noqa: ASYNC110  # a parent that dies wakes nobody
        await asyncio.sleep(_PARENT_LOOK_S)
    if parent:
        server.should_exit = True
