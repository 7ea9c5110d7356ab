"""A session's events on Redis, and what whoever follows it may do: cancel, judge, get a ticket. It knows no transport.

Every call is one script and one round trip; `lua/` says what happens inside.
"""

import secrets
from collections.abc import Sequence

from redis.asyncio import Redis

from qa_service.domain.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from qa_service.domain.event import Event, EventPage, Feedback, FeedbackValue, Handoff, Piece, Whisper
from qa_service.domain.session import (
    SESSION_TTL_S,
    TICKET_LIVES_S,
    EventType,
    Message,
    Proof,
    Session,
    ticket_for,
)
from qa_service.store.batcher import Batcher
from qa_service.store.connection import translated
from qa_service.store.keys import Keys
from qa_service.store.records import decode_message, encode_whisper, token_digest
from qa_service.store.scripts import Call, Reply, load
from qa_service.store.sessions import LOG_CAP, no_session, proof_shown_as, session_keys, session_of, shown

_TICKETS = 16  # of one session at once; the newest are kept
_TICKET_BYTES = 24
_LONGEST_PAGE = 500  # events


class RedisEvents:
    """The Events port of a conversation, for one tenant."""

    def __init__(
        self, client: Redis, keys: Keys, *, ttl_s: int = SESSION_TTL_S, batcher: Batcher | None = None
    ) -> None:
        self._batcher = batcher or Batcher(client)
        self._keys = keys
        self._ttl_s = ttl_s

    async def events_after(self, sid: str, proof: Proof, cursor: int, limit: int) -> EventPage:
        """Events whose `seq` is greater than `cursor` (0: from the beginning), 1 to 500 at once; the session lives on.

        Raises:
            NotFound: there is none of that sid, or the proof does not open it.
            InvalidInput: the cursor lies after the newest event, or before 0 (cursor-invalid).
            Conflict: events after the cursor have been dropped from the log (cursor-expired).
        """
        args = (shown(proof), self._ttl_s, max(cursor, 0), min(max(limit, 1), _LONGEST_PAGE))
        result = await self._run("events_after", sid, args, (self._keys.partial(sid),))
        if not result:
            no_session()
        kind, seq, *rest = result
        if kind == b"cursor-expired":
            raise Conflict(f"the log begins after {seq}: read on from there", code="cursor-expired")
        if kind == b"cursor-invalid" or cursor < 0:
            raise InvalidInput("the cursor lies outside the log", code="cursor-invalid", pointer="parameter:after")
        return _page(sid, seq, rest)

    async def cancel(self, sid: str, proof: Proof, message_id: str) -> Message:
        """Cancel a pending message, and give it as it stands; one that is no longer pending stays as it is.

        Raises:
            NotFound: no such message (message-not-found), or as for `events_after`.
        """
        partition = self._keys.partition(sid)
        args = (shown(proof), self._ttl_s, _ascii(message_id), LOG_CAP, self._keys.events(partition), sid)
        found = await self._run("cancel", sid, args, (self._keys.queue(partition), self._keys.partial(sid)))
        if not found:
            no_session()
        if not found[0]:
            raise _no_message()
        return decode_message(found[0])

    async def judge(self, sid: str, proof: Proof, feedback: Feedback) -> bool:
        """Keep what the customer says of an answer; False when that was known already.

        Raises:
            NotFound: no such message (message-not-found), or as for `events_after`.
            Conflict: it is no answer, or none yet (not-an-answer).
        """
        channel = self._keys.events(self._keys.partition(sid))
        said = (_ascii(feedback.message_id), feedback.value.value, feedback.reason)
        found = await self._run("feedback", sid, (shown(proof), self._ttl_s, *said, LOG_CAP, channel, sid))
        if not found:
            no_session()
        if found[0] == b"message-not-found":
            raise _no_message()
        if found[0] == b"not-an-answer":
            raise Conflict("feedback is given to a complete answer of the bot", code="not-an-answer")
        return bool(found[1])

    async def ticket(self, sid: str, proof: Proof) -> str:
        """A ticket that opens the session once within a minute; NotFound as for `events_after`."""
        ticket = ticket_for(self._keys.tenant, secrets.token_urlsafe(_TICKET_BYTES))
        args = (shown(proof), self._ttl_s, token_digest(ticket), TICKET_LIVES_S, _TICKETS)
        return ticket if await self._run("ticket", sid, args) else no_session()

    async def redeem(self, sid: str, ticket: str) -> Proof:
        """What the ticket stands for.

        Raises:
            Unauthenticated: it is none of the session's, was used, or is too old (invalid-token).
        """
        proven = await self._run("redeem", sid, (token_digest(ticket),)) if sid.isascii() else None
        if not proven:
            raise Unauthenticated("the ticket is used, too old, or none of this session's", code="invalid-token")
        return proof_shown_as(proven.decode())

    async def whisper(self, sid: str, whisper: Whisper) -> None:
        """Tell something to who follows the session now; no log keeps it.

        Raises:
            StoreUnavailable: Redis cannot serve.
        """
        channel = self._keys.events(self._keys.partition(sid))
        with translated():
            await self._batcher.execute(("PUBLISH", channel, f"{sid}\n".encode() + encode_whisper(whisper)))

    async def _run(self, script: str, sid: str, args: Sequence[str | bytes | int], more: Sequence[str] = ()) -> Reply:
        if not sid.isascii():
            no_session()
        return await self._batcher.run(Call(script=load(script), keys=session_keys(self._keys, sid, more), args=args))


def _ascii(message_id: str) -> str:
    return message_id if message_id.isascii() else ""


def _no_message() -> NotFound:
    return NotFound("the session has no message of this id", code="message-not-found")


def _page(sid: str, seq: int, rest: Sequence[Reply]) -> EventPage:
    has_more, flat, partial, *entries = rest
    session = session_of(sid, flat)
    running = dict(zip(flat[::2], flat[1::2], strict=True)).get(b"running", b"").decode()
    events = (_event(entry, session) for entry in entries)
    return EventPage(
        events=tuple(event for event in events if event),
        last_message_id=seq,
        has_more=bool(has_more),
        newest=session.last_message_id,
        running=running,
        partial=_partial(partial, running) if partial else None,
    )


def _partial(record: bytes, running: str) -> Piece | None:
    """What is written so far of the running answer; what another one left behind is nothing."""
    head, _, text = record.partition(b"\n")
    message_id, _, attempt = head.decode().partition(" ")
    if message_id != running:
        return None
    return Piece(message_id=message_id, attempt=int(attempt), offset=0, text=text.decode())


def _event(entry: Sequence[Reply], session: Session) -> Event | None:
    seq, flat, record = entry
    fields = {name: value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
    kind = EventType(fields[b"e"])
    about = _about(kind, fields, decode_message(record) if record else None, session)
    if about is None:
        return None
    at_ms = int(fields.get(b"t", 0))  # an earlier version's events have none
    if not at_ms:
        at_ms = about.created_at_ms if isinstance(about, Message | Session) else 0
    return Event(type=kind, seq=seq, created_at_ms=at_ms, about=about, reply_id=fields.get(b"r", ""))


def _about(
    kind: EventType, fields: dict[bytes, str], message: Message | None, session: Session
) -> Message | Session | Feedback | Handoff | None:
    """What an event is about; None where its message has gone from the log."""
    match kind:
        case EventType.SESSION_CREATED | EventType.SESSION_BOUND:
            return session
        case EventType.FEEDBACK_RECEIVED:
            value = FeedbackValue(fields[b"v"])
            return Feedback(message_id=fields[b"about"], value=value, reason=fields[b"why"])
        case EventType.HANDOFF_REQUESTED:
            return Handoff(message_id=fields[b"about"], reason=fields[b"why"])
        case _:
            return message
