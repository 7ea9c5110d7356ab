"""What happens to calls when connections are refused, cut, or silent, and when tokens end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from client.conftest import Guarded
from client.proxy import Proxy, proxied
from qa_service.access.signing_keys import make_signing_key
from qa_service.client import (
    BotClient,
    BreakerOpen,
    DeadlineExceeded,
    FixedKey,
    RateLimited,
    Session,
    Unauthenticated,
    Unavailable,
    Unreachable,
    Unreadable,
)
from qa_service.client.client import DEADLINE_S

FEE = "满多少钱免运费"


@pytest.fixture
async def proxy(guarded: Guarded) -> AsyncIterator[Proxy]:
    async with proxied(guarded.service.url) as proxy:
        yield proxy


@pytest.fixture
async def far(guarded: Guarded, proxy: Proxy) -> AsyncIterator[BotClient]:
    """A client behind the proxy, with a session already open and its token fetched."""
    async with BotClient(proxy.url, credentials=guarded.gateway, breaker_pause_s=0.5) as bot:
        yield bot


async def opened(bot: BotClient, uid: str = "user-30") -> Session:
    return await bot.open_session(uid=uid)


async def messages(bot: BotClient, session: Session) -> list[str]:
    return [message.role for message in (await bot.replies_after(session.id)).messages]


async def test_a_question_whose_answer_was_cut_off_is_asked_again_and_is_one_question(
    far: BotClient, proxy: Proxy
) -> None:
    session = await opened(far)
    proxy.swallow_answers_to = b"/messages"
    reply = await far.ask(session.id, FEE)
    assert proxy.swallowed == 1
    assert reply.decision == "answer"
    assert reply.replayed
    assert await messages(far, session) == ["user", "bot"]


async def test_a_service_that_is_away_for_a_moment_is_asked_again_in_time(far: BotClient, proxy: Proxy) -> None:
    session = await opened(far)
    proxy.refuses = True
    proxy.cut()
    asking = asyncio.create_task(far.ask(session.id, FEE))
    await asyncio.sleep(1)
    proxy.refuses = False
    reply = await asking
    assert reply.decision == "answer"
    assert await messages(far, session) == ["user", "bot"]


async def test_a_service_that_stays_away_is_unreachable_at_the_deadline(far: BotClient, proxy: Proxy) -> None:
    session = await opened(far)
    proxy.refuses = True
    proxy.cut()
    started = time.monotonic()
    with pytest.raises(Unreachable):
        await far.ask(session.id, FEE, deadline_s=1)
    assert time.monotonic() - started <= 1.1


async def test_a_long_poll_that_is_cut_goes_on_and_still_ends_in_its_time(far: BotClient, proxy: Proxy) -> None:
    session = await opened(far)
    started = time.monotonic()
    polling = asyncio.create_task(far.replies_after(session.id, session.last_message_id, wait_s=2))
    await asyncio.sleep(0.8)
    proxy.cut()
    assert (await polling).messages == ()
    assert time.monotonic() - started < 3


async def test_a_binding_whose_answer_was_cut_off_is_not_sent_twice(far: BotClient, proxy: Proxy) -> None:
    session = await far.open_session(device_id="phone-30")
    proxy.swallow_answers_to = b"PATCH "
    with pytest.raises(Unreachable):
        await far.bind(session.id, "a token")
    assert sum(piece.startswith(b"PATCH ") for piece in proxy.requests) == 1


async def test_one_token_is_fetched_however_many_ask_at_once(far: BotClient, proxy: Proxy) -> None:
    await asyncio.gather(*(opened(far, f"user-3{n}") for n in range(20)))
    assert sum(b"POST /oauth/token" in piece for piece in proxy.requests) == 1


async def test_a_token_that_is_no_longer_accepted_is_fetched_anew_once(
    guarded: Guarded, far: BotClient, proxy: Proxy
) -> None:
    session = await opened(far)
    for key in guarded.keys.glob("*.pem"):
        key.unlink()
    make_signing_key(guarded.keys)
    await asyncio.sleep(1.5)  # the service looks at its keys once a second
    proxy.requests.clear()
    replies = await asyncio.gather(*(far.ask(session.id, FEE) for _ in range(5)))
    assert {reply.decision for reply in replies} == {"answer"}
    assert 1 <= sum(b"POST /oauth/token" in piece for piece in proxy.requests) <= 2


async def test_a_fixed_key_that_is_not_accepted_is_not_tried_again(guarded: Guarded, proxy: Proxy) -> None:
    async with BotClient(proxy.url, credentials=FixedKey(key="eyJhbGciOiJub25lIn0.e30.")) as bot:
        with pytest.raises(Unauthenticated) as refused:
            await bot.answer(FEE)
    assert refused.value.code == "invalid-token"
    assert proxy.connected == 1


@pytest.mark.slow
async def test_a_hung_service_opens_the_breaker_and_placeholders_come_at_once(guarded: Guarded) -> None:
    credentials = guarded.gateway
    async with BotClient(guarded.service.url, credentials=credentials, breaker_failures=2, breaker_pause_s=0.5) as bot:
        session = await opened(bot)
        with guarded.service.paused("api"):
            started = time.monotonic()
            reply = await bot.ask(session.id, FEE, placeholder=True)
            assert 2.9 <= time.monotonic() - started <= DEADLINE_S + 0.2
            assert (reply.id, reply.is_pending, reply.text) == ("", True, "正在思考中…")
            with pytest.raises(DeadlineExceeded):
                await bot.ask(session.id, "怎么退货", deadline_s=1)
            assert bot.breaker.is_open()
            started = time.monotonic()
            with pytest.raises(BreakerOpen) as refused:
                await bot.ask(session.id, "怎么退货")
            at_once = await bot.ask(session.id, "怎么开发票", placeholder=True)
            assert time.monotonic() - started < 0.1
            assert at_once.text == "正在思考中…"
            assert refused.value.retry_after_s is not None
        answers = await asyncio.gather(bot.wait_for_reply(reply), bot.wait_for_reply(at_once))
        assert {answer.state for answer in answers} == {"completed"}
        assert not bot.breaker.is_open()
        asked = [one.text for one in (await bot.replies_after(session.id)).messages if one.role == "user"]
        assert asked.count(FEE) == asked.count("怎么开发票") == 1


async def test_long_polls_leave_connections_to_questions(guarded: Guarded) -> None:
    async with BotClient(guarded.service.url, credentials=guarded.gateway, connections=4) as bot:
        session = await opened(bot)
        polls = [
            asyncio.create_task(bot.replies_after(session.id, session.last_message_id, wait_s=2)) for _ in range(12)
        ]
        await asyncio.sleep(0.2)
        started = time.monotonic()
        await bot.session(session.id)
        assert time.monotonic() - started < 1
        await asyncio.gather(*polls)
        assert time.monotonic() - started < 6


@asynccontextmanager
async def answering(status: int, body: str, **headers: str) -> AsyncIterator[tuple[str, list[float]]]:
    """A server that says the same to everything; its URL and when it was asked."""
    asked: list[float] = []

    async def say(_: web.Request) -> web.Response:
        asked.append(time.monotonic())
        return web.Response(status=status, text=body, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", say)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def test_a_busy_service_is_asked_again_when_it_says_so(guarded: Guarded) -> None:
    async with answering(503, "<html>busy", **{"Retry-After": "1"}) as (url, asked), BotClient(url) as bot:
        with pytest.raises(Unavailable) as refused:
            await bot.ask("1", FEE, deadline_s=2.5)
    assert refused.value.status == 503
    assert len(asked) == 3
    assert asked[1] - asked[0] >= 1


async def test_who_asks_too_often_is_told_when_to_come_again_and_nothing_is_repeated(guarded: Guarded) -> None:
    body = (
        '{"errors": [{"status": "429", "code": "rate-limited", "detail": "at most 60", "meta": {"request_id": "r1"}}]}'
    )
    async with answering(429, body, **{"Retry-After": "17"}) as (url, asked), BotClient(url) as bot:
        with pytest.raises(RateLimited) as refused:
            await bot.ask("1", FEE, placeholder=True)
    error = refused.value
    assert (error.code, error.status, error.detail) == ("rate-limited", 429, "at most 60")
    assert (error.request_id, error.retry_after_s) == ("r1", 17)
    assert len(asked) == 1


@pytest.mark.parametrize(
    "body", ["", "<html>welcome", "[]", '{"data": 7}', '{"data": {}}', '{"data": {"attributes": {"text": 1}}}']
)
async def test_another_services_answer_is_unreadable(body: str) -> None:
    async with answering(200, body) as (url, _), BotClient(url) as bot:
        with pytest.raises(Unreadable):
            await bot.ask("1", FEE)


async def test_a_redirect_is_not_followed_with_the_token(guarded: Guarded) -> None:
    async with answering(200, "{}") as (elsewhere, asked):
        async with (
            answering(307, "", Location=elsewhere) as (url, _),
            BotClient(url, credentials=FixedKey(key="k")) as bot,
        ):
            with pytest.raises(Unreadable):
                await bot.answer(FEE)
        assert not asked


async def test_suggestions_are_read_as_the_api_describes_them() -> None:
    body = (
        '{"data": [{"type": "suggestions", "id": "return-apply", "attributes": {"text": "怎么退货", "match": "prefix",'
        ' "highlight": [[0, 2]]}}, {"type": "suggestions", "id": "fee", "attributes": {"text": "退货运费谁出"}}],'
        ' "meta": {"request_id": "r"}}'
    )
    async with answering(200, body) as (url, _), BotClient(url) as bot:
        first, second = await bot.suggest("怎么")
    assert (first.id, first.text, first.highlight) == ("return-apply", "怎么退货", ((0, 2),))
    assert (second.id, second.highlight) == ("fee", ())


async def test_suggestions_come_from_a_service_that_has_type_ahead(guarded: Guarded) -> None:
    async with (
        BotClient(guarded.service.url, credentials=guarded.gateway) as bot,
        BotClient(guarded.service.url) as device,
    ):
        assert any("退" in one.text for one in await bot.suggest("怎么退"))
        session = await device.open_session(device_id="phone-40")
        assert await device.suggest("怎么退", sid=session.id, limit=3)
