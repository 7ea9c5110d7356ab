"""`serve`: a private Redis, an API, a worker and a webhooks process, kept alive together and stopped in order.

It knows what the processes are called, not what they do. Each is a `qa-service` command of its own, so that the same
three scale out separately.
"""

import asyncio
import contextlib
import http.client
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from qa_service.access.local_key import LocalKey
from qa_service.access.opening import key_of_loopback, open_ring
from qa_service.domain.errors import OperatorError, SettingsError
from qa_service.main import access_sources
from qa_service.settings import Settings
from qa_service.store.private import PrivateRedis

_STOP_WITHIN_S = 15.0
_LOOK_EVERY_S = 0.2
_LONGEST_PAUSE_S = 5.0  # between restarts of a process that keeps dying
_READY_WITHIN_S = 60.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where questions are answered, and the generated key that opens it where no other keys are set."""

    url: str
    local_key: LocalKey | None


class Child:
    """One `qa-service` command, started again whenever it ends by itself."""

    def __init__(self, verb: str, environment: dict[str, str]) -> None:
        self.verb = verb
        self._environment = environment

    async def keep_alive(self, stop: asyncio.Event) -> None:
        """Run it until `stop` is set; then let it finish what it has in hand, and insist after 15 seconds."""
        pause_s = _LOOK_EVERY_S
        loop = asyncio.get_running_loop()
        stopping = asyncio.ensure_future(stop.wait())
        while not stop.is_set():
            started = loop.time()
            process = await self._start()
            ended = asyncio.ensure_future(process.wait())
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                await self._end(process)
                return
            lived_s = loop.time() - started
            pause_s = _LOOK_EVERY_S if lived_s > _LONGEST_PAUSE_S else min(pause_s * 2, _LONGEST_PAUSE_S)
            log.error("process ended", verb=self.verb, code=process.returncode, again_in_s=pause_s)
            await asyncio.wait({stopping}, timeout=pause_s)

    async def _start(self) -> asyncio.subprocess.Process:
        # A session of its own: Ctrl-C in a terminal must reach `serve` alone, or nothing stops in order.
        command = (sys.executable, "-m", "qa_service.cli", self.verb, "--parent", str(os.getpid()))
        return await asyncio.create_subprocess_exec(*command, env=self._environment, start_new_session=True)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_WITHIN_S)
        except TimeoutError:
            log.warning("process killed", verb=self.verb)
            process.kill()
            await process.wait()


async def serve(settings: Settings, announce: Callable[[Serving], None]) -> None:
    """Run everything until SIGINT or SIGTERM; `announce` is called once questions are answered.

    Raises:
        SettingsError: the state folder or the port is in use, no redis-server can be found, a key is weak, or other
            machines could call and there is none.
    """
    ring = open_ring(access_sources(settings))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    port = free_port(settings)
    async with AsyncExitStack() as stack:
        redis_url = await stack.enter_async_context(_redis(settings))
        environment = _environment({"QA_REDIS_URL": redis_url, "QA_HOST": settings.host, "QA_PORT": str(port)})
        key = key_of_loopback(access_sources(settings), ring)
        # Left in reverse order: first the API stops taking questions, then the worker finishes what it holds, and what
        # it finished is still sent.
        for verb in ("webhooks", "worker", "api"):
            await stack.enter_async_context(_running(Child(verb, environment)))
        announcing = asyncio.create_task(_announce_when_ready(settings.host, port, key, announce))
        stack.callback(announcing.cancel)
        await stop.wait()
        log.info("stopping")


@asynccontextmanager
async def _redis(settings: Settings) -> AsyncIterator[str]:
    """Give the address of the Redis that was named, or of a private one that is kept alive."""
    if settings.redis_url is not None:
        yield settings.redis_url.get_secret_value()
        return
    async with PrivateRedis(settings.state_dir) as private:
        watching = asyncio.create_task(_keep_redis(private))
        try:
            yield private.url
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching


async def _keep_redis(private: PrivateRedis) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        if not private.alive():
            log.error("redis ended", again="now")
            try:
                await private.restart()
            except OperatorError as error:
                log.exception("redis not restarted", detail=error.detail)
                await asyncio.sleep(_LONGEST_PAUSE_S)


@asynccontextmanager
async def _running(child: Child) -> AsyncIterator[None]:
    stop = asyncio.Event()
    keeping = asyncio.create_task(child.keep_alive(stop))
    try:
        yield
    finally:
        stop.set()
        await keeping


def _environment(given: dict[str, str]) -> dict[str, str]:
    """Give this process's variables with those `given`, which no QA_…_FILE may contradict."""
    kept = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in given}
    return {**kept, **given}


def free_port(settings: Settings) -> int:
    """Give the port to bind, after a look whether it can be: the API process could only say so again and again."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does, so that a restart can bind
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(f"QA_HOST={settings.host} QA_PORT={settings.port} cannot be bound: {error}") from error
        return int(probe.getsockname()[1])


def base_url(host: str, port: int) -> str:
    """Give the URL at which an address is reached."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _announce_when_ready(host: str, port: int, key: LocalKey | None, announce: Callable[[Serving], None]) -> None:
    url = base_url(host, port)
    loop = asyncio.get_running_loop()
    ends = loop.time() + _READY_WITHIN_S
    while not await asyncio.to_thread(_is_ready, host, port):
        if loop.time() > ends:
            log.warning("not ready yet", url=f"{url}/readyz", hint="readyz names what is missing")
            ends = float("inf")
        await asyncio.sleep(_LOOK_EVERY_S)
    announce(Serving(url=url, local_key=key))


def _is_ready(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)  # urllib would go through a proxy where one is set
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
