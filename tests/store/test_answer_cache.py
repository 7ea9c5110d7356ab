"""The FAQ cache: exact questions only, minutes only, one tenant's never another's."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from qa_service.domain.answer import Answer, ServedBy
from qa_service.store.answer_cache import CACHE_TTL_MS, RedisAnswerCache
from qa_service.store.keys import Keys

NOW_MS = 1_760_000_000_000
PARTS = st.text(st.sampled_from("a:*{}[]?\\/ 中%"), max_size=4)


def cache_of(client: Redis, keys: Keys) -> RedisAnswerCache:
    return RedisAnswerCache(client, keys, clock_ms=lambda: NOW_MS)


def key_of(keys: Keys, question: str, *, partition: int = 0, version: str = "v1", locale: str = "zh-CN") -> str:
    return keys.faq(partition, keys.faq_name(locale, version, "extract", question))


async def test_many_questions_over_all_partitions_get_their_own_answers_with_one_mget_each(
    client: Redis, keys: Keys, answer: Answer
) -> None:
    cache = cache_of(client, keys)
    asked = [(key_of(keys, f"q{n}", partition=n % 2), f"q{n}") for n in range(6)]
    for key, question in asked[:4]:
        await cache.put(key, question, replace(answer, text=question))
    await client.config_resetstat()
    found = await cache.get_many([*asked, ("", "q0"), (asked[0][0], "another question")])
    stats = await client.info("commandstats")
    assert [one.text if one else None for one in found] == ["q0", "q1", "q2", "q3", None, None, None, None]
    assert stats["cmdstat_mget"]["calls"] == 2
    assert await cache.get_many([("", "q")]) == [None]


async def test_a_cached_answer_says_so_and_does_not_claim_the_first_askers_time(
    client: Redis, keys: Keys, answer: Answer
) -> None:
    cache = cache_of(client, keys)
    await cache.put(key_of(keys, "q"), "q", answer)
    (found,) = await cache.get_many([(key_of(keys, "q"), "q")])
    assert found == replace(answer, served_by=ServedBy.CACHE, elapsed_ms=0.0, timings_ms={})


async def test_no_answer_is_kept_longer_than_five_minutes_or_its_sources_are_valid(
    client: Redis, keys: Keys, answer: Answer
) -> None:
    cache = cache_of(client, keys)
    for question, valid_until_ms, most in (
        ("for ever", None, CACHE_TTL_MS),
        ("a day", NOW_MS + 86_400_000, CACHE_TTL_MS),
        ("a second", NOW_MS + 1000, 1000),
    ):
        await cache.put(key_of(keys, question), question, replace(answer, valid_until_ms=valid_until_ms))
        assert most - 500 < await client.pttl(key_of(keys, question)) <= most
    await cache.put(key_of(keys, "over"), "over", replace(answer, valid_until_ms=NOW_MS))
    await cache.put("", "no key", answer)
    assert set(await client.keys()) - {keys.hot().encode()} == {
        key_of(keys, question).encode() for question in ("for ever", "a day", "a second")
    }


async def test_purging_drops_all_of_one_tenant_and_nothing_else(client: Redis, keys: Keys, answer: Answer) -> None:
    mine, other = Keys(tenant="a*", partitions=2), Keys(tenant="ab", partitions=2)
    cache = cache_of(client, mine)
    for n in range(30):
        await cache.put(key_of(mine, f"q{n}", partition=n % 2), f"q{n}", answer)
        await cache.put(key_of(other, f"q{n}", partition=n % 2), f"q{n}", answer)
    await client.set(mine.session("1"), "kept")
    assert await cache.purge("a*") == 30
    left = {mine.session("1").encode(), mine.hot().encode(), other.hot().encode()}
    left |= {key_of(other, f"q{n}", partition=n % 2).encode() for n in range(30)}
    assert set(await client.keys()) == left
    assert await cache.purge("a*") == 0


async def test_an_answer_of_another_tenant_locale_or_version_is_never_found(
    client: Redis, keys: Keys, answer: Answer
) -> None:
    cache = cache_of(client, keys)
    await cache.put(key_of(keys, "q"), "q", answer)
    strangers = (key_of(keys.of("bank"), "q"), key_of(keys, "q", version="v2"), key_of(keys, "q", locale="en"))
    assert await cache.get_many([(key, "q") for key in strangers]) == [None, None, None]


@given(one=st.tuples(PARTS, PARTS, PARTS, PARTS, PARTS), other=st.tuples(PARTS, PARTS, PARTS, PARTS, PARTS))
def test_two_cache_keys_are_the_same_only_when_all_their_parts_are(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    def name(parts: tuple[str, ...]) -> str:
        tenant, locale, version, generator, question = parts
        return Keys(tenant=tenant).faq_name(locale, version, generator, question)

    assert (name(one) == name(other)) == (one == other)


@given(tenant=PARTS, sid=PARTS, partitions=st.integers(1, 16))
def test_all_keys_of_a_session_and_its_queue_share_one_hash_tag(tenant: str, sid: str, partitions: int) -> None:
    keys = Keys(tenant=tenant, partitions=partitions)
    partition = keys.partition(sid)
    own = [keys.session(sid), keys.messages(sid), keys.log(sid), keys.turns(sid), keys.reply(sid)]
    own += [keys.queue(partition), keys.dead(partition), keys.faq(partition, keys.faq_name("a", "b", "c", sid))]
    assert {key[key.index("{") : key.index("}") + 1] for key in own} == {f"{{p{partition}}}"}
    assert len(set(own)) == len(own)
