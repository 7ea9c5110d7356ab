"""The client's operations, each a call or a few. It knows the API's paths, and neither sockets nor documents.

Whose token goes with a call: a session that was opened for a device is entered with its own, any other session with the
client's credentials, because a back end enters its users' sessions and nobody's devices.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

from qa_service.client import documents, waits
from qa_service.client.back_fill import back_filled
from qa_service.client.breaker import Breaker
from qa_service.client.credentials import Credentials, SessionTokens
from qa_service.client.errors import TooManyStreams, Unavailable
from qa_service.client.paths import ANSWERS, SESSIONS, SUGGEST, USER, message_path, messages_path, session_path
from qa_service.client.stream import Reading, events
from qa_service.client.transport import Call, Received, Transport
from qa_service.client.values import Answer, Event, KeptSession, Page, Reply, Session, Suggestion

_LONGEST_POLL_S = 25  # the service allows 30 s, and proxies in common use end at 30 s
_TOKENS = 20_000  # of devices' sessions: some 4 MB
_SHORTEST_POLL_S = 0.5  # the service waits for whole seconds
DEADLINE_S = 3.0  # the article's figure
PLACEHOLDER = "正在思考中…"  # the service's own


class BotClient:
    """A service of this kind, from a back end; one per process, shared by all its requests.

    `connections` is the article's 50 per host, of which long polls and streams take half at most, so that questions
    always find one. `breaker_failures` calls that fail in a row open the breaker for `breaker_pause_s`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        credentials: Credentials | None = None,
        deadline_s: float = DEADLINE_S,
        connections: int = 50,
        breaker_failures: int = 5,
        breaker_pause_s: float = 5.0,
        placeholder_text: str = PLACEHOLDER,
    ) -> None:
        self.breaker = Breaker(failures=breaker_failures, pause_s=breaker_pause_s)
        self._transport = Transport(base_url, credentials=credentials, breaker=self.breaker, connections=connections)
        self._deadline_s = deadline_s
        self._long = asyncio.Semaphore(max(1, connections // 2))
        self._tokens = SessionTokens(_TOKENS)
        self._placeholder_text = placeholder_text

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    # Sessions

    async def open_session(
        self, *, device_id: str = "", uid: str = "", locale: str = "", bot: str = "", user_token: str = ""
    ) -> Session:
        """Open a session for a user of yours, or for a device that nobody has logged in on.

        A device's session is told its token, which is kept here and may be given to the device.
        """
        given = {"device_id": device_id, "uid": uid, "locale": locale, "bot": bot, "user_token": user_token}
        body = {name: value for name, value in given.items() if value}
        # Opened twice, one of them is empty and ends by itself.
        session = documents.session_of((await self._send("POST", SESSIONS, body=body)).body)
        return self._kept(session)

    def use_token(self, sid: str, token: str) -> None:
        """Enter a session with this token from now on: one that another process, or the device itself, has opened."""
        self._tokens.keep(sid, token)

    async def session(self, sid: str) -> Session:
        """Read a session, which keeps it for another 24 hours."""
        return documents.session_of((await self._send("GET", session_path(sid), sid=sid)).body)

    async def bind(self, sid: str, user_token: str) -> Session:
        """Give a device's session to the user that a user token vouches for. Its history stays, its token is a new one.

        Done twice it is refused, as the old token is void: it is not repeated after a cut.
        """
        received = await self._send(
            "PATCH", session_path(sid), sid=sid, body={"user_token": user_token}, is_repeatable=False
        )
        return self._kept(documents.session_of(received.body))

    async def erase(self, sid: str) -> None:
        """Close a session and erase all of it; NotFound also where only the first answer to this was lost."""
        await self._send("DELETE", session_path(sid), sid=sid)
        self._tokens.forget(sid)

    # Questions and replies

    async def ask(
        self,
        sid: str,
        text: str,
        *,
        key: str | None = None,
        locale: str = "",
        deadline_s: float | None = None,
        placeholder: bool = False,
    ) -> Reply:
        """Ask, and give the answer; or, where it is not ready within the deadline, a pending reply with a placeholder.

        Lost connections are tried again with the same `key`, so that one question stays one. With `placeholder`, what
        the service cannot do in time gives this client's own placeholder instead of an error; `wait_for_reply` takes
        both kinds.

        Raises:
            Refused: the question or the session is not accepted, or there were too many (RateLimited).
            Unavailable: no answer in time (DeadlineExceeded), no connection, or none was tried (BreakerOpen).
        """
        key = key or uuid.uuid4().hex
        body = {"text": text, **({"locale": locale} if locale else {})}
        call = Call(
            method="POST",
            path=messages_path(sid),
            body=body,
            headers={"Idempotency-Key": key},
            token=self._tokens.of(sid),
            timed_headers=waits.preference,
        )
        try:
            received = await self._transport.send(call, within_s=self._deadline_s if deadline_s is None else deadline_s)
        except Unavailable:
            if not placeholder:
                raise
            return Reply(id="", sid=sid, text=self._placeholder_text, question=text, key=key, locale=locale)
        replayed = received.headers.get("Idempotent-Replayed") == "true"
        return replace(
            documents.reply_of(received.body, sid=sid), question=text, key=key, locale=locale, replayed=replayed
        )

    async def reply(self, sid: str, message_id: str) -> Reply:
        """Read one message in its present state."""
        return documents.reply_of((await self._send("GET", message_path(sid, message_id), sid=sid)).body, sid=sid)

    async def wait_for_reply(self, reply: Reply, *, within_s: float = 60.0) -> Reply:
        """Give a pending reply once it is answered, or, after `within_s`, as it stands then.

        A service that is away meanwhile is waited for. A placeholder of this client's is asked again by its key.

        Raises:
            Refused: the session or the message is gone, or the question is not accepted.
        """
        return await back_filled(self, reply, within_s)

    async def replies_after(self, sid: str, cursor: int = 0, *, wait_s: float = 0.0, limit: int = 50) -> Page:
        """Read the messages after a cursor, oldest first; with `wait_s` (25 at most) wait for the first one.

        Raises:
            Conflict: the cursor is older than the log (cursor-expired): go on from the session's `last_message_id`.
        """
        call = Call(
            method="GET",
            path=messages_path(sid),
            params={"last_message_id": str(cursor), "limit": str(limit)},
            token=self._tokens.of(sid),
        )
        if wait_s > 0:
            ends = time.monotonic() + min(wait_s, _LONGEST_POLL_S)
            async with self._room(ends - time.monotonic()) as has_room:
                left_s = ends - time.monotonic()
                if has_room and left_s >= _SHORTEST_POLL_S:
                    return await self._polled(call, left_s)
        return documents.page_of((await self._transport.send(call, within_s=self._deadline_s)).body)

    async def _polled(self, call: Call, wait_s: float) -> Page:
        in_hand_s = self._deadline_s
        long = replace(call, is_long=True, timed_params=partial(waits.poll, in_hand_s=in_hand_s))
        return documents.page_of((await self._transport.send(long, within_s=wait_s + in_hand_s)).body)

    async def stream(self, sid: str, after: int = 0, *, gives_up_after_s: float = 60.0) -> AsyncGenerator[Event]:
        """Give the events of a session after a `seq`, each once, until it is closed; a cut connection is opened again.

        Leave it early inside `contextlib.aclosing`, so that its connection is free at once.

        Raises:
            Refused: nobody is let in with this token, or the session is gone.
            Unavailable: no connection for `gives_up_after_s`; or this client has too many streams (TooManyStreams).
        """
        reading = Reading(
            path=f"{session_path(sid)}/events",
            token=lambda: self._tokens.of(sid),
            after=after,
            gives_up_after_s=gives_up_after_s,
        )
        if self._long.locked():
            raise TooManyStreams("no connection is left for a stream; give the client more `connections`")
        async with self._long, aclosing(events(self._transport, reading)) as told:
            async for event in told:
                yield event

    async def cancel(self, sid: str, message_id: str) -> Reply:
        """Stop an answer that is being written, and give what there is; an answer that is there stays as it is."""
        received = await self._send("POST", f"{message_path(sid, message_id)}/cancel", sid=sid)
        return documents.reply_of(received.body, sid=sid)

    async def feedback(self, sid: str, message_id: str, value: Literal["up", "down"], *, reason: str = "") -> None:
        """Tell whether an answer helped; the last word counts."""
        body = {"value": value, **({"reason": reason} if reason else {})}
        await self._send("PUT", f"{message_path(sid, message_id)}/feedback", sid=sid, body=body)

    # Without a session

    async def answer(self, text: str, *, locale: str = "", deadline_s: float | None = None) -> Answer:
        """Answer one question without a session; nothing is kept."""
        body = {"text": text, **({"locale": locale} if locale else {})}
        return documents.answer_of((await self._send("POST", ANSWERS, body=body, deadline_s=deadline_s)).body)

    async def suggest(
        self, q: str, *, sid: str = "", locale: str = "", limit: int = 8, deadline_s: float | None = None
    ) -> tuple[Suggestion, ...]:
        """Give known questions for what has been typed so far; a device's client names its session."""
        given = {"q": q, "limit": str(limit), "locale": locale, "sid": sid}
        params = {name: value for name, value in given.items() if value or name == "q"}
        received = await self._send("GET", SUGGEST, sid=sid, params=params, deadline_s=deadline_s)
        return documents.suggestions_of(received.body)

    async def export_user(self, uid: str) -> AsyncGenerator[KeptSession]:
        """Give all that is kept of a user, a session after the other; needs the scope admin, or the user's token."""
        after, has_more = "0", True
        while has_more:
            params = {"uid": uid, "after": after}
            kept, has_more = documents.kept_of((await self._send("GET", f"{USER}/export", params=params)).body)
            for one in kept:
                yield one
            has_more = has_more and bool(kept)
            after = kept[-1].session.id if kept else after

    async def erase_user(self, uid: str) -> int:
        """Erase all that is kept of a user, and give how many sessions that were; needs what `export_user` does.

        Where the first answer was lost, the second one counts what was left.
        """
        return documents.erased_of((await self._send("DELETE", USER, params={"uid": uid})).body)

    # How

    async def _send(
        self,
        method: str,
        path: str,
        *,
        sid: str = "",
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
        is_repeatable: bool = True,
    ) -> Received:
        call = Call(
            method=method,
            path=path,
            params=params or {},
            body=body,
            token=self._tokens.of(sid) if sid else "",
            is_repeatable=is_repeatable,
        )
        return await self._transport.send(call, within_s=self._deadline_s if deadline_s is None else deadline_s)

    def _kept(self, session: Session) -> Session:
        """Keep the token of a session that the client's own credentials do not open."""
        if session.uid and self._transport.has_credentials:
            self._tokens.forget(session.id)
        elif session.token:
            self._tokens.keep(session.id, session.token)
        return session

    @asynccontextmanager
    async def _room(self, wait_s: float) -> AsyncIterator[bool]:
        """Take one of the connections that may be held for long; False when none gets free in time."""
        try:
            async with asyncio.timeout(wait_s):
                await self._long.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            self._long.release()
