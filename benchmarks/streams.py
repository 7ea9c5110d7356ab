"""How late are events with many WebSockets, and what does a silent one cost?

Users, silent listeners and the service share the machine. An event's lateness is counted from the moment that Redis
wrote it into the log to the moment that the client read it: the answer's own time is over by then.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import click
import uvloop

from benchmarks._light_socket import LightSocket
from benchmarks._results import write
from benchmarks._service import ROOT, Service, running
from qa_service.api.envelope import PREFIX
from qa_service.knowledge.build import Recipe, build
from qa_service.knowledge.evaluate import read_questions
from qa_service.knowledge.read import read_sources
from qa_service.knowledge.versions import Versions
from qa_service.main import encoder_named

QUESTION = "how late are events with many WebSockets, and what does a silent one cost?"
_SOURCES = [ROOT / "data" / "shop"]
_QUESTIONS = ROOT / "data" / "evaluation" / "questions.zh.jsonl"
_ANSWERED_WITHIN_S = 60
_OPENED_AT_ONCE = 20
_TRIES = 5  # to open one: on a busy machine Redis may seem away for a moment
_ASKED_A_SECOND = 20
_SETTLED_S = 35  # longer than the pings and the looks at the log that no hint asks for are apart


@dataclass(slots=True)
class User:
    """One session with its WebSocket, and what it heard of its answers."""

    sid: str
    token: str
    socket: LightSocket | None = None
    accepted_late_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)  # of answers
    asked_at: float = 0.0
    opened_again: int = 0
    answered_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self, text: str) -> None:
        """Ask, and hear about it later."""
        assert self.socket is not None
        self.asked_at = time.time()
        self.answered.clear()
        self.socket.send({"op": "ask", "d": {"text": text, "lid": f"{self.sid}-{self.asked_at}"}})

    def heard(self, frame: dict[str, Any], at: float) -> None:
        """Note a frame."""
        if frame["op"] == "error":
            self.errors.append(frame["d"]["code"])
            self.answered.set()
        elif frame["op"] == "event" and frame["d"]["type"].startswith("message.") and "seq" in frame:
            late_ms = (at - datetime.fromisoformat(frame["d"]["created_at"]).timestamp()) * 1000
            if frame["d"]["type"] == "message.accepted":
                self.accepted_late_ms.append(late_ms)
            else:
                self.late_ms.append(late_ms)
                self.answered_ms.append((at - self.asked_at) * 1000)
                self.answered.set()


@click.command()
@click.option("--users", default=500, help="who ask at once")
@click.option("--silent", default=10_000, help="WebSockets that say nothing")
def main(users: int, silent: int) -> None:
    """Measure and write benchmarks/results/streams.json."""
    # Beside those that are measured there are the sessions' own requests.
    os.environ["QA_MOST_CONNECTIONS"] = str(users + silent + 500)
    with tempfile.TemporaryDirectory(prefix="qa-bench-") as scratch:
        folder = Path(scratch)
        versions = Versions(folder / "indexes", "shop")
        built = build(read_sources(_SOURCES), _SOURCES, versions, Recipe(encoder=encoder_named("builtin")))
        versions.activate(built.version)
        (folder / "state").mkdir()
        measured = uvloop.run(_measured(folder, users, silent))
    figures = {"question": QUESTION, "load_average_before": measured.pop("load_average_before"), **measured}
    print(json.dumps(figures, ensure_ascii=False, indent=1))
    print(f"written to {write('streams', figures)}", file=sys.stderr)


async def _measured(folder: Path, users: int, silent: int) -> dict[str, Any]:
    load = [round(one, 2) for one in os.getloadavg()]
    texts = [question.query for question in read_questions(_QUESTIONS)]
    async with running(folder / "state", folder / "indexes") as service:
        api = _pid_of("benchmarks._bare_route_api")
        crowd = await _opened(service, users)
        await _asked_at_once(crowd[: min(50, users)], texts)  # what a first question waits for is not measured
        for user in crowd:
            user.late_ms.clear()
            user.accepted_late_ms.clear()
            user.answered_ms.clear()
        at_once = await _asked_at_once(crowd, texts)
        for user in crowd:
            assert user.socket
            user.socket.transport.close()
        await asyncio.sleep(1)
        before_mb = _rss_mb(api)
        started = time.perf_counter()
        quiet = await _opened(service, silent)
        opened_s = time.perf_counter() - started
        full_mb = _rss_mb(api)
        cpu_before, settled = _cpu_s(api), time.perf_counter()
        await asyncio.sleep(_SETTLED_S)
        idle_cpu = (_cpu_s(api) - cpu_before) / (time.perf_counter() - settled)
        live = await _asked_now_and_then(quiet[:200], texts)
        closed = sum(user.socket is None or user.socket.transport.is_closing() for user in quiet)
        return {
            "load_average_before": load,
            "asked_at_once": {"users": users, **at_once},
            "silent": {
                "websockets": silent,
                "opened_in_s": round(opened_s, 1),
                "opened_again": sum(user.opened_again for user in quiet),
                "closed": closed,
                "api_rss_mb_before": before_mb,
                "api_rss_mb": full_mb,
                "api_rss_mb_after_a_while": _rss_mb(api),
                "kb_each": round((full_mb - before_mb) * 1024 / silent, 1),
                "api_cpu_share_while_nothing_happens": round(idle_cpu, 3),
                "live": live,
            },
        }


async def _opened(service: Service, number: int) -> list[User]:
    """Open sessions, each with a WebSocket that is told of what happens from now on."""
    url, gate = f"http://{service.host}:{service.port}{PREFIX}/sessions", asyncio.Semaphore(_OPENED_AT_ONCE)
    async with aiohttp.ClientSession() as session:

        async def one() -> User:
            async with gate:
                for again in range(_TRIES):
                    try:
                        user = await _session(session, url)
                        await _connect(service, user)
                    except ConnectionError:
                        await asyncio.sleep(1)
                    else:
                        user.opened_again = again
                        return user
                message = f"a session or its WebSocket could not be opened {_TRIES} times"
                raise RuntimeError(message)

        return list(await asyncio.gather(*(one() for _ in range(number))))


async def _session(session: aiohttp.ClientSession, url: str) -> User:
    async with session.post(url, json={"device_id": "bench"}) as response:
        if response.status != 201:
            message = f"no session: {response.status}"
            raise ConnectionError(message)
        data = (await response.json())["data"]
        return User(sid=data["id"], token=data["attributes"]["token"])


async def _connect(service: Service, user: User) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    host, path = f"{service.host}:{service.port}", f"{PREFIX}/sessions/{user.sid}/ws"
    _, user.socket = await loop.create_connection(
        lambda: LightSocket(host, path, user.token, 1, ready), service.host, service.port
    )
    async with asyncio.timeout(30):
        await ready
    user.socket.on_frame = user.heard


async def _asked_at_once(crowd: Sequence[User], texts: Sequence[str]) -> dict[str, Any]:
    for place, user in enumerate(crowd):
        user.ask(texts[place % len(texts)])
    return await _told(crowd, len(crowd))


async def _asked_now_and_then(crowd: Sequence[User], texts: Sequence[str]) -> dict[str, Any]:
    for place, user in enumerate(crowd):
        user.ask(texts[place % len(texts)])
        await asyncio.sleep(1 / _ASKED_A_SECOND)
    return await _told(crowd, len(crowd))


async def _told(crowd: Sequence[User], asked: int) -> dict[str, Any]:
    waiting = [asyncio.create_task(user.answered.wait()) for user in crowd]
    _, late = await asyncio.wait(waiting, timeout=_ANSWERED_WITHIN_S)
    for task in late:
        task.cancel()
    errors = [error for user in crowd for error in user.errors]
    return {
        "questions": asked,
        "errors": len(errors) + len(late),
        "answer_event_to_client_ms": _spread([ms for user in crowd for ms in user.late_ms]),
        "accepted_event_to_client_ms": _spread([ms for user in crowd for ms in user.accepted_late_ms]),
        "question_to_answer_ms": _spread([ms for user in crowd for ms in user.answered_ms]),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] for name, share in _SHARES.items()}
    return {"n": len(ordered), **{name: round(value, 1) for name, value in at.items()}}


_SHARES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


def _pid_of(module: str) -> int:
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return next(int(pid) for pid in children if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes())


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def _cpu_s(pid: int) -> float:
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
