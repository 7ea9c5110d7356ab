"""What is being typed: one reply for ten seconds, or none once nobody waits for it."""

import pytest
from redis.asyncio import Redis

from qa_service.conversation.ports import Suggestions
from qa_service.domain.errors import Overloaded
from qa_service.domain.saying import KeyPress
from qa_service.domain.suggestion import Match, Suggested, Suggestion, Typed
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.suggestions import RedisSuggestions, SuggestionQueue

NOW_MS = 1_760_000_000_000
SUGGESTION = Suggestion(entry_id="return", text="退货流程", match=Match.PINYIN, highlight=((0, 2),))
GIVEN = Suggested(suggestions=(SUGGESTION,), index_version="v1")


@pytest.fixture
def suggestions(client: Redis, keys: Keys) -> RedisSuggestions:
    return RedisSuggestions(client, keys)


@pytest.fixture
def queue(client: Redis, keys: Keys) -> SuggestionQueue:
    return SuggestionQueue(client, keys, consumer="first", claim_idle_ms=1, clock_ms=lambda: NOW_MS)


def press(job_id: str = "5", *, expires_at_ms: int = NOW_MS + 1000) -> KeyPress:
    typed = Typed(text="退h", limit=8, locale="zh-CN")
    return KeyPress(job_id=job_id, typed=typed, request_id="r1", expires_at_ms=expires_at_ms)


def test_redis_suggestions_are_the_typings_that_a_desk_asks_for(suggestions: RedisSuggestions) -> None:
    port: Suggestions = suggestions
    assert port is suggestions


async def test_what_is_typed_gets_one_reply_that_expires(
    suggestions: RedisSuggestions, queue: SuggestionQueue, client: Redis, keys: Keys
) -> None:
    await suggestions.submit(press())
    (job,) = await queue.take(block_ms=0)
    assert (job.kind, job.reply_id, job.text, job.limit, job.locale) == ("suggest", "5", "退h", 8, "zh-CN")
    assert await suggestions.reply("5") is None
    await queue.finish_suggested([(job, GIVEN)])
    await queue.finish_suggested([(job, Suggested())])
    assert await suggestions.reply("5") == GIVEN
    assert 9000 < await client.pttl(keys.reply("5")) <= 10_000
    assert await queue.backlog() == 0


async def test_what_nobody_waits_for_is_dropped(suggestions: RedisSuggestions, queue: SuggestionQueue) -> None:
    await suggestions.submit(press("1", expires_at_ms=NOW_MS))
    await suggestions.submit(press("2", expires_at_ms=NOW_MS + 1))
    assert [job.reply_id for job in await queue.take(block_ms=0)] == ["2"]
    assert await queue.backlog() == 1


async def test_a_full_queue_refuses_it(client: Redis, keys: Keys) -> None:
    suggestions = RedisSuggestions(client, keys, queue_cap=1)
    await suggestions.submit(press())
    with pytest.raises(Overloaded) as caught:
        await suggestions.submit(press())
    assert caught.value.code == "queue-full"


async def test_it_takes_no_room_from_questions_and_they_take_none_from_it(
    client: Redis, keys: Keys, suggestions: RedisSuggestions, queue: SuggestionQueue
) -> None:
    await suggestions.submit(press())
    assert await JobQueue(client, keys, consumer="first").take(block_ms=0) == []
    assert await queue.backlog() == 1
