"""The Litestar application, without what stands behind it: `main.py` brings the house."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive, Scope, Send

from qa_service.api.bodies import MAX_BODY_BYTES
from qa_service.api.errors import EXCEPTION_HANDLERS
from qa_service.api.house import House
from qa_service.api.openapi import openapi_config
from qa_service.api.request_id import RequestIds
from qa_service.api.routes.answers import answer
from qa_service.api.routes.explain import explain
from qa_service.api.routes.messages import ask, pull, read_message
from qa_service.api.routes.operation import healthz, readyz
from qa_service.api.routes.sessions import bind_session, open_session, read_session

ROUTES: Sequence[HTTPRouteHandler] = (
    open_session,
    read_session,
    bind_session,
    ask,
    pull,
    read_message,
    answer,
    explain,
    healthz,
    readyz,
)


class Application:
    """The ASGI application, and a way to send home everybody who waits in it."""

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._asgi = RequestIds(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await self._asgi(scope, receive, send)

    def stop_waiting(self) -> None:
        """Answer every long poll and every waiting question now, with what there is."""
        house: House | None = self._app.state.get("house")
        if house:
            house.conversation.stop_waiting()


def create_app(
    furnish: Callable[[], AbstractAsyncContextManager[House]], *, extra_routes: Sequence[HTTPRouteHandler] = ()
) -> Application:
    """Make the application. `furnish` opens the house when the server starts and closes it when it stops.

    `extra_routes` serve benchmarks, which compare with a bare route of the same application.
    """

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with furnish() as house:
            app.state["house"] = house
            yield

    app = Litestar(
        route_handlers=[*ROUTES, *extra_routes],
        lifespan=[lifespan],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=openapi_config(),
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    return Application(app)
