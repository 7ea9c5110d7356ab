"""Deliveries, from an event in a session's log to a receiver that fails, hangs, has gone, or is well."""

import asyncio
import time

import pytest
from aiohttp import web

from qa_service.domain.errors import InvalidInput, NotFound
from qa_service.domain.webhook import TEST_EVENT, WEBHOOK_EVENTS, DeliveryState, delivery_id
from qa_service.store.sessions import RedisSessions
from qa_service.webhooks.desk import Wish
from webhooks.conftest import Open, Shop
from webhooks.receivers import Receiver, failing, hang, receiving, status


async def test_every_event_that_is_wanted_arrives_signed_with_what_it_concerns(shop: Shop) -> None:
    async with receiving() as receiver, shop.delivering():
        endpoint = await shop.hook(receiver.url)
        sid = await shop.open()
        mid = await shop.talk(sid)
        await RedisSessions(shop.client, shop.keys).bind(sid, "secret", uid="u1", new_token="new")
        events = [one.verified(endpoint.secrets[0].text) for one in await receiver.until(3)]
        by_type = {event["type"]: event["data"] for event in events}
        assert by_type.keys() == {"session.created", "message.completed", "session.bound"}
        told = by_type["message.completed"]
        assert (told["tenant"], told["session_id"], told["seq"]) == ("shop", sid, 3)
        assert (told["message"]["id"], told["message"]["text"]) == (mid, "七天内可以")
        assert (told["message"]["state"], told["message"]["decision"]) == ("completed", "answer")
        assert (by_type["session.bound"]["uid"], by_type["session.bound"]["session"]["id"]) == ("u1", sid)
        assert "token" not in by_type["session.created"]["session"]
        assert {one.webhook_id for one in receiver.got} == {delivery_id(endpoint.id, sid, seq) for seq in (1, 3, 4)}
        assert all(one.headers["Content-Type"] == "application/json" for one in receiver.got)


async def test_an_endpoint_hears_of_what_it_asked_for_and_of_nothing_before_it_was_made(shop: Shop) -> None:
    async with receiving() as all_of_it, receiving() as some:
        early = await shop.open()
        every, bound = await shop.hook(all_of_it.url), await shop.hook(some.url, "session.bound", "message.failed")
        async with shop.delivering():
            await shop.talk(early)
            await RedisSessions(shop.client, shop.keys).bind(early, "secret", uid="u1", new_token="new")
            await all_of_it.until(2)
            await some.until(1)
            await shop.settled(every)
            await shop.settled(bound)
    assert [one.event["type"] for one in some.got] == ["session.bound"]
    assert {one.event["type"] for one in all_of_it.got} == {"message.completed", "session.bound"}


async def test_a_receiver_that_fails_gets_it_again_under_the_same_id_with_the_same_body(shop: Shop) -> None:
    async with receiving(failing(2)) as receiver, shop.delivering():
        endpoint = await shop.hook(receiver.url, "message.completed")
        await shop.talk(await shop.open())
        await receiver.until(3)
        (delivery,) = await shop.settled(endpoint)
        assert delivery.state is DeliveryState.DELIVERED
        assert [one.status for one in delivery.attempts] == [500, 500, 200]
        assert [one.error for one in delivery.attempts] == ["sorry", "sorry", ""]
        assert len({(one.webhook_id, one.body) for one in receiver.got}) == 1
        for one in receiver.got:
            assert one.verified(endpoint.secrets[0].text)
        assert (await shop.desk.read(endpoint.id)).failing_since_ms == 0


async def test_after_the_last_attempt_it_has_failed_and_can_be_replayed_under_the_same_id(shop: Shop) -> None:
    async with receiving(failing(5)) as receiver, shop.delivering(0.0, 0.01, 0.01):
        endpoint = await shop.hook(receiver.url, "message.completed")
        await shop.talk(await shop.open())
        (failed,) = await shop.settled(endpoint)
        assert (failed.state, failed.reason, failed.tries) == (DeliveryState.FAILED, "no attempt is left", 3)
        assert (await shop.desk.read(endpoint.id)).failing_since_ms > 0
        replayed = await shop.desk.replay(endpoint.id, failed.id)
        assert (replayed.state, replayed.tries) == (DeliveryState.PENDING, 0)
        await receiver.until(6)
        (delivered,) = await shop.settled(endpoint)
        assert delivered.state is DeliveryState.DELIVERED
        assert [one.status for one in delivered.attempts] == [500, 500, 500, 500, 500, 200]
        assert len({(one.webhook_id, one.body) for one in receiver.got}) == 1


async def test_all_that_failed_lately_is_replayed_at_once_and_what_was_delivered_is_left_alone(shop: Shop) -> None:
    async with receiving(failing(6)) as receiver, shop.delivering(0.0):
        endpoint = await shop.hook(receiver.url, "session.created")
        for _ in range(8):
            await shop.open()
            await shop.settled(endpoint)
        assert len(await shop.desk.replay_failed(endpoint.id, 60)) == 6
        assert await shop.desk.replay_failed(endpoint.id, 60) == []
        await receiver.until(14)
        assert {one.state for one in await shop.settled(endpoint)} == {DeliveryState.DELIVERED}


async def test_what_was_delivered_is_read_from_its_session_again_and_cannot_be_replayed_after_that(shop: Shop) -> None:
    async with receiving() as receiver, shop.delivering():
        endpoint = await shop.hook(receiver.url, "message.completed")
        sid = await shop.open()
        await shop.talk(sid)
        (delivered,) = await shop.settled(endpoint)
        assert await shop.client.hlen(f"{shop.keys.hooks(shop.keys.partition(sid))}:bodies") == 0
        await shop.desk.replay(endpoint.id, delivered.id)
        first, second = await receiver.until(2)
        assert (first.webhook_id, first.body) == (second.webhook_id, second.body)
        await shop.settled(endpoint)
        await shop.client.delete(shop.keys.session(sid))
        await shop.desk.replay(endpoint.id, delivered.id)
        (gone,) = await shop.settled(endpoint)
        assert (gone.state, gone.reason) == (DeliveryState.FAILED, "what it told of is not kept any more")
        assert len(receiver.got) == 2


async def test_a_receiver_that_hangs_is_left_after_the_time_of_an_attempt(shop: Shop) -> None:
    async with receiving(hang) as receiver, shop.delivering(0.0, timeout_s=0.2):
        endpoint = await shop.hook(receiver.url, "session.created")
        await shop.open()
        (failed,) = await shop.settled(endpoint)
        assert (failed.attempts[0].status, failed.attempts[0].error) == (None, "no answer within 0.2 s")
        assert 150 < failed.attempts[0].duration_ms < 1500


async def test_410_disables_the_endpoint_and_nothing_more_is_sent_until_it_is_enabled(shop: Shop) -> None:
    async with receiving(status(410)) as receiver, shop.delivering():
        endpoint = await shop.hook(receiver.url, "session.created")
        await shop.open()
        (failed,) = await shop.settled(endpoint)
        assert (failed.state, len(failed.attempts)) == (DeliveryState.FAILED, 1)
        held = await shop.disabled(endpoint)
        assert held.disabled_reason == "the receiver answered 410 Gone"
        await shop.open()
        with pytest.raises(InvalidInput):
            await shop.desk.test(endpoint.id)
        receiver.react = status(200)
        again = await shop.desk.change(endpoint.id, Wish(enabled=True))
        assert (again.enabled, again.disabled_reason) == (True, "")
        await shop.open()
        await receiver.until(2)
        assert len(await shop.settled(endpoint)) == 2


async def test_days_of_nothing_but_failures_disable_the_endpoint_and_say_so(shop: Shop) -> None:
    async with receiving(status(503)) as receiver, shop.delivering(0.0, 0.3, 0.3, disabled_after_s=0.5):
        endpoint = await shop.hook(receiver.url, "session.created")
        await shop.open()
        held = await shop.disabled(endpoint)
        assert held.disabled_reason.startswith("nothing but failures for")


@pytest.mark.parametrize("code", [429, 503])
async def test_a_receiver_says_when_it_may_be_asked_again(shop: Shop, code: int) -> None:
    async def wait(receiver: Receiver, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=200 if len(receiver.got) > 1 else code, headers={"Retry-After": "1"})

    async with receiving(wait) as receiver, shop.delivering(0.0, 0.0):
        await shop.hook(receiver.url, "session.created")
        await shop.open()
        first, second = await receiver.until(2)
        assert 0.9 < second.at_s - first.at_s < 4


async def test_of_a_huge_answer_no_more_than_a_little_is_read(shop: Shop) -> None:
    written = 0

    async def pour(_: Receiver, request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        for _round in range(1000):  # 64 MB
            await response.write(b"x" * 65_536)
            written += 65_536
        return response

    async with receiving(pour) as receiver, shop.delivering(0.0):
        endpoint = await shop.hook(receiver.url, "session.created")
        await shop.open()
        (delivery,) = await shop.settled(endpoint)
        assert (delivery.state, delivery.attempts[0].status) == (DeliveryState.DELIVERED, 200)
        assert delivery.attempts[0].duration_ms < 1000
    assert written < 16_000_000  # what lay in the buffers of both ends


async def test_endpoints_that_hang_refuse_or_are_not_found_delay_no_other(shop: Shop) -> None:
    async with receiving(hang) as hanging, receiving() as well, shop.delivering(0.0, 60.0, timeout_s=3.0):
        for _ in range(3):
            await shop.hook(hanging.url, "session.created")
        await shop.hook("http://127.0.0.1:9/", "session.created")
        await shop.hook("http://no-such-host.invalid/", "session.created")
        await shop.hook(well.url, "session.created")
        for _ in range(3):  # more than a lane sends at once
            for _session in range(10):
                await shop.open()
        started = time.monotonic()
        await well.until(30)
        assert time.monotonic() - started < 3
        assert len(hanging.got) <= 12  # three lanes of four


async def test_after_a_rotation_both_secrets_sign_for_a_day_and_then_the_new_one_alone(shop: Shop) -> None:
    async with receiving() as receiver, shop.delivering():
        endpoint = await shop.hook(receiver.url, "session.created")
        old = endpoint.secrets[0].text
        rotated = await shop.desk.rotate(endpoint.id)
        new, ends_at_ms = rotated.secrets[0].text, rotated.secrets[1].ends_at_ms
        assert new != old
        assert abs(ends_at_ms / 1000 - time.time() - 86_400) < 10
        await asyncio.sleep(1.2)  # until the dispatcher has looked
        await shop.open()
        (got,) = await receiver.until(1)
        assert len(got.headers["webhook-signature"].split(" ")) == 2
        assert got.verified(old) == got.verified(new)
        assert rotated.live_secrets(ends_at_ms + 1) == (new,)
        third = await shop.desk.rotate(endpoint.id)
        assert len(third.secrets) == 2
        assert third.secrets[1].text == new


async def test_a_test_arrives_as_an_event_of_its_own(shop: Shop) -> None:
    async with receiving() as receiver, shop.delivering():
        endpoint = await shop.hook(receiver.url, "message.failed")
        delivery = await shop.desk.test(endpoint.id)
        (got,) = await receiver.until(1)
        assert (got.webhook_id, got.verified(endpoint.secrets[0].text)["type"]) == (delivery.id, TEST_EVENT)
        (listed,) = await shop.settled(endpoint)
        assert (listed.id, listed.state) == (delivery.id, DeliveryState.DELIVERED)
        await shop.desk.replay(endpoint.id, delivery.id)
        assert (await receiver.until(2))[1].body == got.body


async def test_an_erased_session_takes_its_deliveries_along_whatever_they_were_doing(shop: Shop) -> None:
    async with receiving(status(500)) as receiver:
        endpoint = await shop.hook(receiver.url)
        erased, kept = await shop.open(), await shop.open()
        async with shop.delivering(0.0, 60.0):
            for sid in (erased, kept):
                await shop.talk(sid)
            await receiver.until(4)
            await asyncio.sleep(0.2)
            await shop.erasure.erase(erased, "secret")
        await shop.talk(kept)  # in the outbox, of a session that is erased before anybody looks
        await shop.erasure.erase(kept, "secret")
        receiver.react = status(200)
        before = len(receiver.got)
        async with shop.delivering(0.0):
            await asyncio.sleep(0.3)
        assert await shop.desk.deliveries(endpoint.id, 10) == []
        assert len(receiver.got) == before
        left = [name async for name in shop.client.scan_iter("qa:{p*")]
        assert sorted(left) == sorted(name for name in left if name.endswith((b":hooks", b":outbox", b"bot.query")))
        assert await shop.waiting() == 0


async def test_a_users_erasure_takes_the_deliveries_of_expired_sessions_too(shop: Shop) -> None:
    async with receiving(status(500)) as receiver, shop.delivering(0.0, 60.0):
        endpoint = await shop.hook(receiver.url, "session.created")
        mine, theirs = await shop.open("13812345678"), await shop.open("another")
        await receiver.until(2)
        await asyncio.sleep(0.2)
        await shop.client.delete(*(shop.keys.session(sid) for sid in (mine, theirs)))
        await shop.erasure.erase_letters("13812345678")
        assert [one.sid for one in await shop.desk.deliveries(endpoint.id, 10)] == [theirs]
        assert not [name async for name in shop.client.scan_iter("*13812345678*")]


async def test_tenants_hear_of_their_own_sessions_alone(open_shop: Open) -> None:
    shop, bank = await open_shop("shop"), await open_shop("bank")
    async with receiving() as of_shop, receiving() as of_bank, shop.delivering(), bank.delivering():
        await shop.hook(of_shop.url)
        endpoint = await bank.hook(of_bank.url)
        await shop.talk(await shop.open())
        await bank.talk(await bank.open())
        await of_shop.until(2)
        await of_bank.until(2)
        for receiver, tenant in ((of_shop, "shop"), (of_bank, "bank")):
            assert {one.event["data"]["tenant"] for one in receiver.got} == {tenant}
        with pytest.raises(NotFound):
            await shop.desk.read(endpoint.id)
        assert len(await shop.desk.all()) == 1


async def test_a_removed_endpoint_leaves_nothing_and_what_waits_for_it_goes_nowhere(shop: Shop) -> None:
    async with receiving(status(500)) as receiver:
        endpoint = await shop.hook(receiver.url)
        async with shop.delivering(0.0, 60.0):
            await shop.talk(await shop.open())
            await receiver.until(2)
        await shop.open()  # waits in the outbox, with nobody to look
        await shop.desk.remove(endpoint.id)
        async with shop.delivering(0.0):
            await asyncio.sleep(0.3)
        assert len(receiver.got) == 2
        assert not [name async for name in shop.client.scan_iter(f"*{endpoint.id}*")]
        assert not [name async for name in shop.client.scan_iter("*hooks*")]
        for call in (shop.desk.read, shop.desk.remove, shop.desk.rotate, shop.desk.test):
            with pytest.raises(NotFound):
                await call(endpoint.id)


async def test_two_dispatchers_at_once_deliver_each_event_once(shop: Shop) -> None:
    async with receiving() as receiver, shop.delivering(), shop.delivering():
        endpoint = await shop.hook(receiver.url, "session.created")
        for _ in range(40):
            await shop.open()
        await receiver.until(40)
        await shop.settled(endpoint)
        await asyncio.sleep(0.2)
        assert len(receiver.got) == len({one.webhook_id for one in receiver.got}) == 40


async def test_a_bad_wish_is_refused_with_what_was_expected_and_changes_nothing(shop: Shop) -> None:
    endpoint = await shop.hook("http://127.0.0.1:9/")
    for wish, code in (
        (Wish(url="ftp://crm.example/"), "webhook-url-invalid"),
        (Wish(url="http://10.0.0.1/"), "webhook-url-forbidden"),
        (Wish(events=["message.completed", "message.accepted"]), "unknown-event"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await shop.desk.change(endpoint.id, wish)
        assert refused.value.code == code
        if code == "unknown-event":
            assert refused.value.pointer == "/events/1"
            assert all(name in refused.value.detail for name in WEBHOOK_EVENTS)
    assert await shop.desk.read(endpoint.id) == endpoint
    for _ in range(19):
        await shop.hook("http://127.0.0.1:9/")
    with pytest.raises(InvalidInput) as refused:
        await shop.hook("http://127.0.0.1:9/")
    assert refused.value.code == "too-many-webhooks"
