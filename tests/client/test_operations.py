"""The client's operations against a real service with keys."""

import asyncio
import time

import pytest
from access.minting import user_token

from client.conftest import Guarded
from qa_service.client import (
    BotClient,
    ClientCredentials,
    Conflict,
    FixedKey,
    Forbidden,
    InvalidInput,
    NotFound,
    Unauthenticated,
)

FEE = "满多少钱免运费"


async def test_a_back_end_asks_for_a_user_and_gets_a_typed_answer(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-7", locale="zh-CN")
    assert (session.uid, session.owner, session.ttl_s) == ("user-7", "bot", 86400)
    reply = await bot.ask(session.id, FEE)
    assert not reply.is_pending
    assert (reply.state, reply.decision, reply.sid, reply.question) == ("completed", "answer", session.id, FEE)
    assert reply.served_by in {"faq", "cache"}
    assert reply.confidence > 0.5
    assert [source.id for source in reply.sources] == ["shipping-fee-threshold"]
    assert reply.created_at
    assert reply.request_id
    assert not reply.replayed
    read = await bot.reply(session.id, reply.id)
    assert (read.id, read.text, read.sources) == (reply.id, reply.text, reply.sources)
    assert (await bot.session(session.id)).last_message_id == reply.seq


async def test_what_the_bot_may_mean_comes_as_choices(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-8")
    reply = await bot.ask(session.id, "昨晚拍的鞋不想买了，状态写着待发货")
    assert reply.decision == "clarify"
    assert len(reply.choices) >= 2
    assert all(choice.entry_id and choice.question for choice in reply.choices)


async def test_the_same_key_gives_the_same_message_and_another_text_under_it_is_a_conflict(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-9")
    first = await bot.ask(session.id, FEE, key="k-1")
    again = await bot.ask(session.id, FEE, key="k-1")
    assert (again.id, again.text, again.replayed) == (first.id, first.text, True)
    with pytest.raises(Conflict) as refused:
        await bot.ask(session.id, "怎么退货", key="k-1")
    assert (refused.value.code, refused.value.status) == ("idempotency-key-reused", 422)


async def test_questions_without_a_key_are_each_their_own(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-10")
    first, second = await bot.ask(session.id, FEE), await bot.ask(session.id, FEE)
    assert first.id != second.id
    assert first.key != second.key


async def test_a_page_holds_the_messages_after_a_cursor(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-11")
    await bot.ask(session.id, FEE)
    reply = await bot.ask(session.id, "怎么退货")
    page = await bot.replies_after(session.id, limit=3)
    assert [message.role for message in page.messages] == ["user", "bot", "user"]
    assert page.has_more
    rest = await bot.replies_after(session.id, page.last_message_id)
    assert [message.id for message in rest.messages] == [reply.id]
    assert (rest.last_message_id, rest.has_more) == (reply.seq, False)
    assert rest.sources


async def test_a_long_poll_is_answered_when_a_message_comes(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-12")
    polling = asyncio.create_task(bot.replies_after(session.id, session.last_message_id, wait_s=10))
    await asyncio.sleep(0.3)
    assert not polling.done()
    await bot.ask(session.id, FEE)
    page = await asyncio.wait_for(polling, 3)
    assert page.messages[0].text == FEE


async def test_a_long_poll_without_a_message_ends_in_its_time(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-13")
    started = time.monotonic()
    page = await bot.replies_after(session.id, session.last_message_id, wait_s=1)
    assert page.messages == ()
    assert 0.8 <= time.monotonic() - started < 2


@pytest.mark.slow
async def test_a_question_that_takes_long_gives_a_placeholder_in_time_and_is_back_filled(
    guarded: Guarded, bot: BotClient
) -> None:
    session = await bot.open_session(uid="user-14")
    with guarded.service.paused("worker"):
        started = time.monotonic()
        reply = await bot.ask(session.id, "开发票要多久才能收到呀")
        assert time.monotonic() - started < 3
        assert reply.is_pending
        assert reply.text.startswith("正在思考中")
        assert (await bot.wait_for_reply(reply, within_s=0.5)).is_pending
    answered = await bot.wait_for_reply(reply, within_s=20)
    assert (answered.id, answered.state, answered.key) == (reply.id, "completed", reply.key)
    assert answered.text != reply.text


async def test_an_answer_without_a_session(bot: BotClient) -> None:
    answer = await bot.answer(FEE)
    assert (answer.decision, [source.id for source in answer.sources]) == ("answer", ["shipping-fee-threshold"])
    assert answer.request_id


async def test_a_devices_session_is_entered_with_its_own_token_and_no_other(bot: BotClient, device: BotClient) -> None:
    session = await device.open_session(device_id="phone-7", bot="shop")
    assert session.token
    assert session.token not in repr(session)
    assert (await device.ask(session.id, FEE)).decision == "answer"
    with pytest.raises(NotFound) as refused:
        await bot.session(session.id)
    assert refused.value.code == "session-not-found"
    bot.use_token(session.id, session.token)
    assert (await bot.session(session.id)).device_id == "phone-7"


async def test_a_back_end_opens_a_devices_session_too(bot: BotClient) -> None:
    session = await bot.open_session(device_id="phone-8")
    assert (await bot.ask(session.id, FEE)).decision == "answer"


async def test_a_bound_session_is_its_users_with_all_its_messages(bot: BotClient) -> None:
    session = await bot.open_session(device_id="phone-9")
    asked = await bot.ask(session.id, FEE)
    bound = await bot.bind(session.id, user_token("user-15"))
    assert (bound.id, bound.uid) == (session.id, "user-15")
    assert bound.token not in {"", session.token}
    page = await bot.replies_after(session.id)
    assert asked.id in [message.id for message in page.messages]


async def test_a_user_token_is_a_key_for_the_users_own_sessions(guarded: Guarded) -> None:
    async with BotClient(guarded.service.url, credentials=FixedKey(key=user_token("user-16"))) as bot:
        session = await bot.open_session()
        assert session.uid == "user-16"
        assert (await bot.ask(session.id, FEE)).decision == "answer"


async def test_an_erased_session_is_gone(bot: BotClient) -> None:
    session = await bot.open_session(device_id="phone-10")
    await bot.erase(session.id)
    with pytest.raises(NotFound):
        await bot.session(session.id)


async def test_all_that_is_kept_of_a_user_is_exported_and_erased(guarded: Guarded) -> None:
    uid = "a/user ?&17"
    async with BotClient(guarded.service.url, credentials=guarded.admin) as bot:
        opened = [await bot.open_session(uid=uid) for _ in range(23)]  # more than one page
        asked = await bot.ask(opened[0].id, FEE)
        kept = [one async for one in bot.export_user(uid)]
        assert [one.session.id for one in kept] == [session.id for session in opened]
        assert [message.text for message in kept[0].messages] == [FEE, asked.text]
        assert await bot.erase_user(uid) == 23
        assert [one async for one in bot.export_user(uid)] == []


async def test_what_the_token_may_not_do_is_forbidden(bot: BotClient) -> None:
    with pytest.raises(Forbidden) as refused:
        await bot.erase_user("user-7")
    assert (refused.value.code, refused.value.status) == ("insufficient-scope", 403)


async def test_a_wrong_secret_is_told_apart(guarded: Guarded) -> None:
    credentials = ClientCredentials(client_id="gateway", secret="wrong")
    async with BotClient(guarded.service.url, credentials=credentials) as bot:
        with pytest.raises(Unauthenticated) as refused:
            await bot.open_session(uid="user-7")
    assert refused.value.code == "invalid_client"
    assert "wrong" not in repr(credentials)


@pytest.mark.parametrize("text", ["", "   ", "长" * 501])
async def test_what_is_no_question_is_refused_with_the_services_reason(bot: BotClient, text: str) -> None:
    session = await bot.open_session(uid="user-18")
    with pytest.raises(InvalidInput) as refused:
        await bot.ask(session.id, text)
    assert refused.value.code in {"question-empty", "question-too-long"}
    assert refused.value.request_id
    assert refused.value.detail


async def test_half_a_surrogate_pair_is_refused_before_it_is_sent(bot: BotClient) -> None:
    session = await bot.open_session(uid="user-19")
    with pytest.raises(InvalidInput) as refused:
        await bot.ask(session.id, "\ud83d")
    assert refused.value.code == "malformed-text"


@pytest.mark.parametrize("sid", ["", "..", "a/b", "1?x=1", "1#", "%2e", "长"])
async def test_what_can_be_no_sid_never_becomes_a_path(bot: BotClient, sid: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await bot.session(sid)
    assert refused.value.code == "invalid-id"


async def test_a_client_that_is_not_open_says_so(guarded: Guarded) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await BotClient(guarded.service.url).open_session()
