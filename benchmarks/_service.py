"""A whole service for a benchmark: private Redis, API process (with a bare route to compare with), worker process."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from qa_service.access.local_key import local_key
from qa_service.store.private import PrivateRedis

ROOT = Path(__file__).parent.parent
_START_WITHIN_S = 60.0
_STOP_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where a running service answers, and the Redis behind it."""

    host: str
    port: int
    redis_url: str
    bearer: dict[str, str]  # the header that carries its key


@asynccontextmanager
async def running(state_dir: Path, indexes_dir: Path) -> AsyncIterator[Service]:
    """Start everything, wait until it is ready, stop it at the end."""
    async with PrivateRedis(state_dir) as redis:
        port = _free_port()
        environment = {
            **os.environ,
            "QA_REDIS_URL": redis.url,
            "QA_PORT": str(port),
            "QA_STATE_DIR": str(state_dir),
            "QA_INDEXES_DIR": str(indexes_dir),
            "QA_LOG_LEVEL": "info",
            **{f"QA_LIMIT_{name}_PER_MIN": "0" for name in ("UID", "IP", "CLIENT")},  # all load is one address's
        }
        with (state_dir / "log").open("wb") as log:
            commands = [["-m", "benchmarks._bare_route_api"], ["-m", "qa_service.cli", "worker"]]
            processes = [
                subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stderr=log)  # noqa: ASYNC220  # nothing else runs yet
                for command in commands
            ]
            try:
                _await_ready(port)
                bearer = {"Authorization": f"Bearer {local_key(state_dir).text}"}
                yield Service(host="127.0.0.1", port=port, redis_url=redis.url, bearer=bearer)
            finally:
                for process in processes:
                    process.terminate()
                for process in processes:
                    process.wait(_STOP_WITHIN_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(port: int) -> None:
    ends = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < ends:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    message = "the service did not become ready"
    raise RuntimeError(message)
