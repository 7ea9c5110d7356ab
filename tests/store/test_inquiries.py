"""Stateless questions: one reply for ten seconds, or none once nobody waits for it."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from qa_service.conversation.ports import Inquiries
from qa_service.domain.answer import Answer, ServedBy
from qa_service.domain.errors import Overloaded
from qa_service.domain.question import Turn
from qa_service.domain.saying import Inquiry
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.inquiries import RedisInquiries
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys

NOW_MS = 1_760_000_000_000


@pytest.fixture
def inquiries(client: Redis, keys: Keys) -> RedisInquiries:
    return RedisInquiries(client, keys)


@pytest.fixture
def queue(client: Redis, keys: Keys) -> JobQueue:
    return JobQueue(client, keys, consumer="first", claim_idle_ms=1, clock_ms=lambda: NOW_MS)


def inquiry(**more: str | int) -> Inquiry:
    fields = {"job_id": "5", "text": "怎么退货?", "locale": "zh-CN", "request_id": "r1", "expires_at_ms": NOW_MS + 3000}
    return Inquiry(**(fields | more))  # type: ignore[arg-type]  # one dict of texts and numbers


def test_redis_inquiries_are_the_inquiries_that_a_conversation_asks_for(inquiries: RedisInquiries) -> None:
    port: Inquiries = inquiries
    assert port is inquiries


async def test_an_inquiry_is_answered_once_and_its_reply_expires(
    inquiries: RedisInquiries, queue: JobQueue, client: Redis, keys: Keys, answer: Answer
) -> None:
    await inquiries.submit(inquiry(normalised="怎么退货"))
    (job,) = await queue.take(block_ms=0)
    assert (job.kind, job.reply_id, job.sid, job.normalised) == ("inquiry", "5", "", "怎么退货")
    assert job.expires_at_ms == NOW_MS + 3000
    assert await inquiries.reply("5") is None
    assert await queue.finish(job, answer)
    assert not await queue.finish(job, replace(answer, text="late"))
    assert await inquiries.reply("5") == answer
    assert 9000 < await client.pttl(keys.reply("5")) <= 10_000
    assert await queue.backlog() == 0


async def test_what_was_said_before_travels_with_an_inquiry(inquiries: RedisInquiries, queue: JobQueue) -> None:
    said = (Turn(question="怎么退货", choices=("一", "二")), Turn(question="那运费呢"))
    await inquiries.submit(replace(inquiry(), history=said))
    (job,) = await queue.take(block_ms=0)
    assert job.history == said


async def test_an_inquiry_that_nobody_waits_for_is_dropped_unanswered(
    inquiries: RedisInquiries, queue: JobQueue
) -> None:
    await inquiries.submit(inquiry(job_id="1", expires_at_ms=NOW_MS))
    await inquiries.submit(inquiry(job_id="2", expires_at_ms=NOW_MS + 1))
    assert [job.reply_id for job in await queue.take(block_ms=0)] == ["2"]
    assert await queue.backlog() == 1


async def test_a_full_queue_refuses_an_inquiry(client: Redis, keys: Keys) -> None:
    inquiries = RedisInquiries(client, keys, queue_cap=2)
    await inquiries.submit(inquiry())
    await inquiries.submit(inquiry())
    with pytest.raises(Overloaded) as caught:
        await inquiries.submit(inquiry())
    assert caught.value.code == "queue-full"


async def test_what_a_worker_caches_is_found_by_the_next_inquiry_of_the_same_question_only(
    inquiries: RedisInquiries, queue: JobQueue, client: Redis, keys: Keys, answer: Answer
) -> None:
    name = keys.faq_name("zh-CN", "v1", "extract", "怎么退货")
    await inquiries.submit(inquiry(cache_key=name, normalised="怎么退货"))
    (job,) = await queue.take(block_ms=0)
    await RedisAnswerCache(client, keys).put(job.cache_key, job.normalised, answer)
    found = await inquiries.cached(name, "怎么退货")
    assert found is not None
    assert (found.text, found.served_by) == (answer.text, ServedBy.CACHE)
    assert await inquiries.cached(name, "怎么退") is None
    assert await inquiries.cached("", "怎么退货") is None
