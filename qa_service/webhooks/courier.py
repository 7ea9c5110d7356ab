"""One attempt: a name is looked up once, every address is judged, and only a judged one is connected to.

Nothing is followed, and of an answer at most 4 KB are read. It knows no schedule and no other endpoint.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from qa_service.domain.errors import InvalidInput
from qa_service.domain.redaction import redact
from qa_service.webhooks.addresses import Address, PrivateHosts, is_public
from qa_service.webhooks.schedule import TIMEOUT_S, retry_after_s
from qa_service.webhooks.urls import checked_url

_MOST_ANSWER_BYTES = 4096
_TOLD_CHARS = 200  # of an answer that is no success
_MAX_HEADER_BYTES = 16 * 1024

# A host and a port: their addresses. It blocks, and runs in a thread of its own.
Lookup = Callable[[str, int], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of an attempt. `status` is None where no whole answer came, and `error` says why."""

    duration_ms: float
    status: int | None = None
    error: str = ""
    retry_after_s: float | None = None

    @property
    def is_success(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no more of it."""
        return self.status == 410


class _Forbidden(OSError):
    """The host leads to an address that webhooks are not sent to."""


def system_lookup(host: str, port: int) -> list[tuple[Any, ...]]:
    """Ask the system's resolver."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Courier:
    """Makes attempts. `private` are the hosts that need not be public."""

    def __init__(
        self, private: PrivateHosts, *, agent: str, timeout_s: float = TIMEOUT_S, lookup: Lookup = system_lookup
    ) -> None:
        self._private = private
        self._agent = agent
        self._timeout_s = timeout_s
        self._lookup = lookup

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post a body; whatever goes wrong is told in the answer."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                status, error, wish_s = await self._post(url, body, headers)
        except (aiohttp.ClientError, OSError, InvalidInput, ValueError) as failure:  # a timeout is an OSError
            status, error, wish_s = None, self._told(failure), None
        duration_ms = round((time.perf_counter() - started) * 1000, 1)
        return Answer(duration_ms=duration_ms, status=status, error=error, retry_after_s=wish_s)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, float | None]:
        target = checked_url(url, self._private)
        guard = _Guard(target.raw_host or "", target.port or 0, self._private)
        # One connector an attempt: no connection outlives the look-up that allowed it, or serves another endpoint.
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(guard, self._lookup),
            use_dns_cache=False,
            force_close=True,
            socket_factory=guard.socket_for,
        )
        sent = {**headers, "Content-Type": "application/json", "User-Agent": self._agent, "Accept-Encoding": "identity"}
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_line_size=_MAX_HEADER_BYTES,
                max_field_size=_MAX_HEADER_BYTES,
            ) as session,
            session.post(target, data=body, headers=sent, allow_redirects=False) as response,
        ):
            beginning = await _beginning(response)
            wish_s = retry_after_s(response.headers.get("Retry-After", ""), time.time())
            told = "" if 200 <= response.status < 300 else redact(beginning.decode(errors="replace"))[:_TOLD_CHARS]
            response.close()  # whatever more there is stays unread
            return response.status, told, wish_s

    def _told(self, failure: Exception) -> str:
        cause: BaseException | None = failure
        while cause is not None and not isinstance(cause, _Forbidden | InvalidInput):
            cause = cause.__cause__ or getattr(cause, "os_error", None)
        if cause is not None:
            return str(cause)
        if isinstance(failure, TimeoutError):
            return f"no answer within {self._timeout_s:g} s"
        return redact(f"{type(failure).__name__}: {failure}")[:_TOLD_CHARS]


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    read = b""
    while len(read) < _MOST_ANSWER_BYTES and (chunk := await response.content.read(_MOST_ANSWER_BYTES - len(read))):
        read += chunk
    return read


class _Guard:
    """Judges the addresses of one host, and makes a socket for no other."""

    def __init__(self, host: str, port: int, private: PrivateHosts) -> None:
        self._host = host
        self._port = port
        self._private = private

    def check(self, address: Address) -> None:
        """Raise _Forbidden for an address that webhooks are not sent to."""
        if not (is_public(address) or self._private.allow(self._host, address, self._port)):
            message = "webhooks are sent to public addresses; this host leads to another"
            raise _Forbidden(message)

    def socket_for(self, info: tuple[Any, ...]) -> socket.socket:
        """Make the socket that the very next step connects to `info`'s address: the last look is here."""
        family, kind, protocol, _, place = info
        self.check(ip_address(place[0]))
        return socket.socket(family, kind, protocol)


class _Resolver(AbstractResolver):
    """Looks a name up, and gives its addresses only if webhooks may be sent to all of them."""

    def __init__(self, guard: _Guard, lookup: Lookup) -> None:
        self._guard = guard
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give the addresses of a name."""
        found = await _in_a_thread(lambda: self._lookup(host, port))
        addresses = [(kind, place[0]) for kind, _, _, _, place in found if kind in {socket.AF_INET, socket.AF_INET6}]
        for _, address in addresses:
            self._guard.check(ip_address(address))
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in addresses
            if family in {socket.AF_UNSPEC, kind}
        ]

    async def close(self) -> None:
        """Nothing is held."""


async def _in_a_thread(work: Callable[[], list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    """Run a look-up in a thread of its own, which nobody waits for at the end of the process.

    A pool of a few threads, as asyncio's and uvloop's are, is full as soon as some name servers are silent: one
    endpoint would delay the others.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

    def give(result: list[tuple[Any, ...]] | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result or [])

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as failure:  # noqa: BLE001  # handed on to who waits
            error = failure
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(give, result, error)

    threading.Thread(target=run, daemon=True, name="webhook-lookup").start()
    return await done
