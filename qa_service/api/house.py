"""What the routes need of the rest of the house; `main.py` furnishes it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from litestar.connection import ASGIConnection

from qa_service.access.gate import Gate
from qa_service.api.limits import Limits
from qa_service.api.turns import Turns
from qa_service.conversation.conversation import Conversation
from qa_service.conversation.erasure import Erasure
from qa_service.conversation.inquiry_desk import InquiryDesk
from qa_service.conversation.streams import Streams
from qa_service.conversation.suggestion_desk import SuggestionDesk
from qa_service.webhooks.desk import WebhookDesk

AnyConnection = ASGIConnection[Any, Any, Any, Any]  # a request or a WebSocket


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether questions can be answered now, and if not, what is missing; which promises the store cannot keep."""

    ready: bool
    checks: dict[str, str]
    not_kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What serves the callers of one tenant."""

    conversation: Conversation
    desk: InquiryDesk
    erasure: Erasure
    streams: Streams
    webhooks: WebhookDesk
    suggestions: SuggestionDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What stands behind the routes: each tenant's rooms, by its name, and whose bot is whose.

    A WebSocket whose client says nothing for `ws_idle_s` seconds is closed.
    """

    tenants: Mapping[str, Rooms]
    bots: Mapping[str, str]
    readiness: Callable[[], Awaitable[Readiness]]
    gate: Gate
    limits: Limits
    ws_idle_s: float
    turns: Turns = field(default_factory=Turns)  # of the frames of all WebSockets


def house_of(connection: AnyConnection) -> House:
    """Give the rooms of the application that serves a connection."""
    return cast("House", connection.app.state["house"])
