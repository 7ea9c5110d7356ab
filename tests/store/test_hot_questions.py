"""What is asked most: counted where answers are kept, hottest first, and never more than there is room for."""

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from qa_service.domain.answer import Answer
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.connection import open_redis
from qa_service.store.hot_questions import HotQuestion, count_hot, hottest
from qa_service.store.keys import Keys

A_DAY_S = 24 * 3600


def hot(text: str, locale: str = "zh-CN") -> HotQuestion:
    return HotQuestion(locale=locale, normalised=text)


async def count(client: Redis, keys: Keys, *questions: HotQuestion) -> None:
    async with client.pipeline(transaction=False) as pipe:
        for question in questions:
            count_hot(pipe, keys, question)
        await pipe.execute()


async def test_the_hottest_come_first_and_no_more_than_were_asked_for(client: Redis, keys: Keys) -> None:
    assert await hottest(client, keys, 10) == []
    await count(client, keys, *[hot("退货")] * 3, hot("开票"), *[hot("积分")] * 2)
    assert await hottest(client, keys, 10) == [hot("退货"), hot("积分"), hot("开票")]
    assert await hottest(client, keys, 2) == [hot("退货"), hot("积分")]


async def test_the_same_words_in_two_locales_are_two_questions(client: Redis, keys: Keys) -> None:
    asked = [hot("app", "zh-CN"), hot("app", "en"), hot("app", "")]
    await count(client, keys, *asked)
    assert {one.locale for one in await hottest(client, keys, 10)} == {"zh-CN", "en", ""}


async def test_the_questions_of_one_tenant_are_not_those_of_another(client: Redis, keys: Keys) -> None:
    await count(client, keys, hot("退货"))
    assert await hottest(client, keys.of("bank"), 10) == []


async def test_what_was_not_asked_for_a_day_is_forgotten(client: Redis, keys: Keys) -> None:
    await count(client, keys, hot("退货"))
    assert A_DAY_S - 5 < await client.ttl(keys.hot()) <= A_DAY_S


async def test_a_thousand_are_kept_and_a_newly_hot_question_finds_its_place_among_them(
    client: Redis, keys: Keys
) -> None:
    await count(client, keys, *[hot(f"q{n}") for n in range(1000) for _ in range(2)])
    await count(client, keys, *[hot("top")] * 9, *[hot(f"q{n}") for n in range(500)], *[hot("new")] * 3)
    assert await client.zcard(keys.hot()) == 1000
    assert [one.normalised for one in await hottest(client, keys, 2)] == ["top", "new"]


async def test_every_answer_that_is_kept_counts_its_question_in_its_locale(
    client: Redis, keys: Keys, answer: Answer
) -> None:
    cache = RedisAnswerCache(client, keys)
    for locale, text, times in (("zh-CN", "怎么退货", 2), ("en-GB", "how: do i\u00a0return*?", 1)):
        for _ in range(times):
            await cache.put(keys.faq(0, keys.faq_name(locale, "v1", "g", text)), text, answer)
    await cache.put("", "我的订单到哪了", answer)
    assert await hottest(client, keys, 10) == [hot("怎么退货"), hot("how: do i\u00a0return*?", "en-GB")]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.sampled_from(["a", "b", "a:b", "{p0}", "退 货", "*"]), max_size=30))
async def test_while_there_is_room_the_counts_are_exact(texts: list[str], redis_url: str) -> None:
    with BlockingRedis.from_url(redis_url) as emptied:
        emptied.flushall()
    client, keys = open_redis(redis_url), Keys(tenant="shop")
    await count(client, keys, *map(hot, texts))
    scores = {text: await client.zscore(keys.hot(), f"zh-CN\n{text}") for text in texts}
    assert scores == dict(Counter(texts))
    await client.aclose()
