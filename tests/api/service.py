"""A real service for tests: `qa-service serve` as a process, its children, its log, and its end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from access.minting import SECRET
from click.testing import CliRunner

from qa_service.cli import main

ROOT = Path(__file__).parents[2]
BOT = "/api/v1/bot"
JSON = {"Content-Type": "application/json"}
STARTS_WITHIN_S = 60.0
ENDS_WITHIN_S = 20.0


def qa(*arguments: str, indexes: Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run one verb of the command line to its end, in this process: starting another takes two seconds."""
    done = CliRunner().invoke(main, arguments, env={"QA_INDEXES_DIR": str(indexes)}, catch_exceptions=False)
    assert done.exit_code == 0 or not check, done.stderr
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def build_demo_index(indexes: Path, *more: str, source: str = "data/shop") -> str:
    """Build the demo knowledge base, or a part of it; the new version's name."""
    return qa("index", "build", *more, str(ROOT / source), indexes=indexes).stdout.split()[-1]


def eventually(holds: Callable[[], bool], within_s: float) -> bool:
    """Whether something comes true in time."""
    ends = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running `serve` process."""

    url: str
    process: "subprocess.Popen[bytes]"
    log_file: Path
    key: str  # opens everything, until keys are made

    @property
    def bearer(self) -> dict[str, str]:
        """The header that carries the key."""
        return {"Authorization": f"Bearer {self.key}"}

    def children(self) -> dict[str, int]:
        """The pids of its processes: "api", "worker", and "redis" where it has one of its own."""
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {_role(int(pid)): int(pid) for pid in pids}

    def log(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        lines = self.log_file.read_text(encoding="utf-8").splitlines()
        parsed = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in parsed if line["event"] == event]

    @contextmanager
    def paused(self, role: str) -> Iterator[None]:
        """Stop one of its processes for a while; it knows nothing of it."""
        pid = self.children()[role]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def serving(folder: Path, indexes: Path, *, port: int = 0, **settings: str) -> Iterator[Service]:
    """Serve until the block ends, and see to it that nothing is left over.

    With a `port` it is yielded as soon as it is alive, else when it says that it is ready and where.
    """
    state = folder / "state"
    given = {"state_dir": str(state), "indexes_dir": str(indexes), "port": str(port), "user_token_secret": SECRET}
    given |= {f"limit_{name}_per_min": "1000000" for name in ("uid", "ip", "client")}  # counted, and never in the way
    environment = {**os.environ, **{f"QA_{name.upper()}": value for name, value in (given | settings).items()}}
    log_file = folder / "log"
    command = [sys.executable, "-m", "qa_service.cli", "serve"]
    with (
        log_file.open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        watchdog = threading.Timer(STARTS_WITHIN_S, process.kill)
        watchdog.start()
        try:
            url = _alive(f"http://127.0.0.1:{port}") if port else _announced(process)
            watchdog.cancel()
            key = (state / "local.key").read_text().strip() if (state / "local.key").exists() else ""
            yield Service(url=url, process=process, log_file=log_file, key=key)
        finally:
            watchdog.cancel()
            _stop(process)
    assert "process killed" not in log_file.read_text(encoding="utf-8"), "a process did not stop when it was asked to"
    assert process.returncode == 0, log_file.read_text(encoding="utf-8")[-3000:]


def _announced(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if b"answers at " in line:
            return line.decode().split("answers at ")[1].split()[0]
    pytest.fail("the service ended instead of starting")


def _alive(url: str) -> str:
    def answers() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{url}/healthz").status_code == 200
        return False

    assert eventually(answers, STARTS_WITHIN_S)
    return url


def _stop(process: "subprocess.Popen[bytes]") -> None:
    family = _descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        for pid in (*family, process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()
        pytest.fail(f"the service did not end within {ENDS_WITHIN_S:g} s of SIGTERM")
    left = [pid for pid in family if Path(f"/proc/{pid}").exists()]
    assert not left, f"the service left processes behind: {[_command(pid) for pid in left]}"


def _descendants(pid: int) -> list[int]:
    with suppress(FileNotFoundError):
        children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return [one for child in children for one in (child, *_descendants(child))]
    return []


def _command(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


def _role(pid: int) -> str:
    words = _command(pid)
    return "redis" if "redis-server" in words[0] else words[3]


class Talk:
    """One session over HTTP."""

    def __init__(self, client: httpx.Client, **body: str) -> None:
        opened = client.post(f"{BOT}/sessions", json=body)
        assert opened.status_code == 201, opened.text
        self.client = client
        self.sid: str = opened.json()["data"]["id"]
        self.token: str = opened.json()["data"]["attributes"]["token"]
        self.path = f"{BOT}/sessions/{self.sid}"

    def send(self, method: str, path: str = "", **more: Any) -> httpx.Response:
        """Send a request below the session's path, with its token."""
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return self.client.request(method, self.path + path, headers=headers, **more)

    def ask(self, text: str, **headers: str) -> httpx.Response:
        """Ask; underscores in the names of headers stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", "/messages", json={"text": text}, headers=named)

    def answer(self, text: str) -> dict[str, Any]:
        """The attributes of the answer to a question, with the ids of its sources and choices as `about`."""
        response = self.ask(text)
        assert response.status_code == 201, response.text
        document = response.json()
        attributes: dict[str, Any] = document["data"]["attributes"]
        sources = [one["id"] for one in document["included"] if one["type"] != "messages"]
        return {**attributes, "about": [*sources, *(choice["entry_id"] for choice in attributes["choices"])]}

    def pull(self, cursor: int = 0, **query: int) -> httpx.Response:
        """Read the messages after a cursor."""
        return self.send("GET", "/messages", params={"last_message_id": cursor, **query})


def refusal(response: httpx.Response) -> dict[str, Any]:
    """The one error of a refused request, checked for what every error has."""
    [error] = response.json()["errors"]
    assert response.headers["content-type"] == "application/json"
    assert error["status"] == str(response.status_code)
    assert error["detail"]
    assert error["meta"]["request_id"] == response.headers["x-request-id"]
    return dict(error)
