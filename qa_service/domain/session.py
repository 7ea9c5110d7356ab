"""A session, its messages, and the events of its log."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from qa_service.domain.answer import Answer

SESSION_TTL_S = 24 * 3600  # sliding; the article's figure
TICKET_LIVES_S = 60
CONTEXT_TURNS = 10  # the article's k


class Owner(StrEnum):
    """Who answers in a session."""

    BOT = "bot"
    HUMAN = "human"


class Role(StrEnum):
    """Who wrote a message."""

    USER = "user"
    BOT = "bot"
    AGENT = "agent"


class MessageState(StrEnum):
    """How far a message has come. Only PENDING ever changes."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EventType(StrEnum):
    """Durable events; each takes the next `seq` of its session's log."""

    SESSION_CREATED = "session.created"
    SESSION_BOUND = "session.bound"
    MESSAGE_ACCEPTED = "message.accepted"
    MESSAGE_COMPLETED = "message.completed"
    MESSAGE_FAILED = "message.failed"
    MESSAGE_CANCELLED = "message.cancelled"
    FEEDBACK_RECEIVED = "feedback.received"
    HANDOFF_REQUESTED = "handoff.requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation of one device or user. `last_message_id` is the `seq` of its newest event (0: none)."""

    sid: str
    tenant: str
    device_id: str = ""
    uid: str = ""
    locale: str = "zh-CN"
    owner: Owner = Owner.BOT
    created_at_ms: int = 0  # Unix milliseconds
    last_message_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VouchedUser:
    """A user for whose `uid` the host vouches: enters the sessions of that uid without their tokens."""

    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedClient:
    """A back end of the tenant: enters every session that belongs to a uid, never an anonymous device's."""


_TENANT_ENDS = "~"  # in no tenant's name, not made by token_urlsafe, and allowed in a bearer token (RFC 6750)


def session_token(tenant: str, secret: str) -> str:
    """Give the token of a tenant's session: whose it is stands in front, so that no look-up has to find it."""
    return f"{tenant}{_TENANT_ENDS}{secret}"


def ticket_for(tenant: str, secret: str) -> str:
    """Give a ticket of a tenant's session: like a token, so that whoever reads it finds the tenant."""
    return session_token(tenant, f"t{_TENANT_ENDS}{secret}")


def is_ticket(token: str) -> bool:
    """Whether a token is written as a ticket is."""
    return token.count(_TENANT_ENDS) == 2


def tenant_of_token(token: str) -> str:
    """Give the tenant whose session a token claims to open; "" for one that names none, as earlier ones did."""
    tenant, ends, _ = token.partition(_TENANT_ENDS)
    return tenant if ends else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketHolder:
    """Who showed a ticket that a token was good for; `shown` is that token's digest, as the store compares it."""

    shown: str


# What lets a caller into a session; a text is its token.
Proof: TypeAlias = str | VouchedUser | TrustedClient | TicketHolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. `seq` is the number of its latest durable event; ids name messages and never order them.

    A bot's message carries its `answer` once completed; `text` repeats the answer's text.
    """

    id: str
    role: Role
    state: MessageState
    text: str = ""
    seq: int = 0
    in_reply_to: str | None = None
    created_at_ms: int = 0  # Unix milliseconds
    request_id: str = ""
    answer: Answer | None = None
