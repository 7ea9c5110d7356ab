import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from structlog.testing import capture_logs

from qa_service.domain.errors import StoreUnavailable
from qa_service.domain.snowflake import MAX_WORKERS, created_at_ms, wall_clock_ms
from qa_service.store.leases import WorkerLease
from qa_service.store.private import PrivateRedis

SHORT_MS = 300
NOON_MS = 1_780_000_000_000
HOUR_MS = 3_600_000


class Clock:
    def __init__(self, now_ms: int = NOON_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0), decode_responses=True) as client:
        yield client


async def leave_only(redis: Redis, number: int) -> None:
    others = (each for each in range(MAX_WORKERS) if each != number)
    await redis.mset({f"qa:ids:worker:{each}": "somebody else" for each in others})


def ids(lease: WorkerLease, count: int) -> list[int]:
    return [int(lease.next_id()) for _ in range(count)]


def held(lease: WorkerLease) -> bool:
    return lease.number is not None


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not condition():  # noqa: ASYNC110 - the lease has no event of its own
            await asyncio.sleep(0.01)


def abandon(lease: WorkerLease) -> None:
    """As if its process were killed: nothing is given back."""
    assert lease._task is not None
    lease._task.cancel()


async def test_leases_held_at_once_have_different_numbers_and_no_id_in_common(redis: Redis) -> None:
    leases = [WorkerLease(redis) for _ in range(20)]
    for lease in leases:
        await lease.__aenter__()
    made = [ids(lease, 1_000) for lease in leases]
    assert len({lease.number for lease in leases}) == 20
    assert len(set(itertools.chain(*made))) == 20_000
    for lease in leases:
        await lease.__aexit__(None, None, None)


async def test_a_lease_is_kept_beyond_its_life_and_given_back_at_the_end(redis: Redis) -> None:
    async with WorkerLease(redis, lease_ms=SHORT_MS) as lease:
        number = lease.number
        holder = await redis.get(f"qa:ids:worker:{number}")
        for _ in range(20):
            await asyncio.sleep(SHORT_MS / 1000 / 5)
            assert lease.number == number
            assert await redis.get(f"qa:ids:worker:{number}") == holder
            lease.next_id()
        assert 0 < await redis.pttl(f"qa:ids:worker:{number}") <= SHORT_MS
    assert await redis.get(f"qa:ids:worker:{number}") is None
    with pytest.raises(StoreUnavailable):
        lease.next_id()


async def test_the_default_lease_lasts_30_seconds(redis: Redis) -> None:
    async with WorkerLease(redis) as lease:
        assert 29_000 < await redis.pttl(f"qa:ids:worker:{lease.number}") <= 30_000


async def test_a_number_that_somebody_else_took_is_neither_prolonged_nor_deleted_but_replaced(redis: Redis) -> None:
    async with WorkerLease(redis, lease_ms=SHORT_MS) as lease:
        first = lease.number
        before = ids(lease, 5_000)
        await redis.set(f"qa:ids:worker:{first}", "somebody else", px=60_000)
        await until(lambda: lease.number not in {first, None})
        after = ids(lease, 5_000)
        assert sorted(set(before + after)) == before + after  # none twice, and growing across the change
    assert await redis.get(f"qa:ids:worker:{first}") == "somebody else"
    assert await redis.pttl(f"qa:ids:worker:{first}") > 50_000


async def test_losing_and_regaining_the_same_number_under_a_clock_set_back_repeats_nothing(redis: Redis) -> None:
    clock = Clock()
    await leave_only(redis, 7)
    async with WorkerLease(redis, lease_ms=SHORT_MS, clock_ms=clock) as lease:
        made = ids(lease, 5_000)
        for _ in range(3):
            clock.now_ms -= HOUR_MS
            await redis.delete("qa:ids:worker:7")
            await asyncio.sleep(SHORT_MS / 1000 / 2)
            assert lease.number == 7
            made += ids(lease, 5_000)
    assert sorted(set(made)) == made


@pytest.mark.parametrize("jump_ms", [0, -20, -HOUR_MS, HOUR_MS], ids=["right", "20ms-back", "1h-back", "1h-ahead"])
async def test_the_next_holder_of_a_killed_ones_number_repeats_nothing(redis: Redis, jump_ms: int) -> None:
    await leave_only(redis, 7)
    dead_clock, clock = Clock(), Clock()
    dead = await WorkerLease(redis, clock_ms=dead_clock).__aenter__()
    made = ids(dead, 5_000)
    dead_clock.now_ms += 2 * HOUR_MS  # it made ids in the far future, unknown to anybody, and was killed
    made += ids(dead, 5_000)
    abandon(dead)
    await redis.delete("qa:ids:worker:7")
    clock.now_ms += jump_ms
    async with WorkerLease(redis, clock_ms=clock) as lease:
        made += ids(lease, 5_000)
    async with WorkerLease(redis, clock_ms=clock) as lease:
        made += ids(lease, 5_000)
    assert len(set(made)) == 20_000


async def test_ids_bear_the_time_they_were_made_also_after_many_changes_of_hands(redis: Redis) -> None:
    await leave_only(redis, 7)
    made = ""
    for _ in range(10):
        async with WorkerLease(redis) as lease:
            made = lease.next_id()
    assert abs(created_at_ms(made) - wall_clock_ms()) < 1_000


async def test_when_all_numbers_are_taken_it_says_so(redis: Redis) -> None:
    await leave_only(redis, 7)
    await redis.set("qa:ids:worker:7", "the last one")
    with capture_logs() as logs:
        async with WorkerLease(redis) as lease:
            assert not held(lease)
            with pytest.raises(StoreUnavailable, match="no worker number"):
                lease.next_id()
    assert "all 1024 worker numbers are taken" in logs[0]["detail"]


async def test_it_ends_at_once_also_while_it_looks_for_a_number_in_vain(redis: Redis) -> None:
    # Python 3.11 loses cancellations inside redis-py: without a second way out, most of these would hang.
    await leave_only(redis, 7)
    for number in range(12):
        async with WorkerLease(redis, lease_ms=SHORT_MS) as lease:
            await redis.set("qa:ids:worker:7", "somebody else")
            await asyncio.sleep(SHORT_MS / 1000 / 3 + number / 500)
            begun_s = time.monotonic()
        assert time.monotonic() - begun_s < 1
        assert not held(lease)
        await redis.delete("qa:ids:worker:7")


async def test_without_redis_no_id_is_made_until_it_is_there(tmp_path: Path) -> None:
    async with PrivateRedis(tmp_path) as private:
        url = private.url
    async with (
        Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client,
        WorkerLease(client, lease_ms=SHORT_MS) as lease,
    ):
        with pytest.raises(StoreUnavailable):
            lease.next_id()
        async with PrivateRedis(tmp_path):
            await until(lambda: held(lease))
            assert lease.next_id()


async def test_while_redis_is_away_ids_are_made_until_the_lease_may_be_over_and_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with (
        PrivateRedis(tmp_path) as private,
        Redis.from_url(private.url, retry=Retry(NoBackoff(), 0)) as client,
        WorkerLease(client, lease_ms=SHORT_MS) as lease,
    ):
        os.kill(private.pid, signal.SIGKILL)
        made = ids(lease, 100)
        await asyncio.sleep(SHORT_MS / 1000)
        with pytest.raises(StoreUnavailable):
            lease.next_id()
        assert not held(lease)
        await private.restart()
        await until(lambda: held(lease))
        made += ids(lease, 100)
    assert sorted(set(made)) == made


async def test_a_flood_waits_for_the_renewal_instead_of_running_past_what_is_reserved(redis: Redis) -> None:
    async with WorkerLease(redis, lease_ms=5, clock_ms=Clock()) as lease:  # 6 milliseconds of 4,096 ids
        lease._held_until_s += 60
        made: list[int] = []
        with pytest.raises(StoreUnavailable, match="used up"):
            made.extend(int(lease.next_id()) for _ in range(30_000))
        assert len(set(made)) == len(made) <= 6 * 4_096
