"""What is said to a session or asked without one, and what becomes of it: the values a conversation hands its store."""

from dataclasses import dataclass
from enum import StrEnum

from qa_service.domain.event import Feedback
from qa_service.domain.question import Turn
from qa_service.domain.session import Message, Proof, Session
from qa_service.domain.suggestion import Typed


class Acceptance(StrEnum):
    """What became of a question that was said."""

    QUEUED = "queued"  # a worker will answer it
    CACHED = "cached"  # the FAQ cache answered it in the same step
    REPLAYED = "replayed"  # the same key and body were accepted before


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """One question, ready to be accepted.

    `message_id` and `reply_id` are fresh snowflakes for the user's message and the bot's. `idempotency_key` is empty
    when the caller named none; `body_digest` tells the same key with another body apart. `cache_key` is empty when
    the question must not be served from the cache. `normalised` is compared with the cached question in full.
    """

    sid: str
    proof: Proof
    message_id: str
    reply_id: str
    text: str
    normalised: str
    locale: str
    request_id: str
    now_ms: int
    idempotency_key: str = ""
    body_digest: str = ""
    cache_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The user's message, the bot's (pending, or already completed), and how the question was taken."""

    acceptance: Acceptance
    question: Message
    reply: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Messages after a cursor, in `seq` order. `last_message_id` is the cursor to go on from."""

    messages: tuple[Message, ...]
    last_message_id: int
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question of a session that was erased: under which name its answer may be cached."""

    cache_name: str
    locale: str
    normalised: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A session as it stands, with all its messages in `seq` order, and what the user said of them."""

    session: Session
    messages: tuple[Message, ...]
    feedback: tuple[Feedback, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPress:
    """What somebody has typed so far. After `expires_at_ms` (Unix milliseconds) nobody wants suggestions for it."""

    job_id: str
    typed: Typed
    request_id: str
    expires_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """One stateless question. It expires: after `expires_at_ms` (Unix milliseconds) nobody will answer it.

    `history` holds what its caller says was said before, oldest first.
    """

    job_id: str
    explain: bool = False  # give every number that led to the answer, past the cache
    text: str
    locale: str
    request_id: str
    expires_at_ms: int
    cache_key: str = ""
    normalised: str = ""
    history: tuple[Turn, ...] = ()
