"""Keeps an eye on what Redis promises, in the background, so that telling it costs a request nothing.

It looks at once without delaying anybody, then every half minute: a Redis that went away may come back as another
one, and a running one may be given other settings. It knows no route.
"""

import asyncio
from contextlib import suppress
from typing import Self

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from qa_service.domain.errors import StoreUnavailable
from qa_service.store.health import inspect_redis

_LOOK_EVERY_S = 30.0
_TRY_AGAIN_S = 1.0  # while Redis is away

log = structlog.get_logger(__name__)


class RedisHealthWatch:
    """An async context manager that logs a promise once when it is first seen not to be kept.

    While Redis is away it keeps what it last saw.
    """

    def __init__(
        self, client: Redis, *, look_every_s: float = _LOOK_EVERY_S, try_again_s: float = _TRY_AGAIN_S
    ) -> None:
        self._client = client
        self._look_every_s = look_every_s
        self._try_again_s = try_again_s
        self._not_kept: tuple[str, ...] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def not_kept(self) -> tuple[str, ...] | None:
        """The promises that Redis cannot keep, a sentence each; None until it was first reached."""
        return self._not_kept

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch(), name="redis health")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        # Again and again: Python 3.11's wait_for, inside redis-py, may swallow a cancellation.
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=0.1)

    async def _watch(self) -> None:
        while True:
            pause_s = self._try_again_s
            with suppress(StoreUnavailable, RedisError):
                self._take((await inspect_redis(self._client)).not_kept)
                pause_s = self._look_every_s
            await asyncio.sleep(pause_s)

    def _take(self, not_kept: tuple[str, ...]) -> None:
        for sentence in not_kept:
            if sentence not in (self._not_kept or ()):
                log.warning("promise not kept", detail=sentence)
        self._not_kept = not_kept
