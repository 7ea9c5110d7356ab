"""The conversation's store: one log a session, idempotent acceptance, one turn at a time, tokens for one session."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from qa_service.conversation.ports import Sessions
from qa_service.domain.answer import Answer, Choice, ServedBy
from qa_service.domain.errors import Conflict, InvalidInput, NotFound, Overloaded, QaError
from qa_service.domain.question import Turn
from qa_service.domain.saying import Acceptance, Accepted, Saying
from qa_service.domain.session import Message, MessageState, Owner, Role, Session
from qa_service.domain.snowflake import Snowflake
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.sessions import LOG_CAP, WAITING_CAP, RedisSessions

Say = Callable[..., Saying]


async def cached_answer(client: Redis, keys: Keys, sid: str, question: str, answer: Answer) -> str:
    """Put an answer into the cache of a session's partition; gives the name by which a question asks for it."""
    name = keys.faq_name("zh-CN", "v1", "extract", question)
    await RedisAnswerCache(client, keys).put(keys.faq(keys.partition(sid), name), question, answer)
    return name


async def answer_all(queue: JobQueue, answer: Answer) -> list[str]:
    """Work until the queue is empty; the questions in the order in which they were answered."""
    done: list[str] = []
    while jobs := await queue.take(block_ms=0):
        for job in jobs:
            assert await queue.finish(job, replace(answer, text=f"re: {job.text}"))
            done.append(job.text)
    return done


def test_redis_sessions_are_the_sessions_that_a_conversation_asks_for(sessions: RedisSessions) -> None:
    port: Sessions = sessions
    assert port is sessions


async def test_a_session_reads_back_as_it_was_opened_with_one_event(sessions: RedisSessions) -> None:
    session = Session(sid="1", tenant="shop", device_id="手机", uid="", locale="en", created_at_ms=5)
    assert await sessions.open(session, "secret")
    assert await sessions.read("1", "secret") == replace(session, last_message_id=1)


async def test_a_sid_that_is_taken_is_not_opened_again(sessions: RedisSessions, sid: str) -> None:
    assert not await sessions.open(Session(sid=sid, tenant="shop", device_id="thief"), "other")
    assert (await sessions.read(sid, "secret")).device_id == "d1"


async def test_a_wrong_token_looks_like_an_unknown_session_on_every_call(
    sessions: RedisSessions, sid: str, say: Say
) -> None:
    mid = (await sessions.accept(say(sid, idempotency_key="k", body_digest="d"))).question.id

    async def refusals(sid: str, token: str) -> list[tuple[type[QaError], str, str]]:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: sessions.read(sid, token),
            lambda: sessions.bind(sid, token, uid="u", new_token="n"),
            lambda: sessions.accept(say(sid, proof=token)),
            lambda: sessions.accept(say(sid, proof=token, idempotency_key="k", body_digest="d")),
            lambda: sessions.accept(say(sid, proof=token, idempotency_key="k", body_digest="other")),
            lambda: sessions.message(sid, token, mid),
            lambda: sessions.message(sid, token, "404"),
            *(lambda cursor=cursor: sessions.read_after(sid, token, cursor, 10) for cursor in (-1, 0, 99)),
        ]
        refused = []
        for call in calls:
            with pytest.raises(QaError) as caught:
                await call()
            refused.append((type(caught.value), caught.value.code, caught.value.detail))
        return refused

    wrong = await refusals(sid, "wrong")
    assert wrong == await refusals("99", "secret") == await refusals("会话", "secret")
    assert set(wrong) == {(NotFound, "session-not-found", "no such session")}


async def test_a_session_of_one_tenant_is_unknown_to_another(client: Redis, keys: Keys, sid: str) -> None:
    with pytest.raises(NotFound):
        await RedisSessions(client, keys.of("bank")).read(sid, "secret")


async def test_a_token_is_never_stored_as_it_is(client: Redis, keys: Keys, sid: str) -> None:
    assert b"secret" not in (await client.hgetall(keys.session(sid))).values()


async def test_a_question_is_logged_and_waits_for_its_answer(sessions: RedisSessions, sid: str, say: Say) -> None:
    saying = say(sid, '退"货"\n吗\\ 😀')
    accepted = await sessions.accept(saying)
    assert accepted.acceptance is Acceptance.QUEUED
    question, reply = accepted.question, accepted.reply
    assert (question.role, question.state, question.text, question.seq) == (Role.USER, "completed", saying.text, 2)
    assert (reply.role, reply.state, reply.seq, reply.in_reply_to) == (Role.BOT, "pending", 2, question.id)
    assert await sessions.message(sid, "secret", question.id) == question
    assert await sessions.message(sid, "secret", reply.id) == reply
    assert (await sessions.read_after(sid, "secret", 0, 10)).messages == (question,)


async def test_the_same_key_fifty_times_at_once_is_one_question(
    sessions: RedisSessions, queue: JobQueue, sid: str, say: Say
) -> None:
    same = [say(sid, idempotency_key="k 1", body_digest="d") for _ in range(50)]
    taken = await asyncio.gather(*(sessions.accept(saying) for saying in same))
    assert sorted(one.acceptance for one in taken) == ["queued"] + 49 * ["replayed"]
    assert len({(one.question, one.reply) for one in taken}) == 1
    assert await queue.backlog() == 1
    assert len(await queue.take(block_ms=0)) == 1


async def test_the_same_key_with_another_body_is_a_conflict_that_changes_nothing(
    sessions: RedisSessions, queue: JobQueue, sid: str, say: Say
) -> None:
    await sessions.accept(say(sid, idempotency_key="k", body_digest="one"))
    with pytest.raises(Conflict) as caught:
        await sessions.accept(say(sid, idempotency_key="k", body_digest="two"))
    assert caught.value.code == "idempotency-key-reused"
    assert (await sessions.read(sid, "secret")).last_message_id == 2
    assert await queue.backlog() == 1


async def test_a_replay_shows_the_message_as_it_stands_by_then(
    sessions: RedisSessions, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    await sessions.accept(say(sid, idempotency_key="k", body_digest="d"))
    await answer_all(queue, answer)
    replayed = await sessions.accept(say(sid, idempotency_key="k", body_digest="d"))
    assert (replayed.acceptance, replayed.reply.state) == (Acceptance.REPLAYED, MessageState.COMPLETED)
    assert replayed.reply.answer == replace(answer, text="re: 怎么退货")


async def test_a_key_of_one_session_means_nothing_in_another(
    sessions: RedisSessions, sid: str, say: Say, ids: Snowflake
) -> None:
    other = ids.next_id()
    await sessions.open(Session(sid=other, tenant="shop"), "secret")
    first = await sessions.accept(say(sid, idempotency_key="k", body_digest="d"))
    second = await sessions.accept(say(other, idempotency_key="k", body_digest="d"))
    assert second.acceptance is Acceptance.QUEUED
    assert first.reply.id != second.reply.id


async def test_twenty_questions_said_at_once_are_answered_one_at_a_time_in_order(
    sessions: RedisSessions, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    taken = await asyncio.gather(*(sessions.accept(say(sid, f"question {n}")) for n in range(20)))
    said = [one.question.text for one in sorted(taken, key=lambda one: one.question.seq)]
    assert await queue.backlog() == 1
    assert await answer_all(queue, answer) == said
    page = await sessions.read_after(sid, "secret", 0, 100)
    assert [message.seq for message in page.messages] == list(range(2, 42))
    asked = {message.id: message.text for message in page.messages[:20]}
    assert [f"re: {asked[reply.in_reply_to or '']}" for reply in page.messages[20:]] == [
        reply.text for reply in page.messages[20:]
    ]


async def test_a_full_queue_refuses_and_leaves_no_trace(client: Redis, keys: Keys, sid: str, say: Say) -> None:
    sessions = RedisSessions(client, keys, queue_cap=1)
    await sessions.accept(say(sid))
    refused = say(sid, idempotency_key="k", body_digest="d")
    with pytest.raises(Overloaded) as caught:
        await sessions.accept(refused)
    assert caught.value.code == "queue-full"
    with pytest.raises(NotFound, match="message of this id"):
        await sessions.message(sid, "secret", refused.message_id)
    assert (await RedisSessions(client, keys).accept(refused)).acceptance is Acceptance.QUEUED


async def test_a_session_may_have_so_many_questions_waiting_and_no_more(
    sessions: RedisSessions, sid: str, say: Say
) -> None:
    for _ in range(1 + WAITING_CAP):
        await sessions.accept(say(sid))
    with pytest.raises(Overloaded) as caught:
        await sessions.accept(say(sid))
    assert caught.value.code == "too-many-pending"


async def test_a_cached_answer_is_given_at_once_byte_for_byte_and_without_the_queue(
    sessions: RedisSessions, queue: JobQueue, client: Redis, keys: Keys, sid: str, say: Say, answer: Answer
) -> None:
    name = await cached_answer(client, keys, sid, "怎么退货", answer)
    accepted = await sessions.accept(say(sid, cache_key=name))
    assert accepted.acceptance is Acceptance.CACHED
    assert accepted.reply.answer == replace(answer, served_by=ServedBy.CACHE, elapsed_ms=0.0, timings_ms={})
    assert (accepted.question.seq, accepted.reply.seq) == (2, 3)
    assert await queue.backlog() == 0
    page = await sessions.read_after(sid, "secret", 0, 10)
    assert page.messages == (accepted.question, accepted.reply)


async def test_a_cached_answer_costs_exactly_one_round_trip(
    sessions: RedisSessions, client: Redis, keys: Keys, sid: str, say: Say, answer: Answer
) -> None:
    name = await cached_answer(client, keys, sid, "怎么退货", answer)
    await sessions.accept(say(sid, cache_key=name))  # the script is known from here on
    async with client.monitor() as monitor:
        await sessions.accept(say(sid, cache_key=name))
        await client.echo("done")
        seen = []
        while not (command := await monitor.next_command())["command"].startswith("ECHO"):
            seen.append(command)
    assert [command["command"][:7] for command in seen if command["client_type"] != "lua"] == ["EVALSHA"]


async def test_another_question_under_the_same_cache_key_is_not_served(
    sessions: RedisSessions, client: Redis, keys: Keys, sid: str, say: Say, answer: Answer
) -> None:
    name = await cached_answer(client, keys, sid, "怎么退货", answer)
    for collision in ("怎么退", "怎么退货吗", ""):
        accepted = await sessions.accept(say(sid, normalised=collision, cache_key=name))
        assert accepted.acceptance is Acceptance.QUEUED


async def test_nothing_is_served_from_the_cache_while_a_turn_runs_or_a_human_owns_the_session(
    sessions: RedisSessions, queue: JobQueue, client: Redis, keys: Keys, sid: str, say: Say, answer: Answer
) -> None:
    name = await cached_answer(client, keys, sid, "怎么退货", answer)
    await sessions.accept(say(sid, "我要改地址"))
    assert (await sessions.accept(say(sid, cache_key=name))).acceptance is Acceptance.QUEUED
    await answer_all(queue, answer)
    assert (await sessions.accept(say(sid, cache_key=name))).acceptance is Acceptance.CACHED
    await client.hset(keys.session(sid), "owner", Owner.HUMAN.value)
    assert (await sessions.accept(say(sid, cache_key=name))).acceptance is Acceptance.QUEUED


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_of_any_size_give_every_message_once_in_order(
    sessions: RedisSessions, queue: JobQueue, sid: str, say: Say, answer: Answer, limit: int
) -> None:
    for n in range(6):
        await sessions.accept(say(sid, f"question {n}"))
        if n == 2:
            await sessions.bind(sid, "secret", uid="u", new_token="secret")
        if n % 2:
            await answer_all(queue, answer)
    whole = (await sessions.read_after(sid, "secret", 0, 500)).messages
    read: list[Message] = []
    cursor, has_more = 0, True
    while has_more:
        page = await sessions.read_after(sid, "secret", cursor, limit)
        assert len(page.messages) <= limit
        read += page.messages
        cursor, has_more = page.last_message_id, page.has_more
    assert tuple(read) == whole
    assert len(whole) == 12
    assert cursor == (await sessions.read(sid, "secret")).last_message_id


async def test_a_reply_that_is_finished_after_the_cursor_appears_after_it(
    sessions: RedisSessions, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    accepted = await sessions.accept(say(sid))
    first = await sessions.read_after(sid, "secret", 0, 10)
    assert [message.id for message in first.messages] == [accepted.question.id]
    nothing = await sessions.read_after(sid, "secret", first.last_message_id, 10)
    assert (nothing.messages, nothing.last_message_id, nothing.has_more) == ((), first.last_message_id, False)
    await answer_all(queue, answer)
    second = await sessions.read_after(sid, "secret", first.last_message_id, 10)
    assert [message.id for message in second.messages] == [accepted.reply.id]


@pytest.mark.parametrize("cursor", [-1, 2, 10**30])
async def test_a_cursor_outside_the_log_is_invalid(sessions: RedisSessions, sid: str, cursor: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        await sessions.read_after(sid, "secret", cursor, 10)
    assert caught.value.code == "cursor-invalid"


async def test_a_long_log_drops_its_oldest_events_with_their_messages_and_says_so(
    sessions: RedisSessions, client: Redis, keys: Keys, sid: str, say: Say, answer: Answer
) -> None:
    name = await cached_answer(client, keys, sid, "怎么退货", answer)
    first = await sessions.accept(say(sid, cache_key=name, idempotency_key="k", body_digest="d"))
    for _ in range(LOG_CAP // 2 + 1):
        await sessions.accept(say(sid, cache_key=name))
    assert await client.xlen(keys.log(sid)) == LOG_CAP
    assert await client.hlen(keys.messages(sid)) == LOG_CAP
    with pytest.raises(Conflict) as caught:
        await sessions.read_after(sid, "secret", 0, 10)
    assert caught.value.code == "cursor-expired"
    with pytest.raises(NotFound):
        await sessions.message(sid, "secret", first.reply.id)
    oldest = (await sessions.read(sid, "secret")).last_message_id - LOG_CAP
    with pytest.raises(Conflict):
        await sessions.read_after(sid, "secret", oldest - 1, 10)
    page = await sessions.read_after(sid, "secret", oldest, 10)
    assert [message.seq for message in page.messages] == list(range(oldest + 1, oldest + 11))


async def test_a_pending_message_is_never_dropped_from_a_long_log(
    sessions: RedisSessions, queue: JobQueue, client: Redis, keys: Keys, sid: str, say: Say, answer: Answer
) -> None:
    pending = await sessions.accept(say(sid))
    held = await queue.take(block_ms=0)
    await client.hdel(keys.session(sid), "running")  # as if it were free for cached answers
    name = await cached_answer(client, keys, sid, "怎么退货", answer)
    for _ in range(LOG_CAP // 2 + 1):
        await sessions.accept(say(sid, cache_key=name))
    assert await sessions.message(sid, "secret", pending.reply.id) == pending.reply
    assert await queue.finish(held[0], answer)
    await sessions.accept(say(sid, cache_key=name))
    assert await client.xlen(keys.log(sid)) == LOG_CAP


async def test_binding_keeps_the_history_and_voids_the_old_token(sessions: RedisSessions, sid: str, say: Say) -> None:
    await sessions.accept(say(sid))
    bound = await sessions.bind(sid, "secret", uid="u1", new_token="mine")
    assert (bound.uid, bound.last_message_id) == ("u1", 3)
    assert await sessions.read(sid, "mine") == bound
    assert len((await sessions.read_after(sid, "mine", 0, 10)).messages) == 1
    with pytest.raises(NotFound):
        await sessions.read(sid, "secret")


async def test_the_same_uid_may_be_bound_again_and_another_may_not(sessions: RedisSessions, sid: str) -> None:
    await sessions.bind(sid, "secret", uid="u1", new_token="t1")
    again = await sessions.bind(sid, "t1", uid="u1", new_token="t2")
    assert again.last_message_id == 2
    with pytest.raises(Conflict) as caught:
        await sessions.bind(sid, "t2", uid="u2", new_token="t3")
    assert caught.value.code == "uid-conflict"
    assert (await sessions.read(sid, "t2")).uid == "u1"


async def test_every_touch_slides_all_keys_of_a_session_together_and_the_queue_never_expires(
    sessions: RedisSessions, client: Redis, keys: Keys, sid: str, say: Say
) -> None:
    await sessions.accept(say(sid))
    mid = (await sessions.accept(say(sid))).question.id
    own = [keys.session(sid), keys.messages(sid), keys.log(sid), keys.turns(sid)]
    touches: list[Callable[[], Awaitable[object]]] = [
        lambda: sessions.read(sid, "secret"),
        lambda: sessions.message(sid, "secret", mid),
        lambda: sessions.read_after(sid, "secret", 0, 1),
        lambda: sessions.accept(say(sid)),
        lambda: sessions.bind(sid, "secret", uid="u", new_token="secret"),
    ]
    for touch in touches:
        for key in own:
            await client.expire(key, 100)
        await touch()
        assert [await client.ttl(key) for key in own] == 4 * [24 * 3600]
    assert await client.ttl(keys.queue(keys.partition(sid))) == -1


async def test_no_key_of_a_session_expires_before_its_hash_does(
    sessions: RedisSessions, client: Redis, keys: Keys, sid: str, say: Say
) -> None:
    await client.expire(keys.session(sid), 24 * 3600 - 30)  # slid half a minute ago: not again yet
    await sessions.accept(say(sid))
    await sessions.accept(say(sid))
    others = [await client.ttl(key) for key in (keys.messages(sid), keys.log(sid), keys.turns(sid))]
    assert min(others) >= await client.ttl(keys.session(sid)) == 24 * 3600 - 30


async def test_an_idempotency_key_cannot_be_read_as_a_message(sessions: RedisSessions, sid: str, say: Say) -> None:
    await sessions.accept(say(sid, idempotency_key="7", body_digest="d"))
    for name in ("key:7", "", "消息", "1 2"):
        with pytest.raises(NotFound) as caught:
            await sessions.message(sid, "secret", name)
        assert caught.value.code == "message-not-found"


async def test_history_gives_the_last_completed_turns_before_a_question(
    sessions: RedisSessions, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    for n in range(4):
        await sessions.accept(say(sid, f"question {n}"))
        if n == 2:
            await queue.fail((await queue.take(block_ms=0))[0], "sorry")
        else:
            await answer_all(queue, replace(answer, choices=(Choice(entry_id="e", question="换货?"),)))
    asked: Accepted = await sessions.accept(say(sid, "那多久到账"))
    await sessions.accept(say(sid, "waits behind it"))
    turns = await sessions.history(sid, asked.question.id, turns=2)
    assert turns == tuple(
        Turn(question=f"question {n}", answer=f"re: question {n}", entry_id="faq-1", topic="退货", choices=("换货?",))
        for n in (1, 3)
    )
    assert await sessions.history("404", "1") == ()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=4))
async def test_any_text_comes_back_as_it_was_said(
    sessions: RedisSessions, say: Say, ids: Snowflake, texts: list[str]
) -> None:
    sid = ids.next_id()
    await sessions.open(Session(sid=sid, tenant="shop"), "secret")
    for text in texts:
        await sessions.accept(say(sid, text, idempotency_key=text, body_digest=text))
    said = (await sessions.read_after(sid, "secret", 0, 50)).messages
    expected: list[str] = []
    for text in texts:
        if text not in expected or not text:  # an empty key is none
            expected.append(text)
    assert [message.text for message in said] == expected
