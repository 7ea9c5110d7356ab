"""The FAQ cache: exact questions to their answers, for minutes. What may be cached is decided elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from qa_service.domain.answer import Answer, ServedBy
from qa_service.domain.snowflake import wall_clock_ms
from qa_service.store.connection import translated
from qa_service.store.hot_questions import HotQuestion, count_hot
from qa_service.store.keys import Keys
from qa_service.store.records import decode_answer, encode_answer

CACHE_TTL_MS = 300_000
_SCAN_COUNT = 1000


class RedisAnswerCache:
    """Answers under whole Redis keys (`Job.cache_key`); a value is the normalised question, a line break, the answer.

    The key ends in a hash of the question; the question itself is compared as well, so that no collision ever
    answers another question.
    """

    def __init__(self, client: Redis, keys: Keys, *, clock_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._client = client
        self._keys = keys
        self._clock_ms = clock_ms

    async def get_many(self, keys_and_questions: Sequence[tuple[str, str]]) -> list[Answer | None]:
        """For each (cache key, normalised question) its answer, in the same order; an empty key has none.

        One MGET for each partition, all in one round trip.
        """
        by_partition: dict[str, list[str]] = {}
        for key, _ in keys_and_questions:
            if key:
                by_partition.setdefault(key[: key.index("}")], []).append(key)
        if not by_partition:
            return [None] * len(keys_and_questions)
        with translated():
            async with self._client.pipeline(transaction=False) as pipe:
                for keys in by_partition.values():
                    pipe.mget(keys)
                found = await pipe.execute()
        held = {
            key: value
            for keys, values in zip(by_partition.values(), found, strict=True)
            for key, value in zip(keys, values, strict=True)
        }
        return [matching_answer(held.get(key), question) for key, question in keys_and_questions]

    async def put(self, cache_key: str, normalised: str, answer: Answer) -> None:
        """Keep one answer, as `put_many` does."""
        await self.put_many([(cache_key, normalised, answer)])

    async def put_many(self, kept: Sequence[tuple[str, str, Answer]]) -> None:
        """Keep answers for five minutes, or until the end of their sources' validity if that comes first.

        Each is given with its key and its normalised question; those with an empty key are not kept.
        """
        now_ms = self._clock_ms()
        with translated():
            async with self._client.pipeline(transaction=False) as pipe:
                for cache_key, normalised, answer in kept:
                    ends_ms = now_ms + CACHE_TTL_MS if answer.valid_until_ms is None else answer.valid_until_ms
                    ttl_ms = min(CACHE_TTL_MS, ends_ms - now_ms)
                    if cache_key and ttl_ms > 0:
                        self._keep(pipe, cache_key, normalised, replace(answer, served_by=ServedBy.CACHE), ttl_ms)
                await pipe.execute()

    def _keep(self, pipe: Pipeline, cache_key: str, normalised: str, answer: Answer, ttl_ms: int) -> None:
        # How long it took to find belongs to the first asker only.
        record = encode_answer(replace(answer, elapsed_ms=0.0, timings_ms={}))
        pipe.set(cache_key, normalised.encode() + b"\n" + record, px=ttl_ms)
        tenant, locale = self._keys.tenant_and_locale(cache_key)
        count_hot(pipe, self._keys.of(tenant), HotQuestion(locale=locale, normalised=normalised))

    async def purge(self, tenant: str) -> int:
        """Forget every cached answer of a tenant; the number of those dropped."""
        dropped = 0
        pattern = self._keys.of(tenant).faq_pattern()
        cursor = -1
        while cursor != 0:
            with translated():
                cursor, keys = await self._client.scan(max(cursor, 0), match=pattern, count=_SCAN_COUNT)
                dropped += await self._client.unlink(*keys) if keys else 0
        return dropped


def matching_answer(value: bytes | None, question: str) -> Answer | None:
    """Give the answer in a cache record, if it was kept for exactly this normalised question."""
    asked = question.encode() + b"\n"
    return decode_answer(value[len(asked) :]) if value and value.startswith(asked) else None
