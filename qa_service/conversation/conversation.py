"""Open, bind, say, replies after: what a session is to its customer, on whatever transport. The log is the truth."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from qa_service.conversation.ports import ActiveIndex, Bell, Bells, Sessions
from qa_service.domain.context import is_cacheable
from qa_service.domain.errors import IndexUnavailable
from qa_service.domain.saying import Acceptance, Accepted, Page, Saying
from qa_service.domain.session import Message, MessageState, Proof, Session, session_token
from qa_service.domain.snowflake import wall_clock_ms
from qa_service.domain.text import check_question, normalise

_READ_AGAIN_S = 1.0  # a bell is a hint; the log is read at least this often while somebody waits
_TOKEN_BYTES = 24
_SID_TRIES = 3  # a paused holder of a worker number may come back with ids already given


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session and the one token that opens it; the token is told once and stored only as a digest."""

    session: Session
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """What a caller says, in a session that `proof` opens: a text not yet checked; seconds to wait for the reply."""

    sid: str
    proof: Proof
    text: object
    request_id: str
    wait_s: float
    locale: str = ""
    idempotency_key: str = ""


class Conversation:
    """The session API without its transports."""

    def __init__(
        self, *, sessions: Sessions, bells: Bells, index: ActiveIndex, next_id: Callable[[], str], tenant: str
    ) -> None:
        self._sessions = sessions
        self._bells = bells
        self._index = index
        self._next_id = next_id
        self._tenant = tenant
        self._stopping = False

    async def open(self, *, device_id: str, uid: str, locale: str) -> Opened:
        """Open a session for a device or a user."""
        token = self._new_token()
        for _ in range(_SID_TRIES):
            session = Session(
                sid=self._next_id(),
                tenant=self._tenant,
                device_id=device_id,
                uid=uid,
                locale=locale,
                created_at_ms=wall_clock_ms(),
                last_message_id=1,
            )
            if await self._sessions.open(session, token):
                return Opened(session=session, token=token)
        message = "three fresh session ids in a row were taken: two processes share a worker number"
        raise RuntimeError(message)

    async def read(self, sid: str, proof: Proof) -> Session:
        """Give the session as it stands."""
        return await self._sessions.read(sid, proof)

    async def bind(self, sid: str, proof: Proof, uid: str) -> Opened:
        """Give a session to a uid that somebody vouches for: its history stays, its old token is void."""
        new_token = self._new_token()
        session = await self._sessions.bind(sid, proof, uid=uid, new_token=new_token)
        return Opened(session=session, token=new_token)

    async def say(self, utterance: Utterance) -> Accepted:
        """Take a question and wait for its reply; a reply still pending afterwards is back-filled into the log.

        Raises:
            InvalidInput: the text is no question.
            IndexUnavailable: no worker has an index, so that nobody could answer.
        """
        saying = self._saying(utterance)
        ends = time.monotonic() + utterance.wait_s
        async with self._bells.listen(utterance.sid) as bell:
            accepted = await self._sessions.accept(saying)
            if accepted.reply.state is not MessageState.PENDING or utterance.wait_s <= 0:
                return accepted
            return replace(accepted, reply=await self._await_reply(saying, accepted.reply, bell, ends))

    async def message(self, sid: str, proof: Proof, message_id: str) -> Message:
        """Give one message in its present state."""
        return await self._sessions.message(sid, proof, message_id)

    async def replies_after(self, sid: str, proof: Proof, *, cursor: int, limit: int, wait_s: float) -> Page:
        """Give the messages after a cursor; with `wait_s` > 0, wait for the first one (a long poll)."""
        if wait_s <= 0:
            return await self._sessions.read_after(sid, proof, cursor, limit)
        ends = time.monotonic() + wait_s
        async with self._bells.listen(sid) as bell:
            while True:
                page = await self._sessions.read_after(sid, proof, cursor, limit)
                left_s = ends - time.monotonic()
                if page.messages or left_s <= 0 or self._stopping:
                    return page
                if page.has_more:  # a page of events without a message
                    cursor = page.last_message_id
                else:
                    await bell.wait(min(_READ_AGAIN_S, left_s))

    def stop_waiting(self) -> None:
        """Answer at once everybody who waits, with what there is: the process ends, and the log keeps the rest."""
        self._stopping = True
        self._bells.ring_all()

    def _new_token(self) -> str:
        return session_token(self._tenant, secrets.token_urlsafe(_TOKEN_BYTES))

    def _saying(self, utterance: Utterance) -> Saying:
        text = check_question(utterance.text)
        if not self._index.version:
            raise IndexUnavailable("no worker has loaded an index yet", retry_after_s=5)
        normalised = normalise(text)
        return Saying(
            sid=utterance.sid,
            proof=utterance.proof,
            message_id=self._next_id(),
            reply_id=self._next_id(),
            text=text,
            normalised=normalised,
            locale=utterance.locale,
            request_id=utterance.request_id,
            now_ms=wall_clock_ms(),
            idempotency_key=utterance.idempotency_key,
            body_digest=hashlib.blake2b(f"{utterance.locale}\n{text}".encode(), digest_size=16).hexdigest(),
            cache_key=self._index.cache_key(utterance.locale, normalised) if is_cacheable(text) else "",
        )

    async def _await_reply(self, saying: Saying, reply: Message, bell: Bell, ends: float) -> Message:
        while reply.state is MessageState.PENDING and (left_s := ends - time.monotonic()) > 0 and not self._stopping:
            await bell.wait(min(_READ_AGAIN_S, left_s))
            reply = await self._sessions.message(saying.sid, saying.proof, reply.id)
        return reply


def is_replay(accepted: Accepted) -> bool:
    """Whether the same key and body had been accepted before."""
    return accepted.acceptance is Acceptance.REPLAYED
