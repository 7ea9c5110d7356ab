"""Customers: each has a session, asks on, and brings an unanswered request again under the same key until it is taken.

They know the HTTP API alone. What became of their questions is read from the session logs by `ledger.py`.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from api.service import BOT

QUESTIONS_A_SESSION = 50  # far below the cap of a session's log, from which the outcome is read
_TRIES_FOR_S = 60.0
_AGAIN_S = 0.1
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one request came back with."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]
    elapsed_s: float

    @property
    def message(self) -> dict[str, Any]:
        """The bot's message of an accepted question: `id` and attributes."""
        return {"id": self.body["data"]["id"], **self.body["data"]["attributes"]}

    @property
    def question_id(self) -> str:
        """The id of the customer's own message."""
        return str(self.message["in_reply_to"])


@dataclass(slots=True)
class Seen:
    """What customers saw beside answers."""

    statuses: dict[int, int] = field(default_factory=dict)
    refused: int = 0  # connections
    cut: int = 0  # connections closed before an answer came

    def add(self, status: int) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def failures(self) -> int:
        """Requests that were answered with anything but success."""
        return sum(number for status, number in self.statuses.items() if status >= 300)


@dataclass(slots=True)
class Asked:
    """One session's questions that were acknowledged with 201 or 202: question id -> id of its reply."""

    sid: str
    token: str
    replies: dict[str, str] = field(default_factory=dict)


class Customer:
    """One customer; `urls` are the API processes it may turn to, the next one when a connection fails."""

    def __init__(self, http: aiohttp.ClientSession, urls: Sequence[str], seen: Seen | None = None) -> None:
        self.seen = seen or Seen()
        self.sessions: list[Asked] = []
        self._http = http
        self._urls = itertools.cycle(urls)
        self._url = next(self._urls)

    @property
    def session(self) -> Asked:
        """The present session."""
        return self.sessions[-1]

    async def open(self) -> "Customer":
        """Open a new session; the earlier ones are kept for the reckoning."""
        opened = await self.insist("POST", f"{BOT}/sessions", json={})
        assert opened.status == 201, opened.body
        data = opened.body["data"]
        self.sessions.append(Asked(data["id"], data["attributes"]["token"]))
        return self

    def turn_away(self) -> None:
        """Go to the next API process."""
        self._url = next(self._urls)

    async def send(self, method: str, path: str, **more: Any) -> Reply:
        """Send one request once."""
        started = time.monotonic()
        async with self._http.request(method, self._url + path, **more) as response:
            body = await response.json()
            self.seen.add(response.status)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(status=response.status, body=body, headers=headers, elapsed_s=time.monotonic() - started)

    async def insist(self, method: str, path: str, **more: Any) -> Reply:
        """Send a request until it is answered with anything but 429 and 5xx."""
        ends = time.monotonic() + _TRIES_FOR_S
        while time.monotonic() < ends:
            try:
                reply = await self.send(method, path, **more)
                if reply.status != 429 and reply.status < 500:
                    return reply
            except aiohttp.ClientConnectorError:
                self.seen.refused += 1
                self.turn_away()
            except (aiohttp.ClientError, ConnectionError):
                self.seen.cut += 1
                self.turn_away()
                continue  # it may have been taken: the key tells
            await asyncio.sleep(_AGAIN_S)
        message = f"{method} {path} was not answered within {_TRIES_FOR_S:g} s"
        raise TimeoutError(message)

    async def ask(self, text: str, *, key: str = "", **headers: str) -> Reply:
        """Ask until the question is taken, always under the same key, and remember that it was."""
        key = key or f"k{next(_numbers)}"
        reply = await self.insist(
            "POST", f"{self.path}/messages", json={"text": text}, headers=self.heads(key, headers)
        )
        if reply.status in {201, 202}:
            self.session.replies[reply.question_id] = reply.message["id"]
        return reply

    async def ask_once(self, text: str, *, key: str = "", **headers: str) -> Reply:
        """Ask, and take whatever comes back."""
        reply = await self.send("POST", f"{self.path}/messages", json={"text": text}, headers=self.heads(key, headers))
        if reply.status in {201, 202}:
            self.session.replies[reply.question_id] = reply.message["id"]
        return reply

    async def pull(self, cursor: int, wait_s: int = 0) -> Reply:
        """Read the messages after a cursor."""
        query = {"last_message_id": cursor, "wait": wait_s, "limit": 100}
        return await self.insist("GET", f"{self.path}/messages", params=query, headers=self.heads("", {}))

    @property
    def path(self) -> str:
        """The session's path."""
        return f"{BOT}/sessions/{self.session.sid}"

    def heads(self, key: str, more: dict[str, str]) -> dict[str, str]:
        """The headers of a request: the session's token, a key, and others with underscores for hyphens."""
        keyed = {"Idempotency-Key": key} if key else {}
        return {"Authorization": f"Bearer {self.session.token}", **keyed, **_hyphened(more)}


def fresh_questions() -> Iterator[str]:
    """Questions that nobody asked before, so that no cache answers them."""
    while True:
        yield f"第{next(_numbers)}号订单怎么退货"


@asynccontextmanager
async def customers(number: int, *urls: str, seen: Seen | None = None) -> AsyncIterator[list[Customer]]:
    """So many customers, each with an open session."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=45)) as http:
        made = [Customer(http, urls, seen) for _ in range(number)]
        await asyncio.gather(*(one.open() for one in made))
        yield made


@asynccontextmanager
async def asking(crowd: Sequence[Customer], texts: Iterator[str]) -> AsyncIterator[None]:
    """Keep every customer asking while the block runs; what is under way then is still taken."""
    stop = asyncio.Event()

    async def ask_on(customer: Customer) -> None:
        while not stop.is_set():
            if len(customer.session.replies) >= QUESTIONS_A_SESSION:
                await customer.open()
            await customer.ask(next(texts))

    tasks = [asyncio.create_task(ask_on(customer)) for customer in crowd]
    try:
        yield
        failed = [task for task in tasks if task.done()]
        assert not failed, [task.exception() for task in failed]
        stop.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task


def _hyphened(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
