"""Redis in trouble: every call says so within a second or so, and none hangs, retries or hides it."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from qa_service.domain.answer import Answer
from qa_service.domain.errors import StoreUnavailable
from qa_service.domain.saying import Inquiry
from qa_service.domain.session import Session
from qa_service.store.active_index import RedisActiveIndex
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.connection import translated
from qa_service.store.hot_questions import hottest
from qa_service.store.index_roll import RedisIndexRoll
from qa_service.store.inquiries import RedisInquiries
from qa_service.store.jobs import Job, JobQueue
from qa_service.store.keys import Keys
from qa_service.store.sessions import RedisSessions
from qa_service.store.shadow_counts import ShadowCounts
from store.conftest import Connect, MortalRedis, Say

JOB = Job(
    kind="turn", tenant="shop", sid="1", reply_id="3", text="", normalised="", locale="", request_id="", entry_id="1-1"
)
INQUIRY = Inquiry(job_id="1", text="", locale="", request_id="", expires_at_ms=1)
Calls = dict[str, Callable[[], Awaitable[object]]]


def every_call(client: Redis, keys: Keys, say: Say, answer: Answer) -> Calls:
    sessions, queue = RedisSessions(client, keys), JobQueue(client, keys, consumer="w")
    inquiries, cache = RedisInquiries(client, keys), RedisAnswerCache(client, keys)
    index, roll = RedisActiveIndex(client, keys), RedisIndexRoll(client, keys, worker="w", generator="g")
    shadow = ShadowCounts(client, keys, "v2")
    key = keys.faq(0, keys.faq_name("zh-CN", answer.index_version, "g", "q"))
    return {
        "open": lambda: sessions.open(Session(sid="1", tenant="shop"), "secret"),
        "read": lambda: sessions.read("1", "secret"),
        "bind": lambda: sessions.bind("1", "secret", uid="u", new_token="n"),
        "accept": lambda: sessions.accept(say("1")),
        "message": lambda: sessions.message("1", "secret", "2"),
        "read_after": lambda: sessions.read_after("1", "secret", 0, 1),
        "history": lambda: sessions.history("1", "2"),
        "ensure_group": queue.ensure_group,
        "take": lambda: queue.take(block_ms=200),
        "reclaim": queue.reclaim,
        "renew": lambda: queue.renew([JOB]),
        "finish": lambda: queue.finish(JOB, answer),
        "finish_many": lambda: queue.finish_many([(JOB, answer)]),
        "fail": lambda: queue.fail(JOB, "sorry"),
        "backlog": queue.backlog,
        "dead_letters": queue.dead_letters,
        "submit": lambda: inquiries.submit(INQUIRY),
        "reply": lambda: inquiries.reply("1"),
        "cached": lambda: inquiries.cached("n", "q"),
        "get_many": lambda: cache.get_many([(key, "q")]),
        "put": lambda: cache.put(key, "q", answer),
        "purge": lambda: cache.purge("shop"),
        "explanation": lambda: inquiries.explanation("1"),
        "refresh": index.refresh,
        "beat": lambda: roll.beat(wanted="v1", ready="v1"),
        "leave": roll.leave,
        "hottest": lambda: hottest(client, keys, 200),
        "add": lambda: shadow.add(["answer>answer:same"]),
        "read shadow": shadow.read,
    }


async def outcomes(calls: Calls) -> tuple[set[str], float]:
    """The calls that did not raise StoreUnavailable, and how long the slowest took (seconds)."""
    slowest_s = 0.0

    async def is_refused(call: Callable[[], Awaitable[object]]) -> bool:
        nonlocal slowest_s
        began = time.monotonic()
        try:
            await call()
        except StoreUnavailable:
            slowest_s = max(slowest_s, time.monotonic() - began)
            return True
        return False

    refused = await asyncio.gather(*(is_refused(call) for call in calls.values()))
    return {name for name, is_one in zip(calls, refused, strict=True) if not is_one}, slowest_s


@pytest.mark.parametrize("address", ["unix", "tcp"])
async def test_with_no_redis_at_all_every_call_says_so_at_once(
    connect: Connect, keys: Keys, say: Say, answer: Answer, tmp_path: Path, free_port: int, address: str
) -> None:
    client = connect(f"unix://{tmp_path}/none.sock" if address == "unix" else f"redis://127.0.0.1:{free_port}/0")
    refused_not, slowest_s = await outcomes(every_call(client, keys, say, answer))
    assert refused_not == set()
    assert slowest_s < 1.5


@pytest.mark.parametrize("pooled", [0, 30], ids=["new connections", "connections in the pool"])
async def test_a_redis_that_hangs_fails_every_call_within_a_second_and_a_half(
    connect: Connect, mortal_redis: MortalRedis, keys: Keys, say: Say, answer: Answer, pooled: int
) -> None:
    client = connect(mortal_redis.url)
    await asyncio.gather(*(client.ping() for _ in range(pooled)))
    mortal_redis.send(signal.SIGSTOP)
    refused_not, slowest_s = await outcomes(every_call(client, keys, say, answer))
    mortal_redis.send(signal.SIGCONT)
    assert refused_not == set()
    assert slowest_s < 1.5


async def test_a_redis_that_hangs_fails_five_hundred_callers_of_a_small_pool_within_a_second_and_a_half(
    connect: Connect, mortal_redis: MortalRedis, keys: Keys
) -> None:
    client = connect(mortal_redis.url, max_connections=8)
    sessions = RedisSessions(client, keys)
    mortal_redis.send(signal.SIGSTOP)
    calls: Calls = {str(n): lambda: sessions.read("1", "secret") for n in range(500)}
    refused_not, slowest_s = await outcomes(calls)
    mortal_redis.send(signal.SIGCONT)
    assert refused_not == set()
    assert slowest_s < 1.5


async def test_five_hundred_callers_of_a_small_pool_are_all_served(
    connect: Connect, redis_url: str, keys: Keys
) -> None:
    client = connect(redis_url, max_connections=8)
    sessions = RedisSessions(client, keys)
    opened = await asyncio.gather(*(sessions.open(Session(sid=str(n), tenant="shop"), "t") for n in range(500)))
    assert all(opened)


async def test_after_a_restart_of_redis_the_first_call_works_again(
    connect: Connect, mortal_redis: MortalRedis, keys: Keys, say: Say
) -> None:
    client = connect(mortal_redis.url)
    sessions = RedisSessions(client, keys)
    await sessions.open(Session(sid="1", tenant="shop"), "secret")
    mortal_redis.kill()
    with pytest.raises(StoreUnavailable):
        await sessions.read("1", "secret")
    mortal_redis.start()
    assert (await sessions.accept(say("1"))).question.seq == 2


async def test_a_full_memory_refuses_a_question_whole_and_lets_the_finished_job_stay(
    client: Redis, sessions: RedisSessions, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    await sessions.accept(say(sid, "before"))
    (job,) = await queue.take(block_ms=0)
    await client.config_set("maxmemory", 1)
    for call in (lambda: sessions.accept(say(sid)), lambda: queue.finish(job, answer)):
        with pytest.raises(StoreUnavailable) as caught:
            await call()
        assert caught.value.retry_after_s == 5.0
    await client.config_set("maxmemory", 0)
    assert (await sessions.read(sid, "secret")).last_message_id == 2
    assert await queue.finish(job, answer)


async def test_a_replica_that_may_not_write_is_unavailable(
    connect: Connect, mortal_redis: MortalRedis, keys: Keys
) -> None:
    client = connect(mortal_redis.url)
    await client.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]  # redis-py has no types for it
    with pytest.raises(StoreUnavailable):
        await RedisSessions(client, keys).open(Session(sid="1", tenant="shop"), "secret")
    with pytest.raises(StoreUnavailable):
        await RedisIndexRoll(client, keys, worker="w", generator="g").beat(wanted="v1", ready="v1")


async def test_a_script_that_redis_forgot_is_sent_again(client: Redis, sessions: RedisSessions, sid: str) -> None:
    await client.script_flush()
    assert (await sessions.read(sid, "secret")).sid == sid


async def test_a_mistake_of_ours_is_not_taken_for_a_redis_that_is_away(client: Redis) -> None:
    await client.set("text", "x")
    with pytest.raises(ResponseError, match="WRONGTYPE"), translated():
        await client.llen("text")


async def test_a_call_that_is_cancelled_leaves_no_reply_for_the_next_one(client: Redis) -> None:
    for delay_s in (0.0, 0.0001, 0.001):
        late: asyncio.Future[object] = asyncio.ensure_future(client.blpop(["nothing"], timeout=1))
        await asyncio.sleep(delay_s)
        late.cancel()
        await asyncio.wait([late])
        assert await client.echo("mine") == b"mine"
