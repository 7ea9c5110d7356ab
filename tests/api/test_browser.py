"""A browser's own EventSource and WebSocket, in headless Chromium where there is one."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from api.service import Service, Talk

_CHROMIUM = shutil.which("chromium")
_WITHIN_S = 60
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_CHROMIUM is None, reason="no chromium on the path: apt-get install chromium"),
]

# Follows by EventSource with a ticket and asks by WebSocket; what both heard is the result.
_PAGE_SCRIPT = """
new Promise((done, failed) => {
  const seen = {events: [], frames: []};
  const path = %(path)s;
  const source = new EventSource(`${path}/events?ticket=${%(tickets)s[0]}`);
  const socket = new WebSocket(`ws://${location.host}${path}/ws`, "qa.v1");
  const finish = () => {
    if (!seen.events.includes("message.completed") || !seen.frames.includes("message.completed")) return;
    source.close(); socket.close(); done(JSON.stringify(seen));
  };
  const types = ["session.created", "message.accepted", "typing.started", "message.completed", "typing.stopped"];
  for (const type of types) source.addEventListener(type, event => {
    seen.events.push(JSON.parse(event.data).type); if (event.lastEventId) seen.last = event.lastEventId; finish();
  });
  source.onopen = () => socket.readyState === 1 && ask();
  socket.onopen = () => source.readyState === 1 && ask();
  const ask = () => {
    socket.send(JSON.stringify({op: "hello", d: {token: %(tickets)s[1]}}));
    socket.send(JSON.stringify({op: "ask", d: {text: "怎么退货", lid: "browser-1"}}));
  };
  socket.onmessage = message => {
    const frame = JSON.parse(message.data);
    seen.frames.push(frame.op === "event" ? frame.d.type : frame.op); finish();
  };
  setTimeout(() => failed(JSON.stringify(seen)), 20000);
})
"""


@asynccontextmanager
async def page_at(folder: Path, url: str) -> AsyncIterator["Page"]:
    """Open a page in a browser of its own, and end the browser afterwards."""
    assert _CHROMIUM
    options = (*_OPTIONS, f"--user-data-dir={folder / 'profile'}", "--remote-debugging-port=0", url)
    browser = await asyncio.create_subprocess_exec(
        _CHROMIUM, *options, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    assert browser.stderr
    try:
        port = await _told_port(browser.stderr)
        async with connect(await _address_of_page(port, url), max_size=None) as connection:
            page = Page(connection)
            # The browser names the address before its document is there.
            while not str(await page.evaluate("document.readyState + location.href")).startswith(f"complete{url}"):  # noqa: ASYNC110  # bounded by the caller
                await asyncio.sleep(0.05)
            yield page
    finally:
        with suppress(ProcessLookupError):
            browser.kill()
        await browser.wait()


async def _told_port(stderr: asyncio.StreamReader) -> int:
    async for line in stderr:
        if b"DevTools listening on ws://127.0.0.1:" in line:
            return int(line.split(b"127.0.0.1:")[1].split(b"/")[0])
    pytest.fail("chromium ended before it could be spoken to")


async def _address_of_page(port: int, url: str) -> str:
    async with httpx.AsyncClient() as client:
        for _ in range(100):
            pages = (await client.get(f"http://127.0.0.1:{port}/json")).json()
            for page in pages:
                if page["type"] == "page" and page["url"].startswith(url):
                    return str(page["webSocketDebuggerUrl"])
            await asyncio.sleep(0.1)
    pytest.fail("chromium did not open the page")


class Page:
    """A page, spoken to over the DevTools protocol."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def evaluate(self, script: str) -> Any:
        """What a script's promise comes to."""
        parameters = {"expression": script, "awaitPromise": True, "returnByValue": True}
        await self._connection.send(json.dumps({"id": 1, "method": "Runtime.evaluate", "params": parameters}))
        while (told := json.loads(await self._connection.recv())).get("id") != 1:
            pass
        assert "exceptionDetails" not in told["result"], told["result"]["exceptionDetails"]["exception"]
        return told["result"]["result"]["value"]


async def test_a_browser_follows_by_event_source_and_asks_by_websocket(
    service: Service, talk: Talk, tmp_path: Path
) -> None:
    # Any page of the service's own origin will do. It opens before there are tickets, which live for a minute only.
    async with asyncio.timeout(_WITHIN_S), page_at(tmp_path, f"{service.url}/healthz") as page:
        tickets = [talk.send("POST", "/tickets").json()["data"]["attributes"]["ticket"] for _ in range(2)]
        script = _PAGE_SCRIPT % {"path": json.dumps(talk.path), "tickets": json.dumps(tickets)}
        seen = json.loads(await page.evaluate(script))
    told = [one for one in seen["events"] if not one.startswith("typing")]
    assert told == ["session.created", "message.accepted", "message.completed"]
    assert seen["last"] == "3"
    assert seen["frames"][0] == "ready"
    assert {"accepted", "message.accepted", "message.completed"} <= set(seen["frames"])
