"""The mini-program's client under node, with wx.request over node's http, against a real service."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from api.service import ROOT

from client.conftest import Guarded
from client.proxy import cutting, proxied

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="there is no node on the PATH to run examples/miniprogram with")
FEE = "满多少钱免运费"
SOON_S = 30.0


class MiniProgram:
    """A node process with the client in it; what it tells is kept in order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin
        assert process.stdout
        self.stdin, self.stdout = process.stdin, process.stdout
        self.messages: list[dict[str, Any]] = []

    async def does(self, what: str, **more: object) -> Any:
        """Give a command and what it told, once it is done; messages that come meanwhile are kept."""
        self.stdin.write(json.dumps({"does": what, **more}).encode() + b"\n")
        told = None
        while True:
            line = await self._line()
            if line.get("done") == what:
                return told
            told = line.get(what if what != "ask" else "asked", told)

    async def ask(self, *texts: str, **more: object) -> list[dict[str, Any]]:
        """Ask at once and give what each gave."""
        asked: list[dict[str, Any]] = await self.does("ask", texts=texts, **more)
        return asked

    async def message(self, **like: str) -> dict[str, Any]:
        """Give the next message with these members."""
        while True:
            for message in self.messages:
                if like.items() <= message.items():
                    self.messages.remove(message)
                    return message
            await self._line()

    async def _line(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(await asyncio.wait_for(self.stdout.readline(), SOON_S))
        if "message" in line:
            self.messages.append(line["message"])
        return line


@asynccontextmanager
async def running(url: str) -> AsyncIterator[MiniProgram]:
    assert NODE
    process = await asyncio.create_subprocess_exec(
        NODE,
        str(ROOT / "tests/client/miniprogram.js"),
        url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield MiniProgram(process)
    finally:
        assert process.stdin
        process.stdin.write(b'{"does": "end"}\n')
        await asyncio.wait_for(process.communicate(), SOON_S)
    assert process.returncode == 0


async def test_a_question_is_answered_and_not_shown_again_by_the_poll(guarded: Guarded) -> None:
    async with running(guarded.service.url) as app:
        await app.does("start")
        [first] = await app.ask(FEE)
        assert first["reply"]["decision"] == "answer"
        assert first["reply"]["sources"]
        [second] = await app.ask("怎么退货")
        await app.does("stop")
        assert second["reply"]["state"] == "completed"
        assert app.messages == []


@pytest.mark.slow
async def test_the_placeholder_is_replaced_under_the_same_lid(guarded: Guarded) -> None:
    async with running(guarded.service.url) as app:
        await app.does("start")
        with guarded.service.paused("worker"):
            [asked] = await app.ask("七天无理由退货从哪天算起呢", lids=["lid-1"])
            assert asked["ms"] < 3200
            assert (asked["reply"]["state"], asked["reply"]["text"]) == ("pending", "正在思考中…")
        filled = await app.message(lid="lid-1", state="completed")
        assert filled["id"] == asked["reply"]["id"]


async def test_a_hung_service_gives_the_placeholder_in_3_s_and_the_question_is_asked_once_afterwards(
    guarded: Guarded,
) -> None:
    async with running(guarded.service.url) as app:
        await app.does("start")
        await app.ask(FEE)
        with guarded.service.paused("api"):
            [asked] = await app.ask("怎么开发票", lids=["lid-2"])
            assert asked["ms"] < 3500
            assert asked["reply"] == {"id": "", "lid": "lid-2", "state": "pending", "text": "正在思考中…"}
        await app.message(lid="lid-2", state="completed")
        await app.does("stop")
        await app.does("keep", changes={"last": 0})
        await app.does("restart")
        await app.does("start")
        await app.message(text=FEE)
        await app.message(text="怎么开发票")
        await app.does("stop")
        assert [one for one in app.messages if one["text"] == "怎么开发票"] == []


async def test_a_question_whose_answer_was_cut_off_is_one_question(guarded: Guarded) -> None:
    async with proxied(guarded.service.url) as proxy, running(proxy.url) as app:
        proxy.swallow_answers_to = b"/messages HTTP"
        [asked] = await app.ask(FEE)
        assert proxy.swallowed == 1
        assert asked["reply"]["decision"] == "answer"
        await app.does("restart")
        await app.does("start")
        await app.message(role="user")
        await app.message(role="bot")
        await app.does("stop")
        assert app.messages == []


async def test_never_more_than_five_requests_run_at_once(guarded: Guarded) -> None:
    async with running(guarded.service.url) as app:
        await app.does("start")
        asked = await app.ask(*[FEE] * 12)
        assert {one["reply"]["state"] for one in asked} <= {"completed", "pending"}
        assert await app.does("peak") == 5


async def test_messages_come_once_each_though_the_network_is_away_100_ms_of_every_400(guarded: Guarded) -> None:
    async with proxied(guarded.service.url) as proxy, running(proxy.url) as app:
        await app.does("start")
        await app.ask(FEE)
        async with cutting(proxy, every_s=0.4, for_s=0.1):
            asked = []
            for _ in range(12):
                asked += [one["reply"] for one in await app.ask(FEE)]
                await asyncio.sleep(0.15)
        assert proxy.connected > 13  # polls were cut
        for reply in asked:
            if reply["state"] == "pending":
                await app.message(lid=reply["lid"], state="completed")
        await app.does("stop")
        await app.does("keep", changes={"last": 0})
        await app.does("restart")
        await app.does("start")
        roles = [(await app.message(text=FEE))["role"] for _ in range(13)]
        assert roles == ["user"] * 13
        await app.does("stop")
        assert [one["role"] for one in app.messages] == ["bot"] * 13
        assert len({one["id"] for one in app.messages}) == 13


async def test_after_a_restart_reading_goes_on_where_it_was(guarded: Guarded) -> None:
    async with running(guarded.service.url) as app:
        await app.does("start")
        await app.ask(FEE)
        await app.ask(FEE)
        await asyncio.sleep(0.3)
        kept = await app.does("kept")
        await app.does("stop")
        await app.does("restart")
        await app.does("start")
        [asked] = await app.ask("怎么退货")
        await app.does("stop")
        assert app.messages == []
        assert (await app.does("kept"))["sid"] == kept["sid"]
        assert asked["reply"]["seq"] > kept["last"]


async def test_a_session_that_is_gone_is_followed_by_a_new_one(guarded: Guarded) -> None:
    async with running(guarded.service.url) as app:
        await app.ask(FEE)
        await app.does("keep", changes={"sid": "1", "token": "shop~no-such-token-here"})
        [asked] = await app.ask(FEE)
        assert asked["reply"]["decision"] == "answer"


async def test_a_refusal_comes_with_its_code(guarded: Guarded) -> None:
    async with running(guarded.service.url) as app:
        [asked] = await app.ask("长" * 501)
        assert asked["error"] == {"status": 422, "code": "question-too-long"}
