"""The worker's end of the queue: take, renew, finish, take over, give up. It knows nothing of how a job is answered.

A job is acknowledged only together with its answer, in one fenced script: acknowledging before the work lost answers
when a worker was killed, and acknowledging after it answered twice (both measured).
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from redis.typing import EncodableT, FieldT

from qa_service.domain.answer import Answer, Decision
from qa_service.domain.explanation import Explanation
from qa_service.domain.language import Language, language_of
from qa_service.domain.session import SESSION_TTL_S, EventType, MessageState
from qa_service.domain.snowflake import wall_clock_ms
from qa_service.store.connection import TIMEOUT_S, translated
from qa_service.store.keys import Keys
from qa_service.store.records import Job, decode_job, encode_answer, encode_explanation
from qa_service.store.scripts import Call, load, run, run_many
from qa_service.store.sessions import LOG_CAP, session_keys

__all__ = ["DeadLetter", "Job", "JobQueue"]

REPLY_TTL_MS = 10_000
_DEAD_CAP = 1000  # letters of one partition
_GAVE_UP: dict[Language, str] = {
    "zh": "抱歉，这个问题暂时没能处理成功，请换个说法再试，或回复“转人工”联系人工客服。",
    "en": 'Sorry, this question could not be answered. Please word it differently, or reply "agent" to reach a person.',
}

_Entry = tuple[bytes, int, bytes]  # entry id, times delivered, job
_Letters = list[tuple[bytes, dict[bytes, bytes]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A job that was given up. `job` is None when its record could not be read; `record` is what was found."""

    letter_id: str
    partition: int
    reason: str
    deliveries: int
    buried_at_ms: int  # Unix milliseconds
    record: bytes
    job: Job | None


class JobQueue:
    """The queue as one worker process sees it; `consumer` names the process and is best the same after a restart.

    A job that its worker has neither finished nor renewed for `claim_idle_ms` may be taken over; one that was
    delivered `max_deliveries` times without an end is given up.
    """

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        *,
        consumer: str,
        group: str = "workers",
        claim_idle_ms: int = 5000,
        max_deliveries: int = 5,
        ttl_s: int = SESSION_TTL_S,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._client = client
        self._keys = keys
        self._consumer = consumer
        self._group = group
        self._claim_idle_ms = claim_idle_ms
        self._max_deliveries = max_deliveries
        self._ttl_s = ttl_s
        self._clock_ms = clock_ms
        self._partitions = range(keys.partitions)

    async def ensure_group(self) -> None:
        """Make the workers' group on every partition, unless it is there; it begins with the oldest job."""
        for partition in self._partitions:
            with translated():
                try:
                    await self._client.xgroup_create(self._keys.queue(partition), self._group, id="0", mkstream=True)
                except ResponseError as error:
                    if "BUSYGROUP" not in str(error):
                        raise

    async def take(self, count: int = 64, block_ms: int = 1000) -> list[Job]:
        """About `count` new jobs, oldest first; an empty list when none came within `block_ms` (0: do not wait)."""
        try:
            found = await self._read_new(count, block_ms)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self.ensure_group()
            found = await self._read_new(count, block_ms)
        partition_of = {self._keys.queue(partition).encode(): partition for partition in self._partitions}
        jobs: list[Job] = []
        for queue, entries in found:
            delivered = [(entry_id, 1, fields[1]) for entry_id, fields in entries if fields]
            jobs += await self._admit(partition_of[queue], delivered)
        return jobs

    async def reclaim(self, count: int = 16) -> list[Job]:
        """Jobs of workers that have fallen silent, up to `count` of each partition; run them one by one.

        Those that were delivered too often go to the dead letters, and their messages are marked failed.
        """
        jobs: list[Job] = []
        for partition in self._partitions:
            args = (self._group, self._consumer, self._claim_idle_ms, count)
            call = Call(script=load("reclaim"), keys=(self._keys.queue(partition),), args=args)
            try:
                taken = await run(self._client, call)
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                continue  # no group, so nothing was ever delivered
            for job in await self._admit(partition, taken):
                if job.deliveries > self._max_deliveries:
                    await self._give_up(job)
                else:
                    jobs.append(job)
        return jobs

    async def renew(self, jobs: Iterable[Job]) -> list[Job]:
        """Say that the jobs are still worked on. Gives those that are still ours: the others were taken over."""
        held: dict[int, list[Job]] = {}
        for job in jobs:
            held.setdefault(job.partition, []).append(job)
        calls = [
            Call(
                script=load("renew"),
                keys=(self._keys.queue(partition),),
                args=(self._group, self._consumer, *(job.entry_id for job in group)),
            )
            for partition, group in held.items()
        ]
        kept = {entry for entries in await run_many(self._client, calls) for entry in entries} if calls else set()
        return [job for group in held.values() for job in group if job.entry_id.encode() in kept]

    async def finish(self, job: Job, answer: Answer, state: MessageState = MessageState.COMPLETED) -> bool:
        """Give the answer and let go of the job; False when it had been answered already, or nobody is left to."""
        return bool(await run(self._client, self._finishing(job, answer, state)))

    async def finish_many(self, outcomes: Sequence[tuple[Job, Answer]]) -> list[bool]:
        """`finish` for each, in one round trip."""
        calls = [self._finishing(job, answer, MessageState.COMPLETED) for job, answer in outcomes]
        return [bool(given) for given in await run_many(self._client, calls)] if calls else []

    async def finish_explained(self, job: Job, explanation: Explanation) -> bool:
        """Give the explanation that a job of kind "explain" asked for, and let go of it."""
        return bool(await run(self._client, self._replying(job, encode_explanation(explanation))))

    async def fail(self, job: Job, text: str) -> bool:
        """Mark the job's message failed, with a text for the user; False as for `finish`."""
        return await self.finish(job, Answer(text=text, decision=Decision.NONE), MessageState.FAILED)

    async def backlog(self) -> int:
        """Jobs that are queued or worked on, in all partitions."""
        with translated():
            return sum([await self._client.xlen(self._keys.queue(partition)) for partition in self._partitions])

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The newest jobs that were given up, at most `limit`, newest first."""
        letters: list[DeadLetter] = []
        for partition in self._partitions:
            with translated():
                found = cast("_Letters", await self._client.xrevrange(self._keys.dead(partition), count=limit))
            letters += [_letter(entry_id, partition, fields) for entry_id, fields in found]
        return sorted(letters, key=lambda letter: letter.buried_at_ms, reverse=True)[:limit]

    async def _read_new(self, count: int, block_ms: int) -> list[Any]:
        """XREADGROUP's [[queue, [[entry id, [name, job]], ...]], ...]."""
        queues = [self._keys.queue(partition) for partition in self._partitions]
        share = math.ceil(count / len(queues))
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

    async def _admit(self, partition: int, entries: Iterable[_Entry]) -> list[Job]:
        """The jobs that can and should be answered; the others are let go of."""
        jobs: list[Job] = []
        now_ms = self._clock_ms()
        for entry_id, deliveries, record in entries:
            try:
                found = decode_job(record)
            except msgspec.DecodeError:
                await self._bury(partition, record, "unreadable", deliveries)
                await self._let_go(partition, entry_id)
                continue
            if found.expires_at_ms is not None and found.expires_at_ms <= now_ms:
                await self._let_go(partition, entry_id)
                continue
            jobs.append(replace(found, entry_id=entry_id.decode(), partition=partition, deliveries=deliveries))
        return jobs

    async def _let_go(self, partition: int, entry_id: bytes) -> None:
        queue = self._keys.queue(partition)
        with translated():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.xack(queue, self._group, entry_id)
                pipe.xdel(queue, entry_id)
                await pipe.execute()

    async def _give_up(self, job: Job) -> None:
        record = msgspec.json.encode(replace(job, entry_id="", deliveries=1))
        # The letter first: should this worker die in between, there are two letters rather than none.
        await self._bury(job.partition, record, "delivered too often", job.deliveries - 1)
        await self.fail(job, _GAVE_UP[language_of(job.text, job.locale)])

    async def _bury(self, partition: int, record: bytes, reason: str, deliveries: int) -> None:
        fields: dict[FieldT, EncodableT] = {
            "job": record,
            "reason": reason,
            "deliveries": deliveries,
            "at_ms": self._clock_ms(),
        }
        with translated():
            await self._client.xadd(self._keys.dead(partition), fields, maxlen=_DEAD_CAP)

    def _replying(self, job: Job, record: bytes) -> Call:
        keys = self._keys.of(job.tenant)
        queue, channel = keys.queue(job.partition), keys.events(job.partition)
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
            keys=session_keys(keys, job.sid, (queue,)),
            args=(
                *(self._ttl_s, job.reply_id, state.value, event.value, encode_answer(answer)),
                *(self._group, job.entry_id, job.question_message_id, LOG_CAP, channel, job.sid),
            ),
        )


def _letter(entry_id: bytes, partition: int, fields: dict[bytes, bytes]) -> DeadLetter:
    record = fields[b"job"]
    try:
        job = replace(decode_job(record), partition=partition)
    except msgspec.DecodeError:
        job = None
    return DeadLetter(
        letter_id=entry_id.decode(),
        partition=partition,
        reason=fields[b"reason"].decode(),
        deliveries=int(fields[b"deliveries"]),
        buried_at_ms=int(fields[b"at_ms"]),
        record=record,
        job=job,
    )
