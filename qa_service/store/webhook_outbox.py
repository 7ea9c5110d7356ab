"""The outbox on Redis: events that endpoints want, from the step that makes them until they are deliveries.

No group and no acknowledgement: an entry leaves the stream in the script that makes its deliveries. It sends nothing.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from qa_service.domain.session import Message
from qa_service.domain.webhook import Delivery, Occurrence, Told
from qa_service.store.batcher import Batcher
from qa_service.store.connection import TIMEOUT_S, translated
from qa_service.store.keys import Keys
from qa_service.store.records import decode_message
from qa_service.store.scripts import Call, load
from qa_service.store.sessions import session_keys, session_of

PENDING_CAP = 10_000  # of an endpoint in a partition; more are not kept
KEPT_S = 8 * 24 * 3600  # a list of deliveries outlives what it lists


class RedisFeed:
    """The outboxes of all tenants, watched together."""

    def __init__(self, client: Redis, keys: Keys, tenants: Sequence[str]) -> None:
        self._client = client
        self._places = {
            keys.of(tenant).outbox(partition): (tenant, partition)
            for tenant in tenants
            for partition in range(keys.partitions)
        }

    async def wait(self, count: int, block_ms: int) -> list[tuple[str, Occurrence]]:
        """The oldest events of each outbox, each with its tenant; an empty list when there was none in that time."""
        command = ("XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS", *self._places, *("0" for _ in self._places))
        # The client's own reply timeout is shorter than a wait may be: a connection is borrowed, and timed here.
        with translated():
            connection = await self._client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py has no types for it
            try:
                async with asyncio.timeout(block_ms / 1000 + TIMEOUT_S):
                    await connection.send_command(*command)
                    found = await connection.read_response(timeout=math.inf) or []
            finally:
                await self._client.connection_pool.release(connection)
        return [
            (self._places[name.decode()][0], _occurrence(entry_id, self._places[name.decode()][1], flat))
            for name, entries in found
            for entry_id, flat in entries
        ]

    async def backlog(self) -> int:
        """How many events wait."""
        with translated():
            lengths = [await self._client.xlen(name) for name in self._places]
        return sum(lengths)


class RedisOutbox:
    """The Outbox port of webhooks, for one tenant."""

    def __init__(self, batcher: Batcher, keys: Keys) -> None:
        self._batcher = batcher
        self._keys = keys

    async def read(self, occurrence: Occurrence) -> Told | None:
        """What an event concerns; None when its session is gone."""
        keys, args = session_keys(self._keys, occurrence.sid), (occurrence.seq, occurrence.message_id)
        found = await self._batcher.run(Call(script=load("hook_read"), keys=keys, args=args))
        if not found:
            return None
        fields, record, event = found
        members = dict(zip(event[::2], event[1::2], strict=True))
        return Told(
            session=session_of(occurrence.sid, fields),
            message=_message(record),
            details={name.decode(): value.decode(errors="replace") for name, value in members.items()},
        )

    async def spread(self, occurrence: Occurrence, deliveries: Sequence[Delivery], body: bytes) -> list[str]:
        """Turn an event into its deliveries, in one step; the ids of endpoints that have too many waiting."""
        keys, partition, sid = self._keys, occurrence.partition, occurrence.sid
        names = (keys.hooks(partition), keys.outbox(partition), keys.session(sid), keys.hooked(sid))
        now_ms = deliveries[0].next_at_ms or 0 if deliveries else 0
        args: list[str | bytes | int] = [occurrence.entry_id, body, now_ms, PENDING_CAP, KEPT_S, occurrence.at_ms]
        for one in deliveries:
            args += [one.endpoint_id, one.id, msgspec.json.encode(one)]
        full = await self._batcher.run(Call(script=load("hook_spread"), keys=names, args=args))
        return [endpoint.decode() for endpoint in full]


def _message(record: bytes | None) -> Message | None:
    try:
        return decode_message(record) if record else None
    except (msgspec.DecodeError, ValueError):  # what cannot be read is told as dropped: an event must not block others
        return None


def _occurrence(entry_id: bytes, partition: int, flat: Sequence[Any]) -> Occurrence:
    fields = {name: value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
    return Occurrence(
        entry_id=entry_id.decode(),
        partition=partition,
        sid=fields[b"sid"],
        seq=int(fields[b"seq"]),
        event=fields[b"e"],
        message_id=fields[b"m"],
        endpoint_ids=tuple(fields[b"by"].split()),
        at_ms=int(entry_id.split(b"-")[0]),
    )
