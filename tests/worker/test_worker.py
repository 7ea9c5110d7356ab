"""The worker over a real Redis: what waits is answered, and what goes wrong loses no question."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from answering.small_base import open_small
from redis.asyncio import Redis
from structlog.testing import capture_logs

from qa_service.answering.ask import Ask, Outcome
from qa_service.answering.decide import Policy
from qa_service.answering.no_cache import NoCache
from qa_service.domain.answer import Answer
from qa_service.domain.context import is_cacheable
from qa_service.domain.question import Question
from qa_service.domain.saying import Inquiry, Saying
from qa_service.domain.session import Message, MessageState, Session
from qa_service.domain.snowflake import Snowflake, wall_clock_ms
from qa_service.domain.text import normalise
from qa_service.generation.extractive import ExtractiveGenerator
from qa_service.retrieval.snapshot import Snapshot
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.connection import open_redis
from qa_service.store.inquiries import RedisInquiries
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.private import PrivateRedis
from qa_service.store.sessions import RedisSessions
from qa_service.worker.door import Door
from qa_service.worker.worker import Bot, Worker

T = TypeVar("T")
KEYS = Keys(tenant="shop")
ANSWERS = Policy(answer=0.0, clarify=0.0, passage=9.0)
ASKS_BACK = Policy(answer=9.0, clarify=0.0, passage=9.0)
IDS = Snowflake(9)


class WatchedAsk(Ask):
    """Answers, and remembers what it was asked; each text may be made to raise, or to wait."""

    def __init__(self, snapshot: Snapshot, door: Door, policy: Policy = ANSWERS) -> None:
        super().__init__(
            knowledge=snapshot,
            generator=ExtractiveGenerator(terms=list, weight=lambda _term: 1.0),
            cache=NoCache(),
            policy=policy,
            door=door,
        )
        self.batches: list[list[Question]] = []
        self.failures: dict[str, int] = {}  # text -> how many times it still raises
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, questions: Sequence[Question]) -> list[Outcome]:
        self.batches.append(list(questions))
        await self.gate.wait()
        for question in questions:
            if self.failures.get(question.text, 0):
                self.failures[question.text] -= 1
                raise ZeroDivisionError(question.text)
        return await super().__call__(questions)


@dataclass(kw_only=True)
class Workplace:
    """Everything around a worker."""

    client: Redis
    ask: WatchedAsk
    current: list[Ask] = field(default_factory=list)
    claim_idle_ms: int = 150
    max_deliveries: int = 5

    @property
    def sessions(self) -> RedisSessions:
        return RedisSessions(self.client, KEYS)

    @property
    def inquiries(self) -> RedisInquiries:
        return RedisInquiries(self.client, KEYS)

    def queue(self, consumer: str = "first") -> JobQueue:
        return JobQueue(
            self.client,
            KEYS,
            consumer=consumer,
            claim_idle_ms=self.claim_idle_ms,
            max_deliveries=self.max_deliveries,
        )

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[asyncio.Event]:
        """Run a worker; gives the event that stops it."""
        worker = Worker(
            jobs=self.queue(),
            sessions=self.sessions,
            bots={"shop": Bot(current=lambda: self.current[-1] if self.current else None)},
            batch=64,
            claim_idle_ms=self.claim_idle_ms,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(worker.run(stop))
        try:
            yield stop
        finally:
            stop.set()
            self.ask.gate.set()
            await asyncio.wait_for(running, 5)

    async def submit(self, text: str, request_id: str = "r1") -> str:
        job_id = IDS.next_id()
        await self.inquiries.submit(
            Inquiry(
                job_id=job_id,
                text=text,
                normalised=normalise(text),
                locale="zh-CN",
                request_id=request_id,
                expires_at_ms=wall_clock_ms() + 30_000,
            )
        )
        return job_id

    async def answer_to(self, job_id: str) -> Answer:
        return await eventually(lambda: self.inquiries.reply(job_id))

    async def open_session(self) -> str:
        sid = IDS.next_id()
        assert await self.sessions.open(Session(sid=sid, tenant="shop"), "secret")
        return sid

    async def say(self, sid: str, text: str, version: str = "") -> str:
        """Accept a question as a conversation does, which believes that `version` answers; gives its reply's id."""
        normalised, version = normalise(text), version or self.ask.version
        saying = Saying(
            sid=sid,
            proof="secret",
            message_id=IDS.next_id(),
            reply_id=IDS.next_id(),
            text=text,
            normalised=normalised,
            locale="zh-CN",
            request_id="r1",
            now_ms=wall_clock_ms(),
            cache_key=KEYS.faq_name("zh-CN", version, "g", normalised) if is_cacheable(text) else "",
        )
        await self.sessions.accept(saying)
        return saying.reply_id

    async def told(self, sid: str, text: str) -> Message:
        reply_id = await self.say(sid, text)

        async def settled() -> Message | None:
            message = await self.sessions.message(sid, "secret", reply_id)
            return None if message.state is MessageState.PENDING else message

        return await eventually(settled)


async def eventually(look: Callable[[], Awaitable[T | None]], within_s: float = 8.0) -> T:
    async with asyncio.timeout(within_s):
        while (found := await look()) is None:  # noqa: ASYNC110  # Redis tells nobody
            await asyncio.sleep(0.01)
        return found


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return open_small(tmp_path_factory.mktemp("worker"))


@pytest.fixture
async def place(snapshot: Snapshot, redis_url: str) -> AsyncIterator[Workplace]:
    client = open_redis(redis_url)
    async with Door() as door:
        ask = WatchedAsk(snapshot, door)
        yield Workplace(client=client, ask=ask, current=[ask])
    await client.aclose()


async def test_a_question_that_waits_is_answered_and_its_request_id_is_in_the_log(place: Workplace) -> None:
    with capture_logs() as logs:
        async with place.worker():
            answer = await place.answer_to(await place.submit("怎么开发票", "request-7"))
    assert answer.sources[0].entry_id == "invoice"
    assert answer.index_version == place.ask.version
    [line] = [line for line in logs if line["event"] == "answered"]
    assert (line["request_id"], line["deliveries"], line["decision"]) == ("request-7", 1, "answer")
    assert await place.queue().backlog() == 0


async def test_what_waits_together_is_answered_as_one_batch(place: Workplace) -> None:
    texts = ["怎么开发票", "积分会过期吗", "地址填错了", "怎么申请退货"]
    jobs = [await place.submit(text) for text in texts]
    async with place.worker():
        answers = [await place.answer_to(job) for job in jobs]
    assert [[question.text for question in batch] for batch in place.ask.batches] == [texts]
    assert [answer.sources[0].entry_id for answer in answers] == ["invoice", "points", "address", "return"]


async def test_a_follow_up_sees_the_turns_before_it(place: Workplace) -> None:
    async with place.worker():
        sid = await place.open_session()
        await place.told(sid, "怎么申请退款")
        reply = await place.told(sid, "那多久到账呢")
    assert reply.answer is not None
    assert reply.answer.sources[0].entry_id == "refund-time"
    [first, second] = [batch[0] for batch in place.ask.batches]
    assert first.history == ()
    assert [turn.question for turn in second.history] == ["怎么申请退款"]


@pytest.mark.parametrize("pick", ["第2个", "2", "the second one"])
async def test_a_pick_sees_the_choices_before_it_and_is_never_cached(
    place: Workplace, snapshot: Snapshot, pick: str
) -> None:
    async with Door() as door:
        place.current.append(WatchedAsk(snapshot, door, ASKS_BACK))
        async with place.worker():
            sid = await place.open_session()
            asked_back = await place.told(sid, "发票")
            place.current.append(place.ask)
            reply = await place.told(sid, pick)
    assert asked_back.answer is not None
    assert reply.answer is not None
    assert len(asked_back.answer.choices) >= 2
    assert reply.answer.sources[0].entry_id == asked_back.answer.choices[1].entry_id
    assert place.ask.batches[-1][0].cache_key == ""


async def test_while_there_is_no_index_questions_wait(place: Workplace) -> None:
    place.current.clear()
    async with place.worker():
        job = await place.submit("怎么开发票")
        await asyncio.sleep(0.1)
        assert await place.queue().backlog() == 1
        place.current.append(place.ask)
        assert (await place.answer_to(job)).sources[0].entry_id == "invoice"


async def test_a_stop_finishes_what_is_in_hand_and_takes_nothing_more(place: Workplace) -> None:
    place.ask.gate.clear()
    async with place.worker() as stop:
        in_hand = await place.submit("怎么开发票")
        await eventually(lambda: _true(bool(place.ask.batches)))
        stop.set()
        later = await place.submit("积分会过期吗")
    assert await place.inquiries.reply(in_hand) is not None
    assert await place.inquiries.reply(later) is None
    assert await place.queue().backlog() == 1


async def test_an_idle_worker_stops_within_a_second(place: Workplace) -> None:
    async with asyncio.timeout(1.5):
        async with place.worker():
            await asyncio.sleep(0.1)


async def test_slow_work_keeps_its_claim_so_that_nobody_takes_it_over(place: Workplace) -> None:
    place.ask.gate.clear()
    async with place.worker():
        job = await place.submit("怎么开发票")
        await eventually(lambda: _true(bool(place.ask.batches)))
        await asyncio.sleep(4 * place.claim_idle_ms / 1000)
        assert await place.queue("second").reclaim() == []
        place.ask.gate.set()
        assert (await place.answer_to(job)).text
    assert len(place.ask.batches) == 1


async def test_a_bug_loses_no_question_and_takes_no_neighbour_along(place: Workplace) -> None:
    place.max_deliveries = 2
    place.ask.failures = {"毒": 99}
    jobs = [await place.submit(text) for text in ("怎么开发票", "毒", "积分会过期吗")]
    with capture_logs() as logs:
        async with place.worker():
            answers = [await place.answer_to(job) for job in jobs]
    batches = [[question.text for question in batch] for batch in place.ask.batches]
    assert batches[0] == ["怎么开发票", "毒", "积分会过期吗"]
    assert sorted(batches[1:]) == [["怎么开发票"], ["毒"], ["积分会过期吗"]]
    assert [answers[0].sources[0].entry_id, answers[2].sources[0].entry_id] == ["invoice", "points"]
    assert "抱歉" in answers[1].text
    [letter] = await place.queue().dead_letters()
    assert letter.job is not None
    assert letter.job.text == "毒"
    assert [line["event"] for line in logs].count("batch failed") == 2


async def test_a_bug_that_passes_leaves_the_question_for_another_delivery(place: Workplace) -> None:
    place.ask.failures = {"怎么开发票": 1}
    async with place.worker():
        answer = await place.answer_to(await place.submit("怎么开发票"))
    assert answer.sources[0].entry_id == "invoice"
    assert len(place.ask.batches) == 2


async def test_a_worker_goes_on_when_redis_is_killed_and_comes_back(snapshot: Snapshot, tmp_path: Path) -> None:
    async with PrivateRedis(tmp_path) as redis, Door() as door:
        client = open_redis(redis.url)
        ask = WatchedAsk(snapshot, door)
        place = Workplace(client=client, ask=ask, current=[ask])
        with capture_logs() as logs:
            async with place.worker():
                assert (await place.answer_to(await place.submit("怎么开发票"))).text
                os.kill(redis.pid, signal.SIGKILL)
                await asyncio.sleep(0.3)
                await redis.restart()
                assert (await place.answer_to(await place.submit("积分会过期吗"))).text
        assert "store away" in {line["event"] for line in logs}
        await client.aclose()


async def test_answers_are_cached_by_the_worker_for_the_next_who_asks(snapshot: Snapshot, redis_url: str) -> None:
    client = open_redis(redis_url)
    async with Door() as door:
        ask = Ask(
            knowledge=snapshot,
            generator=ExtractiveGenerator(terms=list, weight=lambda _term: 1.0),
            cache=RedisAnswerCache(client, KEYS),
            policy=ANSWERS,
            door=door,
        )
        place = Workplace(client=client, ask=WatchedAsk(snapshot, door), current=[ask])
        async with place.worker():
            first = await place.told(await place.open_session(), "怎么开发票")
            second = await place.told(await place.open_session(), "怎么开发票！")
    assert first.answer is not None
    assert second.answer is not None
    assert (first.answer.served_by, second.answer.served_by) == ("faq", "cache")
    await client.aclose()


async def test_an_answer_from_an_older_index_than_the_asker_knows_of_is_not_kept_under_the_new_one(
    place: Workplace,
) -> None:
    async with place.worker():
        await place.say(await place.open_session(), "怎么开发票", version="newer")
        await eventually(lambda: _true(bool(place.ask.batches)))
    assert [question.cache_key for question in place.ask.batches[0]] == [""]


async def test_a_question_that_comes_after_an_index_was_exchanged_is_answered_from_the_new_one(
    place: Workplace, snapshot: Snapshot
) -> None:
    async with Door() as door, place.worker():
        await asyncio.sleep(0.1)  # the worker waits for questions, with the old index at hand
        newer = WatchedAsk(snapshot, door)
        place.current.append(newer)
        await place.answer_to(await place.submit("怎么开发票"))
    assert [len(batch) for batch in newer.batches] == [1]
    assert place.ask.batches == []


async def _true(value: bool) -> bool | None:  # noqa: FBT001  # the awaitable form of a look
    return value or None
