"""Webhooks on Redis: an event is in the outbox as soon as it is in the log, and a delivery is made once."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from qa_service.domain.answer import Answer
from qa_service.domain.errors import Conflict
from qa_service.domain.webhook import (
    WEBHOOK_EVENTS,
    Delivery,
    DeliveryState,
    Endpoint,
    Occurrence,
    Secret,
    delivery_id,
)
from qa_service.store import webhook_deliveries, webhook_outbox
from qa_service.store.batcher import Batcher
from qa_service.store.erasure import RedisErasure
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.sessions import RedisSessions
from qa_service.store.webhook_deliveries import RedisDeliveries
from qa_service.store.webhook_endpoints import RedisEndpoints
from qa_service.store.webhook_outbox import RedisFeed, RedisOutbox
from store.conftest import NOW_MS, Say

BODY = "{“退货”}".encode()


@pytest.fixture
def endpoints(client: Redis, keys: Keys) -> RedisEndpoints:
    return RedisEndpoints(Batcher(client), keys)


@pytest.fixture
def deliveries(client: Redis, keys: Keys) -> RedisDeliveries:
    return RedisDeliveries(Batcher(client), keys)


@pytest.fixture
def outbox(client: Redis, keys: Keys) -> RedisOutbox:
    return RedisOutbox(Batcher(client), keys)


@pytest.fixture
def feed(client: Redis, keys: Keys) -> RedisFeed:
    return RedisFeed(client, keys, ["shop"])


def endpoint(name: str, *events: str, enabled: bool = True) -> Endpoint:
    secrets = (Secret(text="whsec_eA=="),)
    return Endpoint(id=name, url="https://x", events=events or ("*",), secrets=secrets, enabled=enabled)


def delivery(occurrence: Occurrence, name: str) -> Delivery:
    return Delivery(
        id=delivery_id(name, occurrence.sid, occurrence.seq),
        endpoint_id=name,
        event=occurrence.event,
        at_ms=occurrence.at_ms,
        sid=occurrence.sid,
        seq=occurrence.seq,
        next_at_ms=NOW_MS,
    )


async def spread_all(feed: RedisFeed, outbox: RedisOutbox) -> list[Occurrence]:
    found = [one for _, one in await feed.wait(100, 10)]
    for one in found:
        await outbox.spread(one, [delivery(one, name) for name in one.endpoint_ids], BODY)
    return found


async def test_without_endpoints_no_outbox_comes_into_being(client: Redis, sid: str, keys: Keys) -> None:
    assert not await client.exists(*(keys.outbox(partition) for partition in range(2)))


async def test_an_event_is_in_the_outbox_in_the_step_that_logs_it_with_who_wants_it(
    endpoints: RedisEndpoints,
    feed: RedisFeed,
    sessions: RedisSessions,
    queue: JobQueue,
    sid: str,
    say: Say,
    answer: Answer,
) -> None:
    await endpoints.add(endpoint("all"))
    await endpoints.add(endpoint("some", "session.bound"))
    await endpoints.add(endpoint("off", enabled=False))
    saying = say(sid)
    await sessions.accept(saying)
    assert await feed.wait(10, 10) == []  # nobody may ask for message.accepted
    (job,) = await queue.take(block_ms=0)
    await queue.finish(job, answer)
    await sessions.bind(sid, "secret", uid="u1", new_token="new")
    (_, completed), (tenant, bound) = await feed.wait(10, 10)
    assert (completed.event, completed.message_id, completed.seq) == ("message.completed", saying.reply_id, 3)
    assert completed.endpoint_ids == ("all",)
    assert (tenant, bound.event, bound.sid, bound.seq, bound.message_id) == ("shop", "session.bound", sid, 4, "")
    assert set(bound.endpoint_ids) == {"all", "some"}


async def test_an_answer_from_the_cache_is_an_event_as_any_other(
    client: Redis, keys: Keys, endpoints: RedisEndpoints, feed: RedisFeed, sessions: RedisSessions, sid: str, say: Say
) -> None:
    await endpoints.add(endpoint("all"))
    name = keys.faq_name("zh-CN", "v1", "extract", "怎么退货")
    await client.set(keys.faq(keys.partition(sid), name), "怎么退货\n".encode() + b'{"text":"a","decision":"answer"}')
    await sessions.accept(say(sid, cache_key=name))
    assert [one.event for _, one in await feed.wait(10, 10)] == ["message.completed"]


async def test_an_events_deliveries_are_made_once_whoever_does_it_and_how_often(
    endpoints: RedisEndpoints,
    feed: RedisFeed,
    outbox: RedisOutbox,
    deliveries: RedisDeliveries,
    sessions: RedisSessions,
    sid: str,
) -> None:
    for name in ("one", "two"):
        await endpoints.add(endpoint(name))
    await sessions.bind(sid, "secret", uid="u1", new_token="new")
    ((_, occurrence),) = await feed.wait(10, 10)
    made = [delivery(occurrence, name) for name in occurrence.endpoint_ids]
    await asyncio.gather(*(outbox.spread(occurrence, made, BODY) for _ in range(5)))
    assert await feed.backlog() == 0
    for name in ("one", "two"):
        (listed,) = await deliveries.newest(name, 10)
        assert listed == delivery(occurrence, name)
        taken = await deliveries.take(name, 10, now_ms=NOW_MS, until_ms=NOW_MS + 500)
        assert taken.due == ((listed, BODY),)
        assert taken.next_at_ms == NOW_MS + 500
        assert (await deliveries.take(name, 10, now_ms=NOW_MS, until_ms=NOW_MS + 500)).due == ()
        assert (await deliveries.take(name, 10, now_ms=NOW_MS + 500, until_ms=NOW_MS + 900)).due == ((listed, BODY),)


async def test_what_is_due_in_many_partitions_is_given_no_faster_than_it_was_asked_for(
    endpoints: RedisEndpoints,
    feed: RedisFeed,
    outbox: RedisOutbox,
    deliveries: RedisDeliveries,
    sessions: RedisSessions,
) -> None:
    await endpoints.add(endpoint("one", "session.created"))
    from store.test_erasure import open_for  # noqa: PLC0415  # one way to open a session

    for number in range(20):
        await open_for(sessions, str(250_000_000_000_000_000 + number))
    await spread_all(feed, outbox)
    seen: list[str] = []
    for _ in range(5):
        taken = await deliveries.take("one", 4, now_ms=NOW_MS, until_ms=NOW_MS + 500)
        assert len(taken.due) == 4
        seen += [one.id for one, _ in taken.due]
    assert len(set(seen)) == 20


async def test_of_what_has_ended_only_the_newest_are_kept_and_what_is_under_way_is_kept_in_any_case(
    endpoints: RedisEndpoints,
    outbox: RedisOutbox,
    feed: RedisFeed,
    deliveries: RedisDeliveries,
    sid: str,
    sessions: RedisSessions,
    client: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_deliveries, "ENDED_KEPT", 3)
    await endpoints.add(endpoint("one"))
    await sessions.bind(sid, "secret", uid="u1", new_token="new")
    ((_, occurrence),) = await feed.wait(10, 10)
    made = [replace(delivery(occurrence, "one"), id=f"whd_one_{sid}_{number}", seq=number) for number in range(8)]
    await outbox.spread(occurrence, made, BODY)
    for one in made[:5]:
        await asyncio.sleep(0.002)
        assert await deliveries.tried(replace(one, state=DeliveryState.FAILED, next_at_ms=None))
    assert [one.seq for one in await deliveries.newest("one", 10)] == [7, 6, 5, 4, 3, 2]
    assert not await deliveries.tried(made[0])  # it is gone
    assert await client.hlen(f"qa:{{p{occurrence.partition}}}:shop:hooks:bodies") == 6
    assert await deliveries.tidy("one", occurrence.at_ms) == 6
    assert not [name async for name in client.scan_iter("*hooks:*")]


async def test_what_was_to_be_told_before_a_session_was_bound_goes_with_its_user_too(
    endpoints: RedisEndpoints,
    feed: RedisFeed,
    outbox: RedisOutbox,
    deliveries: RedisDeliveries,
    sessions: RedisSessions,
    *,
    queue: JobQueue,
    client: Redis,
    keys: Keys,
    sid: str,
    say: Say,
    answer: Answer,
) -> None:
    await endpoints.add(endpoint("one"))
    await sessions.accept(say(sid))
    (job,) = await queue.take(block_ms=0)
    await queue.finish(job, answer)
    await spread_all(feed, outbox)
    await sessions.bind(sid, "secret", uid="u1", new_token="new")
    await spread_all(feed, outbox)
    assert len(await deliveries.newest("one", 10)) == 2
    await client.delete(keys.session(sid))  # it has expired
    await RedisErasure(client, keys).erase_letters("u1")
    assert await deliveries.newest("one", 10) == []
    assert await client.hlen(f"qa:{{p{keys.partition(sid)}}}:shop:hooks:bodies") == 0


async def test_an_endpoint_that_has_too_many_waiting_gets_no_more_and_is_named(
    endpoints: RedisEndpoints,
    outbox: RedisOutbox,
    feed: RedisFeed,
    sid: str,
    sessions: RedisSessions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_outbox, "PENDING_CAP", 1)
    await endpoints.add(endpoint("one"))
    await sessions.bind(sid, "secret", uid="u1", new_token="new")
    ((_, occurrence),) = await feed.wait(10, 10)
    made = [replace(delivery(occurrence, "one"), id=f"whd_one_{sid}_{number}") for number in range(3)]
    assert await outbox.spread(occurrence, made, BODY) == ["one", "one"]
    assert await feed.backlog() == 0


async def test_changes_at_once_are_all_kept_and_a_late_word_about_an_older_one_changes_nothing(
    client: Redis, keys: Keys, endpoints: RedisEndpoints
) -> None:
    first = endpoint("one")
    await endpoints.add(first)

    async def count_up() -> None:
        for _ in range(10):
            try:
                await endpoints.change("one", lambda held: replace(held, description=held.description + "x"))
            except Conflict:
                return

    await asyncio.gather(count_up(), count_up())
    held = await endpoints.read("one")
    assert len(held.description) == held.revision - 1 >= 10
    await endpoints._tell(replace(first, events=("session.bound",)))
    told = await client.hget(keys.hooks(0), "one")
    assert told == f"{held.revision} {' '.join(WEBHOOK_EVENTS)} ".encode()


async def test_whatever_a_kill_left_undone_between_the_slots_is_mended(
    client: Redis, keys: Keys, endpoints: RedisEndpoints
) -> None:
    await endpoints.add(endpoint("one"))
    before = await client.hgetall(keys.hooks(1))
    await client.delete(keys.hooks(1))
    await client.hset(keys.hooks(0), "gone", "3 session.bound ")
    await client.zadd(f"{keys.hooks(0)}:gone:all", {"whd_gone_1_1": 1})
    await client.hset(f"{keys.hooks(0)}:deliveries", "whd_gone_1_1", "{}")
    assert [one.id for one in await endpoints.mend()] == ["one"]
    assert await client.hgetall(keys.hooks(1)) == await client.hgetall(keys.hooks(0)) == before
    assert not [name async for name in client.scan_iter("*hooks:*")]
