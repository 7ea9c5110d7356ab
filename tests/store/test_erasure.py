"""What is kept of a session and of a user: found however they were opened, and gone when it is erased."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from qa_service.conversation.ports import Records
from qa_service.domain.answer import Answer
from qa_service.domain.errors import NotFound
from qa_service.domain.saying import Saying
from qa_service.domain.session import MessageState, Proof, Session, TrustedClient, VouchedUser
from qa_service.domain.snowflake import Snowflake
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.erasure import RedisErasure
from qa_service.store.hot_questions import hottest
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.sessions import RedisSessions

Say = Callable[..., Saying]
UID = "用户 13812345678"


@pytest.fixture
def erasure(client: Redis, keys: Keys) -> RedisErasure:
    return RedisErasure(client, keys)


async def open_for(sessions: RedisSessions, sid: str, uid: str = UID) -> str:
    assert await sessions.open(Session(sid=sid, tenant="shop", uid=uid), "secret")
    return sid


async def everything(client: Redis) -> str:
    """All keys with all values, as one text."""
    told = []
    async for key in client.scan_iter(count=1000):
        match await client.type(key):
            case b"hash":
                value: object = await client.hgetall(key)
            case b"stream":
                value = await client.xrange(key)
            case b"zset":
                value = await client.zrange(key, 0, -1)
            case b"list":
                value = await client.lrange(key, 0, -1)
            case _:
                value = await client.get(key)
        told.append(_readable(key) + _readable(value))
    return "\n".join(told)


def _readable(value: object) -> str:
    match value:
        case bytes():
            return value.decode(errors="replace")
        case dict():
            return " ".join(map(_readable, [*value, *value.values()]))
        case list() | tuple():
            return " ".join(map(_readable, value))
        case _:
            return str(value)


def test_redis_erasure_is_the_records_that_an_erasure_asks_for(erasure: RedisErasure) -> None:
    port: Records = erasure
    assert port is erasure


async def test_a_users_sessions_are_found_whether_opened_for_the_uid_or_bound_to_it(
    sessions: RedisSessions, erasure: RedisErasure, ids: Snowflake, sid: str
) -> None:
    opened = [await open_for(sessions, ids.next_id()) for _ in range(8)]
    await open_for(sessions, ids.next_id(), "another")
    assert set(await erasure.sids_of(UID)) == set(opened)
    for _ in range(2):
        await sessions.bind(sid, "secret", uid=UID, new_token="secret")
    assert await erasure.sids_of(UID) == (sid, *opened)
    assert await erasure.sids_of("nobody") == ()


async def test_no_name_of_a_key_tells_a_uid(client: Redis, sessions: RedisSessions) -> None:
    await open_for(sessions, "1")
    assert not [key for key in await client.keys() if b"13812345678" in key]


async def test_the_list_of_a_users_sessions_outlives_each_of_them(
    client: Redis, keys: Keys, sid: str, say: Say
) -> None:
    brief = RedisSessions(client, keys, ttl_s=1440)
    await brief.bind(sid, "secret", uid=UID, new_token="secret")
    session, listed = keys.session(sid), keys.user(keys.partition(sid), UID)

    async def slid(call: Callable[[], Awaitable[object]]) -> None:
        for key in (session, listed):
            await client.expire(key, 100)
        await call()
        assert 1430 < await client.ttl(session) <= await client.ttl(listed)

    await slid(lambda: brief.read(sid, "secret"))
    await slid(lambda: brief.accept(say(sid)))
    await slid(lambda: brief.read_after(sid, "secret", 0, 10))
    with pytest.raises(NotFound):
        await slid(lambda: brief.message(sid, "secret", "1"))
    assert 1430 < await client.ttl(session) <= await client.ttl(listed)


async def test_expired_sessions_leave_the_list_a_few_at_a_time(
    client: Redis, keys: Keys, sessions: RedisSessions, erasure: RedisErasure, ids: Snowflake
) -> None:
    gone = [await open_for(sessions, ids.next_id()) for _ in range(20)]
    kept = [await open_for(sessions, ids.next_id()) for _ in range(6)]
    await client.delete(*(keys.session(sid) for sid in gone))
    newer = [await open_for(sessions, ids.next_id()) for _ in range(40)]
    assert set(await erasure.sids_of(UID)) == {*kept, *newer}


@pytest.mark.parametrize("proof", ["wrong", VouchedUser(uid="u2"), "uid:u1", ""])
async def test_a_session_is_neither_erased_nor_shown_to_who_may_not_enter_it(
    sessions: RedisSessions, erasure: RedisErasure, proof: Proof
) -> None:
    await open_for(sessions, "77", "u1")
    for call in (erasure.erase, erasure.export):
        with pytest.raises(NotFound) as caught:
            await call("77", proof)
        assert caught.value.code == "session-not-found"
    assert (await sessions.read("77", "secret")).uid == "u1"


async def test_an_unknown_session_looks_the_same_and_leaves_the_list(
    client: Redis, keys: Keys, sessions: RedisSessions, erasure: RedisErasure
) -> None:
    await open_for(sessions, "77", "u1")
    await client.delete(keys.session("77"))
    with pytest.raises(NotFound):
        await erasure.erase("77", VouchedUser(uid="u1"))
    assert await erasure.sids_of("u1") == ()
    for proof in ("secret", TrustedClient()):
        with pytest.raises(NotFound):
            await erasure.erase("no such, 退", proof)


@pytest.mark.parametrize("taken", [0, 1], ids=["queued", "in a worker's hand"])
async def test_nothing_is_left_of_an_erased_session_whatever_its_questions_were_doing(
    client: Redis, sessions: RedisSessions, queue: JobQueue, keys: Keys, say: Say, answer: Answer, taken: int
) -> None:
    erasure, sid = RedisErasure(client, keys), await open_for(sessions, "250000000000000001")
    cache = RedisAnswerCache(client, keys)
    name = keys.faq_name("zh-CN", "v1", "extract", "第一问")
    await sessions.accept(say(sid, "第一问", cache_key=name))
    (first,) = await queue.take(block_ms=0)
    await cache.put(first.cache_key, "第一问", answer)
    assert await queue.finish(first, answer)
    for text in ("第二问", "第三问"):
        await sessions.accept(say(sid, text, idempotency_key=text, body_digest="d", cache_key=name + "2"))
    held = await queue.take(block_ms=0) if taken else []
    before = await everything(client)
    assert all(word in before for word in (sid, UID, "第一问", "第二问", "第三问"))

    asked = await erasure.erase(sid, "secret")
    assert [one.normalised for one in asked] == ["第一问", "第二问", "第三问"]
    await erasure.forget(asked)
    for job in held:  # the worker goes on: it caches, and brings an answer that nobody waits for
        await cache.put(job.cache_key, job.normalised, answer)
        assert await queue.finish_many([(job, answer)]) == [False]
    assert await queue.take(block_ms=0) == []
    after = await everything(client)
    assert not [word for word in (sid, UID, "第一问", "第二问", "第三问") if word in after]
    assert await queue.backlog() == 0


async def test_cached_answers_are_forgotten_in_every_partition_with_how_often_they_were_asked(
    client: Redis, keys: Keys, erasure: RedisErasure, sessions: RedisSessions, sid: str, say: Say, answer: Answer
) -> None:
    cache = RedisAnswerCache(client, keys)
    name, other = (keys.faq_name("zh-CN", "v1", "extract", text) for text in ("怎么退货", "怎么换货"))
    for key in (*keys.faq_everywhere(name), keys.faq(0, other)):
        await cache.put(key, "怎么退货" if name in key else "怎么换货", answer)
    await sessions.accept(say(sid, "怎么退货", cache_key=name))
    await erasure.forget(await erasure.erase(sid, "secret"))
    assert await cache.get_many([(key, "怎么退货") for key in keys.faq_everywhere(name)]) == [None, None]
    assert [one.normalised for one in await hottest(client, keys, 9)] == ["怎么换货"]


async def test_a_question_that_is_given_up_while_its_session_is_erased_leaves_no_dead_letter(
    client: Redis, keys: Keys, sessions: RedisSessions, erasure: RedisErasure, sid: str, say: Say
) -> None:
    queue = JobQueue(client, keys, consumer="first", claim_idle_ms=1, max_deliveries=1)
    await sessions.accept(say(sid, "毒"))
    (job,) = await queue.take(block_ms=0)
    await erasure.erase(sid, "secret")
    await queue._give_up(replace(job, deliveries=2))
    assert await queue.dead_letters() == []
    assert "毒" not in await everything(client)


async def test_the_dead_letters_of_a_session_go_with_it_and_those_of_expired_ones_with_their_user(
    client: Redis, keys: Keys, sessions: RedisSessions, erasure: RedisErasure, ids: Snowflake, say: Say
) -> None:
    queue = JobQueue(client, keys, consumer="first", claim_idle_ms=1, max_deliveries=1)
    mine, expired, theirs = ids.next_id(), ids.next_id(), ids.next_id()
    for sid, uid in ((mine, UID), (expired, UID), (theirs, "another")):
        await open_for(sessions, sid, uid)
        await sessions.accept(say(sid, f"毒 of {sid}"))
    await queue.take(block_ms=0)
    await asyncio.sleep(0.01)
    assert await queue.reclaim() == []
    assert len(await queue.dead_letters()) == 3
    await erasure.erase(mine, "secret")
    assert {letter.job.sid for letter in await queue.dead_letters() if letter.job} == {expired, theirs}
    await client.delete(keys.session(expired), keys.messages(expired), keys.log(expired))
    await erasure.erase_letters(UID)
    assert [letter.job.sid for letter in await queue.dead_letters() if letter.job] == [theirs]


async def test_an_export_tells_a_session_and_all_its_messages_and_keeps_nothing_longer(
    client: Redis, keys: Keys, sessions: RedisSessions, erasure: RedisErasure, queue: JobQueue, say: Say, answer: Answer
) -> None:
    sid = await open_for(sessions, "1")
    await sessions.accept(say(sid, "第一问", idempotency_key="k", body_digest="d"))
    (job,) = await queue.take(block_ms=0)
    await queue.finish(job, answer)
    await sessions.accept(say(sid, "第二问"))
    await client.expire(keys.session(sid), 50)
    exported = await erasure.export(sid, VouchedUser(uid=UID))
    assert exported.session == await sessions.read(sid, "secret")
    assert [(one.text, one.state) for one in exported.messages] == [
        ("第一问", MessageState.COMPLETED),
        (answer.text, MessageState.COMPLETED),
        ("第二问", MessageState.COMPLETED),
        ("", MessageState.PENDING),
    ]
    await client.expire(keys.session(sid), 50)
    await erasure.export(sid, "secret")
    assert await client.ttl(keys.session(sid)) <= 50


async def test_a_sessions_end_wakes_who_waits_for_it(
    client: Redis, keys: Keys, sessions: RedisSessions, erasure: RedisErasure, sid: str
) -> None:
    async with client.pubsub() as heard:
        await heard.subscribe(keys.events(keys.partition(sid)))
        await erasure.erase(sid, "secret")
        async with asyncio.timeout(2):
            while (message := await heard.get_message(timeout=0.1)) is None or message["type"] != "message":
                pass
    assert message["data"].decode() == sid
