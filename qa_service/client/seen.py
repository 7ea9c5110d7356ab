"""What one reader of a session's events has been given, so that nothing is given twice. It knows no connection.

A durable event is known by its `seq`. What the log does not keep is told anew after each cut: who types now, and the
text that is being written, from its beginning.
"""

from dataclasses import replace

from qa_service.client.documents import event_of
from qa_service.client.sse import Told
from qa_service.client.values import Event

_NOT_GIVEN = {"ping", "error"}  # after an error the service closes; why, it says to whoever comes back
_ENDS = {"message.completed", "message.failed", "message.cancelled"}


class Seen:
    """Takes what a stream tells and gives what is new of it."""

    def __init__(self, after: int) -> None:
        self._last = after
        self._written: dict[str, str] = {}  # what was given of texts that are being written, by message
        self._typing: set[tuple[str, str]] = set()

    @property
    def headers(self) -> dict[str, str]:
        """The headers that ask for what comes after it."""
        return {"Accept": "text/event-stream", "Last-Event-ID": str(self._last)}

    def new(self, told: Told) -> list[Event]:
        """Give what is new of an event: most often itself, or nothing."""
        if told.event in _NOT_GIVEN:
            return []
        event = event_of(told.data)
        match event.type:
            case "message.delta":
                return self._delta(event)
            case "message.reset":
                self._written.pop(_message_id(event), None)
            case "typing.started" | "typing.stopped":
                return self._typed(event)
        if event.seq is None:
            return [event]
        if event.seq <= self._last:
            return []
        self._last = event.seq
        if event.type in _ENDS:
            self._written.pop(_message_id(event), None)
            self._typing.discard(("bot", _message_id(event)))
        return [event]

    def _delta(self, event: Event) -> list[Event]:
        """Give the part that goes on where the last one ended; behind a hole none, as `message.completed` fills it.

        Where the text differs from what was given, another attempt has begun while the connection was cut.
        """
        name, offset, text = _message_id(event), event.data.get("offset"), event.data.get("text")
        if not isinstance(offset, int) or not isinstance(text, str):
            return []
        had = self._written.get(name, "")
        if had[offset : offset + len(text)] != text[: max(0, len(had) - offset)]:
            if offset:
                return []
            del self._written[name]
            return [Event(type="message.reset", data={"message_id": name}), *self._delta(event)]
        if offset > len(had) or offset + len(text) <= len(had):
            return []
        self._written[name] = had[:offset] + text
        return [replace(event, data={**event.data, "offset": len(had), "text": text[len(had) - offset :]})]

    def _typed(self, event: Event) -> list[Event]:
        who = (str(event.data.get("by", "")), _message_id(event))
        was, types = who in self._typing, event.type == "typing.started"
        if types:
            self._typing.add(who)
        else:
            self._typing.discard(who)
        return [] if was == types else [event]


def _message_id(event: Event) -> str:
    return event.message.id if event.message else str(event.data.get("message_id", ""))
