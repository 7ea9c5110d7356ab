"""The worker's end of the queues: take, renew, finish, take over, give up. It knows nothing of how a job is answered.

Every tenant has a queue of its own in every partition: what one of them is asked fills no other's.

A job is acknowledged only together with its answer, in one fenced script: acknowledging before the work lost answers
when a worker was killed, and acknowledging after it answered twice (both measured).
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from qa_service.domain.answer import Answer, Decision
from qa_service.domain.explanation import Explanation
from qa_service.domain.language import Language, language_of
from qa_service.domain.session import SESSION_TTL_S, EventType, MessageState
from qa_service.domain.snowflake import wall_clock_ms
from qa_service.store.connection import TIMEOUT_S, translated
from qa_service.store.dead_letters import DeadLetter, DeadLetters, Place
from qa_service.store.hot_questions import asked_under, forgetting
from qa_service.store.keys import Keys
from qa_service.store.records import Job, decode_job, encode_answer, encode_explanation
from qa_service.store.scripts import Call, load, run, run_many
from qa_service.store.sessions import LOG_CAP, session_keys

__all__ = ["DeadLetter", "Job", "JobQueue"]

REPLY_TTL_MS = 10_000
_GIVEN, _NOBODY = 1, 0  # what finish.lua says: the answer is given; nobody is left to give it to
_LEAST_SHARE = 16  # jobs of one of many queues: a busy tenant among idle ones still gets batches
_GAVE_UP: dict[Language, str] = {
    "zh": "抱歉，这个问题暂时没能处理成功，请换个说法再试，或回复“转人工”联系人工客服。",
    "en": 'Sorry, this question could not be answered. Please word it differently, or reply "agent" to reach a person.',
}

_Entry = tuple[bytes, int, bytes]  # entry id, times delivered, job


class JobQueue:
    """The queues as one worker process sees them; `consumer` names the process and is best the same after a restart.

    `tenants` are all that it may ever answer (none named: that of `keys`). A job that its worker has neither finished
    nor renewed for `claim_idle_ms` may be taken over; one that was delivered `max_deliveries` times without an end is
    given up.
    """

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        *,
        consumer: str,
        tenants: Sequence[str] = (),
        group: str = "workers",
        claim_idle_ms: int = 5000,
        max_deliveries: int = 5,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._client = client
        self._keys = keys
        self._consumer = consumer
        self._group = group
        self._claim_idle_ms = claim_idle_ms
        self._max_deliveries = max_deliveries
        self._clock_ms = clock_ms
        self._tenants = tuple(tenants) or (keys.tenant,)
        self._letters = DeadLetters(client, keys, clock_ms)

    async def ensure_group(self) -> None:
        """Make the workers' group on every queue, unless it is there; it begins with the oldest job."""
        for place in self._places(self._tenants):
            with translated():
                try:
                    await self._client.xgroup_create(self._queue(place), self._group, id="0", mkstream=True)
                except ResponseError as error:
                    if "BUSYGROUP" not in str(error):
                        raise

    async def take(self, count: int = 64, block_ms: int = 1000, *, tenants: Sequence[str] | None = None) -> list[Job]:
        """About `count` new jobs of some tenants (all where none is named), each queue's oldest first.

        Every queue gives its share, so that no tenant waits behind another's backlog. An empty list when none came
        within `block_ms` (0: do not wait).
        """
        place_of = {self._queue(place): place for place in self._places(tenants)}
        try:
            found = await self._read_new(list(place_of), count, block_ms)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self.ensure_group()
            found = await self._read_new(list(place_of), count, block_ms)
        jobs: list[Job] = []
        for queue, entries in found:
            delivered = [(entry_id, 1, fields[1]) for entry_id, fields in entries if fields]
            jobs += await self._admit(place_of[queue.decode()], delivered)
        return jobs

    async def reclaim(self, count: int = 16, *, tenants: Sequence[str] | None = None) -> list[Job]:
        """Jobs of workers that have fallen silent, up to `count` of each queue; run them one by one.

        Those that were delivered too often go to the dead letters, and their messages are marked failed.
        """
        jobs: list[Job] = []
        for place in self._places(tenants):
            args = (self._group, self._consumer, self._claim_idle_ms, count)
            call = Call(script=load("reclaim"), keys=(self._queue(place),), args=args)
            try:
                taken = await run(self._client, call)
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                continue  # no group, so nothing was ever delivered
            for job in await self._admit(place, taken):
                if job.deliveries > self._max_deliveries:
                    await self._give_up(job)
                else:
                    jobs.append(job)
        return jobs

    async def renew(self, jobs: Iterable[Job]) -> list[Job]:
        """Say that the jobs are still worked on. Gives those that are still ours: the others were taken over."""
        held: dict[Place, list[Job]] = {}
        for job in jobs:
            held.setdefault((job.tenant, job.partition), []).append(job)
        calls = [
            Call(
                script=load("renew"),
                keys=(self._queue(place),),
                args=(self._group, self._consumer, *(job.entry_id for job in group)),
            )
            for place, group in held.items()
        ]
        kept = await run_many(self._client, calls) if calls else []
        return [
            job
            for group, entries in zip(held.values(), kept, strict=True)
            for job in group
            if job.entry_id.encode() in entries
        ]

    async def finish(self, job: Job, answer: Answer, state: MessageState = MessageState.COMPLETED) -> bool:
        """Give the answer and let go of the job; False when it had been answered already, or nobody is left to."""
        given = await run(self._client, self._finishing(job, answer, state))
        await self._forget([job] if given == _NOBODY else [])
        return bool(given == _GIVEN)

    async def finish_many(self, outcomes: Sequence[tuple[Job, Answer]]) -> list[bool]:
        """`finish` for each, in one round trip."""
        calls = [self._finishing(job, answer, MessageState.COMPLETED) for job, answer in outcomes]
        given = await run_many(self._client, calls) if calls else []
        await self._forget([job for (job, _), one in zip(outcomes, given, strict=True) if one == _NOBODY])
        return [bool(one == _GIVEN) for one in given]

    async def finish_explained(self, job: Job, explanation: Explanation) -> bool:
        """Give the explanation that a job of kind "explain" asked for, and let go of it."""
        return bool(await run(self._client, self._replying(job, encode_explanation(explanation))))

    async def fail(self, job: Job, text: str) -> bool:
        """Mark the job's message failed, with a text for the user; False as for `finish`."""
        return await self.finish(job, Answer(text=text, decision=Decision.NONE), MessageState.FAILED)

    async def backlog(self) -> int:
        """Jobs that are queued or worked on, in all queues."""
        with translated():
            return sum([await self._client.xlen(self._queue(place)) for place in self._places()])

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The newest jobs that were given up, at most `limit`, newest first."""
        return await self._letters.newest(self._places(), limit)

    def _places(self, tenants: Sequence[str] | None = None) -> list[Place]:
        chosen = self._tenants if tenants is None else tenants
        return [(tenant, partition) for tenant in chosen for partition in range(self._keys.partitions)]

    @staticmethod
    def _stream(keys: Keys, partition: int) -> str:
        return keys.queue(partition)

    def _queue(self, place: Place) -> str:
        tenant, partition = place
        return self._stream(self._keys.of(tenant), partition)

    async def _read_new(self, queues: Sequence[str], count: int, block_ms: int) -> list[Any]:
        """XREADGROUP's [[queue, [[entry id, [name, job]], ...]], ...]."""
        share = min(count, max(_LEAST_SHARE, math.ceil(count / len(queues))))
        block = ("BLOCK", block_ms) if block_ms else ()
        command = ("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", share, *block)
        # The client's own reply timeout is shorter than a wait may be: a connection is borrowed, and timed here.
        with translated():
            connection = await self._client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py has no types for it
            try:
                async with asyncio.timeout(block_ms / 1000 + TIMEOUT_S):
                    await connection.send_command(*command, "STREAMS", *queues, *(">" for _ in queues))
                    return await connection.read_response(timeout=math.inf) or []
            finally:
                await self._client.connection_pool.release(connection)

    async def _admit(self, place: Place, entries: Iterable[_Entry]) -> list[Job]:
        """The jobs that can and should be answered; the others are let go of."""
        jobs: list[Job] = []
        now_ms = self._clock_ms()
        for entry_id, deliveries, record in entries:
            found = _decoded(record, place[0])
            if found is None:
                await self._letters.bury(place, record, "unreadable", deliveries)
                await self._let_go(place, entry_id)
            elif found.expires_at_ms is not None and found.expires_at_ms <= now_ms:
                await self._let_go(place, entry_id)
            else:
                jobs.append(replace(found, entry_id=entry_id.decode(), partition=place[1], deliveries=deliveries))
        return jobs

    async def _let_go(self, place: Place, entry_id: bytes) -> None:
        queue = self._queue(place)
        with translated():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.xack(queue, self._group, entry_id)
                pipe.xdel(queue, entry_id)
                await pipe.execute()

    async def _give_up(self, job: Job) -> None:
        record = msgspec.json.encode(replace(job, entry_id="", deliveries=1))
        # The letter first: should this worker die in between, there are two letters rather than none.
        await self._letters.bury(
            (job.tenant, job.partition), record, "delivered too often", job.deliveries - 1, sid=job.sid
        )
        await self.fail(job, _GAVE_UP[language_of(job.text, job.locale)])

    async def _forget(self, unheard: Iterable[Job]) -> None:
        """Forget what was cached on the way to answers whose session was gone: who erased it wants it gone."""
        forgotten = [job for job in unheard if job.kind == "turn" and job.cache_key]
        if not forgotten:
            return
        with translated():
            async with self._client.pipeline(transaction=False) as pipe:
                for job in forgotten:
                    for command in forgetting(self._keys.of(job.tenant), asked_under(job.cache_key, job.normalised)):
                        pipe.execute_command(*command)
                await pipe.execute()

    def _replying(self, job: Job, record: bytes) -> Call:
        keys = self._keys.of(job.tenant)
        queue, channel = self._stream(keys, job.partition), keys.events(job.partition)
        args = (record, REPLY_TTL_MS, self._group, job.entry_id, channel, job.reply_id)
        return Call(script=load("reply"), keys=(queue, keys.reply(job.reply_id)), args=args)

    def _finishing(self, job: Job, answer: Answer, state: MessageState) -> Call:
        keys = self._keys.of(job.tenant)
        queue, channel = keys.queue(job.partition), keys.events(job.partition)
        if job.kind != "turn":
            return self._replying(job, encode_answer(answer))
        event = EventType.MESSAGE_COMPLETED if state is MessageState.COMPLETED else EventType.MESSAGE_FAILED
        return Call(
            script=load("finish"),
            keys=session_keys(keys, job.sid, (queue, keys.partial(job.sid))),
            args=(
                *(SESSION_TTL_S, job.reply_id, state.value, event.value, encode_answer(answer)),
                *(self._group, job.entry_id, job.question_message_id, LOG_CAP, channel, job.sid),
            ),
        )


def _decoded(record: bytes, tenant: str) -> Job | None:
    """A job of this tenant's; whatever else stands in its queue is none."""
    try:
        found = decode_job(record)
    except msgspec.DecodeError:
        return None
    return found if found.tenant == tenant else None
