"""The events of a session, one after the other, whatever happens to the connection. It knows SSE, and no token.

The service's log is the truth: after a cut the client says which `seq` it has, and the service goes on behind it.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import aiohttp

from qa_service.client.errors import RateLimited, Unavailable
from qa_service.client.seen import Seen
from qa_service.client.sse import EventStream
from qa_service.client.transport import Call, Transport
from qa_service.client.values import Event

_CONNECTS_WITHIN_S = 5.0
_SILENT_S = 25.0  # the service pings every 10 s
_SOUND_S = 0.25  # a connection that lived so long, or gave an event, was none that fails
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0
_LAST_EVENTS = {"session.closed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Which events to read: those of one path, after a `seq`; `gives_up_after_s` without any connection it ends."""

    path: str
    token: Callable[[], str]  # another one once the session is bound
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
        started, is_open, given, asked_s = time.monotonic(), False, False, 0.0
        try:
            call = Call(method="GET", path=reading.path, headers=seen.headers, token=reading.token(), is_long=True)
            async with (
                transport.open(call, connects_within_s=_CONNECTS_WITHIN_S, silent_s=_SILENT_S) as response,
                aclosing(_new(response, seen)) as new,
            ):
                is_open = True
                async for event in new:
                    given = True
                    yield event
                    if event.type in _LAST_EVENTS:
                        return
        except (Unavailable, RateLimited) as error:
            if not is_open and time.monotonic() - reached > reading.gives_up_after_s:
                raise
            asked_s = error.retry_after_s or 0.0
        if is_open:
            reached = time.monotonic()
        failures = 0 if given or time.monotonic() - started >= _SOUND_S else failures + 1
        await asyncio.sleep(max(_pause_s(failures), asked_s))


async def _new(response: aiohttp.ClientResponse, seen: Seen) -> AsyncGenerator[Event]:
    stream = EventStream()
    async for piece in response.content.iter_any():
        for told in stream.feed(piece):
            for event in seen.new(told):
                yield event


def _pause_s(failures: int) -> float:
    longest_s = min(_FIRST_PAUSE_S * 2.0**failures, _LONGEST_PAUSE_S)
    return random.uniform(0, longest_s)  # noqa: S311  # spreads callers, guards nothing
