"""What the routes need of the rest of the house; `main.py` furnishes it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from litestar import Request

from qa_service.conversation.conversation import Conversation
from qa_service.conversation.inquiry_desk import InquiryDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether questions can be answered now, and if not, what is missing; which promises the store cannot keep."""

    ready: bool
    checks: dict[str, str]
    not_kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The rooms behind the routes."""

    conversation: Conversation
    desk: InquiryDesk
    readiness: Callable[[], Awaitable[Readiness]]


def house_of(request: Request[Any, Any, Any]) -> House:
    """Give the rooms of the application that serves a request."""
    return cast("House", request.app.state["house"])
