"""What a shadow version would have done: one sum over all workers."""

import asyncio

from redis.asyncio import Redis

from qa_service.store.keys import Keys
from qa_service.store.shadow_counts import ShadowCounts

SAME, OTHER = "answer>answer:same", "answer>none:differs"


async def test_counts_of_two_workers_add_up(client: Redis, keys: Keys) -> None:
    workers = [ShadowCounts(client, keys, "v2") for _ in range(2)]
    assert await workers[0].read() == {}
    await asyncio.gather(*(worker.add([SAME, OTHER, SAME]) for worker in workers for _ in range(20)))
    assert await workers[1].read() == {SAME: 80, OTHER: 40}


async def test_nothing_to_count_changes_nothing(client: Redis, keys: Keys) -> None:
    counts = ShadowCounts(client, keys, "v2")
    await counts.add([])
    assert await counts.read() == {}
    assert await client.dbsize() == 0


async def test_versions_and_tenants_do_not_mix(client: Redis, keys: Keys) -> None:
    await ShadowCounts(client, keys, "v2").add([SAME])
    assert await ShadowCounts(client, keys, "v3").read() == {}
    assert await ShadowCounts(client, keys.of("bank"), "v2").read() == {}
