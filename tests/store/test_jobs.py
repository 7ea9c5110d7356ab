"""The queue under workers that die, sleep, lie or are killed by a question: nothing is lost, nothing answered twice."""

import asyncio
import time
from collections.abc import Callable

from redis.asyncio import Redis

from qa_service.domain.answer import Answer
from qa_service.domain.saying import Inquiry, Saying
from qa_service.domain.session import MessageState
from qa_service.store.inquiries import RedisInquiries
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.sessions import RedisSessions

Say = Callable[..., Saying]


async def pause(seconds: float = 0.06) -> None:
    """Longer than `claim_idle_ms` of the tests' queues."""
    await asyncio.sleep(seconds)


async def test_a_job_carries_what_a_worker_needs(
    sessions: RedisSessions, queue: JobQueue, keys: Keys, sid: str, say: Say
) -> None:
    saying = say(sid, "怎么退货?", normalised="怎么退货", cache_key="shop:faq:x")
    await sessions.accept(saying)
    (job,) = await queue.take(block_ms=0)
    assert (job.kind, job.tenant, job.sid, job.reply_id) == ("turn", "shop", sid, saying.reply_id)
    assert (job.question_message_id, job.text, job.normalised) == (saying.message_id, "怎么退货?", "怎么退货")
    assert (job.locale, job.request_id, job.accepted_at_ms) == ("zh-CN", "r1", saying.now_ms)
    assert (job.deliveries, job.partition, job.expires_at_ms) == (1, keys.partition(sid), None)
    assert job.cache_key == keys.faq(keys.partition(sid), "shop:faq:x")


async def test_the_second_finish_of_a_job_changes_nothing(
    sessions: RedisSessions, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    accepted = await sessions.accept(say(sid))
    (job,) = await queue.take(block_ms=0)
    assert await queue.finish(job, answer)
    assert not await queue.finish(job, Answer(text="late", decision=answer.decision))
    message = await sessions.message(sid, "secret", accepted.reply.id)
    assert (message.state, message.answer, message.text) == (MessageState.COMPLETED, answer, answer.text)
    assert await queue.backlog() == 0


async def test_a_job_of_a_silent_worker_is_taken_over_and_answered_once_though_the_first_wakes_up(
    sessions: RedisSessions, queue: JobQueue, client: Redis, keys: Keys, sid: str, say: Say, answer: Answer
) -> None:
    await sessions.accept(say(sid))
    second = JobQueue(client, keys, consumer="second", claim_idle_ms=40)
    (sleeping,) = await queue.take(block_ms=0)
    assert await second.reclaim() == []
    await pause()
    (taken,) = await second.reclaim()
    assert (taken.reply_id, taken.deliveries) == (sleeping.reply_id, 2)
    assert await queue.renew([sleeping]) == []
    given = await asyncio.gather(second.finish(taken, answer), queue.finish(sleeping, answer))
    assert sorted(given) == [False, True]
    page = await sessions.read_after(sid, "secret", 0, 10)
    assert [message.seq for message in page.messages] == [2, 3]


async def test_a_late_finish_does_not_start_a_second_turn_beside_the_running_one(
    sessions: RedisSessions, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    for text in ("one", "two", "three"):
        await sessions.accept(say(sid, text))
    (first,) = await queue.take(block_ms=0)
    await queue.finish(first, answer)
    await queue.finish(first, answer)
    assert [job.text for job in await queue.take(block_ms=0)] == ["two"]
    assert await queue.backlog() == 1


async def test_a_renewed_job_is_not_taken_over_and_counts_as_delivered_once(
    sessions: RedisSessions, queue: JobQueue, client: Redis, keys: Keys, sid: str, say: Say
) -> None:
    await sessions.accept(say(sid))
    jobs = await queue.take(block_ms=0)
    second = JobQueue(client, keys, consumer="second", claim_idle_ms=40)
    for _ in range(6):
        await asyncio.sleep(0.02)
        assert await queue.renew(jobs) == jobs
        assert await second.reclaim() == []
    await pause()
    assert [job.deliveries for job in await second.reclaim()] == [2]


async def test_a_question_that_kills_its_worker_is_given_up_after_five_deliveries_and_others_go_on(
    sessions: RedisSessions, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    poison = await sessions.accept(say(sid, "毒"))
    await sessions.accept(say(sid, "next"))
    assert [job.text for job in await queue.take(block_ms=0)] == ["毒"]
    for deliveries in (2, 3, 4, 5):
        await pause(0.045)
        assert [job.deliveries for job in await queue.reclaim()] == [deliveries]
    await pause(0.045)
    assert await queue.reclaim() == []
    (letter,) = await queue.dead_letters()
    assert (letter.reason, letter.deliveries) == ("delivered too often", 5)
    assert letter.job is not None
    assert (letter.job.text, letter.job.reply_id) == ("毒", poison.reply.id)
    failed = await sessions.message(sid, "secret", poison.reply.id)
    assert failed.state is MessageState.FAILED
    assert "抱歉" in failed.text
    (job,) = await queue.take(block_ms=0)
    assert job.text == "next"
    assert await queue.finish(job, answer)


async def test_who_asked_in_english_is_told_in_english_that_it_failed(
    client: Redis, keys: Keys, sessions: RedisSessions, sid: str, say: Say
) -> None:
    queue = JobQueue(client, keys, consumer="first", claim_idle_ms=1, max_deliveries=1)
    accepted = await sessions.accept(say(sid, "How do I return an item?"))
    await queue.take(block_ms=0)
    await pause(0.01)
    assert await queue.reclaim() == []
    assert (await sessions.message(sid, "secret", accepted.reply.id)).text.startswith("Sorry")


async def test_the_answer_to_a_session_that_is_gone_is_dropped_with_its_job(
    sessions: RedisSessions, queue: JobQueue, client: Redis, keys: Keys, sid: str, say: Say, answer: Answer
) -> None:
    await sessions.accept(say(sid))
    (job,) = await queue.take(block_ms=0)
    own = (keys.session(sid), keys.messages(sid), keys.log(sid), keys.turns(sid))
    await client.delete(*own)
    assert not await queue.finish(job, answer)
    assert await queue.backlog() == 0
    assert await client.exists(*own) == 0


async def test_many_answers_are_given_in_one_step_also_when_redis_forgot_the_scripts(
    sessions: RedisSessions, queue: JobQueue, client: Redis, sid: str, say: Say, answer: Answer
) -> None:
    await sessions.accept(say(sid, "a turn"))
    inquiries = RedisInquiries(client, Keys(tenant="shop", partitions=2))
    for n in range(5):
        await inquiries.submit(
            Inquiry(job_id=str(n), text="t", locale="en", request_id="r", expires_at_ms=int(time.time() * 1000) + 9000)
        )
    jobs = await queue.take(block_ms=0)
    await client.script_flush()
    outcomes = [(job, answer) for job in jobs]
    assert await queue.finish_many(outcomes) == 6 * [True]
    assert await queue.finish_many(outcomes) == 6 * [False]
    assert await queue.finish_many([]) == []
    assert await queue.backlog() == 0


async def test_taking_waits_for_the_first_job_and_no_longer(
    sessions: RedisSessions, queue: JobQueue, sid: str, say: Say
) -> None:
    await queue.ensure_group()
    waiting = asyncio.create_task(queue.take(block_ms=3000))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await sessions.accept(say(sid))
    assert len(await waiting) == 1
    assert time.monotonic() - began < 0.5
    began = time.monotonic()
    assert await queue.take(block_ms=700) == []  # longer than the client's own reply timeout
    assert 0.6 < time.monotonic() - began < 1.1


async def test_a_worker_that_is_stopped_while_it_waits_takes_nothing_along(
    sessions: RedisSessions, queue: JobQueue, client: Redis, keys: Keys, sid: str, say: Say
) -> None:
    await queue.ensure_group()
    waiting = asyncio.create_task(queue.take(block_ms=3000))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait([waiting])
    await sessions.accept(say(sid))
    second = JobQueue(client, keys, consumer="second", claim_idle_ms=40)
    assert len(await second.take(block_ms=200) or await second.reclaim()) == 1


async def test_jobs_queued_before_the_first_worker_or_after_the_group_was_lost_are_taken(
    sessions: RedisSessions, queue: JobQueue, client: Redis, keys: Keys, sid: str, say: Say
) -> None:
    assert await queue.reclaim() == []
    await sessions.accept(say(sid))
    assert len(await queue.take(block_ms=0)) == 1
    await client.xgroup_destroy(keys.queue(keys.partition(sid)), "workers")
    assert len(await queue.take(block_ms=0)) == 1
    await queue.ensure_group()


async def test_what_is_no_job_goes_to_the_dead_letters_and_stops_nobody(
    sessions: RedisSessions, queue: JobQueue, client: Redis, keys: Keys, sid: str, say: Say
) -> None:
    partition = keys.partition(sid)
    for record in (b"\xff{", b'{"kind": 5}', b"[]"):
        await client.xadd(keys.queue(partition), {"job": record})
    await sessions.accept(say(sid))
    assert len(await queue.take(block_ms=0)) == 1
    letters = await queue.dead_letters()
    assert {letter.record for letter in letters} == {b"\xff{", b'{"kind": 5}', b"[]"}
    assert {(letter.reason, letter.job) for letter in letters} == {("unreadable", None)}
    assert await queue.backlog() == 1


async def test_a_job_whose_entry_vanished_is_forgotten(
    sessions: RedisSessions, queue: JobQueue, client: Redis, keys: Keys, sid: str, say: Say
) -> None:
    await sessions.accept(say(sid))
    (job,) = await queue.take(block_ms=0)
    await client.xdel(keys.queue(job.partition), job.entry_id)
    await pause()
    assert await queue.reclaim() == []
    assert (await client.xpending(keys.queue(job.partition), "workers"))["pending"] == 0


async def test_eight_workers_share_a_queue_without_a_loss_or_a_second_answer(
    sessions: RedisSessions, client: Redis, keys: Keys, sid: str, say: Say, answer: Answer
) -> None:
    for n in range(30):
        await sessions.accept(say(sid, str(n)))
    given: list[bool] = []

    async def work(name: str) -> None:
        mine = JobQueue(client, keys, consumer=name, claim_idle_ms=1, max_deliveries=1000)
        while len([one for one in given if one]) < 30:
            for job in [*await mine.take(count=2, block_ms=5), *await mine.reclaim()]:
                await asyncio.sleep(0.002)  # longer than the claim time: workers take over from each other
                given.append(await mine.finish(job, answer))

    async with asyncio.timeout(20):
        await asyncio.gather(*(work(f"w{n}") for n in range(8)))
    messages = (await sessions.read_after(sid, "secret", 0, 100)).messages
    assert sum(given) == 30
    assert len(messages) == 60
    assert {message.state for message in messages} == {MessageState.COMPLETED}
