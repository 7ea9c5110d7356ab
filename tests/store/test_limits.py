"""Limits: exact however many ask at once, all or nothing, small, and back by themselves."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from qa_service.domain.errors import StoreUnavailable
from qa_service.domain.limits import Limit, Verdict
from qa_service.domain.session import Session
from qa_service.store.batcher import Batcher
from qa_service.store.keys import Keys
from qa_service.store.limits import RedisLimits
from qa_service.store.private import PrivateRedis
from qa_service.store.scripts import load
from qa_service.store.sessions import RedisSessions
from store.conftest import Connect, MortalRedis

UID = Limit(name="uid", subject="u1", quota=60)
IP = Limit(name="ip", subject="192.0.2.1", quota=300)
WINDOW_US = 60_000_000


@pytest.fixture
def limits(client: Redis, keys: Keys) -> RedisLimits:
    return RedisLimits(Batcher(client), keys)


async def flood(counters: Sequence[RedisLimits], each: int, *limits: Limit) -> list[Verdict]:
    """As many requests at once through each of the counters."""
    return await asyncio.gather(*(one.admit("shop", limits) for one in counters for _ in range(each)))


async def keep(client: Redis, key: bytes | str, ages_s: Sequence[float]) -> None:
    """Write a log by hand: so many seconds ago by Redis's clock, oldest first; below 0 lies in the future."""
    seconds, micros = await client.time()
    now = seconds * 1_000_000 + micros
    await client.rpush(key, *(int(now - age * 1e6) for age in ages_s))


@pytest.mark.parametrize("processes", [1, 2, 4])
async def test_however_many_ask_at_once_exactly_the_quota_is_admitted(
    connect: Connect, redis_url: str, keys: Keys, processes: int
) -> None:
    counters = [RedisLimits(Batcher(connect(redis_url)), keys) for _ in range(processes)]
    verdicts = await flood(counters, 400 // processes, IP)
    admitted = [verdict for verdict in verdicts if verdict.admitted]
    assert len(admitted) == 300
    assert sorted(verdict.rooms[0].left for verdict in admitted) == list(range(300))
    assert all(59 < verdict.retry_after_s <= 60 for verdict in verdicts if not verdict.admitted)


async def test_a_request_counts_for_all_its_limits_or_for_none(limits: RedisLimits) -> None:
    verdicts = await flood([limits], 100, UID, IP)
    assert sum(verdict.admitted for verdict in verdicts) == 60
    refused = next(verdict for verdict in verdicts if not verdict.admitted)
    assert [(room.name, room.left) for room in refused.rooms] == [("uid", 0), ("ip", 240)]
    alone = await limits.admit("shop", [IP])
    assert alone.rooms[0].left == 239


async def test_no_window_ever_holds_more_than_the_quota(connect: Connect, redis_url: str, keys: Keys) -> None:
    window_s, quota, ends = 0.15, 20, time.monotonic() + 1.2
    spans: list[tuple[float, float]] = []

    async def ask(limits: RedisLimits) -> None:
        while (sent := time.monotonic()) < ends:
            if (await limits.admit("shop", [Limit(name="ip", subject="a", quota=quota)])).admitted:
                spans.append((sent, time.monotonic()))

    counters = [RedisLimits(Batcher(connect(redis_url)), keys, window_s=window_s) for _ in range(3)]
    await asyncio.gather(*(ask(limits) for limits in counters for _ in range(4)))
    spans.sort(key=lambda span: span[1])
    # From before the first of quota + 1 was sent until after the last was admitted.
    widths = [max(last for _, last in some) - min(first for first, _ in some) for some in windows(spans, quota + 1)]
    assert min(widths) >= window_s
    assert len(spans) > 5 * quota  # and nobody waits longer than that


def windows(spans: list[tuple[float, float]], size: int) -> list[list[tuple[float, float]]]:
    return [spans[at : at + size] for at in range(len(spans) - size + 1)]


@given(
    ages_s=st.lists(st.one_of(st.floats(0.5, 59), st.floats(61, 200)), max_size=12).map(
        lambda ages: sorted(ages, reverse=True)
    ),
    room=st.integers(0, 3),
    counts=st.sampled_from([0, 1]),
)
@settings(max_examples=80, deadline=None)
def test_the_script_says_what_counting_by_hand_says(
    redis_server: PrivateRedis, ages_s: list[float], room: int, counts: int
) -> None:
    with BlockingRedis.from_url(redis_server.url) as client:
        client.delete("log")
        quota = max(1, len(ages_s) + room - 1)
        seconds, micros = client.time()
        kept = ages_s[-quota:]
        if kept:
            client.rpush("log", *(seconds * 1_000_000 + micros - int(age * 1e6) for age in kept))
        admitted, left, more_in_ms = client.eval(load("limits").source, 1, "log", WINDOW_US, 100, quota, counts)
        recent = [age for age in kept if age < 60]
        assert admitted == (len(recent) < quota)
        counted = recent + [0.0] * (admitted and counts)
        assert left == quota - len(counted)
        assert client.llen("log") == len(counted)
        assert abs(more_in_ms / 1000 - (60 - counted[0] if counted else 0)) < 0.4


async def test_room_that_is_only_asked_for_is_not_taken(limits: RedisLimits) -> None:
    asked = Limit(name="secret", subject="a", quota=1, counts=False)
    taken = Limit(name="secret", subject="a", quota=1)
    assert [(await limits.admit("shop", [one])).admitted for one in (asked, asked, taken, asked, taken)] == [
        *(True, True, True),
        *(False, False),
    ]


async def test_a_quota_that_shrinks_holds_at_once(client: Redis, limits: RedisLimits, keys: Keys) -> None:
    await flood([limits], 10, IP)
    smaller = await limits.admit("shop", [Limit(name="ip", subject=IP.subject, quota=4)])
    assert not smaller.admitted
    assert smaller.rooms[0].left == 0
    [key] = await client.keys("*")
    await client.delete(key)
    await keep(client, key, [59, 50, 40, 30, 20, 10])
    room = (await limits.admit("shop", [Limit(name="ip", subject=IP.subject, quota=4)])).rooms[0]
    assert 19 < room.more_in_s <= 20  # until the third oldest is gone, and three are left


@pytest.mark.parametrize(("behind_s", "left"), [(30, 58), (100, 59)])
async def test_a_clock_that_was_set_back_neither_locks_out_nor_lets_everybody_in(
    client: Redis, limits: RedisLimits, behind_s: float, left: int
) -> None:
    await limits.admit("shop", [UID])
    [key] = await client.keys("*")
    await client.delete(key)
    await keep(client, key, [-behind_s])
    room = (await limits.admit("shop", [UID])).rooms[0]
    assert room.left == left  # what lies within a window is still believed
    assert 59 < room.more_in_s <= 60


async def test_a_log_is_small_and_goes_by_itself(client: Redis, limits: RedisLimits) -> None:
    await flood([limits], 80, UID)
    await flood([limits], 6100, Limit(name="client", subject="gateway", quota=6000))
    sizes = sorted([await client.memory_usage(key) or 0 for key in await client.keys("*")])
    assert sizes[0] < 1_200
    assert sizes[1] < 90_000
    for key in await client.keys("*"):
        assert 60_000 < await client.pttl(key) <= 120_000


async def test_after_a_busy_minute_nobody_waits_while_the_log_is_cleaned(client: Redis, limits: RedisLimits) -> None:
    gateway = Limit(name="client", subject="gateway", quota=6000)
    await limits.admit("shop", [gateway])
    [key] = await client.keys("*")
    await client.delete(key)
    await keep(client, key, [61.0] * 6000)
    lefts = [(await limits.admit("shop", [gateway])).rooms[0].left for _ in range(65)]
    assert lefts[0] == 99  # a hundred at once, and this one
    assert lefts[-1] == 6000 - 65


async def test_tenants_and_names_are_counted_apart_and_no_key_tells_who(client: Redis, limits: RedisLimits) -> None:
    only = {"subject": "13812345678", "quota": 1}
    for tenant in ("shop", "bank"):
        for name in ("uid", "ip"):
            assert (await limits.admit(tenant, [Limit(name=name, **only)])).admitted  # type: ignore[arg-type]  # a subject and a quota
            assert not (await limits.admit(tenant, [Limit(name=name, **only)])).admitted  # type: ignore[arg-type]
    found = sorted(key.decode() for key in await client.keys("*") if isinstance(key, bytes))
    assert [key.rpartition(":")[0] for key in found] == [
        f"qa:{{{tenant}}}:limit:{name}" for tenant in ("bank", "shop") for name in ("ip", "uid")
    ]
    assert not any("138" in key for key in found)


async def test_all_limits_of_a_request_take_one_round_trip_and_travel_with_what_others_ask(
    client: Redis, keys: Keys
) -> None:
    async def reads() -> int:
        return int((await client.info("stats"))["total_reads_processed"])

    batcher = Batcher(client)
    limits, sessions = RedisLimits(batcher, keys), RedisSessions(client, keys, batcher=batcher)
    await limits.admit("shop", [UID, IP])  # the script is known from here on
    await sessions.open(Session(sid="1", tenant="shop"), "secret")
    await sessions.read("1", "secret")
    before = await reads()
    for _ in range(20):
        await limits.admit("shop", [UID, IP])
    assert await reads() - before == 20 + 1  # and the INFO itself
    before = await reads()
    await asyncio.gather(
        *(limits.admit("shop", [IP]) for _ in range(50)), *(sessions.read("1", "secret") for _ in range(50))
    )
    assert await reads() - before <= 2 + 1


async def test_without_limits_nobody_is_asked(limits: RedisLimits, client: Redis) -> None:
    assert (await limits.admit("shop", [])) == Verdict(admitted=True)
    assert await client.keys("*") == []


async def test_while_redis_is_away_nobody_is_admitted_and_all_is_well_when_it_is_back(
    connect: Connect, mortal_redis: MortalRedis, keys: Keys
) -> None:
    limits = RedisLimits(Batcher(connect(mortal_redis.url)), keys)
    await flood([limits], 60, UID)
    mortal_redis.kill()
    with pytest.raises(StoreUnavailable):
        await limits.admit("shop", [UID])
    mortal_redis.start()
    assert not (await limits.admit("shop", [UID])).admitted  # it remembers
    assert (await limits.admit("shop", [IP])).admitted
