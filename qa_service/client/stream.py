"""The events of a session, one after the other, whatever happens to the connection. It knows SSE, and no token.

The service's log is the truth: after a cut the client says which `seq` it has, and the service goes on behind it.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

import aiohttp

from qa_service.client.documents import event_of
from qa_service.client.errors import RateLimited, Unavailable
from qa_service.client.sse import EventStream, Told
from qa_service.client.transport import Call, Transport
from qa_service.client.values import Event

_CONNECTS_WITHIN_S = 5.0
_SILENT_S = 25.0  # the service pings every 10 s
_SOUND_S = 0.25  # a connection that lived so long, or gave an event, was none that fails
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0
_NO_EVENTS = {"ping"}
_LAST_EVENTS = {"session.closed"}
_ENDS_A_TEXT = {"message.completed", "message.failed", "message.cancelled", "message.reset"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Which events to read: those of one path, after a `seq`; `gives_up_after_s` without any connection it ends."""

    path: str
    token: str
    after: int
    gives_up_after_s: float


async def events(transport: Transport, reading: Reading) -> AsyncGenerator[Event]:
    """Give the events after a `seq`, none twice, until the session is closed or the caller has enough.

    Raises:
        Refused: the service lets nobody read them (any longer).
        Unavailable: it could not be reached for as long as was said.
    """
    seen = Seen(reading.after)
    failures, reached = 0, time.monotonic()
    while True:
        started, given, asked_s = time.monotonic(), False, None
        try:
            call = Call(method="GET", path=reading.path, headers=seen.headers, token=reading.token, is_long=True)
            async with (
                transport.open(call, connects_within_s=_CONNECTS_WITHIN_S, silent_s=_SILENT_S) as response,
                aclosing(_new(response, seen)) as new,
            ):
                reached = time.monotonic()
                async for event in new:
                    given, reached = True, time.monotonic()
                    yield event
                    if event.type in _LAST_EVENTS:
                        return
        except (Unavailable, RateLimited) as error:
            if time.monotonic() - reached > reading.gives_up_after_s:
                raise
            asked_s = error.retry_after_s
        failures = 0 if given or time.monotonic() - started >= _SOUND_S else failures + 1
        await asyncio.sleep(_pause_s(failures) if asked_s is None else asked_s)


class Seen:
    """What has been given already: the last `seq`, and how far each text that is being written has come."""

    def __init__(self, after: int) -> None:
        self._last = after
        self._written: dict[str, int] = {}

    @property
    def headers(self) -> dict[str, str]:
        """The headers that ask for what comes after it."""
        return {"Accept": "text/event-stream", "Last-Event-ID": str(self._last)}

    def new(self, told: Told) -> Event | None:
        """Give what is new of an event, None where nothing is."""
        if told.event in _NO_EVENTS:
            return None
        event = event_of(told.data)
        if event.type == "message.delta":
            return self._new_part(event)
        if event.seq is not None:
            if event.seq <= self._last:
                return None
            self._last = event.seq
        if event.type in _ENDS_A_TEXT:
            self._written.pop(_message_id(event), None)
        return event

    def _new_part(self, event: Event) -> Event | None:
        """Give the part of a delta that goes on where the last one ended; `message.completed` fills any hole."""
        name, offset, text = _message_id(event), event.data.get("offset"), event.data.get("text")
        if not isinstance(offset, int) or not isinstance(text, str):
            return None
        had = self._written.get(name, 0)
        if offset > had or offset + len(text) <= had:
            return None
        self._written[name] = offset + len(text)
        return replace(event, data={**event.data, "offset": had, "text": text[had - offset :]})


def _message_id(event: Event) -> str:
    return event.message.id if event.message else str(event.data.get("message_id", ""))


async def _new(response: aiohttp.ClientResponse, seen: Seen) -> AsyncGenerator[Event]:
    stream = EventStream()
    async for piece in response.content.iter_any():
        for told in stream.feed(piece):
            event = seen.new(told)
            if event:
                yield event


def _pause_s(failures: int) -> float:
    longest_s = min(_FIRST_PAUSE_S * 2.0**failures, _LONGEST_PAUSE_S)
    return random.uniform(0, longest_s)  # noqa: S311  # spreads callers, guards nothing
