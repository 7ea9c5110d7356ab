"""What is being typed, on the queue that questions use: not durable, with a reply that expires. It knows no session."""

from redis.asyncio import Redis

from qa_service.domain.errors import Overloaded
from qa_service.domain.saying import Typing
from qa_service.domain.suggestion import Suggested
from qa_service.store.batcher import Batcher
from qa_service.store.connection import translated
from qa_service.store.keys import Keys
from qa_service.store.records import Job, decode_suggested, encode_job
from qa_service.store.scripts import Call, load
from qa_service.store.sessions import QUEUE_CAP


class RedisTypings:
    """The Typings port of a conversation. A job and its reply share the partition of the job id."""

    def __init__(
        self, client: Redis, keys: Keys, *, queue_cap: int = QUEUE_CAP, batcher: Batcher | None = None
    ) -> None:
        self._batcher = batcher or Batcher(client)
        self._keys = keys
        self._queue_cap = queue_cap

    async def submit(self, typing: Typing) -> None:
        """Queue it.

        Raises:
            Overloaded: there is no room (queue-full).
        """
        job = Job(
            kind="suggest",
            tenant=self._keys.tenant,
            reply_id=typing.job_id,
            text=typing.typed.text,
            normalised="",
            locale=typing.typed.locale,
            limit=typing.typed.limit,
            request_id=typing.request_id,
            expires_at_ms=typing.expires_at_ms,
        )
        queue = self._keys.queue(self._keys.partition(typing.job_id))
        call = Call(script=load("submit"), keys=(queue,), args=(self._queue_cap, encode_job(job)))
        if not await self._batcher.run(call):
            raise Overloaded("the queue is full", code="queue-full")

    async def reply(self, job_id: str) -> Suggested | None:
        """Give the suggestions, once a worker has given them; they are kept for ten seconds."""
        with translated():
            record = await self._batcher.execute(("GET", self._keys.reply(job_id)))
        return decode_suggested(record) if isinstance(record, bytes) else None
