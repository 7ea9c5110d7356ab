"""A session over a WebSocket: who is let in, what frames do, how it ends; over a real server."""

import asyncio
from contextlib import suppress
from typing import Any

import httpx
import pytest
from access.minting import user_token
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.listeners import seqs, socket
from api.service import Service, Talk

WITHIN_S = 15


@pytest.fixture
def url(service: Service, talk: Talk) -> str:
    return service.url + talk.path


async def test_a_question_is_accepted_and_its_answer_comes_as_an_event(url: str, talk: Talk) -> None:
    async with asyncio.timeout(WITHIN_S), socket(url, talk.token) as opened:
        assert opened.connection.subprotocol == "qa.v1"
        assert opened.connection.protocol.extensions == []  # a context of deflate would cost 100 KB a connection
        ready = await opened.op("ready")
        assert (ready["session_id"], ready["last_message_id"]) == (talk.sid, 1)
        assert ready["heartbeat_s"] > 0
        assert (await opened.op("event"))["type"] == "session.created"
        await opened.send("ask", text="怎么退货", lid="a-1")
        accepted = await opened.op("accepted")
        assert accepted["lid"] == "a-1"
        assert accepted["question"]["attributes"]["text"] == "怎么退货"
        told = await opened.until("message.completed")
    assert seqs(told)[-1] == 3
    assert told[-1]["data"]["id"] == accepted["message"]["id"]
    assert talk.pull(2).json()["data"] == [told[-1]["data"]]


async def test_the_same_lid_asks_once(url: str, talk: Talk) -> None:
    async with asyncio.timeout(WITHIN_S), socket(url, talk.token) as opened:
        ids = set()
        for _ in range(3):
            await opened.send("ask", text="怎么退货", lid="same")
            ids.add((await opened.op("accepted"))["message"]["id"])
        await opened.send("ask", text="怎么换货", lid="same")
        error = await opened.op("error")
    assert len(ids) == 1
    assert (error["status"], error["code"], error["lid"]) == ("422", "idempotency-key-reused", "same")
    assert talk.send("GET").json()["data"]["attributes"]["last_message_id"] == 3


async def test_it_goes_on_after_what_the_client_has(url: str, talk: Talk) -> None:
    talk.ask("怎么退货")
    async with asyncio.timeout(WITHIN_S), socket(url, talk.token, after=2) as opened:
        assert (await opened.op("ready"))["last_message_id"] == 3
        frame = await opened.frame()
        assert (frame["op"], frame["seq"], frame["d"]["seq"]) == ("event", 3, 3)


async def test_that_a_user_types_is_told_to_the_other_devices(url: str, talk: Talk) -> None:
    async with asyncio.timeout(WITHIN_S), socket(url, talk.token, 1) as one, socket(url, talk.token, 1) as other:
        await one.op("ready")
        await other.op("ready")
        await one.send("typing", state="started")
        assert await other.op("event") == {"type": "typing.started", "data": {"by": "user"}}
        await one.send("ping")
        assert (await one.frame())["op"] == "pong"  # and nothing of one's own typing before it


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{nope", "malformed-frame"),
        ("[]", "malformed-frame"),
        ('{"op": 1}', "malformed-frame"),
        ('{"op": "ask", "d": {"text": "\\ud800"}}', "malformed-frame"),
        ("[" * 60_000, "malformed-frame"),
        (b"\x00\x01", "malformed-frame"),
        ('{"op": "sing"}', "unknown-op"),
        ('{"op": "hello", "d": {"token": "again"}}', "unknown-op"),
        ('{"op": "ask"}', "question-not-text"),
        ('{"op": "ask", "d": {"text": 7}}', "question-not-text"),
        ('{"op": "ask", "d": {"text": " "}}', "question-empty"),
        ('{"op": "ask", "d": {"text": "x", "more": 1}}', "invalid-body"),
        ('{"op": "typing", "d": {"state": "loudly"}}', "invalid-body"),
        ('{"op": "cancel", "d": {}}', "invalid-body"),
        ('{"op": "cancel", "d": {"message_id": "404"}}', "message-not-found"),
    ],
)
async def test_a_bad_frame_is_refused_and_the_connection_goes_on(url: str, talk: Talk, sent: Any, code: str) -> None:
    async with asyncio.timeout(WITHIN_S), socket(url, talk.token, 1) as opened:
        await opened.op("ready")
        await opened.connection.send(sent)
        error = await opened.op("error")
        assert error["code"] == code
        assert error["status"][0] == "4"
        assert error["detail"]
        await opened.send("ask", text="怎么退货", lid="good")
        assert (await opened.op("accepted"))["lid"] == "good"


async def test_a_frame_of_a_megabyte_ends_the_connection_and_no_other(url: str, talk: Talk) -> None:
    async with asyncio.timeout(WITHIN_S), socket(url, talk.token, 1) as other:
        await other.op("ready")
        async with socket(url, talk.token, 1) as opened:
            await opened.op("ready")
            with suppress(ConnectionClosed):  # it is refused long before it is sent
                await opened.send("ask", text="退" * 400_000)
            assert await opened.closed() == 1009
        await other.send("ping")
        await other.op("pong")


async def test_who_is_not_let_in_is_told_why_by_the_code(client: httpx.Client, url: str, talk: Talk) -> None:
    stranger = Talk(client)
    bad: list[tuple[Any, Any, int]] = [
        ("", 0, 4001),
        ("a.b.c", 0, 4001),
        (7, 0, 4001),
        ("shop~t~guessed", 0, 4001),
        (talk.token, "0", 4001),
        (talk.token, -1, 4007),
        (talk.token, 99, 4007),
        (stranger.token, 0, 4404),
        (user_token("mallory"), 0, 4404),
    ]
    async with asyncio.timeout(WITHIN_S):
        for token, after, code in bad:
            async with socket(url, token, after) as opened:
                assert await opened.closed() == code, (token, after)
        async with socket(url.replace(talk.sid, "12345"), talk.token) as opened:
            assert await opened.closed() == 4404
        async with socket(url) as opened:
            await opened.send("ask", text="怎么退货")
            assert (await opened.op("error"))["code"] == "hello-required"
            assert await opened.closed() == 4001


async def test_who_says_nothing_is_not_waited_for(url: str) -> None:
    async with asyncio.timeout(WITHIN_S), socket(url) as opened:
        assert await opened.closed() == 4001


async def test_another_protocol_is_not_spoken(url: str) -> None:
    async with asyncio.timeout(WITHIN_S), connect(f"{url}/ws".replace("http", "ws", 1)) as connection:
        with pytest.raises(ConnectionClosed) as caught:
            await connection.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1002


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_a_page_of_elsewhere_opens_no_socket_to_a_service_without_keys(url: str, origin: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with socket(url, origin=origin):
            pass
    assert caught.value.response.status_code == 403


async def test_a_page_of_this_machine_does(url: str, talk: Talk) -> None:
    async with asyncio.timeout(WITHIN_S), socket(url, talk.token, origin="http://localhost:3000") as opened:
        await opened.op("ready")


async def test_a_ticket_is_good_for_hello_once(url: str, talk: Talk) -> None:
    ticket = talk.send("POST", "/tickets").json()["data"]["attributes"]["ticket"]
    async with asyncio.timeout(WITHIN_S):
        async with socket(url, ticket) as opened:
            await opened.op("ready")
            await opened.send("ask", text="怎么退货", lid="1")
            assert await opened.op("accepted")
        async with socket(url, ticket) as opened:
            assert await opened.closed() == 4001


async def test_who_follows_a_session_that_is_erased_or_given_to_another_is_sent_away(url: str, talk: Talk) -> None:
    async with asyncio.timeout(WITHIN_S), socket(url, talk.token) as opened:
        await opened.op("ready")
        bound = talk.send("PATCH", json={"user_token": user_token("alice")}).json()["data"]["attributes"]["token"]
        assert await opened.closed() == 4404
        async with socket(url, bound) as anew, socket(url, user_token("alice")) as as_user:
            await anew.until("session.bound")
            await as_user.until("session.bound")
            await asyncio.to_thread(talk.send, "DELETE", headers={"Authorization": f"Bearer {bound}"})
            assert await anew.closed() == await as_user.closed() == 4404
