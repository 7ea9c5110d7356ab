"""A conversation on the real store, without any transport: what HTTP cannot show, or only by waiting."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from qa_service.conversation.conversation import Conversation, Utterance, is_replay
from qa_service.conversation.inquiry_desk import InquiryDesk
from qa_service.domain.answer import Answer, Decision, ServedBy
from qa_service.domain.errors import AnswerLate, IndexUnavailable, InvalidInput, NotFound
from qa_service.domain.session import MessageState
from qa_service.domain.snowflake import Snowflake
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.bells import RedisBells
from qa_service.store.connection import open_redis
from qa_service.store.inquiries import RedisInquiries
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.sessions import RedisSessions

KEYS = Keys(tenant="shop")
ANSWER = Answer(text="七天内可以退货", decision=Decision.ANSWER, served_by=ServedBy.FAQ, index_version="v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVersion:
    """An ActiveIndex whose version nobody has to report."""

    version: str = "v1"

    def cache_key(self, locale: str, normalised: str) -> str:
        return KEYS.faq_name(locale, self.version, "extract", normalised) if self.version else ""


class Scene:
    """A conversation and a desk on one Redis, and the worker's end of their queue."""

    def __init__(self, client: Redis, bells: RedisBells) -> None:
        self.client = client
        self.bells = bells
        self.sessions = RedisSessions(client, KEYS)
        self.queue = JobQueue(client, KEYS, consumer="test")

    def conversation(self, version: str = "v1", next_id: Callable[[], str] | None = None) -> Conversation:
        return Conversation(
            sessions=self.sessions,
            bells=self.bells,
            index=KnownVersion(version=version),
            next_id=next_id or Snowflake(1).next_id,
            tenant="shop",
        )

    def desk(self) -> InquiryDesk:
        inquiries = RedisInquiries(self.client, KEYS)
        return InquiryDesk(inquiries=inquiries, bells=self.bells, index=KnownVersion(), next_id=Snowflake(2).next_id)

    async def answer_one(self) -> None:
        """Work as a worker would until one question is answered."""
        while not (jobs := await self.queue.take(block_ms=100)):
            pass
        await self.queue.finish_many([(jobs[0], ANSWER)])


@pytest.fixture
async def scene(redis_url: str) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        client = open_redis(redis_url)
        stack.push_async_callback(client.aclose)
        yield Scene(client, await stack.enter_async_context(RedisBells(client, KEYS)))


async def said(
    conversation: Conversation, text: object = "怎么退货", *, wait_s: float = 0.0, key: str = ""
) -> Utterance:
    opened = await conversation.open(device_id="d", uid="", locale="zh-CN")
    sid, token = opened.session.sid, opened.token
    return Utterance(sid=sid, proof=token, text=text, request_id="r", wait_s=wait_s)


def ids(*given: str) -> Callable[[], str]:
    following: Iterator[str] = iter(given)
    return lambda: next(following)


async def test_an_id_that_is_taken_is_passed_over(scene: Scene) -> None:
    conversation = scene.conversation(next_id=ids("7", "7", "7", "8"))
    first = await conversation.open(device_id="a", uid="", locale="zh-CN")
    second = await conversation.open(device_id="b", uid="", locale="zh-CN")
    assert (first.session.sid, second.session.sid) == ("7", "8")
    assert (await conversation.read("7", first.token)).device_id == "a"


async def test_ids_that_are_all_taken_are_a_fault_of_the_installation(scene: Scene) -> None:
    conversation = scene.conversation(next_id=lambda: "7")
    await conversation.open(device_id="a", uid="", locale="zh-CN")
    with pytest.raises(RuntimeError, match="worker number"):
        await conversation.open(device_id="b", uid="", locale="zh-CN")


async def test_who_does_not_wait_gets_a_pending_reply_at_once(scene: Scene) -> None:
    conversation = scene.conversation()
    accepted = await conversation.say(await said(conversation))
    assert accepted.reply.state is MessageState.PENDING
    assert not is_replay(accepted)


async def test_who_waits_gets_the_answer_as_soon_as_it_is_there(scene: Scene) -> None:
    conversation = scene.conversation()
    utterance = await said(conversation, wait_s=5)
    started = time.monotonic()
    accepted, _ = await asyncio.gather(conversation.say(utterance), scene.answer_one())
    assert accepted.reply.answer == ANSWER
    assert time.monotonic() - started < 0.5
    assert scene.bells.listening == 0


async def test_an_answer_whose_bell_nobody_heard_is_found_within_a_second(scene: Scene) -> None:
    deaf = RedisBells(scene.client, Keys(tenant="shop", prefix="elsewhere"))
    async with deaf:
        scene.bells = deaf
        conversation = scene.conversation()
        utterance = await said(conversation, wait_s=5)
        started = time.monotonic()
        accepted, _ = await asyncio.gather(conversation.say(utterance), scene.answer_one())
    assert accepted.reply.answer == ANSWER
    assert time.monotonic() - started < 1.5


async def test_a_wait_that_is_given_up_leaves_no_bell_and_loses_no_answer(scene: Scene) -> None:
    conversation = scene.conversation()
    utterance = await said(conversation, wait_s=30)
    waiting = asyncio.create_task(conversation.say(utterance))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert scene.bells.listening == 0
    await scene.answer_one()
    page = await conversation.replies_after(utterance.sid, utterance.proof, cursor=0, limit=10, wait_s=0)
    assert [message.text for message in page.messages] == ["怎么退货", ANSWER.text]


async def test_two_who_wait_for_one_session_are_both_woken(scene: Scene) -> None:
    conversation = scene.conversation()
    utterance = await said(conversation)
    polls = [conversation.replies_after(utterance.sid, utterance.proof, cursor=1, limit=10, wait_s=5) for _ in range(2)]
    waiting = asyncio.gather(*polls)
    await asyncio.sleep(0.1)
    await conversation.say(utterance)
    assert [len(page.messages) for page in await asyncio.wait_for(waiting, 1)] == [1, 1]


@pytest.mark.parametrize("text", ["", None, 7, "退" * 501, "\ud800"])
async def test_what_is_no_question_is_refused_before_anything_is_stored(scene: Scene, text: object) -> None:
    conversation = scene.conversation()
    utterance = await said(conversation, text)
    with pytest.raises(InvalidInput):
        await conversation.say(utterance)
    assert (await conversation.read(utterance.sid, utterance.proof)).last_message_id == 1


async def test_without_an_index_a_question_is_neither_stored_nor_queued(scene: Scene) -> None:
    conversation = scene.conversation(version="")
    utterance = await said(conversation)
    with pytest.raises(IndexUnavailable):
        await conversation.say(utterance)
    assert (await conversation.read(utterance.sid, utterance.proof)).last_message_id == 1


async def test_a_wrong_token_is_refused_at_once_however_long_it_would_wait(scene: Scene) -> None:
    conversation = scene.conversation()
    utterance = await said(conversation)
    started = time.monotonic()
    with pytest.raises(NotFound):
        await conversation.replies_after(utterance.sid, "wrong", cursor=0, limit=10, wait_s=30)
    assert time.monotonic() - started < 0.5


async def test_a_stateless_question_is_answered_by_whoever_works(scene: Scene) -> None:
    asking = scene.desk().ask("怎么退货", locale="", request_id="r", wait_s=5)
    answer, _ = await asyncio.gather(asking, scene.answer_one())
    assert answer == ANSWER


async def test_a_stateless_question_that_the_cache_knows_needs_no_worker(scene: Scene) -> None:
    key = KEYS.faq_of_question(KnownVersion().cache_key("", "怎么退货"))
    await RedisAnswerCache(scene.client, KEYS).put(key, "怎么退货", ANSWER)
    answer = await scene.desk().ask("怎么退货？", locale="", request_id="r", wait_s=5)
    assert (answer.text, answer.served_by) == (ANSWER.text, ServedBy.CACHE)
    assert await scene.queue.backlog() == 0


async def test_a_stateless_question_that_nobody_answers_is_given_up_in_time(scene: Scene) -> None:
    started = time.monotonic()
    with pytest.raises(AnswerLate):
        await scene.desk().ask("怎么退货", locale="", request_id="r", wait_s=0.3)
    assert time.monotonic() - started == pytest.approx(0.3, abs=0.2)
    assert scene.bells.listening == 0
