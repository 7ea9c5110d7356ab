"""Bells: one connection however many wait, nothing missed after entering, alive again after Redis was killed."""

import asyncio
import time

from redis.asyncio import Redis

from qa_service.conversation.ports import Bells
from qa_service.domain.answer import Answer
from qa_service.domain.saying import Inquiry
from qa_service.domain.session import Session
from qa_service.domain.snowflake import Snowflake
from qa_service.store.bells import RedisBells
from qa_service.store.inquiries import RedisInquiries
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.sessions import RedisSessions
from store.conftest import Connect, MortalRedis, Say


async def until_connected(bells: RedisBells, *, within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not bells.connected:  # noqa: ASYNC110  # the port has no event to wait for
            await asyncio.sleep(0.01)


def test_redis_bells_are_the_bells_that_a_conversation_asks_for(client: Redis, keys: Keys) -> None:
    bells: Bells = RedisBells(client, keys)
    assert bells is not None


async def test_a_bell_rings_for_its_own_name_only(client: Redis, keys: Keys) -> None:
    async with RedisBells(client, keys) as bells, bells.listen("mine") as mine, bells.listen("other") as other:
        await client.publish(keys.events(1), "mine")
        assert await mine.wait(2)
        assert not await other.wait(0.02)
        assert not await mine.wait(0.02)


async def test_a_ring_before_the_wait_counts_and_several_count_as_one(client: Redis, keys: Keys) -> None:
    async with RedisBells(client, keys) as bells, bells.listen("a") as bell, bells.listen("a") as sentinel:
        for _ in range(3):
            await client.publish(keys.events(0), "a")
        assert await sentinel.wait(2)
        await asyncio.sleep(0.05)
        assert await bell.wait(0)
        assert not await bell.wait(0.02)


async def test_a_thousand_listeners_share_one_connection_and_none_stalls_when_hinted_at_once(
    client: Redis, keys: Keys
) -> None:
    async def one(name: str) -> bool:
        async with bells.listen(name) as bell:
            await client.publish(keys.events(keys.partition(name)), name)
            return await bell.wait(5)

    async with RedisBells(client, keys) as bells:
        assert all(await asyncio.gather(*(one(str(n)) for n in range(1000))))
        assert bells.listening == 0
        subscribers = await client.client_list(_type="pubsub")
    assert len(subscribers) == 1


async def test_all_listeners_of_one_name_are_rung(client: Redis, keys: Keys) -> None:
    async with RedisBells(client, keys) as bells:

        async def wait() -> bool:
            async with bells.listen("same") as bell:
                return await bell.wait(5)

        waiting = [asyncio.create_task(wait()) for _ in range(200)]
        await asyncio.sleep(0)
        await client.publish(keys.events(0), "same")
        assert all(await asyncio.gather(*waiting))


async def test_an_answer_rings_its_session_and_a_reply_its_job(
    client: Redis, keys: Keys, sessions: RedisSessions, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    inquiries = RedisInquiries(client, keys)
    soon = int(time.time() * 1000) + 9000
    async with RedisBells(client, keys) as bells, bells.listen(sid) as session_bell, bells.listen("77") as job_bell:
        await sessions.accept(say(sid))
        await inquiries.submit(Inquiry(job_id="77", text="t", locale="en", request_id="r", expires_at_ms=soon))
        await queue.finish_many([(job, answer) for job in await queue.take(block_ms=0)])
        assert await session_bell.wait(2)
        assert await job_bell.wait(2)


async def test_a_killed_redis_silences_bells_until_it_is_back_and_then_every_bell_rings(
    connect: Connect, mortal_redis: MortalRedis, keys: Keys
) -> None:
    client = connect(mortal_redis.url)
    async with RedisBells(client, keys) as bells, bells.listen("a") as bell, bells.listen("b") as other:
        await until_connected(bells)
        for _ in range(2):
            while await bell.wait(0.02):
                pass
            mortal_redis.kill()
            assert not await bell.wait(0.1)
            assert not bells.connected
            mortal_redis.start()
            assert await bell.wait(5)
            assert await other.wait(1)
            await client.publish(keys.events(0), "a")
            assert await bell.wait(2)


async def test_bells_open_while_redis_is_away_and_connect_when_it_comes(
    connect: Connect, mortal_redis: MortalRedis, keys: Keys
) -> None:
    mortal_redis.kill()
    client = connect(mortal_redis.url)
    async with RedisBells(client, keys) as bells, bells.listen("a") as bell:
        states = [bells.connected]
        mortal_redis.start()
        assert await bell.wait(5)
        states.append(bells.connected)
    assert states == [False, True]


async def test_what_was_accepted_before_redis_was_killed_is_there_afterwards(
    connect: Connect, mortal_redis: MortalRedis, keys: Keys, say: Say, ids: Snowflake, answer: Answer
) -> None:
    client = connect(mortal_redis.url)
    sessions, queue = RedisSessions(client, keys), JobQueue(client, keys, consumer="w", claim_idle_ms=1)
    await sessions.open(Session(sid="1", tenant="shop"), "secret")
    texts = [str(n) for n in range(10)]
    for text in texts:
        await sessions.accept(say("1", text))
    assert len(await queue.take(block_ms=0)) == 1
    mortal_redis.kill()
    mortal_redis.start()
    await asyncio.sleep(0.01)  # the event loop was blocked meanwhile, and has yet to see that the socket closed
    answered = []
    while jobs := [*await queue.reclaim(), *await queue.take(block_ms=0)]:
        for job in jobs:
            assert await queue.finish(job, answer)
            answered.append(job.text)
    assert answered == texts
