"""After an activation the cache is warm: what is asked most waits there under the new version's keys."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from answering.small_base import FAQ, build_small, open_small
from pydantic import SecretStr
from redis.asyncio import Redis
from structlog.testing import capture_logs

from qa_service.answering.ask import Ask, Outcome
from qa_service.domain.answer import ServedBy
from qa_service.domain.question import Question
from qa_service.generation.extractive import ExtractiveGenerator
from qa_service.knowledge.versions import Versions
from qa_service.main import make_ask
from qa_service.main_worker import run_worker
from qa_service.retrieval.snapshot import Snapshot
from qa_service.settings import Settings
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.connection import open_redis
from qa_service.store.hot_questions import HotQuestion, count_hot
from qa_service.store.keys import Keys
from qa_service.worker.door import Door
from qa_service.worker.warm import warm

KEYS = Keys(tenant="shop", partitions=2)
HOT = [f"{wording} {n}" for n in range(10) for entry in FAQ for wording in entry.wordings][:210]


class CountedAsk(Ask):
    """Answers, and remembers how many questions it was asked at once."""

    def count(self) -> "CountedAsk":
        self.sizes: list[int] = []
        return self

    async def __call__(self, questions: Sequence[Question]) -> list[Outcome]:
        self.sizes.append(len(questions))
        return await super().__call__(questions)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = open_redis(redis_url)
    yield client
    await client.aclose()


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return open_small(tmp_path_factory.mktemp("warm"))


def cache_key(version: str, text: str, partition: int, locale: str = "zh-CN") -> str:
    return KEYS.faq(partition, KEYS.faq_name(locale, version, ExtractiveGenerator.fingerprint, text))


async def heat(client: Redis, texts: Sequence[str], locale: str = "zh-CN") -> None:
    """Count questions, the first of them most often."""
    async with client.pipeline(transaction=False) as pipe:
        for place, text in enumerate(texts):
            for _ in range(1 + (place < 200)):
                count_hot(pipe, KEYS, HotQuestion(locale=locale, normalised=text))
        await pipe.execute()


async def all_cached(client: Redis, keys: Sequence[str], within_s: float = 10.0) -> bool:
    async with asyncio.timeout(within_s):
        while await client.exists(*keys) < len(keys):  # noqa: ASYNC110  # Redis tells nobody
            await asyncio.sleep(0.02)
    return True


@pytest.fixture
async def working(client: Redis, redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[Versions, str]]:
    """A worker on two partitions, and a version that is in force there; something was hot before."""
    versions, first = build_small(tmp_path)
    versions.activate(first.version)
    settings = Settings(redis_url=SecretStr(redis_url), indexes_dir=tmp_path / "indexes", redis_partitions=2)
    stop = asyncio.Event()
    running = asyncio.create_task(run_worker(settings, stop))
    async with asyncio.timeout(5):
        while not await client.hexists(KEYS.index(), "version"):  # noqa: ASYNC110  # Redis tells nobody
            await asyncio.sleep(0.02)
    yield versions, build_small(tmp_path)[1].version
    stop.set()
    await asyncio.wait_for(running, 5)


async def test_after_an_activation_the_two_hundred_hottest_are_cached_in_every_partition_and_no_more(
    working: tuple[Versions, str], client: Redis
) -> None:
    versions, second = working
    await heat(client, HOT)
    versions.activate(second)
    assert await all_cached(client, [cache_key(second, text, partition) for text in HOT[:200] for partition in (0, 1)])
    await asyncio.sleep(0.1)
    assert await client.exists(*[cache_key(second, text, partition) for text in HOT[200:] for partition in (0, 1)]) == 0
    [kept] = await RedisAnswerCache(client, KEYS).get_many([(cache_key(second, HOT[3], 1), HOT[3])])
    assert kept is not None
    assert (kept.index_version, kept.served_by) == (second, ServedBy.CACHE)


async def test_a_question_of_another_locale_is_warm_under_that_locale(
    working: tuple[Versions, str], client: Redis
) -> None:
    versions, second = working
    await heat(client, ["how much is postage"], "en-GB")
    versions.activate(second)
    assert await all_cached(client, [cache_key(second, "how much is postage", 0, "en-GB")])


async def test_what_cannot_be_warmed_leaves_the_worker_at_work(working: tuple[Versions, str], client: Redis) -> None:
    versions, second = working
    await client.set(KEYS.hot(), "no set of counts")
    with capture_logs() as logs:
        versions.activate(second)
        async with asyncio.timeout(10):
            # The first version's turn may come only now.
            while ("cache not warmed", second) not in {(line["event"], line.get("version")) for line in logs}:  # noqa: ASYNC110  # a log wakes nobody
                await asyncio.sleep(0.02)
        await client.delete(KEYS.hot())
        await heat(client, HOT[:1])
        versions.rollback()
        assert await all_cached(client, [cache_key(versions.active() or "", HOT[0], 0)])


async def test_few_questions_are_asked_at_once_so_that_customers_get_the_door_in_between(
    snapshot: Snapshot, client: Redis
) -> None:
    async with Door() as door:
        plain = make_ask(snapshot, RedisAnswerCache(client, KEYS), door)
        ask = CountedAsk(
            knowledge=snapshot, generator=plain._generator, cache=plain._cache, policy=plain._policy, door=door
        ).count()
        questions = [
            Question(text=text, normalised=text, cache_key=cache_key(snapshot.version, text, 0)) for text in HOT[:70]
        ]
        warming = asyncio.create_task(warm(ask, questions))
        await asyncio.sleep(0)
        customer = Question(text="怎么开发票", normalised="怎么开发票")
        await plain([customer])
        assert not warming.done()
        await warming
        await warm(ask, [])
    assert ask.sizes == [16, 16, 16, 16, 6]
    assert await client.exists(*[question.cache_key for question in questions]) == 70
