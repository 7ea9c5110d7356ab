"""What happens in a session, as whoever follows it hears it: durable events, and what no log keeps."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from qa_service.domain.session import EventType, Message, Session


class FeedbackValue(StrEnum):
    """What a customer thinks of an answer."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What the customer said of the bot's message `message_id`."""

    message_id: str
    value: FeedbackValue
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """A person is asked for: the bot's message `message_id` says so."""

    message_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One durable event of a session's log.

    `about` is the user's message for message.accepted, the bot's for the others of a message. `reply_id` names the
    bot's message that an accepted one will be answered with.
    """

    type: EventType
    seq: int
    created_at_ms: int  # Unix milliseconds
    about: Message | Session | Feedback | Handoff
    reply_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a text that is being written: `text` begins at character `offset` (a code point each).

    `attempt` counts from 1; a higher one replaces what earlier ones wrote.
    """

    message_id: str
    attempt: int
    offset: int
    text: str


class TypingState(StrEnum):
    """Whether somebody is typing."""

    STARTED = "started"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The user began or ended typing, told by the follower `by`, who does not hear of it."""

    by: str
    state: TypingState


Whisper: TypeAlias = Piece | Typed  # what is told to who listens now, and kept by no log


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events after a cursor, in `seq` order. `last_message_id` is the cursor to go on from.

    `newest` is that of the last event there is. `running` is the bot's message that is being answered ("": none),
    `partial` what is written of it so far.
    """

    events: tuple[Event, ...]
    last_message_id: int
    has_more: bool
    newest: int
    running: str = ""
    partial: Piece | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A text that is being written has grown: `text` follows what the listener has, which is `offset` characters."""

    message_id: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """What was written of a message is void; it is written anew."""

    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Typing:
    """Somebody began or ended typing; the bot types its message `message_id`."""

    state: TypingState
    by: str  # "bot" or "user"
    message_id: str = ""


Happening: TypeAlias = Event | Delta | Reset | Typing
