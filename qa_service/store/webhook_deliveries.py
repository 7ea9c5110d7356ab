"""Deliveries on Redis, each in the partition of its session, so that one script erases both. It sends nothing.

A body is kept while its delivery is under way, and where it failed; of what was delivered only the record stays.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import msgspec

from qa_service.domain.errors import NotFound
from qa_service.domain.snowflake import wall_clock_ms
from qa_service.domain.webhook import Delivery, DeliveryState, Taken
from qa_service.store.batcher import Batcher
from qa_service.store.connection import translated
from qa_service.store.keys import Keys
from qa_service.store.scripts import Call, Reply, load

ENDED_KEPT = 1000  # of an endpoint in a partition
_TIDIED_AT_ONCE = 200

_decoder = msgspec.json.Decoder(Delivery)


class RedisDeliveries:
    """The Deliveries port of webhooks, for one tenant."""

    def __init__(self, batcher: Batcher, keys: Keys, *, clock_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._batcher = batcher
        self._keys = keys
        self._clock_ms = clock_ms

    async def newest(self, endpoint_id: str, limit: int) -> list[Delivery]:
        """The newest of an endpoint, newest first."""
        found = await self._everywhere("hook_newest", endpoint_id, limit)
        deliveries = [_decoder.decode(record) for records in found for record in records if record]
        return sorted(deliveries, key=lambda one: (one.at_ms, one.sid, one.seq), reverse=True)[:limit]

    async def read(self, endpoint_id: str, delivery_id: str) -> Delivery:
        """One of them; NotFound (delivery-not-found) when there is none of that id."""
        known = delivery_id.isascii() and delivery_id.startswith(f"whd_{endpoint_id}_")
        record = None
        if known:
            name = f"{self._keys.hooks(self._place_of(endpoint_id, delivery_id))}:deliveries"
            with translated():
                record = await self._batcher.execute(("HGET", name, delivery_id))
        if record is None:
            raise NotFound("the webhook has no delivery of this id", code="delivery-not-found")
        return _decoder.decode(record)

    async def add(self, delivery: Delivery, body: bytes) -> bool:
        """Keep a new one that belongs to no session; False when its endpoint is gone."""
        args = (delivery.endpoint_id, delivery.id, msgspec.json.encode(delivery), body, delivery.at_ms)
        return bool(await self._run("hook_add", delivery, args))

    async def again(self, delivery: Delivery) -> bool:
        """Let one be tried at once, as it is told here; False when it is gone."""
        return await self.tried(replace(delivery, state=DeliveryState.PENDING, next_at_ms=self._clock_ms()))

    async def take(self, endpoint_id: str, limit: int, *, now_ms: int, until_ms: int) -> Taken:
        """Claim what is due, so many at most, until a moment after which others may take it again."""
        places = list(range(self._keys.partitions))
        if len(places) > 1:  # looked at first, so that those which have waited longest give first
            firsts = await asyncio.gather(*(self._take(place, endpoint_id, 0, now_ms, until_ms) for place in places))
            waiting = {place: one.next_at_ms for place, one in zip(places, firsts, strict=True)}
            places = sorted((p for p in places if waiting[p] is not None), key=lambda p: waiting[p] or 0)
        due: list[tuple[Delivery, bytes]] = []
        nexts: list[int] = []
        for place in places:
            one = await self._take(place, endpoint_id, limit - len(due), now_ms, until_ms)
            due += one.due
            nexts += [one.next_at_ms] if one.next_at_ms is not None else []
            if len(due) >= limit:
                break
        return Taken(due=tuple(due), next_at_ms=min(nexts, default=None))

    async def _take(self, place: int, endpoint_id: str, limit: int, now_ms: int, until_ms: int) -> Taken:
        args = (endpoint_id, now_ms, until_ms, limit)
        call = Call(script=load("hook_take"), keys=(self._keys.hooks(place),), args=args)
        first, *flat = await self._batcher.run(call)
        due = [(_decoder.decode(record), bytes(body)) for record, body in zip(flat[::2], flat[1::2], strict=True)]
        return Taken(due=tuple(due), next_at_ms=int(float(first)) if first else None)

    async def tried(self, delivery: Delivery) -> bool:
        """Keep what came of an attempt; False when the delivery is gone (erased meanwhile)."""
        record, next_ms = msgspec.json.encode(delivery), delivery.next_at_ms or 0
        state, now_ms = delivery.state.value, self._clock_ms()
        args = (delivery.endpoint_id, delivery.id, record, state, next_ms, now_ms, ENDED_KEPT)
        return bool(await self._run("hook_tried", delivery, args))

    async def tidy(self, endpoint_id: str, before_ms: int) -> int:
        """Remove what happened before a moment; give how many that were."""
        removed = 0
        while found := sum(await self._everywhere("hook_tidy", endpoint_id, before_ms, _TIDIED_AT_ONCE)):
            removed += found
        return removed

    async def _everywhere(self, script: str, endpoint_id: str, *args: int) -> list[Reply]:
        """What a script gives in each partition."""
        return await asyncio.gather(
            *(
                self._batcher.run(Call(script=load(script), keys=(self._keys.hooks(place),), args=(endpoint_id, *args)))
                for place in range(self._keys.partitions)
            )
        )

    async def _run(self, script: str, delivery: Delivery, args: tuple[str | bytes | int, ...]) -> Reply:
        place = self._place_of(delivery.endpoint_id, delivery.id)
        return await self._batcher.run(Call(script=load(script), keys=(self._keys.hooks(place),), args=args))

    def _place_of(self, endpoint_id: str, delivery_id: str) -> int:
        """The partition of a delivery: its session's; that of its endpoint's id for one without."""
        sid = delivery_id.removeprefix(f"whd_{endpoint_id}_").partition("_")[0]
        return self._keys.partition(endpoint_id if sid == "test" else sid)
