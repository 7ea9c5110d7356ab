"""Clients of tests that follow a session: by server-sent events over httpx, by WebSocket over websockets."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PROTOCOL = Subprotocol("qa.v1")
Told = dict[str, Any]


@asynccontextmanager
async def events(url: str, token: str = "", **more: Any) -> AsyncIterator["Events"]:
    """Follow by server-sent events; `more` is httpx's."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= more.pop("headers", {})
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", f"{url}/events", headers=headers, **more) as response,
    ):
        yield Events(response)


class Events:
    """Server-sent events as they come, read as the standard says."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    def __aiter__(self) -> "Events":
        return self

    async def __anext__(self) -> Told:
        """The next event: `id`, `event`, and `data` read as JSON; what has no data is passed over."""
        fields: Told = {}
        async for line in self._lines:
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                return {**fields, "data": json.loads(fields["data"])}
            else:
                fields = {}
        raise StopAsyncIteration

    async def until(self, kind: str) -> list[Told]:
        """Every event up to the first of a type, less pings."""
        told: list[Told] = []
        async for event in self:
            if event["event"] != "ping":
                told.append(event["data"])
            if event["event"] == kind:
                return told
        raise AssertionError(f"the stream ended without {kind}: {told}")


@asynccontextmanager
async def socket(url: str, token: Any = None, after: Any = 0, **more: Any) -> AsyncIterator["Socket"]:
    """Open a WebSocket to a session, and say hello where there is a token."""
    async with connect(f"{url}/ws".replace("http", "ws", 1), subprotocols=[PROTOCOL], **more) as connection:
        opened = Socket(connection)
        if token is not None:
            await opened.send("hello", token=token, after=after)
        yield opened


class Socket:
    """Frames as they come."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, op: str, **d: Any) -> None:
        await self.connection.send(json.dumps({"op": op, "d": d}))

    async def frame(self) -> Told:
        return dict(json.loads(await self.connection.recv()))

    async def op(self, op: str) -> Told:
        """What the next frame of an op holds; what comes before it is passed over."""
        while (frame := await self.frame())["op"] != op:
            pass
        return dict(frame.get("d", {}))

    async def until(self, kind: str) -> list[Told]:
        """Every event up to the first of a type."""
        told = []
        while True:
            told.append(await self.op("event"))
            if told[-1]["type"] == kind:
                return told

    async def closed(self) -> int:
        """The code with which the server ends it; frames before that are passed over."""
        with pytest.raises(ConnectionClosed) as caught:
            await self._deafly()
        assert caught.value.rcvd is not None, caught.value
        return caught.value.rcvd.code

    async def _deafly(self) -> None:
        while True:
            await self.connection.recv()


def text_of(told: list[Told]) -> str:
    """The text that the deltas make; each begins where the last one ended."""
    text = ""
    for event in told:
        if event["type"] == "message.reset":
            text = ""
        if event["type"] == "message.delta":
            assert event["data"]["offset"] == len(text), told
            text += event["data"]["text"]
    return text


def seqs(told: list[Told]) -> list[int]:
    """The numbers of the durable events among them."""
    return [event["seq"] for event in told if "seq" in event]
