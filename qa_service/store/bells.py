"""Wake-up hints: one subscription per process, however many wait. It knows that something happened, not what.

Pub/sub loses what is published while a client is away, so that every bell is rung when the subscription is back:
who waits reads the log, which is the truth.

A hint is a name: a sid or a job id. A line break behind it makes it one for followers alone, who hear the rest as a
whisper; where nothing follows, the session's log has grown by something that answers nobody.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, Self

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from qa_service.domain.event import Whisper
from qa_service.store.keys import Keys
from qa_service.store.records import decode_whisper

log = structlog.get_logger(__name__)

_HEARTBEAT_S = 2.0  # silence after which Redis is asked whether it is there
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class Follower(Protocol):
    """Whoever follows one session for long; called from the event loop, so that it may not block."""

    def ring(self) -> None:
        """The log has grown, or hints may have been lost."""
        ...

    def hear(self, whisper: Whisper) -> None:
        """Something was told that no log keeps."""
        ...


class RedisBell:
    """Rings when something happened under one name."""

    __slots__ = ("_rung",)

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake who waits; a ring while nobody waits is kept for the next wait."""
        self._rung.set()

    async def wait(self, timeout_s: float) -> bool:
        """Wait until it rings; False when `timeout_s` has passed. Rings that came since the last wait count as one."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True


class RedisBells:
    """The Bells port of a conversation: an async context manager that owns one pub/sub connection.

    While Redis is away it goes on trying, and bells stay silent: nobody may wait for a bell without an end.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._channels = [keys.events(partition) for partition in range(keys.partitions)]
        self._listeners: dict[str, set[RedisBell]] = {}
        self._followers: dict[str, set[Follower]] = {}
        self._tried = asyncio.Event()
        self._connected = False
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether hints arrive now."""
        return self._connected

    @property
    def listening(self) -> int:
        """How many bells are set up, and how many follow."""
        return sum(map(len, self._listeners.values())) + sum(map(len, self._followers.values()))

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._subscribe_for_ever(), name="bells")
        await self._tried.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        # Again and again: Python 3.11's wait_for, inside redis-py, may swallow a cancellation.
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=0.1)

    def ring_all(self) -> None:
        """Wake everybody who waits in this process."""
        self._ring_all()

    @asynccontextmanager
    async def listen(self, name: str) -> AsyncIterator[RedisBell]:
        """A bell for a sid or a job id. From here on nothing is missed: the channel is always subscribed to."""
        bell = RedisBell()
        self._listeners.setdefault(name, set()).add(bell)
        try:
            yield bell
        finally:
            bells = self._listeners[name]
            bells.discard(bell)
            if not bells:
                del self._listeners[name]

    def attach(self, name: str, follower: Follower) -> None:
        """Tell a follower of a sid from here on; it hears whispers too."""
        self._followers.setdefault(name, set()).add(follower)

    def detach(self, name: str, follower: Follower) -> None:
        """Tell it no more."""
        followers = self._followers.get(name, set())
        followers.discard(follower)
        if not followers:
            self._followers.pop(name, None)

    async def _subscribe_for_ever(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with self._client.pubsub() as subscription:
                    await subscription.subscribe(*self._channels)
                    await self._relay(subscription)
            except (RedisError, OSError):
                pause_s = _FIRST_PAUSE_S if self._connected else min(2 * pause_s, _LONGEST_PAUSE_S)
            finally:
                self._connected = False
                self._tried.set()
            await asyncio.sleep(pause_s)

    async def _relay(self, subscription: PubSub) -> None:
        """Pass hints on until the connection fails, which it does when Redis stays silent for two heartbeats."""
        asked = False
        while True:
            message = await subscription.get_message(timeout=_HEARTBEAT_S)
            if message is None:
                if asked:
                    raise RedisConnectionError("no heartbeat")
                await subscription.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "message":
                try:
                    self._pass_on(message["data"])
                except Exception:  # an edge: what one follower makes of it must not deafen the process
                    log.exception("hint not passed on")
            elif message["type"] == "subscribe":
                self._connected = True
                self._tried.set()
                self._ring_all()

    def _pass_on(self, hint: bytes) -> None:
        name, is_for_followers, told = hint.partition(b"\n")
        sid = name.decode()
        if not is_for_followers:
            self._ring(sid)
        if sid not in self._followers:
            return
        whisper = decode_whisper(told) if told else None
        for follower in tuple(self._followers[sid]):
            if whisper:
                follower.hear(whisper)
            elif not told:
                follower.ring()

    def _ring(self, name: str) -> None:
        for bell in self._listeners.get(name, ()):
            bell.ring()

    def _ring_all(self) -> None:
        for name in self._listeners:
            self._ring(name)
        for followers in tuple(self._followers.values()):
            for follower in tuple(followers):
                follower.ring()
