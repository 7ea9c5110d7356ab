"""What comes into force: one version for all living workers, committed once, by the beat that found everybody ready."""

import asyncio
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from qa_service.store.connection import open_redis
from qa_service.store.index_roll import ALIVE_MS, GATHER_MS, RedisIndexRoll, Roll
from qa_service.store.keys import Keys

NOW_MS = 1_760_000_000_000


class Clock:
    """A clock that all workers of a test share."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


class Workers:
    """Workers by name, their beats, and which of those committed what."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self.clock = Clock()
        self.client = client
        self.keys = keys
        self.committed_by: list[tuple[str, str]] = []
        self.serving: dict[str, str] = {}

    def roll(self, name: str) -> RedisIndexRoll:
        return RedisIndexRoll(self.client, self.keys, worker=name, generator="g", clock_ms=self.clock)

    async def beat(self, name: str, ready: str, refusal: str = "") -> str:
        """One beat of a worker that has `ready`, and wants it; gives what is committed then."""
        roll = await self.roll(name).beat(
            wanted=ready, ready=ready, serving=self.serving.get(name, ""), refusal=refusal
        )
        if roll.committed_here:
            self.committed_by.append((name, roll.committed))
        self.serving[name] = roll.committed
        return roll.committed

    async def all_on(self, version: str, *names: str) -> None:
        """Everybody answers from one version."""
        for _ in range(2):
            for name in names:
                await self.beat(name, version)
        assert {self.serving[name] for name in names} == {version}
        self.committed_by.clear()

    async def pointer(self, field: str) -> str | None:
        found = cast("bytes | None", await self.client.hget(self.keys.index(), field))
        return found.decode() if found is not None else None


@pytest.fixture
def workers(client: Redis, keys: Keys) -> Workers:
    return Workers(client, keys)


async def test_the_first_version_of_all_comes_into_force_as_soon_as_anybody_has_it(workers: Workers) -> None:
    assert [await workers.beat("a", ""), await workers.beat("b", "")] == ["", ""]
    assert await workers.beat("a", "v1") == "v1"
    assert await workers.beat("b", "") == "v1"
    assert workers.committed_by == [("a", "v1")]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("versions", [("v1", "v2"), ("v2", "v1")], ids=["forward", "back"])
async def test_a_version_is_committed_once_and_when_the_last_worker_has_it(
    workers: Workers, count: int, versions: tuple[str, str]
) -> None:
    old, new = versions
    names = "abc"[:count]
    await workers.all_on(old, *names)
    for name in names[:-1]:
        assert await workers.beat(name, new) == old
        assert {await workers.beat(early, new) for early in names[: names.index(name) + 1]} == {old}
        assert await workers.beat(names[-1], "") == old  # it opens what the others have
    assert await workers.beat(names[-1], new) == new
    assert {await workers.beat(name, new) for name in names for _ in range(2)} == {new}
    assert workers.committed_by == [(names[-1], new)]
    assert await workers.pointer("version") == new
    assert await workers.pointer("workers") == str(count)


async def test_beats_at_the_same_moment_commit_once(workers: Workers) -> None:
    names = [f"w{n}" for n in range(8)]
    await workers.all_on("v1", *names)
    for _ in range(3):
        await asyncio.gather(*(workers.beat(name, "v2") for name in names))
    assert [version for _, version in workers.committed_by] == ["v2"]


async def test_a_refusing_worker_blocks_with_its_reason_until_it_gives_in(workers: Workers) -> None:
    await workers.all_on("v1", "a", "b")
    assert await workers.beat("b", "", "v2: a file is cut short") == "v1"
    for _ in range(3):
        assert await workers.beat("a", "v2") == "v1"
        assert await workers.pointer("refused") == "v2: a file is cut short"
        assert await workers.beat("b", "", "v2: a file is cut short") == "v1"
    assert await workers.beat("b", "v2") == "v2"
    assert await workers.pointer("refused") is None
    assert workers.committed_by == [("b", "v2")]


async def test_a_refusal_ends_when_the_refused_version_is_wanted_no_longer(workers: Workers) -> None:
    await workers.all_on("v1", "a", "b")
    await workers.beat("b", "", "v2: damaged")
    await workers.beat("a", "v1")
    assert await workers.pointer("refused") == "v2: damaged"  # who does not refuse takes nothing back
    await workers.beat("b", "v1")
    assert await workers.pointer("refused") is None


async def test_a_refusal_goes_with_the_worker_that_made_it(workers: Workers) -> None:
    await workers.all_on("v1", "a", "b")
    await workers.beat("b", "", "v2: damaged")
    await workers.roll("b").leave()
    await workers.beat("a", "")
    assert await workers.pointer("refused") is None


async def test_a_worker_that_is_silent_for_too_long_is_not_waited_for_and_no_sooner(workers: Workers) -> None:
    await workers.all_on("v1", "a", "b")
    workers.clock.now_ms += ALIVE_MS
    assert await workers.beat("a", "v2") == "v1"
    workers.clock.now_ms += 1
    assert await workers.beat("a", "v2") == "v2"
    assert await workers.pointer("workers") == "1"


async def test_a_silent_worker_that_comes_back_follows_what_was_committed_without_it(workers: Workers) -> None:
    await workers.all_on("v1", "a", "b")
    for _ in range(2):
        assert workers.committed_by == []
        workers.clock.now_ms += ALIVE_MS // 2 + 1
        await workers.beat("a", "v2")
    assert workers.serving["a"] == "v2"
    assert await workers.beat("b", "v1") == "v2"  # it wants the old one still
    assert workers.committed_by == [("a", "v2")]


async def test_after_an_outage_the_first_worker_back_does_not_decide_without_the_others(workers: Workers) -> None:
    await workers.all_on("v1", "a", "b")
    assert await workers.beat("a", "v2") == "v1"
    workers.clock.now_ms += 2 * ALIVE_MS
    for _ in range(2):
        assert await workers.beat("a", "v2") == "v1"
        workers.clock.now_ms += GATHER_MS // 2 - 1
    assert await workers.beat("b", "") == "v1"
    workers.clock.now_ms += GATHER_MS
    assert await workers.beat("a", "v2") == "v1"
    assert await workers.beat("b", "v2") == "v2"


async def test_a_pointer_that_was_forgotten_in_an_outage_comes_back_as_it_was(workers: Workers) -> None:
    await workers.all_on("v1", "a", "b")
    await workers.client.flushall()
    for name, ready in (("a", "v2"), ("a", "v2"), ("b", ""), ("a", "v2")):  # it is not to be decided alone
        assert await workers.beat(name, ready) == "v1"
    assert workers.committed_by == []


async def test_leaving_unblocks_the_others(workers: Workers) -> None:
    await workers.all_on("v1", "a", "b")
    assert await workers.beat("a", "v2") == "v1"
    await workers.roll("b").leave()
    assert await workers.beat("a", "v2") == "v2"


async def test_a_worker_that_comes_in_amid_an_activation_is_waited_for(workers: Workers) -> None:
    await workers.all_on("v1", "a", "b")
    assert await workers.beat("a", "v2") == "v1"
    assert await workers.beat("c", "") == "v1"
    assert await workers.beat("b", "v2") == "v1"
    assert await workers.beat("a", "v2") == "v1"
    assert await workers.beat("c", "v2") == "v2"


async def test_a_worker_that_was_ready_before_it_was_started_again_is_not_taken_to_be(workers: Workers) -> None:
    await workers.all_on("v1", "a", "b")
    await workers.beat("b", "v2")
    await workers.beat("b", "")  # the same name, another process
    assert await workers.beat("a", "v2") == "v1"


async def test_tenants_do_not_mix(workers: Workers, client: Redis, keys: Keys) -> None:
    others = Workers(client, keys.of("bank"))
    await workers.all_on("v1", "a", "b")
    await others.all_on("x1", "a")
    assert await others.beat("a", "x2") == "x2"
    await others.beat("c", "", "x3: damaged")
    assert await workers.beat("a", "v2") == "v1"
    assert await workers.pointer("refused") is None
    assert (await workers.pointer("version"), await others.pointer("version")) == ("v1", "x2")


async def test_clocks_of_workers_may_differ_because_redis_has_one(client: Redis, keys: Keys) -> None:
    rolls = [RedisIndexRoll(client, keys, worker=name, generator="g") for name in "ab"]
    for roll in (*rolls, *rolls):
        assert (await roll.beat(wanted="v1", ready="v1")).committed == "v1"
    seconds, microseconds = await client.time()
    heard_ms = cast("float", await client.zscore(keys.index_workers(), "a"))
    assert 0 <= seconds * 1000 + microseconds / 1000 - heard_ms < 1000
    assert await rolls[0].beat(wanted="v2", ready="v2") == Roll(committed="v1", committed_here=False)
    assert await rolls[1].beat(wanted="v2", ready="v2") == Roll(committed="v2", committed_here=True)


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "v1", "v2"])), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_workers_say_a_change_is_committed_only_when_all_have_just_said_so(
    steps: list[tuple[str, str]], redis_url: str
) -> None:
    with BlockingRedis.from_url(redis_url) as emptied:
        emptied.flushall()

    async def play() -> None:
        client = open_redis(redis_url)
        workers = Workers(client, Keys(tenant="shop"))
        said: dict[str, str] = {}
        committed = ""
        for name, ready in steps:
            said[name] = ready
            is_new = ready not in ("", committed)
            expected = ready if is_new and (not committed or set(said.values()) == {ready}) else committed
            assert await workers.beat(name, ready) == expected
            committed = expected
        await client.aclose()

    asyncio.run(play())
