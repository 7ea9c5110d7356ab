"""Another version on trial: a share of the questions is its own, or it answers unheard and is only counted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from answering.small_base import FAQ, open_small
from redis.asyncio import Redis
from structlog.testing import capture_logs

from qa_service.answering.ask import Ask, Outcome
from qa_service.answering.no_cache import NoCache
from qa_service.answering.ports import AnswerCache
from qa_service.conversation.inquiry_desk import InquiryDesk
from qa_service.domain.answer import Answer
from qa_service.domain.question import Question
from qa_service.domain.saying import Inquiry
from qa_service.domain.share import Share
from qa_service.domain.snowflake import Snowflake, wall_clock_ms
from qa_service.domain.text import normalise
from qa_service.generation.extractive import ExtractiveGenerator
from qa_service.main import make_ask
from qa_service.retrieval.snapshot import Snapshot
from qa_service.store.active_index import RedisActiveIndex
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.bells import RedisBells
from qa_service.store.connection import open_redis
from qa_service.store.index_roll import RedisIndexRoll
from qa_service.store.inquiries import RedisInquiries
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.sessions import RedisSessions
from qa_service.store.shadow_counts import ShadowCounts
from qa_service.worker.door import Door
from qa_service.worker.trial import Canary, Shadow
from qa_service.worker.worker import Bot, Worker

KEYS = Keys(tenant="shop")
IDS = Snowflake(11)
TEXTS = [wording for entry in FAQ if entry.answer for wording in entry.wordings]


class OddAsk(Ask):
    """Answers like the one it is made of, unless told to wait for ever or to fail."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(
            knowledge=ask._knowledge, generator=ask._generator, cache=ask._cache, policy=ask._policy, door=ask._door
        )
        self.may_answer = asyncio.Event()
        self.fails = False
        self.asked: list[list[Question]] = []

    async def __call__(self, questions: Sequence[Question]) -> list[Outcome]:
        self.asked.append(list(questions))
        await self.may_answer.wait()
        if self.fails:
            raise ZeroDivisionError
        return await super().__call__(questions)


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, Snapshot]:
    """A version, and another one that answers what the first does but for one entry."""
    changed = [replace(entry, answer="另一个答案。") if entry.id == "points" else entry for entry in FAQ]
    return open_small(tmp_path_factory.mktemp("serving")), open_small(tmp_path_factory.mktemp("tried"), changed[1:])


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = open_redis(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with Door() as door:
        yield door


@pytest.fixture
def cache(client: Redis) -> AnswerCache:
    return RedisAnswerCache(client, KEYS)


@asynccontextmanager
async def working(
    client: Redis, ask: Ask, name: str = "w", *, canary: Canary | None = None, shadow: Shadow | None = None
) -> AsyncIterator[None]:
    worker = Worker(
        jobs=JobQueue(client, KEYS, consumer=name, claim_idle_ms=5000),
        sessions=RedisSessions(client, KEYS),
        bots={"shop": Bot(current=lambda: ask, canary=canary, shadow=shadow)},
        batch=64,
        claim_idle_ms=5000,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, 5)


async def submit(client: Redis, text: str, *, cache_key: str = "") -> str:
    job_id = IDS.next_id()
    inquiry = Inquiry(
        job_id=job_id,
        text=text,
        normalised=text,
        locale="zh-CN",
        request_id="r1",
        expires_at_ms=wall_clock_ms() + 30_000,
        cache_key=cache_key,
    )
    await RedisInquiries(client, KEYS).submit(inquiry)
    return job_id


async def answer_to(client: Redis, job_id: str) -> Answer:
    inquiries = RedisInquiries(client, KEYS)
    async with asyncio.timeout(5):
        while (answer := await inquiries.reply(job_id)) is None:  # noqa: ASYNC110  # Redis tells nobody
            await asyncio.sleep(0.01)
    return answer


async def answers_to(client: Redis, texts: Sequence[str]) -> list[Answer]:
    jobs = [await submit(client, text) for text in texts]
    return [await answer_to(client, job) for job in jobs]


async def in_force(client: Redis, version: str) -> None:
    roll = RedisIndexRoll(client, KEYS, worker="w", generator=ExtractiveGenerator.fingerprint)
    assert (await roll.beat(wanted=version, ready=version)).committed == version


def untimed(answers: Sequence[Answer]) -> list[Answer]:
    return [replace(answer, elapsed_ms=0.0, timings_ms={}) for answer in answers]


def same_pairs(answers: Sequence[Answer]) -> Counter[str]:
    """What a shadow of the very same version adds up for these answers."""
    return Counter(f"{answer.decision.value}>{answer.decision.value}:same" for answer in answers)


async def test_the_questions_of_a_canarys_share_are_answered_by_it_and_kept_under_its_key(
    snapshots: tuple[Snapshot, Snapshot], client: Redis, cache: AnswerCache, door: Door
) -> None:
    serving, tried = (make_ask(snapshot, cache, door) for snapshot in snapshots)
    share = Share(version=tried.version, percent=50)
    await in_force(client, serving.version)
    async with (
        RedisActiveIndex(client, KEYS, share=share) as index,
        working(client, serving, canary=Canary(share=share, ask=tried)),
    ):
        names = {text: index.cache_key("zh-CN", text) for text in TEXTS}
        jobs = {text: await submit(client, text, cache_key=names[text]) for text in TEXTS}
        answers = {text: await answer_to(client, job) for text, job in jobs.items()}
    versions = {text: share.version_for(text, serving.version) for text in TEXTS}
    assert {text: answer.index_version for text, answer in answers.items()} == versions
    assert set(versions.values()) == {serving.version, tried.version}
    for text in TEXTS:  # the API looked where the worker kept it
        [kept] = await cache.get_many([(KEYS.faq_of_question(names[text]), text)])
        assert kept is not None
        assert kept.index_version == versions[text]


async def test_a_question_of_the_canarys_share_is_explained_by_it_too(
    snapshots: tuple[Snapshot, Snapshot], client: Redis, cache: AnswerCache, door: Door
) -> None:
    serving, tried = (make_ask(snapshot, cache, door) for snapshot in snapshots)
    share = Share(version=tried.version, percent=50)
    await in_force(client, serving.version)
    async with (
        RedisBells(client, KEYS) as bells,
        RedisActiveIndex(client, KEYS, share=share) as index,
        working(client, serving, canary=Canary(share=share, ask=tried)),
    ):
        desk = InquiryDesk(inquiries=RedisInquiries(client, KEYS), bells=bells, index=index, next_id=IDS.next_id)
        for text in TEXTS[:8]:
            explained = await desk.explain(f" {text}？", locale="zh-CN", request_id="r1", wait_s=5.0)
            version = share.version_for(normalise(f"{text}？"), serving.version)
            assert explained.answer.index_version == version


async def test_a_canary_that_has_come_into_force_answers_everything(
    snapshots: tuple[Snapshot, Snapshot], client: Redis, cache: AnswerCache, door: Door
) -> None:
    serving = make_ask(snapshots[1], cache, door)
    canary = Canary(share=Share(version=serving.version, percent=5), ask=make_ask(snapshots[1], cache, door))
    async with working(client, serving, canary=canary):
        answers = await answers_to(client, TEXTS[:10])
    assert {answer.index_version for answer in answers} == {serving.version}


async def test_shadow_counts_add_up_over_two_workers(
    snapshots: tuple[Snapshot, Snapshot], client: Redis, door: Door
) -> None:
    ask = make_ask(snapshots[0], NoCache(), door)
    counts = ShadowCounts(client, KEYS, "v2")
    shadow = Shadow(ask=make_ask(snapshots[0], NoCache(), door), count=counts.add)
    told: list[Answer] = []
    async with working(client, ask, "one", shadow=shadow), working(client, ask, "other", shadow=shadow):
        for text in TEXTS[:12]:
            told += await answers_to(client, [text])
            await asyncio.sleep(0.03)  # one comparison at a time: a batch that comes during one is not compared
    assert Counter(await counts.read()) == same_pairs(told)


async def test_a_shadow_that_would_answer_otherwise_is_counted_as_such(
    snapshots: tuple[Snapshot, Snapshot], client: Redis, door: Door
) -> None:
    counts = ShadowCounts(client, KEYS, "v2")
    shadow = Shadow(ask=make_ask(snapshots[1], NoCache(), door), count=counts.add)
    async with working(client, make_ask(snapshots[0], NoCache(), door), shadow=shadow):
        [answer] = await answers_to(client, [FAQ[0].question])  # the entry that the other version lacks
    [(pair, times)] = (await counts.read()).items()
    assert pair.startswith(f"{answer.decision.value}>")
    assert (pair.endswith(":differs"), times) == (True, 1)


@pytest.mark.parametrize("fault", ["hangs", "fails", "cannot count"])
async def test_a_shadow_neither_delays_nor_changes_an_answer_whatever_befalls_it(
    snapshots: tuple[Snapshot, Snapshot], client: Redis, door: Door, tmp_path: Path, fault: str
) -> None:
    ask = make_ask(snapshots[0], NoCache(), door)
    async with working(client, ask):
        alone = await answers_to(client, TEXTS)
    away = open_redis(f"unix://{tmp_path}/none.sock")
    unheard = OddAsk(make_ask(snapshots[1], NoCache(), door))
    unheard.fails = fault == "fails"
    if fault != "hangs":
        unheard.may_answer.set()
    shadow = Shadow(ask=unheard, count=ShadowCounts(away, KEYS, "v2").add)
    tasks = asyncio.all_tasks()
    with capture_logs() as logs:
        async with working(client, ask, shadow=shadow):
            together = [answer for text in TEXTS for answer in await answers_to(client, [text])]
    assert untimed(together) == untimed(alone)
    assert unheard.asked
    assert asyncio.all_tasks() <= tasks  # none outlives its worker
    assert "batch failed" not in {line["event"] for line in logs}
    assert ("shadow failed" in {line["event"] for line in logs}) == (fault != "hangs")
    await away.aclose()


async def test_a_shadow_answers_a_few_questions_of_a_large_batch_and_keeps_none(
    snapshots: tuple[Snapshot, Snapshot], client: Redis, cache: AnswerCache, door: Door
) -> None:
    unheard = OddAsk(make_ask(snapshots[1], cache, door))
    unheard.may_answer.set()
    counts = ShadowCounts(client, KEYS, "v2")
    name = KEYS.faq_name("zh-CN", snapshots[0].version, "g", TEXTS[0])  # which only the version in force may fill
    jobs = [await submit(client, text, cache_key=name if text == TEXTS[0] else "") for text in TEXTS]
    async with working(client, make_ask(snapshots[0], NoCache(), door), shadow=Shadow(ask=unheard, count=counts.add)):
        for job in jobs:
            await answer_to(client, job)
    assert [len(batch) for batch in unheard.asked] == [8]
    assert sum((await counts.read()).values()) == 8
    assert await client.exists(KEYS.faq_of_question(name)) == 0
