"""A session's events as the client gives them: in order, each once, whatever happens to the connection."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from client.conftest import Guarded
from client.proxy import cutting, proxied
from qa_service.client import BotClient, Event, NotFound, TooManyStreams, Unavailable

FEE = "满多少钱免运费"
SOON_S = 20.0
DURABLE = ["session.created", "message.accepted", "message.completed"]


async def until(events: AsyncGenerator[Event], *, completed: int) -> list[Event]:
    """The events up to so many answers."""
    heard: list[Event] = []
    async with asyncio.timeout(SOON_S), aclosing(events):
        async for event in events:
            heard.append(event)
            completed -= event.type == "message.completed"
            if not completed:
                return heard
    return heard


def durable(events: list[Event]) -> list[str]:
    return [event.type for event in events if event.seq is not None]


async def test_what_has_happened_and_what_happens_is_told_in_order(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-50")
    first = await bot.ask(session.id, FEE)
    following = asyncio.create_task(until(bot.stream(session.id), completed=2))
    await asyncio.sleep(0.3)
    second = await bot.ask(session.id, "怎么退货")
    heard = await following
    assert durable(heard) == ["session.created", *DURABLE[1:], *DURABLE[1:]]
    assert [event.seq for event in heard if event.seq is not None] == [1, 2, 3, 4, 5]
    assert heard[0].session
    assert heard[0].session.id == session.id
    answers = [event for event in heard if event.type == "message.completed"]
    assert [event.message and event.message.id for event in answers] == [first.id, second.id]
    assert [event.message and event.message.text for event in answers] == [first.text, second.text]
    assert answers[0].sources == first.sources
    assert answers[0].created_at


async def test_reading_begins_after_a_seq(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-51")
    first = await bot.ask(session.id, FEE)
    second = await bot.ask(session.id, FEE)
    heard = await until(bot.stream(session.id, after=first.seq), completed=1)
    assert durable(heard) == DURABLE[1:]
    assert heard[-1].message
    assert heard[-1].message.id == second.id


async def test_that_the_bot_types_is_told_while_it_works(guarded: Guarded, bot: BotClient) -> None:
    session = await bot.open_session(uid="user-52")
    with guarded.service.paused("worker"):
        reply = await bot.ask(session.id, "买错尺码了想换大一号要怎么弄", deadline_s=0.5)
        following = asyncio.create_task(until(bot.stream(session.id), completed=1))
        await asyncio.sleep(0.5)
    typed = [event for event in await following if event.type == "typing.started"]
    assert [event.data for event in typed] == [{"by": "bot", "message_id": reply.id}]


async def test_each_event_comes_once_though_the_connection_is_away_100_ms_of_every_400(guarded: Guarded) -> None:
    async with (
        proxied(guarded.service.url) as proxy,
        BotClient(proxy.url, credentials=guarded.gateway) as far,
        BotClient(guarded.service.url, credentials=guarded.gateway) as near,
    ):
        session = await near.open_session(uid="user-53")
        following = asyncio.create_task(until(far.stream(session.id), completed=20))
        async with cutting(proxy, every_s=0.4, for_s=0.1):
            for _ in range(20):
                await near.ask(session.id, FEE)
                await asyncio.sleep(0.15)
            heard = await following
        assert [event.seq for event in heard if event.seq is not None] == list(range(1, 42))
        assert proxy.connected >= 6


async def test_a_silent_stream_that_is_cut_goes_on_however_long_it_had_been_silent(guarded: Guarded) -> None:
    async with (
        proxied(guarded.service.url) as proxy,
        BotClient(proxy.url, credentials=guarded.gateway) as bot,
    ):
        session = await bot.open_session(uid="user-54")
        stream = bot.stream(session.id, after=1, gives_up_after_s=0.5)
        following = asyncio.create_task(until(stream, completed=1))
        await asyncio.sleep(1)
        proxy.refuses = True
        proxy.cut()
        await asyncio.sleep(0.2)
        proxy.refuses = False
        await bot.ask(session.id, FEE)
        assert durable(await following) == DURABLE[1:]


async def test_a_stream_gives_up_after_its_time_without_a_connection(guarded: Guarded) -> None:
    async with (
        proxied(guarded.service.url) as proxy,
        BotClient(proxy.url, credentials=guarded.gateway) as bot,
    ):
        session = await bot.open_session(uid="user-55")
        proxy.refuses = True
        proxy.cut()
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await until(bot.stream(session.id, gives_up_after_s=1), completed=1)
        assert 1 <= time.monotonic() - started < 4


async def test_a_stream_ends_with_its_session(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-56")
    following = asyncio.create_task(until(bot.stream(session.id), completed=1))
    await asyncio.sleep(0.3)
    await bot.erase(session.id)
    with pytest.raises(NotFound):
        await following


async def test_a_stream_that_is_left_gives_its_connection_back(guarded: Guarded) -> None:
    async with BotClient(guarded.service.url, credentials=guarded.gateway, connections=2) as bot:
        session = await bot.open_session(uid="user-57")
        for _ in range(5):
            async with aclosing(bot.stream(session.id)) as events:
                assert (await anext(events)).type == "session.created"
                with pytest.raises(TooManyStreams):
                    await anext(bot.stream(session.id))
                assert (await bot.ask(session.id, FEE)).decision == "answer"


async def test_a_devices_stream_is_opened_with_the_sessions_token(device: BotClient, bot: BotClient) -> None:
    session = await device.open_session(device_id="phone-50")
    await device.ask(session.id, FEE)
    assert durable(await until(device.stream(session.id), completed=1)) == DURABLE
    with pytest.raises(NotFound):
        await until(bot.stream(session.id), completed=1)


async def test_an_answer_that_is_not_there_yet_is_cancelled_and_told_so(guarded: Guarded, bot: BotClient) -> None:
    session = await bot.open_session(uid="user-58")
    with guarded.service.paused("worker"):
        reply = await bot.ask(session.id, "生日当天下单有什么优惠吗", deadline_s=0.5)
        cancelled = await bot.cancel(session.id, reply.id)
        assert (cancelled.id, cancelled.state) == (reply.id, "cancelled")
    assert (await bot.wait_for_reply(reply)).state == "cancelled"
    async with asyncio.timeout(SOON_S), aclosing(bot.stream(session.id, after=reply.seq)) as events:
        while (event := await anext(events)).seq is None:
            pass
    assert (event.type, event.message and event.message.id) == ("message.cancelled", reply.id)


async def test_an_answer_that_is_there_stays_when_it_is_cancelled(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-59")
    reply = await bot.ask(session.id, FEE)
    cancelled = await bot.cancel(session.id, reply.id)
    assert (cancelled.state, cancelled.text) == ("completed", reply.text)


async def test_feedback_is_told_once_however_often_it_is_given(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-60")
    reply = await bot.ask(session.id, FEE)
    for _ in range(3):
        await bot.feedback(session.id, reply.id, "down", reason="太长")
    asked = await bot.ask(session.id, FEE)
    heard = await until(bot.stream(session.id, after=reply.seq), completed=1)
    assert durable(heard) == ["feedback.received", *DURABLE[1:]]
    assert heard[0].data["id"] == reply.id
    assert heard[0].data["attributes"] == {"value": "down", "reason": "太长"}
    assert heard[-1].message
    assert heard[-1].message.id == asked.id
