"""Jobs that were given up, the newest of each queue. It knows nothing of why, and leaves none of an erased session."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import cast

import msgspec
from redis.asyncio import Redis

from qa_service.store.connection import translated
from qa_service.store.keys import Keys
from qa_service.store.records import Job, decode_job
from qa_service.store.scripts import Call, load, run

_CAP = 1000  # letters of one queue

Place = tuple[str, int]  # tenant and partition: where a queue is, and its dead letters
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


class DeadLetters:
    """The dead letters beside the queues of one Redis."""

    def __init__(self, client: Redis, keys: Keys, clock_ms: Callable[[], int]) -> None:
        self._client = client
        self._keys = keys
        self._clock_ms = clock_ms

    async def bury(self, place: Place, record: bytes, reason: str, deliveries: int, *, sid: str = "") -> None:
        """Keep a job that is given up; one of a session `sid` only while there is that session."""
        tenant, partition = place
        keys = self._keys.of(tenant)
        names = (keys.dead(partition), keys.session(sid)) if sid else (keys.dead(partition),)
        args = (record, reason, deliveries, self._clock_ms(), _CAP)
        await run(self._client, Call(script=load("bury"), keys=names, args=args))

    async def newest(self, places: Iterable[Place], limit: int) -> list[DeadLetter]:
        """The newest letters of some queues, at most `limit`, newest first."""
        letters: list[DeadLetter] = []
        for tenant, partition in places:
            dead = self._keys.of(tenant).dead(partition)
            with translated():
                found = cast("_Letters", await self._client.xrevrange(dead, count=limit))
            letters += [_letter(entry_id, partition, fields) for entry_id, fields in found]
        return sorted(letters, key=lambda letter: letter.buried_at_ms, reverse=True)[:limit]


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
