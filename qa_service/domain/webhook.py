"""Webhooks as values: who wants to hear of what, what happened, and how far its delivery has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from qa_service.domain.session import Message, Session

EVERYTHING = "*"
TEST_EVENT = "webhook.test"
# What an endpoint may ask for; each is a durable event of a session's log.
WEBHOOK_EVENTS = (
    "message.completed",
    "message.failed",
    "message.cancelled",
    "session.created",
    "session.bound",
    "handoff.requested",
    "feedback.received",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What deliveries are signed with: `whsec_` and base64. `ends_at_ms` is 0 for the newest, which has no end."""

    text: str
    ends_at_ms: int = 0  # Unix milliseconds

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"Secret(ends_at_ms={self.ends_at_ms})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a tenant wants events sent. `events` are names, or "*"; `revision` grows with every change.

    `failing_since_ms` is the first of the failures that no success has followed, 0 where there is none.
    """

    id: str
    url: str
    events: tuple[str, ...]
    secrets: tuple[Secret, ...]  # the newest first, two at most
    description: str = ""
    enabled: bool = True
    disabled_reason: str = ""
    created_at_ms: int = 0  # Unix milliseconds
    failing_since_ms: int = 0  # Unix milliseconds
    revision: int = 1

    @property
    def wanted(self) -> tuple[str, ...]:
        """The events to be sent now, by name."""
        if not self.enabled:
            return ()
        return WEBHOOK_EVENTS if EVERYTHING in self.events else self.events

    def live_secrets(self, now_ms: int) -> tuple[str, ...]:
        """The secrets that sign now, the newest first."""
        return tuple(one.text for one in self.secrets if not one.ends_at_ms or one.ends_at_ms > now_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """An event that somebody wants to hear of: where it stands in a session's log, and who wanted it then."""

    entry_id: str
    partition: int
    sid: str
    seq: int
    event: str
    message_id: str
    endpoint_ids: tuple[str, ...]
    at_ms: int  # Unix milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an event concerns: its session, the message at hand, and the event's own members, as they are kept."""

    session: Session
    message: Message | None
    details: Mapping[str, str]


class DeliveryState(StrEnum):
    """How far a delivery has come."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request to an endpoint. `status` is None where no answer came, and `error` says why."""

    at_ms: int  # Unix milliseconds
    duration_ms: float
    status: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one endpoint; `id` is the `webhook-id`, the same in every attempt.

    `tries` counts the attempts since it was made or replayed, `attempts` are the newest of all. A test's has no `sid`.
    """

    id: str
    endpoint_id: str
    event: str
    at_ms: int  # when it happened, Unix milliseconds
    sid: str = ""
    seq: int = 0
    message_id: str = ""
    state: DeliveryState = DeliveryState.PENDING
    tries: int = 0
    attempts: tuple[Attempt, ...] = ()
    next_at_ms: int | None = None  # Unix milliseconds
    reason: str = ""  # why no further attempt is made


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Deliveries that are due, each with its body, and when the next one is (None: none waits).

    What was delivered before has no body any more (b""): it is read from its session again.
    """

    due: tuple[tuple[Delivery, bytes], ...]
    next_at_ms: int | None


def delivery_id(endpoint_id: str, sid: str, seq: int) -> str:
    """Give the one id of an event at an endpoint: who works it out twice finds the same."""
    return f"whd_{endpoint_id}_{sid}_{seq}"
