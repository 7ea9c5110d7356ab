"""Sends calls: one pool of connections, a deadline for each, what may be repeated is. It knows HTTP, and no session.

Redirects are not followed and cookies not kept: a token goes to nobody but the service.
"""

import asyncio
import base64
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import quote_plus

import aiohttp
import msgspec
from yarl import URL

from qa_service.client.breaker import Breaker
from qa_service.client.credentials import AccessTokens, ClientCredentials, Credentials, FixedKey
from qa_service.client.documents import Token, error_of, read
from qa_service.client.errors import (
    BotError,
    DeadlineExceeded,
    InvalidInput,
    Unauthenticated,
    Unavailable,
    Unreachable,
)
from qa_service.client.paths import TOKEN

_CONNECTIONS = 200  # the article's figures, as are 50 per host and 30 s
_KEEPALIVE_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5
_ANSWERS_WITHIN_S = 1.0  # a call that was given less says nothing about the service when it runs out of time
_OK, _REDIRECTS = 200, 300
_REPEATED_STATUS = {502, 503}
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)  # each call has its own, with its tries and its token
_JSON = {"Content-Type": "application/json"}

Timed: TypeAlias = Callable[[float], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `token` opens a session ("": the client's own credentials).

    `is_repeatable`: carried out twice it does what it does once, so that it is sent again when nobody knows how it
    ended. `timed_headers` and `timed_params` say what depends on the seconds that are left when it is sent. `is_long`:
    the service is expected to take its time, so that the breaker looks away.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    is_repeatable: bool = True
    timed_headers: Timed | None = None
    timed_params: Timed | None = None
    is_long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A response below 300; `tries` says how often it was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    tries: int = 1


class Transport:
    """One aiohttp session to one service, open inside `async with`."""

    def __init__(self, base_url: str, *, credentials: Credentials | None, breaker: Breaker, connections: int) -> None:
        self._base = URL(base_url.rstrip("/"))
        self._credentials = credentials
        self._breaker = breaker
        self._connections = connections
        self._tokens = AccessTokens(self._fetch_token)
        self._stack = AsyncExitStack()
        self._http: aiohttp.ClientSession | None = None

    @property
    def has_credentials(self) -> bool:
        """Whether the client has credentials of its own."""
        return self._credentials is not None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=max(_CONNECTIONS, self._connections),
            limit_per_host=self._connections,
            keepalive_timeout=_KEEPALIVE_S,
        )
        http = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "qa-service-client"},
            timeout=_NO_TIMEOUT,
        )
        self._http = await self._stack.enter_async_context(http)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http = None
        await self._stack.aclose()

    async def send(self, call: Call, *, within_s: float) -> Received:
        """Send a call and, where it may be, send it again until it is answered or the time is over.

        Raises:
            Refused: the service says no.
            Unavailable: it did not answer, or the breaker is open.
            Unreadable: it answered what the API does not describe.
        """
        ends = time.monotonic() + within_s
        guarded = nullcontext() if call.is_long else self._breaker.call(counts=within_s >= _ANSWERS_WITHIN_S)
        with guarded:
            tries = 1
            while True:
                try:
                    return await self._try_once(call, ends, tries)
                except Unavailable as error:
                    pause_s = _pause_s(error, tries)
                    if not _may_be_repeated(call, error) or time.monotonic() + pause_s >= ends:
                        raise
                await asyncio.sleep(pause_s)
                tries += 1

    @asynccontextmanager
    async def open(
        self, call: Call, *, connects_within_s: float, silent_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a response that goes on; reading it ends with Unavailable after `silent_s` without a byte.

        Raises:
            Refused, Unavailable, Unreadable: as `send` does, after one try.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=connects_within_s, sock_read=silent_s)
        with _told_as_ours():
            for is_last in (False, True):
                async with asyncio.timeout(connects_within_s):
                    token = await self._token(call)
                async with self._request(call, token, timeout) as response:
                    if response.status == _OK:
                        yield response
                        return
                    error = self._refusal(call, token, response, await response.read())
                if is_last or not self._is_stale(call, error):
                    raise error

    async def _try_once(self, call: Call, ends: float, tries: int) -> Received:
        with _told_as_ours():
            async with asyncio.timeout(ends - time.monotonic()):
                try:
                    return await self._exchange(call, ends, tries)
                except Unauthenticated as error:
                    if not self._is_stale(call, error):
                        raise
                return await self._exchange(call, ends, tries)

    async def _exchange(self, call: Call, ends: float, tries: int) -> Received:
        token = await self._token(call)
        call = _timed(call, ends - time.monotonic())
        async with self._request(call, token, _NO_TIMEOUT) as response:
            body = await response.read()
            if not _OK <= response.status < _REDIRECTS:
                raise self._refusal(call, token, response, body)
            return Received(status=response.status, headers=response.headers, body=body, tries=tries)

    def _is_stale(self, call: Call, error: BotError) -> bool:
        """Whether a new access token may help: the service has changed its keys, or its clock is ahead."""
        of_client = isinstance(self._credentials, ClientCredentials) and not call.token
        return of_client and isinstance(error, Unauthenticated) and error.code == "invalid-token"

    def _request(
        self, call: Call, token: str, timeout: aiohttp.ClientTimeout
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        body = None if call.body is None else _encoded(call.body)
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        return self._session().request(
            call.method,
            _url(self._base, call.path),
            params=call.params,
            data=body,
            headers={**call.headers, **bearer, **({} if body is None else _JSON)},
            allow_redirects=False,
            timeout=timeout,
        )

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            message = "the client is not open: async with BotClient(…) as bot"
            raise RuntimeError(message)
        return self._http

    def _refusal(self, call: Call, token: str, response: aiohttp.ClientResponse, body: bytes) -> BotError:
        error = error_of(response.status, body, response.headers)
        if self._is_stale(call, error):
            self._tokens.refuse(token)
        return error

    async def _token(self, call: Call) -> str:
        if call.token:
            return call.token
        match self._credentials:
            case None:
                return ""
            case FixedKey(key=key):
                return key
            case ClientCredentials():
                return await self._tokens.current()

    async def _fetch_token(self) -> Token:
        given = self._credentials
        assert isinstance(given, ClientCredentials)
        form = {"grant_type": "client_credentials"} | ({"scope": given.scope} if given.scope else {})
        url = _url(self._base, TOKEN)
        async with self._session().post(url, data=form, headers=_basic(given), allow_redirects=False) as response:
            body = await response.read()
            if response.status != _OK:
                raise error_of(response.status, body, response.headers)
            return read(body, Token)


class _told_as_ours:  # noqa: N801  # reads as a statement
    """Turn what a connection raises into the client's own errors."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, TimeoutError):  # aiohttp's too, so that this comes first
            raise DeadlineExceeded("no answer in the time that was given") from error
        if isinstance(error, aiohttp.ClientConnectorError):
            raise Unreachable(str(error), code="no-connection") from error
        if isinstance(error, aiohttp.ClientError | OSError):
            raise Unreachable(f"the connection ended: {error!r}") from error


def _url(base: URL, path: str) -> URL:
    return base.joinpath(*path.strip("/").split("/"))


def _basic(given: ClientCredentials) -> dict[str, str]:
    """Give the header of HTTP Basic; both parts are form-encoded first (RFC 6749, 2.3.1)."""
    both = f"{quote_plus(given.client_id)}:{quote_plus(given.secret)}"
    return {"Authorization": f"Basic {base64.b64encode(both.encode()).decode()}"}


def _timed(call: Call, left_s: float) -> Call:
    headers = call.timed_headers(left_s) if call.timed_headers else {}
    params = call.timed_params(left_s) if call.timed_params else {}
    return replace(call, headers={**call.headers, **headers}, params={**call.params, **params})


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        raise InvalidInput("a text holds half of a surrogate pair", code="malformed-text") from None


def _may_be_repeated(call: Call, error: Unavailable) -> bool:
    if isinstance(error, Unreachable):
        return call.is_repeatable or error.code == "no-connection"
    return call.is_repeatable and error.status in _REPEATED_STATUS


def _pause_s(error: Unavailable, tries: int) -> float:
    """Give how long to wait: twice as long each time, by chance half to all of it, and as long as the service asks."""
    longest_s = min(_FIRST_PAUSE_S * 2.0**tries, _LONGEST_PAUSE_S)
    own_s = longest_s * random.uniform(0.5, 1.0)  # noqa: S311  # spreads callers, guards nothing
    return max(own_s, error.retry_after_s or 0.0)
