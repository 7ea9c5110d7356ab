"""Stateless questions on the queue that sessions use: not durable, with a reply that expires. It knows no session."""

from redis.asyncio import Redis

from qa_service.domain.answer import Answer
from qa_service.domain.errors import Overloaded
from qa_service.domain.explanation import Explanation
from qa_service.domain.saying import Inquiry
from qa_service.store.answer_cache import matching_answer
from qa_service.store.batcher import Batcher
from qa_service.store.connection import translated
from qa_service.store.keys import Keys
from qa_service.store.records import Job, decode_answer, decode_explanation, encode_job
from qa_service.store.scripts import Call, load
from qa_service.store.sessions import QUEUE_CAP


class RedisInquiries:
    """The Inquiries port of a conversation. A job and its reply share the partition of the job id."""

    def __init__(
        self, client: Redis, keys: Keys, *, queue_cap: int = QUEUE_CAP, batcher: Batcher | None = None
    ) -> None:
        self._batcher = batcher or Batcher(client)
        self._keys = keys
        self._queue_cap = queue_cap

    async def cached(self, cache_key: str, normalised: str) -> Answer | None:
        """The cached answer, if there is one for exactly this question."""
        if not cache_key:
            return None
        with translated():
            record = await self._batcher.execute(("GET", self._keys.faq_of_question(cache_key)))
        return matching_answer(record, normalised)

    async def submit(self, inquiry: Inquiry) -> None:
        """Queue it.

        Raises:
            Overloaded: there is no room (queue-full).
        """
        job = Job(
            kind="explain" if inquiry.explain else "inquiry",
            tenant=self._keys.tenant,
            reply_id=inquiry.job_id,
            text=inquiry.text,
            normalised=inquiry.normalised,
            locale=inquiry.locale,
            request_id=inquiry.request_id,
            expires_at_ms=inquiry.expires_at_ms,
            cache_key=self._keys.faq_of_question(inquiry.cache_key) if inquiry.cache_key else "",
            history=inquiry.history,
        )
        queue = self._keys.queue(self._keys.partition(inquiry.job_id))
        call = Call(script=load("submit"), keys=(queue,), args=(self._queue_cap, encode_job(job)))
        if not await self._batcher.run(call):
            raise Overloaded("the queue is full", code="queue-full")

    async def reply(self, job_id: str) -> Answer | None:
        """The answer, once a worker has given it; it is kept for ten seconds."""
        record = await self._record(job_id)
        return decode_answer(record) if record else None

    async def explanation(self, job_id: str) -> Explanation | None:
        """The explanation that a job with `explain` asked for, once a worker has given it; kept for ten seconds."""
        record = await self._record(job_id)
        return decode_explanation(record) if record else None

    async def _record(self, job_id: str) -> bytes | None:
        with translated():
            record = await self._batcher.execute(("GET", self._keys.reply(job_id)))
        return record if isinstance(record, bytes) else None
