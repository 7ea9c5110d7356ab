"""The service as separate processes that a test starts, kills, pauses and starts again, and a look into its Redis."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from api.service import ROOT, Service
from redis.asyncio import Redis

from qa_service.store.connection import open_redis
from qa_service.store.keys import Keys
from qa_service.store.private import PrivateRedis

GROUP = "workers"
_STARTS_WITHIN_S = 60.0
_ENDS_WITHIN_S = 20.0
_BACK_WITHIN_S = 15.0


@dataclass(slots=True)
class Part:
    """One process of the service: what it runs, and what it has said in all its lives."""

    command: Sequence[str]
    environment: dict[str, str]
    log_file: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    born_at: int = 0  # bytes of its log that are of earlier lives

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def consumer(self) -> str:
        """What a worker calls itself in the queue's group."""
        return f"{socket.gethostname()}-{self.pid}"

    @property
    def url(self) -> str:
        """Where an API process answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.born_at = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, also while it is stopped, and wait until it is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    async def end(self) -> int:
        """Ask it to stop, and give its exit code."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        if not await until(lambda: not self.alive(), _ENDS_WITHIN_S):
            self.kill()
        return int(self.process.returncode)

    def tail(self) -> str:
        """The end of its log."""
        return self.log_file.read_text(encoding="utf-8")[-3000:]

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event; what a kill cut short is no line."""
        return [line for line in log_lines(self.log_file) if line.get("event") == event]


class House:
    """A private Redis and what was started beside it; everything ends with the context."""

    def __init__(self, folder: Path, indexes: Path, **settings: str) -> None:
        self.folder, self.indexes = folder, indexes
        self.parts: list[Part] = []
        self.redis = PrivateRedis(folder / "state")
        self.keys = Keys(tenant="shop")
        self._settings = settings

    async def __aenter__(self) -> Self:
        await self.redis.__aenter__()
        self.client: Redis = open_redis(self.redis.url, timeout_s=5.0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(part.end() for part in reversed(self.parts) if part.alive()))
        await self.client.aclose()
        await self.redis.__aexit__(None, None, None)

    @property
    def environment(self) -> dict[str, str]:
        """What its processes and its `qa-service` commands are told."""
        given = {"redis_url": self.redis.url, "state_dir": str(self.folder / "state"), "indexes_dir": str(self.indexes)}
        given |= {f"limit_{name}_per_min": "0" for name in ("uid", "ip", "client")}  # load, all from one address
        named = {f"QA_{name.upper()}": value for name, value in (given | self._settings).items()}
        return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", **named}

    @property
    def bearer(self) -> dict[str, str]:
        """The header with the key that a stateless question needs; an API process makes it as it starts."""
        return {"Authorization": f"Bearer {(self.folder / 'state' / 'local.key').read_text().strip()}"}

    async def odd_worker(self, **oddities: object) -> Part:
        """Start a worker that is slow, or dies of some questions."""
        options = [f"--{name.replace('_', '-')}={value}" for name, value in oddities.items()]
        return await self.at_work(self._part(["-m", "faults.odd_worker", *options]))

    async def api(self) -> Part:
        """Start an API process on a port of its own, and wait until it is ready."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        return await self.ready(self._part(["-m", "qa_service.cli", "api"], port))

    async def api_and_workers(self, number: int) -> tuple[Part, list[Part]]:
        """Start an API process and so many workers, all at once."""
        workers = [self._part(["-m", "qa_service.cli", "worker"]) for _ in range(number)]
        return await self.api(), [await self.at_work(worker) for worker in workers]

    async def at_work(self, worker: Part) -> Part:
        """Wait until a worker has an index to answer from."""

        def has_index() -> bool:
            assert worker.alive(), worker.tail()
            with worker.log_file.open("rb") as log:
                log.seek(worker.born_at)
                return b'"index in force"' in log.read()

        assert await until(has_index, _STARTS_WITHIN_S)
        return worker

    async def ready(self, api: Part) -> Part:
        """Wait until an API process answers questions."""
        assert await eventually(lambda: asyncio.to_thread(_is_ready, api), _STARTS_WITHIN_S), api.tail()
        return api

    async def in_hand(self, worker: Part) -> int:
        """How many questions a worker has taken and not finished."""
        held = await self.client.xpending_range(self.keys.queue(0), GROUP, "-", "+", 1000, worker.consumer)
        return len(held)

    async def backlog(self) -> int:
        """Questions that are queued or worked on."""
        return int(await self.client.xlen(self.keys.queue(0)))

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event, of all processes."""
        return [line for part in self.parts for line in part.said(event)]

    def _part(self, command: Sequence[str], port: int = 0) -> Part:
        environment = {**self.environment, "QA_PORT": str(port)}
        part = Part(command, environment, self.folder / f"log-{len(self.parts)}", port)
        self.parts.append(part)
        part.start()
        return part


async def killed(service: Service, role: str) -> None:
    """Kill one process of a served house, and wait until its supervisor has started another."""
    before = service.children()[role]

    def is_another() -> bool:
        with suppress(IndexError, FileNotFoundError):  # the dead one has no command line until it is buried
            return service.children().get(role, before) != before
        return False

    os.kill(before, signal.SIGKILL)
    assert await until(is_another, _BACK_WITHIN_S), f"{role} was not started again"


def log_lines(path: Path) -> list[dict[str, Any]]:
    """The events in a log; what a kill cut short is none."""
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):
            parsed = json.loads(line)
            if isinstance(parsed, dict):
                lines.append(parsed)
    return lines


async def until(holds: Callable[[], bool], within_s: float) -> bool:
    """Whether something comes true in time, without stopping the event loop."""

    async def look() -> bool:
        return holds()

    return await eventually(look, within_s)


async def eventually(holds: Callable[[], Any], within_s: float) -> bool:
    """Whether something awaited comes true in time."""
    ends = time.monotonic() + within_s
    while not await holds():
        if time.monotonic() > ends:
            return False
        await asyncio.sleep(0.02)
    return True


def _is_ready(api: Part) -> bool:
    assert api.alive(), api.tail()
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
