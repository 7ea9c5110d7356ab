"""The body of a delivery: what happened, to which session, and the message or session as the API shows it.

It knows no JSON:API: whoever makes it says how sessions and messages are shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from qa_service.domain.redaction import redact
from qa_service.domain.session import Message, Session
from qa_service.domain.webhook import TEST_EVENT


class Shown(Protocol):
    """How sessions and messages look from outside."""

    def session(self, session: Session) -> dict[str, Any]:
        """Give a session's id and attributes."""
        ...

    def message(self, sid: str, message: Message) -> dict[str, Any]:
        """Give a message's id and attributes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An event with what it concerns, read from its session. `details` are further members of the event in the log."""

    event: str
    at_ms: int
    seq: int
    session: Session
    message_id: str = ""
    message: Message | None = None
    details: Mapping[str, str]


def body_of(happening: Happening, shown: Shown) -> bytes:
    """Write the body; every attempt of every endpoint sends these bytes."""
    session = happening.session
    data = {
        "tenant": session.tenant,
        "session_id": session.sid,
        "uid": session.uid or None,
        "seq": happening.seq,
        **_subject(happening, shown),
    }
    return _body(happening.event, happening.at_ms, data)


def test_body(tenant: str, at_ms: int) -> bytes:
    """Write the body of a test."""
    return _body(TEST_EVENT, at_ms, {"tenant": tenant, "session_id": None, "uid": None, "seq": None})


def _subject(happening: Happening, shown: Shown) -> dict[str, Any]:
    kind = happening.event.partition(".")[0]
    if kind == "session":
        return {"session": shown.session(happening.session)}
    if kind == "feedback":
        value, reason = happening.details.get("v", ""), happening.details.get("why", "")
        # A customer's own words: no personal number leaves the house in them.
        return {"feedback": {"id": happening.message_id, "value": value, "reason": redact(reason) or None}}
    if kind == "handoff":
        return {"handoff": {"id": happening.message_id, "reason": happening.details.get("why") or None}}
    if happening.message is None:  # the log has dropped it since
        return {"message": {"id": happening.message_id}}
    return {"message": shown.message(happening.session.sid, happening.message)}


def _body(event: str, at_ms: int, data: dict[str, Any]) -> bytes:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return msgspec.json.encode({"type": event, "timestamp": moment, "data": data})
