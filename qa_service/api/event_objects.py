"""Events as JSON: what SSE and WebSocket tell of a session, in one shape. It knows no transport."""

from typing import Any

import msgspec

from qa_service.api.envelope import Resource, message_resource, rfc3339, session_resource, source_resources
from qa_service.api.errors import status_of
from qa_service.domain.errors import QaError
from qa_service.domain.event import Delta, Event, Feedback, Handoff, Happening, Reset
from qa_service.domain.session import Message, Session


class EventObject(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What happened. `seq` and `created_at` are a durable event's alone, `included` a message's sources."""

    type: str
    seq: int = 0
    created_at: str = ""
    data: Any
    included: list[Resource] = []


def event_object(sid: str, happening: Happening) -> EventObject:
    """Show what happened in a session."""
    match happening:
        case Event():
            return EventObject(
                type=happening.type.value,
                seq=happening.seq,
                created_at=rfc3339(happening.created_at_ms),
                data=_resource(sid, happening.about),
                included=source_resources([happening.about.answer] if isinstance(happening.about, Message) else []),
            )
        case Delta(message_id=mid, offset=offset, text=text):
            return EventObject(type="message.delta", data={"message_id": mid, "offset": offset, "text": text})
        case Reset(message_id=mid):
            return EventObject(type="message.reset", data={"message_id": mid})
        case typing:
            named = {"message_id": typing.message_id} if typing.message_id else {}
            return EventObject(type=f"typing.{typing.state.value}", data={"by": typing.by, **named})


def error_members(error: QaError) -> dict[str, str]:
    """Show an error as a stream tells it."""
    return {"status": str(status_of(error)), "code": error.code, "title": error.title, "detail": error.detail}


def feedback_resource(feedback: Feedback) -> Resource:
    """Show what the customer says of an answer."""
    attributes = {"value": feedback.value.value, "reason": feedback.reason or None}
    return Resource(type="feedback", id=feedback.message_id, attributes=attributes)


def _resource(sid: str, about: Message | Session | Feedback | Handoff) -> Resource:
    match about:
        case Message():
            return message_resource(sid, about)
        case Session():
            return session_resource(about)
        case Feedback():
            return feedback_resource(about)
        case handoff:
            return Resource(type="handoffs", id=handoff.message_id, attributes={"reason": handoff.reason})
