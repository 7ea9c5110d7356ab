"""Endpoints on Redis: kept once a tenant, and what they want once a partition, where sessions look. It sends nothing.

The two lie in different slots, so that no script writes both. The endpoint is written first, and read again by `mend`,
which each dispatcher calls every second: whoever is killed in between leaves nothing wrong for longer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import msgspec

from qa_service.domain.errors import Conflict, InvalidInput, NotFound
from qa_service.domain.webhook import Endpoint
from qa_service.store.batcher import Batcher
from qa_service.store.connection import translated
from qa_service.store.keys import Keys
from qa_service.store.scripts import Call, load

MOST_ENDPOINTS = 20  # of a tenant
_TRIES = 5  # at changing one that others change too
_FORGOTTEN_AT_ONCE = 200  # deliveries

_decoder = msgspec.json.Decoder(Endpoint)


class RedisEndpoints:
    """The Endpoints port of webhooks, for one tenant."""

    def __init__(self, batcher: Batcher, keys: Keys) -> None:
        self._batcher = batcher
        self._keys = keys

    async def all(self) -> tuple[Endpoint, ...]:
        """All of them, oldest first."""
        with translated():
            flat = await self._batcher.execute(("HVALS", self._keys.webhooks()))
        return tuple(sorted(map(_decoded, flat), key=lambda one: (one.created_at_ms, one.id)))

    async def read(self, endpoint_id: str) -> Endpoint:
        """One of them; NotFound (webhook-not-found) when there is none of that id."""
        with translated():
            record = await self._batcher.execute(("HGET", self._keys.webhooks(), _plain(endpoint_id)))
        if record is None:
            raise NotFound("no such webhook", code="webhook-not-found")
        return _decoded(record)

    async def add(self, endpoint: Endpoint) -> None:
        """Keep a new one; InvalidInput (too-many-webhooks) when there is no room."""
        if await self._put(endpoint, replaced=0) == b"full":
            raise InvalidInput(f"a tenant has at most {MOST_ENDPOINTS} webhooks", code="too-many-webhooks")
        await self._tell(endpoint)

    async def change(self, endpoint_id: str, edit: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """Change one, against whoever else changes it; give it as it is now.

        Raises:
            NotFound: as for `read`.
            Conflict: others change it all the time (webhook-busy).
        """
        for _ in range(_TRIES):
            held = await self.read(endpoint_id)
            changed = replace(edit(held), revision=held.revision + 1)
            if await self._put(changed, replaced=held.revision) == 1:
                await self._tell(changed)
                return changed
        raise Conflict("others change this webhook at the same time; try again", code="webhook-busy")

    async def remove(self, endpoint_id: str) -> None:
        """Remove one with all its deliveries; raises as `read` does."""
        await self.read(endpoint_id)
        with translated():
            await self._batcher.execute(("HDEL", self._keys.webhooks(), endpoint_id))
        await asyncio.gather(*(self._forget(partition, endpoint_id) for partition in range(self._keys.partitions)))

    async def mend(self) -> tuple[Endpoint, ...]:
        """See to it that what sessions look at says what the endpoints say; give all of them."""
        names = [self._keys.hooks(partition) for partition in range(self._keys.partitions)]
        # Read before the endpoints: what is told of one that is not there then has been removed, and is not just new.
        with translated():
            flats = await asyncio.gather(*(self._batcher.execute(("HGETALL", name)) for name in names))
        endpoints = await self.all()
        for partition, flat in enumerate(flats):
            told = dict(zip(flat[::2], flat[1::2], strict=True))
            for one in endpoints:
                if told.pop(one.id.encode(), b"") != f"{one.revision}{_wishes(one)}".encode():
                    await self._tell_partition(partition, one)
            for gone in told:
                await self._forget(partition, gone.decode())
        return endpoints

    async def _put(self, endpoint: Endpoint, *, replaced: int) -> int | bytes:
        record = msgspec.json.encode(endpoint)
        args = (endpoint.id, replaced, endpoint.revision, record, MOST_ENDPOINTS)
        call = Call(script=load("hook_put"), keys=(self._keys.webhooks(),), args=args)
        return cast("int | bytes", await self._batcher.run(call))

    async def _tell(self, endpoint: Endpoint) -> None:
        told = (self._tell_partition(partition, endpoint) for partition in range(self._keys.partitions))
        await asyncio.gather(*told)

    async def _tell_partition(self, partition: int, endpoint: Endpoint) -> None:
        args = (endpoint.id, endpoint.revision, _wishes(endpoint))
        await self._batcher.run(Call(script=load("hook_want"), keys=(self._keys.hooks(partition),), args=args))

    async def _forget(self, partition: int, endpoint_id: str) -> None:
        keys, args = (self._keys.hooks(partition),), (endpoint_id, _FORGOTTEN_AT_ONCE)
        while await self._batcher.run(Call(script=load("hook_forget"), keys=keys, args=args)):
            pass


def _wishes(endpoint: Endpoint) -> str:
    """What `tell_hooks` in `lua/session.lua` looks for: each event between blanks."""
    return f" {' '.join(endpoint.wanted)} "


def _decoded(record: bytes) -> Endpoint:
    return _decoder.decode(record.partition(b"\n")[2])


def _plain(name: str) -> str:
    """A name that Redis can be asked for: what cannot be written as UTF-8 names nothing."""
    return name if name.isascii() else ""
