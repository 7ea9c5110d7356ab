"""A session, its messages, and the events of its log."""

from dataclasses import dataclass
from enum import StrEnum

from qa_service.domain.answer import Answer

SESSION_TTL_S = 24 * 3600  # sliding; the article's figure
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
