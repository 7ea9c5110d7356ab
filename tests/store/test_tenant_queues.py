"""Each tenant waits in a queue of its own: a noisy one fills no other's, and its count is exact whoever is killed."""

import asyncio
import time
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from qa_service.domain.answer import Answer
from qa_service.domain.errors import Overloaded
from qa_service.domain.saying import Inquiry, Saying
from qa_service.domain.session import Session
from qa_service.domain.snowflake import Snowflake
from qa_service.store.inquiries import RedisInquiries
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.records import encode_job
from qa_service.store.sessions import RedisSessions
from store.conftest import Connect, MortalRedis

Say = Callable[..., Saying]
CAP = 3
SHOP = Keys(tenant="shop")
BANK = SHOP.of("bank")


def inquiry(job_id: str) -> Inquiry:
    return Inquiry(job_id=job_id, text="t", locale="", request_id="r", expires_at_ms=int(time.time() * 1000) + 60_000)


async def fill(client: Redis, keys: Keys, ids: Snowflake, say: Say, tries: int) -> int:
    """Ask in so many new sessions; how many questions were let in."""
    sessions = RedisSessions(client, keys, queue_cap=CAP)

    async def ask() -> bool:
        sid = ids.next_id()
        await sessions.open(Session(sid=sid, tenant=keys.tenant), "secret")
        try:
            await sessions.accept(say(sid))
        except Overloaded:
            return False
        return True

    return sum(await asyncio.gather(*(ask() for _ in range(tries))))


async def test_a_tenant_that_fills_its_queue_takes_no_room_from_another(
    client: Redis, ids: Snowflake, say: Say
) -> None:
    assert await fill(client, SHOP, ids, say, 20) == CAP
    assert await fill(client, BANK, ids, say, 20) == CAP
    with pytest.raises(Overloaded, match="the queue is full"):
        await RedisInquiries(client, BANK, queue_cap=CAP).submit(inquiry("1"))
    await RedisInquiries(client, BANK.of("third"), queue_cap=CAP).submit(inquiry("1"))


async def test_room_comes_back_with_each_answer_and_only_then(
    client: Redis, ids: Snowflake, say: Say, answer: Answer
) -> None:
    queue = JobQueue(client, SHOP, consumer="w", tenants=("shop", "bank"))
    assert await fill(client, SHOP, ids, say, 9) == CAP
    jobs = await queue.take(block_ms=0)
    assert await fill(client, SHOP, ids, say, 9) == 0  # taken is not answered
    await queue.finish(jobs[0], answer)
    await queue.finish(jobs[0], answer)
    assert await fill(client, SHOP, ids, say, 9) == 1


async def test_what_waits_is_counted_right_after_redis_was_killed(
    mortal_redis: MortalRedis, connect: Connect, ids: Snowflake, say: Say
) -> None:
    client = connect(mortal_redis.url)
    assert await fill(client, SHOP, ids, say, 2) == 2
    await JobQueue(client, SHOP, consumer="dead").take(block_ms=0)
    await asyncio.sleep(1.1)  # the append-only file is written every second
    mortal_redis.kill()
    mortal_redis.start()
    client = connect(mortal_redis.url)
    assert await fill(client, SHOP, ids, say, 9) == CAP - 2


async def test_every_queue_gives_its_share_of_a_batch(client: Redis) -> None:
    for tenant, number in (("shop", 60), ("bank", 2)):
        inquiries = RedisInquiries(client, SHOP.of(tenant))
        for n in range(number):
            await inquiries.submit(inquiry(f"{tenant}-{n}"))
    queue = JobQueue(client, SHOP, consumer="w", tenants=("shop", "bank", "third"))
    taken = [job.tenant for job in await queue.take(30, block_ms=0)]
    assert (taken.count("shop"), taken.count("bank")) == (16, 2)


async def test_a_worker_leaves_the_questions_of_tenants_that_it_does_not_name(client: Redis) -> None:
    for tenant in ("shop", "bank"):
        await RedisInquiries(client, SHOP.of(tenant)).submit(inquiry("1"))
    queue = JobQueue(client, SHOP, consumer="w", tenants=("shop", "bank"), claim_idle_ms=1)
    (first,) = await queue.take(block_ms=0, tenants=("bank",))
    assert first.tenant == "bank"
    await asyncio.sleep(0.01)
    assert await queue.reclaim(tenants=("shop",)) == []
    (again,) = await queue.reclaim(tenants=("bank",))
    assert again.deliveries == 2
    assert [job.tenant for job in await queue.take(block_ms=0)] == ["shop"]


async def test_a_job_in_another_tenants_queue_is_never_answered(client: Redis, ids: Snowflake, say: Say) -> None:
    await fill(client, BANK, ids, say, 1)
    [job] = await JobQueue(client, BANK, consumer="w").take(block_ms=0)
    await client.xadd(SHOP.queue(0), {"job": encode_job(job)})
    queue = JobQueue(client, SHOP, consumer="w")
    assert await queue.take(block_ms=0) == []
    assert [letter.reason for letter in await queue.dead_letters()] == ["unreadable"]


async def test_jobs_of_two_tenants_are_renewed_and_finished_each_in_its_queue(client: Redis, answer: Answer) -> None:
    for tenant in ("shop", "bank"):
        await RedisInquiries(client, SHOP.of(tenant)).submit(inquiry("1"))
    queue = JobQueue(client, SHOP, consumer="w", tenants=("shop", "bank"))
    jobs = await queue.take(block_ms=0)
    assert await queue.renew(jobs) == jobs
    assert await queue.finish_many([(jobs[0], answer)]) == [True]
    replies = [await RedisInquiries(client, SHOP.of(job.tenant)).reply("1") for job in jobs]
    assert replies == [answer, None]
    assert await queue.backlog() == 1
