"""With what a client comes to the service. It knows tokens and their ends, and no HTTP."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from qa_service.client.documents import Token
from qa_service.client.errors import BotError

_REFRESH_BEFORE_S = 30.0  # of the service's 300 s: longer than a request lasts, and two clocks differ


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """A back end's id and secret (`qa-service clients new`), exchanged for an access token of five minutes.

    `scope` asks for less than all that the client may do.
    """

    client_id: str
    secret: str = field(repr=False)
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedKey:
    """A bearer token that is sent as it is: a service's local key, or a user token that the host has signed."""

    key: str = field(repr=False)


Credentials = ClientCredentials | FixedKey


class AccessTokens:
    """Keeps one access token, fetched by `fetch` before it is needed; one fetch at a time, whoever waits."""

    def __init__(self, fetch: Callable[[], Awaitable[Token]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._refresh_at = 0.0
        self._ends_at = 0.0

    async def current(self) -> str:
        """Give a token that holds for a while. Where no new one can be had, the old one does until its end.

        Raises:
            Unauthenticated: the id or the secret is wrong.
            Unavailable: the service does not give one.
        """
        if self._clock() < self._refresh_at:
            return self._token
        async with self._lock:
            if self._clock() >= self._refresh_at:
                try:
                    self._keep(await self._fetch())
                except BotError:
                    if self._clock() >= self._ends_at:
                        raise
            return self._token

    def refuse(self, token: str) -> None:
        """Forget a token that the service did not accept, unless a newer one has come meanwhile."""
        if token == self._token:
            self._refresh_at = self._ends_at = 0.0

    def _keep(self, token: Token) -> None:
        now = self._clock()
        self._token = token.access_token
        self._ends_at = now + token.expires_in
        self._refresh_at = now + max(token.expires_in - _REFRESH_BEFORE_S, token.expires_in / 2)


class SessionTokens:
    """The tokens of anonymous sessions, by sid; the ones unused longest are forgotten past `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tokens: dict[str, str] = {}

    def keep(self, sid: str, token: str) -> None:
        """Use this token for a session from now on."""
        self._tokens.pop(sid, None)
        if len(self._tokens) >= self._most:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[sid] = token

    def of(self, sid: str) -> str:
        """Give a session's token, "" where none is kept."""
        token = self._tokens.pop(sid, "")
        if token:
            self._tokens[sid] = token
        return token

    def forget(self, sid: str) -> None:
        """Forget a session's token."""
        self._tokens.pop(sid, None)
