"""Following while an answer is being written, by clients that come late, go away, do not read, or are sent home."""

import asyncio
import random
import signal
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from faults.house import House, Part
from faults.odd_worker import AGAIN, WRITTEN
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame
from websockets.uri import parse_uri

from api.listeners import PROTOCOL, Told, events, seqs, socket, text_of
from api.service import Talk
from qa_service.domain.event import Piece
from qa_service.store.events import RedisEvents

pytestmark = pytest.mark.slow
WHOLE = "".join(WRITTEN)
WITHIN_S = 30
PRESENT_S, AWAY_S = 0.3, 0.1


@pytest.fixture
def oddities() -> dict[str, float]:
    """What is odd about the worker: it writes for about two seconds before it answers."""
    return {"piece_s": 0.1}


@pytest.fixture
async def house(demo_index: Path, tmp_path: Path, oddities: dict[str, float]) -> AsyncIterator[House]:
    async with House(tmp_path, demo_index) as house:
        await house.odd_worker(**oddities)
        yield house


@pytest.fixture
async def api(house: House) -> Part:
    return await house.api()


@pytest.fixture
def talk(api: Part) -> Iterator[Talk]:
    with httpx.Client(base_url=api.url, timeout=20) as client:
        yield Talk(client)


async def in_background(call: Callable[..., httpx.Response], *given: Any, **more: Any) -> httpx.Response:
    return await asyncio.to_thread(call, *given, **more)


async def test_a_text_is_told_as_it_is_written_also_to_who_comes_late(api: Part, talk: Talk) -> None:
    url = api.url + talk.path

    async def by_socket(late_s: float) -> list[Told]:
        await asyncio.sleep(late_s)
        async with socket(url, talk.token, after=2) as opened:
            return await opened.until("message.completed")

    async def by_events(late_s: float) -> list[Told]:
        await asyncio.sleep(late_s)
        async with events(url, talk.token, params={"after": 2}) as stream:
            return await stream.until("message.completed")

    await in_background(talk.ask, "怎么退货", Prefer="respond-async")
    lates = (0.0, 0.3, 0.7, 1.3)
    async with asyncio.timeout(WITHIN_S):
        told = await asyncio.gather(*(follow(late) for late in lates for follow in (by_socket, by_events)))
    for one in told:
        assert text_of(one) == WHOLE
        assert one[0]["type"] == "typing.started"
        assert seqs(one) == [3]
        assert one[-1]["data"]["attributes"]["state"] == "completed"
    assert sum(event["type"] == "message.delta" for event in told[0]) > len(WRITTEN) // 2  # not all at once


async def test_a_text_that_is_begun_again_is_reset(api: Part, talk: Talk) -> None:
    async with asyncio.timeout(WITHIN_S), socket(api.url + talk.path, talk.token) as opened:
        await opened.send("ask", text=f"怎么退货？{AGAIN}", lid="1")
        told = await opened.until("message.completed")
    assert [event["type"] for event in told].count("message.reset") == 1
    assert text_of(told) == "".join(WRITTEN[len(WRITTEN) // 2 :])


async def test_an_answer_is_cancelled_while_it_is_written_and_the_next_one_comes(
    house: House, api: Part, talk: Talk
) -> None:
    async with asyncio.timeout(WITHIN_S), socket(api.url + talk.path, talk.token) as opened:
        await opened.send("ask", text="怎么退货", lid="1")
        told = await opened.until("message.accepted")
        second = (await in_background(talk.ask, "怎么换货", Prefer="respond-async")).json()["data"]
        told += [*await opened.until("message.delta"), *await opened.until("message.delta")]
        mid = told[-1]["data"]["message_id"]
        cancelled = (await in_background(talk.send, "POST", f"/messages/{mid}/cancel")).json()["data"]
        told += await opened.until("message.cancelled")
        assert cancelled == told[-1]["data"]
        assert cancelled["attributes"]["state"] == "cancelled"
        assert cancelled["attributes"]["text"].startswith(text_of(told))
        assert WHOLE.startswith(cancelled["attributes"]["text"])
        assert cancelled["attributes"]["text"] != WHOLE
        after = await opened.until("message.completed")
    assert after[-1]["data"]["id"] == second["id"]
    assert text_of(after) == WHOLE
    [line] = house.said("no longer wanted")
    assert line["reply_id"] == mid
    assert line["pieces"] < len(WRITTEN)


async def test_a_cancel_by_frame_does_the_same(api: Part, talk: Talk) -> None:
    async with asyncio.timeout(WITHIN_S), socket(api.url + talk.path, talk.token) as opened:
        await opened.send("ask", text="怎么退货", lid="1")
        mid = (await opened.op("accepted"))["message"]["id"]
        await opened.until("message.delta")
        await opened.send("cancel", message_id=mid)
        cancelled = (await opened.until("message.cancelled"))[-1]
    assert cancelled["data"]["id"] == mid


async def test_who_disconnects_cancels_nothing(api: Part, talk: Talk) -> None:
    async with asyncio.timeout(WITHIN_S):
        async with socket(api.url + talk.path, talk.token) as opened:
            await opened.send("ask", text="怎么退货", lid="1")
            await opened.until("message.delta")
        async with events(api.url + talk.path, talk.token) as stream:
            await stream.until("message.delta")
        page = await in_background(talk.pull, 2, wait=20)
    [message] = page.json()["data"]
    assert message["attributes"]["state"] == "completed"


@pytest.mark.parametrize("oddities", [{"most_s": 0.15}])
async def test_who_is_away_every_now_and_then_hears_everything_once(api: Part, talk: Talk) -> None:
    questions = 15
    url, last = api.url + talk.path, 1 + 2 * questions

    async def ask() -> None:
        for _ in range(questions):
            await in_background(talk.ask, "怎么退货呢", Prefer="respond-async")
            await asyncio.sleep(random.uniform(0.05, 0.4))

    async def by_poll(cursor: int) -> list[Told]:
        page = (await in_background(talk.pull, cursor, wait=1)).json()
        return [{"seq": one["attributes"]["seq"], "id": one["id"]} for one in page["data"]]

    async with asyncio.timeout(60):
        _, polled, evented, socketed = await asyncio.gather(
            ask(),
            _away_and_back(by_poll, last),
            _away_and_back(lambda cursor: _present_at_events(url, talk.token, cursor), last),
            _away_and_back(lambda cursor: _present_at_socket(url, talk.token, cursor), last),
        )
    everything = list(range(2, last + 1))
    assert polled == everything
    assert evented == socketed == [1, *everything]


async def _away_and_back(present: Callable[[int], Awaitable[list[Told]]], last: int) -> list[int]:
    """The numbers that a client hears who is away a quarter of the time, and goes on after the last it had."""
    told: list[int] = []
    while not told or told[-1] < last:
        told += [one["seq"] for one in await present(told[-1] if told else 0)]
        await asyncio.sleep(AWAY_S)
    return told


async def _present_at_events(url: str, token: str, cursor: int) -> list[Told]:
    told: list[Told] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(PRESENT_S), events(url, token, params={"after": cursor}) as stream:
            async for event in stream:
                told += [{"seq": int(event["id"])}] if "id" in event else []
    return told


async def _present_at_socket(url: str, token: str, cursor: int) -> list[Told]:
    told: list[Told] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(PRESENT_S), socket(url, token, after=cursor) as opened:
            while True:
                frame = await opened.frame()
                if "seq" in frame:
                    told.append({"seq": frame["seq"]})
    return told


class Deaf:
    """A WebSocket client that reads nothing until it is told to."""

    def __init__(self, url: str, token: str) -> None:
        uri = parse_uri(f"{url}/ws".replace("http", "ws", 1))
        self._protocol = ClientProtocol(uri, subprotocols=[PROTOCOL])
        self._plug = sockets.socket()
        self._plug.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        self._plug.connect((uri.host, uri.port))
        self._plug.settimeout(10)
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        self._feed()
        self._protocol.send_text(f'{{"op":"hello","d":{{"token":"{token}"}}}}'.encode())
        self._flush()

    def read_to_the_end(self) -> tuple[list[bytes], int]:
        """What was sent, and the code with which it was closed."""
        frames: list[bytes] = []
        while self._feed():
            frames += [bytes(one.data) for one in self._protocol.events_received() if isinstance(one, Frame)]
        self._plug.close()
        closed = self._protocol.close_rcvd
        assert closed is not None
        return frames, closed.code

    def _feed(self) -> bool:
        data = self._plug.recv(65536)
        self._protocol.receive_data(data) if data else self._protocol.receive_eof()
        self._flush()
        return bool(data)

    def _flush(self) -> None:
        with suppress(OSError):  # it is closed already
            for data in self._protocol.data_to_send():
                self._plug.sendall(data)


async def test_who_does_not_read_is_sent_away_while_others_hear_all_and_goes_on_later(
    house: House, api: Part, talk: Talk
) -> None:
    url = api.url + talk.path
    whisperer = RedisEvents(house.client, house.keys)
    async with asyncio.timeout(60), socket(url, talk.token) as quick, socket(url, talk.token) as pausing:
        deaf = await asyncio.to_thread(Deaf, url, talk.token)
        await quick.until("session.created")
        await pausing.until("session.created")
        total = 0
        for number in range(600):
            piece = Piece(message_id="1", attempt=1, offset=number * 30_000, text="退" * 30_000)
            await whisperer.whisper(talk.sid, piece)
            total += len((await quick.op("event"))["data"]["text"])
        assert total == 600 * 30_000
        frames, code = await asyncio.to_thread(deaf.read_to_the_end)
        assert code == 4013
        assert 2 <= len(frames) < 600
        with suppress(ConnectionClosed):
            await pausing.until("nothing")  # reads late, and is closed as well or hears all
    async with asyncio.timeout(WITHIN_S), socket(url, talk.token, after=1) as again:
        await again.op("ready")


async def test_at_a_stop_every_listener_is_sent_home_and_told_to_come_back(api: Part, talk: Talk) -> None:
    url = api.url + talk.path
    async with (
        asyncio.timeout(WITHIN_S),
        socket(url, talk.token) as opened,
        socket(url) as silent,
        events(url, talk.token) as stream,
    ):
        await opened.op("ready")
        await anext(stream)
        ending = asyncio.create_task(_ended(api))
        assert await opened.closed() == 1012
        assert [event async for event in stream] == []  # ended as a whole response is
        assert await silent.closed() == 1012
        assert await ending == -signal.SIGTERM  # uvicorn ends as it was told to, once everybody has gone


async def _ended(api: Part) -> int:
    assert api.process is not None
    api.process.terminate()
    return await asyncio.to_thread(api.process.wait, 20)
