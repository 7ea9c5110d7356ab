"""The events of a session as its followers read them; cancelling, judging, tickets, and texts being written."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from qa_service.answering.ports import Pens
from qa_service.conversation.ports import Events, Follower
from qa_service.domain.answer import Answer, Decision
from qa_service.domain.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from qa_service.domain.event import Feedback, FeedbackValue, Handoff, Piece, Typed, TypingState, Whisper
from qa_service.domain.question import Question
from qa_service.domain.saying import Acceptance, Accepted, Saying
from qa_service.domain.session import EventType, Message, MessageState, Session
from qa_service.domain.snowflake import Snowflake, wall_clock_ms
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.bells import RedisBells
from qa_service.store.erasure import RedisErasure
from qa_service.store.events import RedisEvents
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.pens import RedisPen, RedisPens
from qa_service.store.sessions import LOG_CAP, RedisSessions

Say = Callable[..., Saying]


@pytest.fixture
def events(client: Redis, keys: Keys) -> RedisEvents:
    return RedisEvents(client, keys)


def pen_for(client: Redis, keys: Keys, sid: str, accepted: Accepted) -> RedisPen:
    return RedisPens(client, keys).pen(Question(text="怎么退货", sid=sid, reply_id=accepted.reply.id))


class Ear:
    """A follower that remembers what it was told."""

    def __init__(self) -> None:
        self.whispers: list[Whisper] = []
        self.rings = 0

    def ring(self) -> None:
        self.rings += 1

    def hear(self, whisper: Whisper) -> None:
        self.whispers.append(whisper)

    async def heard(self, number: int) -> list[Whisper]:
        async with asyncio.timeout(5):
            while len(self.whispers) < number:  # noqa: ASYNC110  # the port has no event to wait for
                await asyncio.sleep(0.005)
        return self.whispers


def test_the_store_gives_the_ports_that_conversation_and_answering_ask_for(
    events: RedisEvents, client: Redis, keys: Keys
) -> None:
    port: Events = events
    pens: Pens = RedisPens(client, keys)
    ear: Follower = Ear()
    assert None not in (port, pens, ear)


async def test_every_event_of_a_session_is_told_in_order_with_what_it_is_about(
    sessions: RedisSessions, events: RedisEvents, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    before_ms = wall_clock_ms()
    accepted = await sessions.accept(say(sid))
    waiting = await events.events_after(sid, "secret", 0, 100)
    assert waiting.running == accepted.reply.id
    (job,) = await queue.take(block_ms=0)
    assert await queue.finish(job, answer)
    await sessions.bind(sid, "secret", uid="u1", new_token="new")
    page = await events.events_after(sid, "new", 0, 100)
    assert [(event.seq, event.type) for event in page.events] == [
        (1, EventType.SESSION_CREATED),
        (2, EventType.MESSAGE_ACCEPTED),
        (3, EventType.MESSAGE_COMPLETED),
        (4, EventType.SESSION_BOUND),
    ]
    created, asked, answered, bound = page.events
    assert isinstance(created.about, Session)
    assert asked.about == replace(accepted.question, seq=2)
    assert asked.reply_id == accepted.reply.id
    assert isinstance(answered.about, Message)
    assert answered.about.answer == answer
    assert isinstance(bound.about, Session)
    assert bound.about.uid == "u1"
    assert all(before_ms - 5 <= event.created_at_ms <= wall_clock_ms() + 5 for event in page.events)
    assert (page.last_message_id, page.has_more, page.running, page.partial) == (4, False, "", None)


async def test_pages_of_any_size_together_hold_every_event_once(
    sessions: RedisSessions, events: RedisEvents, sid: str, say: Say
) -> None:
    for _ in range(7):
        await sessions.accept(say(sid))
    seqs, cursor, more = [], 0, True
    while more:
        page = await events.events_after(sid, "secret", cursor, 3)
        seqs += [event.seq for event in page.events]
        cursor, more = page.last_message_id, page.has_more
    assert seqs == list(range(1, 9))


async def test_a_cursor_from_the_future_and_one_older_than_the_log_are_refused(
    sessions: RedisSessions, events: RedisEvents, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    for cursor in (-1, 2):
        with pytest.raises(InvalidInput) as invalid:
            await events.events_after(sid, "secret", cursor, 9)
        assert invalid.value.code == "cursor-invalid"
    for _ in range(LOG_CAP // 2 + 2):
        await sessions.accept(say(sid))
        (job,) = await queue.take(block_ms=0)
        await queue.finish(job, answer)
    with pytest.raises(Conflict) as expired:
        await events.events_after(sid, "secret", 0, 9)
    assert expired.value.code == "cursor-expired"


async def test_nobody_reads_cancels_or_judges_in_another_ones_session(
    sessions: RedisSessions, events: RedisEvents, sid: str, say: Say
) -> None:
    accepted = await sessions.accept(say(sid))
    feedback = Feedback(message_id=accepted.reply.id, value=FeedbackValue.UP)
    for call in (
        lambda proof: events.events_after(sid, proof, 0, 9),
        lambda proof: events.cancel(sid, proof, accepted.reply.id),
        lambda proof: events.judge(sid, proof, feedback),
        lambda proof: events.ticket(sid, proof),
    ):
        with pytest.raises(NotFound) as caught:
            await call("wrong")
        assert caught.value.code == "session-not-found"
    assert (await sessions.message(sid, "secret", accepted.reply.id)).state is MessageState.PENDING


async def test_reading_events_keeps_the_session_alive(client: Redis, keys: Keys, sid: str) -> None:
    await client.expire(keys.session(sid), 100)
    await RedisEvents(client, keys).events_after(sid, "secret", 0, 9)
    assert await client.ttl(keys.session(sid)) > 80_000


async def test_a_cancelled_answer_keeps_what_was_written_and_the_next_turn_runs(
    client: Redis, sessions: RedisSessions, events: RedisEvents, queue: JobQueue, keys: Keys, sid: str, say: Say,
    answer: Answer,
) -> None:  # fmt: skip
    first, second = [await sessions.accept(say(sid, text)) for text in ("第一问", "第二问")]
    (job,) = await queue.take(block_ms=0)
    pen = pen_for(client, keys, sid, first)
    assert await pen.write("七天内“可以”\n")
    assert await pen.write("退货😀")
    cancelled = await events.cancel(sid, "secret", first.reply.id)
    assert (cancelled.state, cancelled.text) == (MessageState.CANCELLED, "七天内“可以”\n退货😀")
    assert not await pen.write("还有")  # the generator is told to stop
    (following,) = await queue.take(block_ms=0)
    assert following.reply_id == second.reply.id
    assert not await queue.finish(job, answer)  # the first worker comes late, and disturbs nobody
    assert (await events.events_after(sid, "secret", 0, 9)).running == second.reply.id
    assert await queue.finish(following, answer)
    page = await events.events_after(sid, "secret", 3, 9)
    assert [event.type for event in page.events] == [EventType.MESSAGE_CANCELLED, EventType.MESSAGE_COMPLETED]
    assert page.running == ""
    assert not await client.exists(keys.partial(sid))
    assert await events.cancel(sid, "secret", first.reply.id) == cancelled  # again: as it stands


async def test_a_turn_that_waits_is_cancelled_and_never_run(
    sessions: RedisSessions, events: RedisEvents, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    said = [await sessions.accept(say(sid, text)) for text in ("第一问", "第二问", "第三问")]
    cancelled = await events.cancel(sid, "secret", said[1].reply.id)
    assert (cancelled.state, cancelled.text) == (MessageState.CANCELLED, "")
    done = []
    while jobs := await queue.take(block_ms=0):
        assert await queue.finish(jobs[0], answer)
        done.append(jobs[0].text)
    assert done == ["第一问", "第三问"]


async def test_a_turn_that_no_worker_has_taken_is_never_run_once_it_is_cancelled(
    sessions: RedisSessions, events: RedisEvents, queue: JobQueue, sid: str, say: Say
) -> None:
    accepted = await sessions.accept(say(sid))
    await events.cancel(sid, "secret", accepted.reply.id)
    assert await queue.take(block_ms=0) == []
    assert await queue.backlog() == 0


async def test_cancelling_and_finishing_at_once_ends_a_message_once(
    sessions: RedisSessions, events: RedisEvents, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    ended = []
    for _ in range(50):
        accepted = await sessions.accept(say(sid))
        (job,) = await queue.take(block_ms=0)
        given, message = await asyncio.gather(
            queue.finish(job, answer), events.cancel(sid, "secret", accepted.reply.id)
        )
        assert (message.state is MessageState.CANCELLED) is not given
        ended.append(accepted.reply.id)
        assert await queue.backlog() == 0
    told: list[str] = []
    cursor = 0
    while (page := await events.events_after(sid, "secret", cursor, 100)).events:
        cursor = page.last_message_id
        told += [e.about.id for e in page.events if isinstance(e.about, Message) and e.about.in_reply_to]
    assert told == ended


async def test_what_is_no_pending_answer_is_given_as_it_stands(
    sessions: RedisSessions, events: RedisEvents, queue: JobQueue, sid: str, say: Say, answer: Answer
) -> None:
    accepted = await sessions.accept(say(sid))
    (job,) = await queue.take(block_ms=0)
    await queue.finish(job, answer)
    assert (await events.cancel(sid, "secret", accepted.reply.id)).answer == answer
    assert (await events.cancel(sid, "secret", accepted.question.id)).text == "怎么退货"
    for unknown in ("404", "key:k", "退"):
        with pytest.raises(NotFound) as caught:
            await events.cancel(sid, "secret", unknown)
        assert caught.value.code == "message-not-found"


async def test_feedback_is_kept_once_may_be_changed_and_is_shown_to_who_exports_the_session(
    client: Redis, keys: Keys, sessions: RedisSessions, events: RedisEvents, queue: JobQueue, sid: str, say: Say,
    answer: Answer,
) -> None:  # fmt: skip
    accepted = await sessions.accept(say(sid))
    up = Feedback(message_id=accepted.reply.id, value=FeedbackValue.UP, reason="讲得\n清楚")
    for mid, error in ((accepted.reply.id, Conflict), (accepted.question.id, Conflict), ("404", NotFound)):
        with pytest.raises(error):
            await events.judge(sid, "secret", replace(up, message_id=mid))
    (job,) = await queue.take(block_ms=0)
    await queue.finish(job, answer)
    down = replace(up, value=FeedbackValue.DOWN, reason="")
    assert [await events.judge(sid, "secret", said) for said in (up, up, down, down)] == [True, False, True, False]
    page = await events.events_after(sid, "secret", 3, 9)
    assert [(event.type, event.about) for event in page.events] == [
        (EventType.FEEDBACK_RECEIVED, up),
        (EventType.FEEDBACK_RECEIVED, down),
    ]
    exported = await RedisErasure(client, keys).export(sid, "secret")
    assert exported.feedback == (down,)
    assert len(exported.messages) == 2
    pulled = await sessions.read_after(sid, "secret", 0, 9)
    assert [message.id for message in pulled.messages] == [accepted.question.id, accepted.reply.id]
    assert pulled.last_message_id == 5


@pytest.mark.parametrize("served_by", ["worker", "cache"])
async def test_an_answer_that_hands_over_asks_for_a_person_in_the_log(
    client: Redis, keys: Keys, sessions: RedisSessions, events: RedisEvents, queue: JobQueue, sid: str, say: Say,
    served_by: str,
) -> None:  # fmt: skip
    handed = Answer(text='好的 "decision":"answer"', decision=Decision.HANDOFF)
    name = keys.faq_name("zh-CN", "v1", "extract", "转人工") if served_by == "cache" else ""
    if served_by == "cache":
        await RedisAnswerCache(client, keys).put(keys.faq(keys.partition(sid), name), "转人工", handed)
    accepted = await sessions.accept(say(sid, "转人工", cache_key=name))
    if served_by == "cache":
        assert accepted.acceptance is Acceptance.CACHED
        assert (accepted.question.seq, accepted.reply.seq) == (2, 3)
    else:
        (job,) = await queue.take(block_ms=0)
        await queue.finish(job, handed)
    page = await events.events_after(sid, "secret", 2, 9)
    assert [event.type for event in page.events] == [EventType.MESSAGE_COMPLETED, EventType.HANDOFF_REQUESTED]
    assert page.events[1].about == Handoff(message_id=accepted.reply.id, reason="customer-asked")
    assert (await sessions.message(sid, "secret", accepted.reply.id)).seq == 3


async def test_a_ticket_opens_its_session_once_as_its_owner_would(
    client: Redis, sessions: RedisSessions, events: RedisEvents, keys: Keys, ids: Snowflake, sid: str
) -> None:
    other = ids.next_id()
    await sessions.open(Session(sid=other, tenant="shop"), "secret")
    ticket, second = [await events.ticket(sid, "secret") for _ in range(2)]
    for wrong in (other, "404", "退"):
        with pytest.raises(Unauthenticated):
            await events.redeem(wrong, ticket)
    proof = await events.redeem(sid, ticket)
    assert (await events.events_after(sid, proof, 0, 9)).last_message_id == 1
    with pytest.raises(Unauthenticated):
        await events.redeem(sid, ticket)
    proof = await events.redeem(sid, second)
    await sessions.bind(sid, "secret", uid="u1", new_token="new")
    with pytest.raises(NotFound):  # what the ticket stood for is void
        await events.events_after(sid, proof, 0, 9)


async def test_a_session_keeps_its_newest_tickets_only(events: RedisEvents, sid: str) -> None:
    tickets = [await events.ticket(sid, "secret") for _ in range(17)]
    with pytest.raises(Unauthenticated):
        await events.redeem(sid, tickets[0])
    assert await events.redeem(sid, tickets[1])


async def test_who_follows_hears_a_text_as_it_is_written_and_finds_all_of_it_in_the_page(
    client: Redis, keys: Keys, sessions: RedisSessions, events: RedisEvents, sid: str, say: Say
) -> None:
    async with RedisBells(client, keys) as bells:
        ear = Ear()
        bells.attach(sid, ear)
        accepted = await sessions.accept(say(sid))
        pen, mid = pen_for(client, keys, sid, accepted), accepted.reply.id
        assert await pen.write("七天😀")
        assert await pen.write("内")
        assert await pen.restart()
        assert await pen.write("好的")
        assert await ear.heard(4) == [
            Piece(message_id=mid, attempt=1, offset=0, text="七天😀"),
            Piece(message_id=mid, attempt=1, offset=3, text="内"),
            Piece(message_id=mid, attempt=2, offset=0, text=""),
            Piece(message_id=mid, attempt=2, offset=0, text="好的"),
        ]
        page = await events.events_after(sid, "secret", 2, 9)
        assert page.partial == Piece(message_id=mid, attempt=2, offset=0, text="好的")
        assert ear.rings >= 1  # the question
        await events.whisper(sid, Typed(by="me", state=TypingState.STARTED))
        assert (await ear.heard(5))[4] == Typed(by="me", state=TypingState.STARTED)
        bells.detach(sid, ear)
        assert bells.listening == 0


async def test_a_question_that_is_accepted_wakes_its_followers_and_nobody_who_waits_for_a_reply(
    client: Redis, keys: Keys, sessions: RedisSessions, sid: str, say: Say
) -> None:
    async with RedisBells(client, keys) as bells, bells.listen(sid) as bell:
        ear = Ear()
        bells.attach(sid, ear)
        rung = ear.rings
        await sessions.accept(say(sid))
        assert not await bell.wait(0.1)
        assert ear.rings == rung + 1


async def test_a_worker_that_takes_over_writes_anew_and_the_first_one_is_told_to_stop(
    client: Redis, keys: Keys, sessions: RedisSessions, events: RedisEvents, sid: str, say: Say
) -> None:
    accepted = await sessions.accept(say(sid))
    first, second = pen_for(client, keys, sid, accepted), pen_for(client, keys, sid, accepted)
    assert await first.write("甲甲")
    assert await second.write("乙")
    assert not await first.write("甲")
    assert not await first.restart()
    assert await second.write("乙")
    page = await events.events_after(sid, "secret", 2, 9)
    assert page.partial == Piece(message_id=accepted.reply.id, attempt=2, offset=0, text="乙乙")


async def test_a_text_whose_beginning_has_expired_is_written_again_under_the_same_attempt(
    client: Redis, keys: Keys, sessions: RedisSessions, events: RedisEvents, sid: str, say: Say
) -> None:
    accepted = await sessions.accept(say(sid))
    pen = pen_for(client, keys, sid, accepted)
    assert await pen.write("七天")
    await client.delete(keys.partial(sid))
    assert await pen.write("内")
    assert await pen.write("退")
    page = await events.events_after(sid, "secret", 2, 9)
    assert page.partial == Piece(message_id=accepted.reply.id, attempt=1, offset=0, text="七天内退")


async def test_nothing_is_left_of_what_was_being_written_when_the_session_is_erased(
    client: Redis, keys: Keys, sessions: RedisSessions, events: RedisEvents, sid: str, say: Say
) -> None:
    accepted = await sessions.accept(say(sid))
    await events.ticket(sid, "secret")
    pen = pen_for(client, keys, sid, accepted)
    assert await pen.write("七天")
    await RedisErasure(client, keys).erase(sid, "secret")
    assert not await pen.write("内")
    assert [key for key in await client.keys() if sid.encode() in key] == []
