"""Frames of the WebSocket protocol qa.v1: how they are read and written. It knows no connection.

A frame is a JSON object: `op` says what it is, `d` holds the rest, `seq` numbers an event that the log keeps.
"""

from typing import Any

import msgspec

from qa_service.api.envelope import message_resource
from qa_service.api.event_objects import error_members, event_object
from qa_service.domain.errors import InvalidInput, QaError
from qa_service.domain.event import Event, Happening, TypingState
from qa_service.domain.saying import Accepted

PROTOCOL = "qa.v1"
MAX_FRAME_BYTES = 64 * 1024


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What a client sends."""

    op: str
    d: dict[str, Any] = {}


class Hello(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The first frame: a token or a ticket, and the `seq` after which to go on."""

    token: str
    after: int = 0


class Type(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The user begins or ends typing."""

    state: TypingState


class Cancel(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The bot's message that is wanted no more."""

    message_id: str


_frame_decoder = msgspec.json.Decoder(Frame)


def read_frame(message: Any) -> Frame:  # noqa: ANN401  # an ASGI message
    """Read a frame that came; InvalidInput (malformed-frame) when it is none."""
    text = message.get("text")
    if text is None:
        raise InvalidInput("a frame is sent as text", code="malformed-frame")
    try:
        return _frame_decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInput(f'a frame is a JSON object {{"op", "d"}}: {detail}', code="malformed-frame") from None


def event_frame(sid: str, happening: Happening) -> str:
    """Write what happened."""
    shown: dict[str, Any] = {"op": "event", "d": event_object(sid, happening)}
    if isinstance(happening, Event):
        shown["seq"] = happening.seq
    return _written(shown)


def ready_frame(sid: str, *, last_message_id: int, heartbeat_s: float) -> str:
    """Write that events follow from here on."""
    told = {"session_id": sid, "last_message_id": last_message_id, "heartbeat_s": heartbeat_s}
    return _written({"op": "ready", "d": told})


def accepted_frame(sid: str, lid: str, accepted: Accepted) -> str:
    """Write that a question is accepted; its answer comes as an event."""
    told = {
        "lid": lid,
        "message": message_resource(sid, accepted.reply, question=accepted.question.text),
        "question": message_resource(sid, accepted.question),
    }
    return _written({"op": "accepted", "d": told})


def error_frame(error: QaError, lid: str = "") -> str:
    """Write that a frame was refused; the connection goes on."""
    return _written({"op": "error", "d": {**error_members(error), **({"lid": lid} if lid else {})}})


PONG = '{"op":"pong"}'


def _written(shown: dict[str, Any]) -> str:
    return msgspec.json.encode(shown).decode()
