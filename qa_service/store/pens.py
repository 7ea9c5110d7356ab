"""Where a text is written piece by piece, so that who follows its session can read along. It knows no generator."""

from redis.asyncio import Redis

from qa_service.domain.question import Question
from qa_service.store.keys import Keys
from qa_service.store.scripts import Call, load, run
from qa_service.store.sessions import session_keys

_PARTIAL_TTL_S = 300  # what is written is dropped sooner, with the answer; this is for answers that never come


class RedisPens:
    """The Pens port of answering, for one tenant."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def pen(self, question: Question) -> "RedisPen":
        """A pen for the answer to a question of a session."""
        return RedisPen(self._client, self._keys, question)


class RedisPen:
    """Writes one answer. Each call is one round trip, and raises StoreUnavailable where Redis cannot serve."""

    def __init__(self, client: Redis, keys: Keys, question: Question) -> None:
        self._client = client
        self._keys = keys
        self._question = question
        self._attempt = 0  # none begun yet
        self._written = ""
        self._is_wanted = True

    async def write(self, piece: str) -> bool:
        """Add to the text; False when nobody wants it any more: it is cancelled, or another worker writes it."""
        return await self._write(piece, begins=not self._attempt)

    async def restart(self) -> bool:
        """Drop what was written: this attempt has failed. False as for `write`."""
        self._written = ""
        return await self._write("", begins=True)

    async def _write(self, piece: str, *, begins: bool) -> bool:
        if not self._is_wanted:  # what a later worker writes must not be replaced
            return False
        attempt = await self._send(piece, self._written, 0 if begins else self._attempt, self._attempt)
        if attempt < 0:  # the silence was too long for what was written before: the same attempt, from its beginning
            attempt = await self._send(self._written + piece, "", 0, self._attempt - 1)
        self._is_wanted = attempt > 0
        self._attempt = attempt
        self._written += piece
        return self._is_wanted

    async def _send(self, piece: str, before: str, attempt: int, earlier: int) -> int:
        question, keys = self._question, self._keys
        args = (
            *(question.reply_id, attempt, earlier, len(before.encode()), len(before), piece.encode()),
            *(_PARTIAL_TTL_S, keys.events(keys.partition(question.sid)), question.sid),
        )
        own = session_keys(keys, question.sid, (keys.partial(question.sid),))
        return int(await run(self._client, Call(script=load("write"), keys=own, args=args)))
