"""A redis-server with other settings than ours, as an operator may have one."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from redis import Redis
from redis.exceptions import RedisError

from qa_service.store.private import find_redis_server

PASSWORD = "hunter2"


@dataclass(frozen=True, slots=True, kw_only=True)
class OddRedis:
    """A running one; `url` names its superuser."""

    socket: Path
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def url_of_user(self, name: str, *rules: str) -> str:
        """The address for a user who may do everything but for `rules` ("-config")."""
        with Redis.from_url(self.url) as client:
            client.execute_command("ACL", "SETUSER", name, "on", f">{PASSWORD}", "~*", "&*", "+@all", *rules)
        return f"unix://{name}:{PASSWORD}@{self.socket}"

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It neither answers nor hangs up."""
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)


@contextmanager
def odd_redis(folder: Path, **settings: str) -> Iterator[OddRedis]:
    """Run one; an underscore in a setting's name stands for a hyphen. What is not given is as a stock Redis has it."""
    folder.mkdir(parents=True, exist_ok=True)
    socket = folder / "redis.sock"
    given = {"port": "0", "unixsocket": str(socket), "dir": str(folder), "save": "", **settings}
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    with subprocess.Popen([find_redis_server().path, *words], stdout=subprocess.DEVNULL) as process:
        try:
            _await_pong(f"unix://{socket}")
            yield OddRedis(socket=socket, process=process)
        finally:
            process.kill()


def _await_pong(url: str) -> None:
    ends = monotonic() + 5
    while monotonic() < ends:
        with Redis.from_url(url) as probe, suppress(RedisError):
            probe.ping()
            return
        sleep(0.005)
    raise TimeoutError(url)
