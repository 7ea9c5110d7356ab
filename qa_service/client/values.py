"""What the client gives: sessions, messages, replies, answers, events. Values only; it knows no document and no HTTP.

Words that the service may add to (`state`, `decision`, `served_by`, an event's `type`) are plain texts, so that an
older client reads a newer service.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An entry or a passage that an answer rests on; `type` is "entries" or "passages"."""

    id: str
    type: str
    title: str = ""
    excerpt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One "did you mean": choosing it asks `question` again."""

    entry_id: str
    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A known question for what was typed; `id` is its entry's. `match` says how it was found.

    `highlight` holds [begin, end) pairs of characters of `text`.
    """

    id: str
    text: str
    match: str = ""
    highlight: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation. `token` opens it and is told once, when it is opened or bound ("" otherwise)."""

    id: str
    uid: str | None = None
    device_id: str | None = None
    locale: str = ""
    owner: str = "bot"
    last_message_id: int = 0
    ttl_s: int = 0
    created_at: datetime | None = None
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a session's log. `seq` is the number of its latest event, by which it is read again.

    `role` is user, bot or agent; `state` is pending, completed, failed or cancelled. From `decision` on (answer,
    clarify, flow, generate, handoff or none) only an answered bot's message is filled; `confidence` is 0 to 1.
    """

    id: str
    role: str = "bot"
    text: str = ""
    state: str = PENDING
    seq: int = 0
    in_reply_to: str | None = None
    created_at: datetime | None = None
    decision: str | None = None
    served_by: str | None = None
    confidence: float = 0.0
    choices: tuple[Choice, ...] = ()
    degraded: bool = False
    index_version: str = ""
    elapsed_ms: float = 0.0

    @property
    def is_pending(self) -> bool:
        """Whether the answer is still to come; `text` is then a placeholder."""
        return self.state == PENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Message):
    """The bot's message that answers a question of session `sid`, with what it rests on.

    `key` is the question's idempotency key, `question` and `locale` what was asked: asking again with all three gives
    this very message, in its present state. `replayed` says that the service knew the key. A reply without an `id` is
    this client's own placeholder: the service has not (yet) said that it took the question.
    """

    sid: str
    sources: tuple[Source, ...] = ()
    question: str = ""
    locale: str = ""
    key: str = ""
    replayed: bool = False
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a stateless question; the fields are a reply's."""

    text: str
    decision: str
    served_by: str | None = None
    confidence: float = 0.0
    choices: tuple[Choice, ...] = ()
    sources: tuple[Source, ...] = ()
    degraded: bool = False
    index_version: str = ""
    elapsed_ms: float = 0.0
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Messages after a cursor, oldest first, and all their sources. The next cursor is `last_message_id`."""

    messages: tuple[Message, ...]
    sources: tuple[Source, ...]
    last_message_id: int
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a session. A durable event has a `seq`, an ephemeral one (typing, delta) None.

    `message` or `session` is filled where the event tells of one, `sources` where an answer rests on some; `data` is
    the event's data as it came.
    """

    type: str
    seq: int | None = None
    created_at: datetime | None = None
    message: Message | None = None
    session: Session | None = None
    sources: tuple[Source, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSession:
    """All that is kept of one session of a user."""

    session: Session
    messages: tuple[Message, ...]
