"""The worker's other hand: suggestions for what is being typed, while the first one answers a batch of questions.

What is typed lies in a stream of its own, because behind a batch a key press waited a quarter of a second (measured).
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from qa_service.domain.errors import StoreUnavailable
from qa_service.domain.suggestion import Suggested, Typed
from qa_service.store.records import Job
from qa_service.store.suggestions import SuggestionQueue
from qa_service.worker.door import Door
from qa_service.worker.worker import Bot

_AT_ONCE = 32
_BLOCK_MS = 500  # how long one look at an empty queue lasts; also how soon a stop is noticed
_AWAY_S = 0.25  # between tries while Redis is away
_RECLAIM_EVERY_S = 5.0  # what a dead worker left: nobody waits for it any more, and it would fill the queue

log = structlog.get_logger(__name__)


class SuggestionWorker:
    """One process's way of suggesting; `bots` are those of the tenants that it serves, by name.

    `door` is its own: at that of the batches a millisecond would wait for hundreds.
    """

    def __init__(self, *, jobs: SuggestionQueue, bots: Mapping[str, Bot], door: Door) -> None:
        self._jobs = jobs
        self._bots = bots
        self._door = door
        self._reclaimed_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Suggest until `stop` is set."""
        while not stop.is_set():
            try:
                await self._work()
            except StoreUnavailable as error:
                log.warning("store away", detail=error.detail)
                await asyncio.sleep(_AWAY_S)

    async def _work(self) -> None:
        tenants = [tenant for tenant, bot in self._bots.items() if bot.current() is not None]
        if not tenants:
            await asyncio.sleep(_AWAY_S)
            return
        now = asyncio.get_running_loop().time()
        if now - self._reclaimed_at >= _RECLAIM_EVERY_S:
            self._reclaimed_at = now
            await self._suggest(await self._jobs.reclaim(_AT_ONCE, tenants=tenants))
        await self._suggest(await self._jobs.take(_AT_ONCE, _BLOCK_MS, tenants=tenants))

    async def _suggest(self, jobs: Sequence[Job]) -> None:
        for tenant in dict.fromkeys(job.tenant for job in jobs):
            own = [job for job in jobs if job.tenant == tenant]
            ask = self._bots[tenant].current()
            assert ask is not None, "an index is exchanged, never taken away"
            try:
                typed = [Typed(text=job.text, limit=job.limit, locale=job.locale) for job in own]
                given: list[Suggested] = await self._door(partial(ask.suggest, typed))
                await self._jobs.finish_suggested(list(zip(own, given, strict=True)))
            except StoreUnavailable:
                raise
            except Exception:  # the edge of a job: a bug must not end the worker
                log.exception("suggestions failed", tenant=tenant, count=len(own))
