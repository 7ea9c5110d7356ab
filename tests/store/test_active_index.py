"""The pointer to the index that answers: fresh within a poll, forgotten with its workers, kept while Redis is away."""

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis

from qa_service.conversation.ports import ActiveIndex
from qa_service.domain.share import Share
from qa_service.store.active_index import RedisActiveIndex
from qa_service.store.index_roll import RedisIndexRoll
from qa_service.store.keys import Keys
from store.conftest import Connect, MortalRedis


def worker(client: Redis, keys: Keys) -> RedisIndexRoll:
    return RedisIndexRoll(client, keys, worker="w1", generator="extract")


async def commit(roll: RedisIndexRoll, version: str) -> None:
    """Bring a version into force as the only worker."""
    assert (await roll.beat(wanted=version, ready=version)).committed == version


async def eventually(holds: Callable[[], bool], *, within_s: float = 2.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110  # the port has no event to wait for
            await asyncio.sleep(0.01)


async def test_an_api_process_sees_what_the_workers_answer_from(client: Redis, keys: Keys) -> None:
    async with RedisActiveIndex(client, keys, poll_s=0.02) as seen:
        port: ActiveIndex = seen
        assert (port.version, seen.workers_alive, port.cache_key("zh-CN", "q")) == ("", False, "")
        await commit(worker(client, keys), "v1")
        await eventually(lambda: seen.version == "v1")
        assert seen.workers_alive
        assert seen.last_report is not None
        assert (seen.last_report.generator, seen.last_report.workers, seen.last_report.refused) == ("extract", 1, "")
        assert seen.cache_key("zh-CN", "q") == keys.faq_name("zh-CN", "v1", "extract", "q")
        await commit(worker(client, keys), "v2")
        await eventually(lambda: seen.version == "v2")
        assert seen.cache_key("zh-CN", "q") == keys.faq_name("zh-CN", "v2", "extract", "q")


async def test_what_was_committed_before_is_known_on_entering(client: Redis, keys: Keys) -> None:
    await commit(worker(client, keys), "v1")
    async with RedisActiveIndex(client, keys) as seen:
        assert seen.version == "v1"


async def test_a_worker_without_an_index_is_alive_and_says_what_it_refused(client: Redis, keys: Keys) -> None:
    await worker(client, keys).beat(wanted="", ready="", refusal="v1: vectors.npy has changed")
    async with RedisActiveIndex(client, keys) as seen:
        assert (seen.version, seen.cache_key("zh-CN", "q")) == ("", "")
        assert seen.workers_alive
        assert seen.last_report is not None
        assert (seen.last_report.workers, seen.last_report.refused) == (1, "v1: vectors.npy has changed")


async def test_a_worker_that_generates_otherwise_after_a_restart_starts_other_cache_keys(
    client: Redis, keys: Keys
) -> None:
    await commit(worker(client, keys), "v1")
    await RedisIndexRoll(client, keys, worker="w1", generator="extract-2").beat(wanted="v1", ready="v1")
    async with RedisActiveIndex(client, keys) as seen:
        assert seen.cache_key("zh-CN", "q") == keys.faq_name("zh-CN", "v1", "extract-2", "q")


async def test_an_index_is_forgotten_when_no_worker_reports_it_any_more(client: Redis, keys: Keys) -> None:
    roll = RedisIndexRoll(client, keys, worker="w1", generator="extract", forgotten_after_ms=80)
    async with RedisActiveIndex(client, keys, poll_s=0.01) as seen:
        await commit(roll, "v1")
        await eventually(lambda: seen.workers_alive)
        for _ in range(6):
            await asyncio.sleep(0.03)
            assert seen.version == "v1"
            await roll.beat(wanted="v1", ready="v1", serving="v1")
        await eventually(lambda: not seen.workers_alive)
        assert (seen.version, seen.last_report) == ("", None)
        assert await client.exists(keys.index_workers(), keys.index_ready()) == 0


async def test_the_index_of_one_tenant_is_not_that_of_another(client: Redis, keys: Keys) -> None:
    await commit(worker(client, keys), "v1")
    async with RedisActiveIndex(client, keys.of("bank")) as seen:
        assert seen.version == ""


async def test_a_share_of_the_questions_has_the_keys_of_another_version_and_the_rest_do_not(
    client: Redis, keys: Keys
) -> None:
    share = Share(version="v2", percent=30)
    await commit(worker(client, keys), "v1")
    async with RedisActiveIndex(client, keys, share=share) as seen:
        tried = 0
        for question in map(str, range(200)):
            version = share.version_for(question, "v1")
            assert seen.cache_key("zh-CN", question) == keys.faq_name("zh-CN", version, "extract", question)
            tried += version == "v2"
        assert 30 <= tried <= 90


async def test_without_an_index_a_share_has_no_keys_either(client: Redis, keys: Keys) -> None:
    await worker(client, keys).beat(wanted="", ready="")
    async with RedisActiveIndex(client, keys, share=Share(version="v2", percent=100)) as seen:
        assert seen.cache_key("zh-CN", "q") == ""


async def test_a_pointer_that_cannot_be_read_is_passed_over_until_the_next_beat(client: Redis, keys: Keys) -> None:
    async with RedisActiveIndex(client, keys, poll_s=0.01) as seen:
        await client.set(keys.index(), "a text")
        await asyncio.sleep(0.04)
        for nonsense in ({"version": b"\xff\xfe"}, {"version": "v1", "workers": "many"}):
            await client.delete(keys.index())
            await client.hset(keys.index(), mapping=nonsense)  # type: ignore[arg-type]  # dicts of texts or of bytes
            await asyncio.sleep(0.04)
        assert seen.version == ""
        await client.delete(keys.index())
        await commit(worker(client, keys), "v2")
        await eventually(lambda: seen.version == "v2")


async def test_while_redis_is_away_the_last_index_stays(
    connect: Connect, mortal_redis: MortalRedis, keys: Keys
) -> None:
    client = connect(mortal_redis.url)
    await commit(worker(client, keys), "v1")
    async with RedisActiveIndex(client, keys, poll_s=0.01) as seen:
        mortal_redis.kill()
        await asyncio.sleep(0.1)
        assert seen.version == "v1"
        mortal_redis.start()
        await commit(worker(client, keys), "v2")
        await eventually(lambda: seen.version == "v2")
