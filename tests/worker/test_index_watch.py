"""A worker follows the version that all can answer from, refuses a bad one, and serves on."""

import asyncio
import os
import shutil
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from answering.small_base import build_small, encoder
from pydantic import SecretStr
from redis.asyncio import Redis
from structlog.testing import capture_logs

from qa_service.answering.ask import Ask
from qa_service.answering.no_cache import NoCache
from qa_service.knowledge.versions import Versions
from qa_service.main import furnished, make_ask
from qa_service.retrieval.manifest import verify
from qa_service.retrieval.snapshot import open_snapshot
from qa_service.settings import Settings
from qa_service.store.active_index import RedisActiveIndex
from qa_service.store.connection import open_redis
from qa_service.store.index_roll import RedisIndexRoll
from qa_service.store.keys import Keys
from qa_service.store.private import PrivateRedis
from qa_service.worker.door import Door
from qa_service.worker.index_watch import IndexWatch

KEYS = Keys(tenant="shop")


class Place:
    """A worker's watch on a folder of versions, and what may go wrong with opening one."""

    def __init__(self, versions: Versions, client: Redis, worker: str = "one", *, try_again_s: float = 30.0) -> None:
        self.versions = versions
        self.may_open = threading.Event()
        self.may_open.set()
        self.bugs: set[str] = set()
        self.opened: list[str] = []
        self.committed: list[str] = []
        self.roll = roll = RedisIndexRoll(client, KEYS, worker=worker, generator="g")
        self.watch = IndexWatch(
            versions=versions,
            open_ask=self._open,
            beat=roll.beat,
            committed=lambda ask: self.committed.append(ask.version),
            try_again_s=try_again_s,
        )

    @property
    def serving(self) -> str | None:
        return self.watch.current.version if self.watch.current else None

    async def look(self) -> str | None:
        """Prepare, tell, and give the version that answers then."""
        await self.watch.prepare()
        await self.watch.tell()
        return self.serving

    def _open(self, version: str) -> Ask:
        assert self.may_open.wait(10)
        self.opened.append(version)
        if version in self.bugs:
            raise ZeroDivisionError(version)
        folder = self.versions.path(version)
        verify(folder)
        return make_ask(open_snapshot(folder, encoder()), NoCache(), Door())

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.watch.follow(stop))
        try:
            yield
        finally:
            stop.set()
            self.may_open.set()
            await asyncio.wait_for(task, 5)

    async def serves(self, version: str, within_s: float = 2.0) -> None:
        await eventually(lambda: self.serving == version, within_s)


async def eventually(holds: Callable[[], bool], within_s: float = 2.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110  # the watch tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = open_redis(redis_url)
    yield client
    await client.aclose()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    root = tmp_path_factory.mktemp("built")
    first, second = (build_small(root)[1].version for _ in range(2))
    return root / "indexes", first, second


@pytest.fixture
def two(built: tuple[Path, str, str], tmp_path: Path) -> tuple[Versions, str, str]:
    """Two versions, the first of them active."""
    indexes, first, second = built
    shutil.copytree(indexes, tmp_path / "indexes")
    versions = Versions(tmp_path / "indexes", "shop")
    versions.activate(first)
    return versions, first, second


def damage(versions: Versions, version: str) -> bytes:
    """Change one byte of a version; gives what was there."""
    path = versions.path(version) / "faq" / "entries.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"!" + whole[1:])
    return whole


async def test_without_an_active_version_there_is_nothing_to_answer_from(tmp_path: Path, client: Redis) -> None:
    assert await Place(Versions(tmp_path, "shop"), client).look() is None


async def test_a_newly_active_version_takes_over_and_going_back_is_followed_too(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, second = two
    place = Place(versions, client)
    assert await place.look() == first  # the second is built, and not active
    versions.activate(second)
    assert await place.look() == second
    versions.rollback()
    assert await place.look() == first
    assert place.committed == [first, second, first]


async def test_the_same_version_is_opened_once(two: tuple[Versions, str, str], client: Redis) -> None:
    versions, first, _ = two
    place = Place(versions, client)
    assert [await place.look() for _ in range(3)] == [first] * 3
    assert place.opened == [first]


async def test_a_version_comes_into_force_when_the_last_worker_has_it_and_in_all_of_them(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, second = two
    one, other = Place(versions, client, "one"), Place(versions, client, "other")
    assert [await one.look(), await other.look()] == [first, first]
    versions.activate(second)
    assert await one.look() == first  # ready, and waiting for the other
    assert await other.look() == second
    assert await one.look() == second
    assert (one.committed, other.committed) == ([first], [second])


async def test_what_one_worker_refuses_comes_into_force_in_none(two: tuple[Versions, str, str], client: Redis) -> None:
    versions, first, second = two
    one, other = Place(versions, client, "one"), Place(versions, client, "other")
    assert [await one.look(), await other.look()] == [first, first]
    other.bugs.add(second)
    versions.activate(second)
    for place in (one, other, one, other):
        assert await place.look() == first


async def test_a_damaged_version_is_refused_once_and_the_old_one_serves_on(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, second = two
    place = Place(versions, client)
    await place.look()
    versions.activate(second)
    damage(versions, second)
    with capture_logs() as logs:
        assert [await place.look() for _ in range(3)] == [first] * 3
    [line] = logs
    assert (line["event"], line["version"], line["serving"]) == ("index refused", second, first)
    assert "entries.jsonl" in line["detail"]


async def test_a_refused_version_that_was_mended_is_taken_when_it_is_activated_again(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, second = two
    place = Place(versions, client)
    await place.look()
    versions.activate(second)
    whole = damage(versions, second)
    assert await place.look() == first
    versions.rollback()
    assert await place.look() == first
    (versions.path(second) / "faq" / "entries.jsonl").write_bytes(whole)
    versions.activate(second)
    assert await place.look() == second


async def test_a_bug_in_opening_ends_neither_the_watch_nor_the_service(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, second = two
    place = Place(versions, client)
    await place.look()
    place.bugs.add(second)
    versions.activate(second)
    with capture_logs() as logs:
        assert await place.look() == first
    assert isinstance(logs[0]["exc_info"], ZeroDivisionError)


async def test_a_pointer_that_names_nonsense_is_complained_of_once_and_the_old_version_serves_on(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, second = two
    place = Place(versions, client)
    await place.look()
    (versions.folder / "ACTIVE").write_text("../../etc\n")
    with capture_logs() as logs:
        assert [await place.look() for _ in range(3)] == [first] * 3
    assert [line["event"] for line in logs] == ["index refused"]
    (versions.folder / "ACTIVE").write_text(f"{second}\n")
    assert await place.look() == second


async def test_while_a_version_is_being_opened_the_old_one_answers_and_the_next_takes_over_within_a_second(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, second = two
    place = Place(versions, client)
    async with place.following():
        await place.serves(first)
        place.may_open.clear()
        versions.activate(second)
        await asyncio.sleep(0.6)
        assert place.serving == first
        assert await client.hget(KEYS.index(), "reported_at_ms")
        place.may_open.set()
        await place.serves(second, within_s=1.0)


async def test_the_watch_goes_on_when_redis_is_killed_and_comes_back(
    two: tuple[Versions, str, str], tmp_path: Path
) -> None:
    versions, first, second = two
    async with PrivateRedis(tmp_path / "state") as redis:
        client = open_redis(redis.url)
        place = Place(versions, client)
        with capture_logs() as logs:
            async with place.following():
                await place.serves(first)
                os.kill(redis.pid, signal.SIGKILL)
                await asyncio.sleep(0.4)
                assert place.serving == first
                await redis.restart()
                versions.activate(second)
                await place.serves(second)
        assert "index not reported" in {line["event"] for line in logs}
        await client.aclose()


async def test_no_worker_goes_over_before_all_can_and_all_do_within_a_second_then_and_back_again(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, second = two
    places = [Place(versions, client, f"worker {n}") for n in range(3)]
    async with AsyncExitStack() as stack:
        for place in places:
            await stack.enter_async_context(place.following())
        await asyncio.gather(*(place.serves(first) for place in places))
        places[-1].may_open.clear()
        versions.activate(second)
        await eventually(lambda: all(place.opened == [first, second] for place in places[:-1]))
        await asyncio.sleep(0.6)  # two beats of everybody
        assert [place.serving for place in places] == [first] * 3
        places[-1].may_open.set()
        await asyncio.gather(*(place.serves(second, within_s=1.0) for place in places))
        versions.rollback()
        await asyncio.gather(*(place.serves(first, within_s=1.5) for place in places))
    assert sorted(version for place in places for version in place.committed) == sorted([first, second, first])


async def test_a_worker_that_starts_amid_an_activation_first_serves_what_is_in_force(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, second = two
    slow, late = Place(versions, client, "slow"), Place(versions, client, "late")
    async with slow.following():
        await slow.serves(first)
        slow.may_open.clear()
        versions.activate(second)
        async with late.following():
            await late.serves(first)
            await eventually(lambda: late.opened == [first, second])
            await asyncio.sleep(0.3)
            assert (slow.serving, late.serving) == (first, first)
            slow.may_open.set()
            await asyncio.gather(slow.serves(second, 1.0), late.serves(second, 1.0))


async def test_a_damaged_version_is_refused_by_all_and_readiness_says_why_until_it_is_wanted_no_longer(
    two: tuple[Versions, str, str], client: Redis, redis_url: str
) -> None:
    versions, first, second = two
    places = [Place(versions, client, name) for name in ("one", "other")]
    async with AsyncExitStack() as stack:
        for place in places:
            await stack.enter_async_context(place.following())
        await asyncio.gather(*(place.serves(first) for place in places))
        settings = Settings(redis_url=SecretStr(redis_url), state_dir=versions.folder.parent)
        house = await stack.enter_async_context(furnished(settings))
        damage(versions, second)
        (versions.folder / "ACTIVE").write_text(f"{second}\n")  # activating verifies: somebody else wrote this
        async with asyncio.timeout(3):
            while "refused_index" not in (readiness := await house.readiness()).checks:  # noqa: ASYNC110  # it is asked
                await asyncio.sleep(0.05)
        assert "entries.jsonl has changed" in readiness.checks["refused_index"]
        assert (readiness.ready, readiness.checks["index"]) == (True, first)
        assert [place.serving for place in places] == [first, first]
        versions.activate(first)
        async with asyncio.timeout(3):
            while "refused_index" in (await house.readiness()).checks:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.05)
    assert [place.opened for place in places] == [[first, second]] * 2


async def test_a_first_version_that_is_damaged_is_told_of_too(two: tuple[Versions, str, str], client: Redis) -> None:
    versions, first, _ = two
    damage(versions, first)
    place = Place(versions, client)
    assert await place.look() is None
    async with RedisActiveIndex(client, KEYS) as seen:
        assert seen.last_report is not None
        assert first in seen.last_report.refused


async def test_a_refused_version_that_was_mended_is_tried_again_after_a_while(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, second = two
    place = Place(versions, client, try_again_s=0.3)
    await place.look()
    versions.activate(second)
    whole = damage(versions, second)
    assert await place.look() == first
    (versions.path(second) / "faq" / "entries.jsonl").write_bytes(whole)
    assert await place.look() == first
    assert place.opened == [first, second]
    await asyncio.sleep(0.3)
    assert await place.look() == second


async def test_what_is_in_force_and_cannot_be_opened_here_keeps_nobody_from_the_next_version(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, second = two
    one, late = Place(versions, client, "one"), Place(versions, client, "late")
    await one.look()
    late.bugs.add(first)
    await late.watch.tell()
    with capture_logs() as logs:
        assert [await late.look() for _ in range(3)] == [None] * 3
    assert [line["event"] for line in logs] == ["index refused"]
    versions.activate(second)
    assert await one.look() == first
    assert await late.look() == second


async def test_with_a_damaged_pointer_a_new_worker_serves_what_is_in_force(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, _ = two
    one, late = Place(versions, client, "one"), Place(versions, client, "late")
    await one.look()
    (versions.folder / "ACTIVE").write_text("../../etc\n")
    await late.watch.tell()
    assert await late.look() == first


async def test_a_version_that_was_prepared_and_is_wanted_no_longer_is_let_go_of(
    two: tuple[Versions, str, str], client: Redis
) -> None:
    versions, first, second = two
    one, other = Place(versions, client, "one"), Place(versions, client, "other")
    assert [await one.look(), await other.look()] == [first, first]
    for times in (1, 2):
        versions.activate(second)
        assert await one.look() == first
        assert one.opened.count(second) == times
        versions.rollback()
        assert await one.look() == first


async def test_while_redis_is_away_for_long_nobody_decides_alone(two: tuple[Versions, str, str], client: Redis) -> None:
    versions, first, second = two
    one, other = Place(versions, client, "one"), Place(versions, client, "other")
    assert [await one.look(), await other.look()] == [first, first]
    other.bugs.add(second)
    versions.activate(second)
    await client.flushall()  # as after an outage that outlasted what Redis remembers of the workers
    for place in (one, one, other, one, other):
        assert await place.look() == first


async def test_a_stop_ends_following_at_once(two: tuple[Versions, str, str], client: Redis) -> None:
    versions, first, _ = two
    place = Place(versions, client)
    async with place.following():
        await place.serves(first)
        stopped_at = time.monotonic()
    assert time.monotonic() - stopped_at < 0.5
