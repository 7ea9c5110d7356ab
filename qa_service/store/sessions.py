"""Sessions on Redis: the log, the messages, and who may read them. It knows no worker, and answers nothing itself.

Every call is one script and one round trip; `lua/` says what happens inside.
"""

from collections.abc import Sequence
from typing import NoReturn

from redis.asyncio import Redis

from qa_service.domain.answer import Answer
from qa_service.domain.errors import Conflict, InvalidInput, NotFound, Overloaded
from qa_service.domain.question import Turn
from qa_service.domain.saying import Acceptance, Accepted, Page, Saying
from qa_service.domain.session import (
    CONTEXT_TURNS,
    SESSION_TTL_S,
    Message,
    MessageState,
    Owner,
    Proof,
    Role,
    Session,
    TicketHolder,
    TrustedClient,
    VouchedUser,
)
from qa_service.store.batcher import Batcher
from qa_service.store.keys import Keys
from qa_service.store.records import (
    Job,
    decode_answer,
    decode_message,
    decode_turn,
    encode_header,
    encode_job,
    token_digest,
)
from qa_service.store.scripts import Call, Reply, load

LOG_CAP = 1000  # events of one session
WAITING_CAP = 32  # questions of one session that wait for the running one
QUEUE_CAP = 10_000  # jobs of one partition
_LONGEST_PAGE = 500  # messages
_EVENTS_A_TURN = 4  # two in the common case; failed turns and a waiting queue stand between completed ones


class RedisSessions:
    """The Sessions port of a conversation, and the history that a worker asks for."""

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        *,
        ttl_s: int = SESSION_TTL_S,
        queue_cap: int = QUEUE_CAP,
        batcher: Batcher | None = None,
    ) -> None:
        self._client = client
        self._batcher = batcher or Batcher(client)
        self._keys = keys
        self._ttl_s = ttl_s
        self._queue_cap = queue_cap

    def of(self, tenant: str) -> "RedisSessions":
        """The sessions of another tenant, in the same pipelines."""
        if tenant == self._keys.tenant:
            return self
        keys, batcher = self._keys.of(tenant), self._batcher
        return RedisSessions(self._client, keys, ttl_s=self._ttl_s, queue_cap=self._queue_cap, batcher=batcher)

    async def open(self, session: Session, token: str) -> bool:
        """Store a new session; False when its sid is already taken."""
        users = self._users(session.sid, session.uid) if session.uid else ()
        fields: tuple[str | int, ...] = (
            *(("user", *users) if users else ()),
            *("token", token_digest(token)),
            *("tenant", session.tenant),
            *("device_id", session.device_id),
            *("uid", session.uid),
            *("locale", session.locale),
            *("owner", session.owner.value),
            *("created_at_ms", session.created_at_ms),
        )
        return bool(await self._run("open", session.sid, (self._ttl_s, *fields), users))

    async def read(self, sid: str, proof: Proof) -> Session:
        """The session as it stands; slides its 24 hours.

        Raises:
            NotFound: there is none of that sid, or the proof does not open it.
        """
        fields = await self._run("read", sid, (shown(proof), self._ttl_s))
        return session_of(sid, fields) if fields else no_session()

    async def bind(self, sid: str, proof: Proof, *, uid: str, new_token: str) -> Session:
        """Give the session to `uid` and void the old token; the same uid may be bound again.

        Raises:
            NotFound: as for `read`.
            Conflict: it is another uid's already (uid-conflict).
        """
        channel = self._keys.events(self._keys.partition(sid))
        args = (shown(proof), self._ttl_s, uid, token_digest(new_token), LOG_CAP, channel, sid)
        fields = await self._run("bind", sid, args, self._users(sid, uid))
        if fields == b"uid-conflict":
            raise Conflict("the session belongs to another uid", code="uid-conflict", pointer="/uid")
        return session_of(sid, fields) if fields else no_session()

    async def accept(self, saying: Saying) -> Accepted:
        """Log the question, and answer it from the cache or queue it, in one idempotent step.

        Raises:
            NotFound: as for `read`.
            Conflict: the idempotency key came with another body before (idempotency-key-reused).
            Overloaded: no room in the queue (queue-full) or in the session (too-many-pending).
        """
        partition = self._keys.partition(saying.sid)
        cache_key = self._keys.faq(partition, saying.cache_key) if saying.cache_key else ""
        args = (
            *(shown(saying.proof), self._ttl_s, saying.message_id, saying.reply_id),
            *(encode_header(_question(saying)), encode_header(_reply(saying))),
            *(saying.idempotency_key, saying.body_digest, saying.normalised),
            encode_job(_job(saying, self._keys.tenant, cache_key)),
            *(self._queue_cap, WAITING_CAP, LOG_CAP),
            *(self._keys.events(partition), saying.sid),
        )
        more = (self._keys.queue(partition), cache_key) if cache_key else (self._keys.queue(partition),)
        result = await self._run("accept", saying.sid, args, more)
        return _accepted(result, saying) if result else no_session()

    async def message(self, sid: str, proof: Proof, message_id: str) -> Message:
        """One message.

        Raises:
            NotFound: no such message (message-not-found), or as for `read`.
        """
        mid = message_id if message_id.isascii() else ""
        found = await self._run("message", sid, (shown(proof), self._ttl_s, mid))
        if not found:
            no_session()
        if not found[0]:
            raise NotFound("the session has no message of this id", code="message-not-found")
        return decode_message(found[0])

    async def read_after(self, sid: str, proof: Proof, cursor: int, limit: int) -> Page:
        """Messages whose `seq` is greater than `cursor` (0: from the beginning), 1 to 500 at once.

        A user's message appears where it was accepted, the bot's where it was completed or failed; a pending one
        does not appear.

        Raises:
            NotFound: as for `read`.
            InvalidInput: the cursor lies after the newest event, or before 0 (cursor-invalid).
            Conflict: events after the cursor have been dropped from the log (cursor-expired).
        """
        args = (shown(proof), self._ttl_s, max(cursor, 0), min(max(limit, 1), _LONGEST_PAGE))
        result = await self._run("read_after", sid, args)
        if not result:
            no_session()
        kind, seq, *rest = result
        if kind == b"cursor-expired":
            raise Conflict(f"the log begins after {seq}: read on from there", code="cursor-expired")
        if kind == b"cursor-invalid" or cursor < 0:
            raise InvalidInput(
                "the cursor lies outside the log", code="cursor-invalid", pointer="parameter:last_message_id"
            )
        has_more, *records = rest
        messages = tuple(decode_message(record) for record in records if record)
        return Page(messages=messages, last_message_id=seq, has_more=bool(has_more))

    async def history(self, sid: str, before_message_id: str, turns: int = CONTEXT_TURNS) -> tuple[Turn, ...]:
        """The last completed turns before the question `before_message_id`, oldest first; for the worker."""
        args = (before_message_id, turns, _EVENTS_A_TURN * turns + 2 * WAITING_CAP)
        found = await self._run("history", sid, args)
        pairs = zip(found[::2], found[1::2], strict=True)
        known = [decode_turn(question, reply) for question, reply in pairs if question and reply]
        return tuple(reversed(known))

    def _users(self, sid: str, uid: str) -> tuple[str, ...]:
        return (self._keys.user(self._keys.partition(sid), uid),)

    async def _run(self, script: str, sid: str, args: Sequence[str | bytes | int], more: Sequence[str] = ()) -> Reply:
        if not sid.isascii():
            no_session()
        return await self._batcher.run(Call(script=load(script), keys=session_keys(self._keys, sid, more), args=args))


def session_keys(keys: Keys, sid: str, more: Sequence[str] = ()) -> tuple[str, ...]:
    """What every script of a session takes, in the order that `lua/session.lua` expects."""
    return (keys.session(sid), keys.messages(sid), keys.log(sid), keys.turns(sid), *more)


def shown(proof: Proof) -> str:
    """A proof as `opens` in `lua/session.lua` compares it; a digest is 64 hex digits, and so neither of the others."""
    match proof:
        case TicketHolder(shown=proven):
            return proven
        case VouchedUser(uid=uid):
            return f"uid:{uid}"
        case TrustedClient():
            return "client"
        case token:
            return token_digest(token)


def proof_shown_as(proven: str) -> Proof:
    """Give the proof that `shown` shows so; a token is told no more, only its digest."""
    if proven == "client":
        return TrustedClient()
    kind, is_uid, uid = proven.partition("uid:")
    return VouchedUser(uid=uid) if is_uid and not kind else TicketHolder(shown=proven)


def no_session() -> NoReturn:
    """Say that there is no such session."""
    # One text for "unknown", "expired" and "not yours": they must not be told apart.
    raise NotFound("no such session", code="session-not-found")


def session_of(sid: str, flat: Sequence[bytes]) -> Session:
    """A session from its hash's fields and values."""
    fields = {name: value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
    return Session(
        sid=sid,
        tenant=fields[b"tenant"],
        device_id=fields[b"device_id"],
        uid=fields[b"uid"],
        locale=fields[b"locale"],
        owner=Owner(fields[b"owner"]),
        created_at_ms=int(fields[b"created_at_ms"]),
        last_message_id=int(fields[b"seq"]),
    )


def _question(saying: Saying, seq: int = 0) -> Message:
    return Message(
        id=saying.message_id,
        role=Role.USER,
        state=MessageState.COMPLETED,
        text=saying.text,
        seq=seq,
        created_at_ms=saying.now_ms,
        request_id=saying.request_id,
    )


def _reply(saying: Saying, seq: int = 0, answer: Answer | None = None) -> Message:
    return Message(
        id=saying.reply_id,
        role=Role.BOT,
        state=MessageState.COMPLETED if answer else MessageState.PENDING,
        text=answer.text if answer else "",
        seq=seq,
        in_reply_to=saying.message_id,
        created_at_ms=saying.now_ms,
        request_id=saying.request_id,
        answer=answer,
    )


def _job(saying: Saying, tenant: str, cache_key: str) -> Job:
    return Job(
        kind="turn",
        tenant=tenant,
        sid=saying.sid,
        reply_id=saying.reply_id,
        question_message_id=saying.message_id,
        text=saying.text,
        normalised=saying.normalised,
        locale=saying.locale,
        request_id=saying.request_id,
        accepted_at_ms=saying.now_ms,
        cache_key=cache_key,
    )


def _accepted(result: Sequence[Reply], saying: Saying) -> Accepted:
    match result:
        case [b"cached", seq, answer]:
            reply = _reply(saying, seq, decode_answer(answer))
            return Accepted(acceptance=Acceptance.CACHED, question=_question(saying, seq - 1), reply=reply)
        case [b"queued", seq]:
            return Accepted(acceptance=Acceptance.QUEUED, question=_question(saying, seq), reply=_reply(saying, seq))
        case [b"replayed", question, reply]:
            return Accepted(
                acceptance=Acceptance.REPLAYED, question=decode_message(question), reply=decode_message(reply)
            )
        case [b"idempotency-key-reused"]:
            raise Conflict("this idempotency key came with another body before", code="idempotency-key-reused")
        case [b"too-many-pending"]:
            raise Overloaded(f"{WAITING_CAP} questions of this session are waiting already", code="too-many-pending")
        case _:
            raise Overloaded("the queue is full", code="queue-full")
