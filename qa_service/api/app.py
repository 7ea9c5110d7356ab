"""The Litestar application, without what stands behind it: `main.py` brings the house."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive, Scope, Send

from qa_service.api.allow import tell_methods
from qa_service.api.answer_forms import AnswerForms
from qa_service.api.bodies import MAX_BODY_BYTES
from qa_service.api.errors import EXCEPTION_HANDLERS
from qa_service.api.hosts import LocalHosts
from qa_service.api.house import House
from qa_service.api.openapi import openapi_config
from qa_service.api.rate_limits import RateLimits
from qa_service.api.request_id import RequestIds
from qa_service.api.routes.answers import answer
from qa_service.api.routes.compat import ask_in_xml
from qa_service.api.routes.events import follow, give_ticket
from qa_service.api.routes.explain import explain
from qa_service.api.routes.messages import ask, pull, read_message
from qa_service.api.routes.oauth import issue_token, public_keys
from qa_service.api.routes.openai import complete_chat, list_models, read_model
from qa_service.api.routes.operation import healthz, readyz
from qa_service.api.routes.replies import cancel_message, judge_message
from qa_service.api.routes.sessions import bind_session, erase_session, open_session, read_session
from qa_service.api.routes.suggest import suggest
from qa_service.api.routes.users import erase_user, export_user
from qa_service.api.routes.webhooks import WEBHOOK_ROUTES
from qa_service.api.routes.ws import talk

ROUTES: Sequence[HTTPRouteHandler] = (
    open_session,
    read_session,
    bind_session,
    erase_session,
    export_user,
    erase_user,
    ask,
    pull,
    read_message,
    cancel_message,
    judge_message,
    follow,
    give_ticket,
    answer,
    explain,
    *WEBHOOK_ROUTES,
    ask_in_xml,
    complete_chat,
    list_models,
    read_model,
    suggest,
    issue_token,
    public_keys,
    healthz,
    readyz,
)


class Application:
    """The ASGI application, and a way to send home everybody who waits in it."""

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._asgi = RequestIds(AnswerForms(LocalHosts(RateLimits(app, self._house), self._only_local)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await self._asgi(scope, receive, send)

    def stop_waiting(self) -> None:
        """Answer every long poll and every waiting question now, with what there is, and end every stream."""
        if house := self._house():
            for rooms in house.tenants.values():
                rooms.conversation.stop_waiting()
                rooms.streams.stop()

    def _only_local(self) -> bool:
        house = self._house()
        return house is not None and house.gate.local_key is not None

    def _house(self) -> House | None:
        house: House | None = self._app.state.get("house")
        return house


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
        route_handlers=[*ROUTES, talk, *extra_routes],
        lifespan=[lifespan],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=openapi_config(),
        request_max_body_size=MAX_BODY_BYTES,
        before_send=[tell_methods],
        logging_config=None,
    )
    return Application(app)
