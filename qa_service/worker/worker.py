"""The worker: takes what waits, answers each tenant's questions as one batch, finishes each answer behind its fence.

It takes no question of a tenant whose index it has not opened: another worker may have it.
What was delivered before is run alone, so that a question which kills its worker takes no neighbours along.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from qa_service.answering.ask import Ask
from qa_service.answering.follow_up import names_a_choice
from qa_service.domain.answer import Answer
from qa_service.domain.context import leans_on_context
from qa_service.domain.errors import StoreUnavailable
from qa_service.domain.question import Question
from qa_service.store.jobs import Job, JobQueue
from qa_service.store.keys import is_for_version
from qa_service.store.sessions import RedisSessions
from qa_service.worker.trial import Canary, Shadow

_BLOCK_MS = 500  # how long one look at an empty queue lasts; also how soon a stop is noticed
_RECLAIM_EVERY_S = 1.0
_AWAY_S = 0.25  # between tries while Redis is away
_SHADOW_ENDS_WITHIN_S = 1.0  # of a stop

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """What answers one tenant's questions. `current` gives the Ask to use now, or None while there is no index."""

    current: Callable[[], Ask | None]
    canary: Canary | None = None
    shadow: Shadow | None = None

    def ask_for(self, job: Job) -> Ask:
        """Give the Ask for a question: the one in force, or a canary's for its share."""
        # Looked up now: the wait was long enough for a new index, and the questions may know of it.
        ask = self.current()
        assert ask is not None, "an index is exchanged, never taken away"
        return self.canary.ask_for(job.normalised, ask) if self.canary else ask


class Worker:
    """One process's way of answering; `bots` are those of the tenants that it serves, by name."""

    def __init__(
        self,
        *,
        jobs: JobQueue,
        sessions: RedisSessions,
        bots: Mapping[str, Bot],
        batch: int,
        claim_idle_ms: int,
    ) -> None:
        self._jobs = jobs
        self._sessions = sessions
        self._bots = bots
        self._batch = batch
        self._renew_every_s = claim_idle_ms / 3000
        self._reclaimed_at = 0.0
        self._shadowing: asyncio.Task[None] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; what is in hand then is finished first."""
        try:
            while not stop.is_set():
                await self._work()
        finally:
            await self._end_shadow()

    async def _work(self) -> None:
        try:
            tenants = [tenant for tenant, bot in self._bots.items() if bot.current() is not None]
            if not tenants:
                await asyncio.sleep(_AWAY_S)
                return
            for batch in await self._next_batches(tenants):
                await self._answer(batch)
        except StoreUnavailable as error:
            log.warning("store away", detail=error.detail)
            await asyncio.sleep(_AWAY_S)

    async def _end_shadow(self) -> None:
        if self._shadowing is None or self._shadowing.done():
            return
        await asyncio.wait([self._shadowing], timeout=_SHADOW_ENDS_WITHIN_S)
        self._shadowing.cancel()
        await asyncio.wait([self._shadowing], timeout=_SHADOW_ENDS_WITHIN_S)

    async def _next_batches(self, tenants: Sequence[str]) -> list[list[Job]]:
        """Give what others left behind, each alone, or else what waits, together; of these tenants alone."""
        now = asyncio.get_running_loop().time()
        if now - self._reclaimed_at >= _RECLAIM_EVERY_S:
            self._reclaimed_at = now
            left_behind = await self._jobs.reclaim(self._batch, tenants=tenants)
            if left_behind:
                return [[job] for job in left_behind]
        waiting = await self._jobs.take(self._batch, _BLOCK_MS, tenants=tenants)
        return [waiting] if waiting else []

    async def _answer(self, batch: Sequence[Job]) -> None:
        async with self._holding(batch):
            for tenant in dict.fromkeys(job.tenant for job in batch):
                jobs = [job for job in batch if job.tenant == tenant]
                try:
                    await self._answer_tenant(self._bots[tenant], jobs)
                except StoreUnavailable:
                    raise
                except Exception:  # the edge of a job: a bug must not end the worker, nor stop the next tenant
                    # Nothing is acknowledged: each question comes back alone, and to the dead letters after five times.
                    log.exception("batch failed", tenant=tenant, questions=len(jobs))

    async def _answer_tenant(self, bot: Bot, jobs: Sequence[Job]) -> None:
        shares: dict[int, tuple[Ask, list[Job]]] = {}
        for job in jobs:
            if job.kind != "explain":
                ask = bot.ask_for(job)
                shares.setdefault(id(ask), (ask, []))[1].append(job)
        for ask, share in shares.values():
            await self._answer_share(bot, ask, share)
        for job in jobs:
            if job.kind == "explain":
                ask = bot.ask_for(job)
                await self._jobs.finish_explained(job, await ask.explain(await self._question(ask, job)))

    async def _answer_share(self, bot: Bot, ask: Ask, jobs: Sequence[Job]) -> None:
        questions = [await self._question(ask, job) for job in jobs]
        outcomes = await ask(questions)
        await self._finish([(job, outcome.answer) for job, outcome in zip(jobs, outcomes, strict=True)])
        # One comparison at a time: the shadow may skip batches, and must not hold up customers.
        if bot.shadow and (self._shadowing is None or self._shadowing.done()):
            self._shadowing = asyncio.create_task(bot.shadow.compare(questions, outcomes))

    async def _question(self, ask: Ask, job: Job) -> Question:
        picks = names_a_choice(job.text)
        leans = picks or (not job.cache_key and leans_on_context(job.text))
        # "2" means something else to everybody; and while versions change, the asker may know of another one than this
        # worker has: kept under the asker's key, an old answer would outlive its index.
        cacheable = not picks and is_for_version(job.cache_key, ask.version)
        cache_key = job.cache_key if cacheable else ""
        sessions = self._sessions.of(job.tenant)
        history = await sessions.history(job.sid, job.question_message_id) if job.kind == "turn" and leans else ()
        return Question(
            text=job.text, locale=job.locale, history=history, normalised=job.normalised, cache_key=cache_key
        )

    async def _finish(self, answered: Sequence[tuple[Job, Answer]]) -> None:
        await self._jobs.finish_many(answered)
        for job, answer in answered:
            log.info(
                "answered",
                tenant=job.tenant,
                request_id=job.request_id,
                decision=answer.decision.value,
                confidence=round(answer.confidence, 3),
                index_version=answer.index_version,
                elapsed_ms=round(answer.elapsed_ms, 2),
                batch=len(answered),
                deliveries=job.deliveries,
            )

    @contextlib.asynccontextmanager
    async def _holding(self, batch: Sequence[Job]) -> AsyncIterator[None]:
        """Renew the claims on a batch while it is being worked on."""
        done = False

        async def renew() -> None:
            # On Python 3.11 redis-py may swallow a cancellation: the flag ends the loop then
            while not done:
                await asyncio.sleep(self._renew_every_s)
                with contextlib.suppress(StoreUnavailable):
                    await self._jobs.renew(batch)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            done = True
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
