"""What is being typed, on queues beside those of the questions: not durable, with a reply that expires."""

from collections.abc import Sequence

from redis.asyncio import Redis

from qa_service.domain.errors import Overloaded
from qa_service.domain.saying import KeyPress
from qa_service.domain.suggestion import Suggested
from qa_service.store.batcher import Batcher
from qa_service.store.connection import translated
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.records import Job, decode_suggested, encode_job, encode_suggested
from qa_service.store.scripts import Call, load, run_many

TYPED_CAP = 1000  # a worker looks up some thousand a second, and nobody waits for longer than one


class RedisSuggestions:
    """The Suggestions port of a conversation. A job and its reply share the partition of the job id."""

    def __init__(
        self, client: Redis, keys: Keys, *, queue_cap: int = TYPED_CAP, batcher: Batcher | None = None
    ) -> None:
        self._batcher = batcher or Batcher(client)
        self._keys = keys
        self._queue_cap = queue_cap

    async def submit(self, press: KeyPress) -> None:
        """Queue it.

        Raises:
            Overloaded: there is no room (queue-full).
        """
        job = Job(
            kind="suggest",
            tenant=self._keys.tenant,
            reply_id=press.job_id,
            text=press.typed.text,
            normalised="",
            locale=press.typed.locale,
            limit=press.typed.limit,
            request_id=press.request_id,
            expires_at_ms=press.expires_at_ms,
        )
        queue = self._keys.typed(self._keys.partition(press.job_id))
        call = Call(script=load("submit"), keys=(queue,), args=(self._queue_cap, encode_job(job)))
        if not await self._batcher.run(call):
            raise Overloaded("the queue is full", code="queue-full")

    async def reply(self, job_id: str) -> Suggested | None:
        """Give the suggestions, once a worker has given them; they are kept for ten seconds."""
        with translated():
            record = await self._batcher.execute(("GET", self._keys.reply(job_id)))
        return decode_suggested(record) if isinstance(record, bytes) else None


class SuggestionQueue(JobQueue):
    """The worker's end: a JobQueue of jobs of the kind "suggest"."""

    async def finish_suggested(self, outcomes: Sequence[tuple[Job, Suggested]]) -> None:
        """Give what jobs asked for, and let go of them, in one round trip."""
        await run_many(self._client, [self._replying(job, encode_suggested(given)) for job, given in outcomes])

    @staticmethod
    def _stream(keys: Keys, partition: int) -> str:
        return keys.typed(partition)
