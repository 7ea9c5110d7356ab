"""Which index answers now: one pointer in Redis that workers keep alive. It knows no index from the inside."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Self, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from qa_service.domain.errors import StoreUnavailable
from qa_service.domain.share import Share
from qa_service.store.connection import translated
from qa_service.store.keys import Keys

FORGOTTEN_AFTER_MS = 15_000  # workers report several times a second; then none of them is alive
_POLL_S = 0.5  # an edited entry's old answer is gone within a second


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveReport:
    """What the workers last said: which version answers, what generates, how many they are, and what they refused.

    `version` is "" while none has come into force, `refused` is "" when nothing is.
    """

    version: str
    generator: str
    workers: int
    refused: str = ""


class RedisActiveIndex:
    """The ActiveIndex port of a conversation: an async context manager that looks at the pointer twice a second.

    While Redis is away it keeps what it last saw. `share` sends part of the questions to another version.
    """

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        *,
        poll_s: float = _POLL_S,
        share: Share | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._poll_s = poll_s
        self._share = share
        self._report: ActiveReport | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def version(self) -> str:
        """The active version, or "" when no worker has brought one into force lately."""
        return self._report.version if self._report else ""

    @property
    def workers_alive(self) -> bool:
        """Whether any worker has reported lately."""
        return self._report is not None

    @property
    def last_report(self) -> ActiveReport | None:
        """All that the last worker said, or None when no worker is alive."""
        return self._report

    def cache_key(self, locale: str, normalised: str) -> str:
        """What a cached answer depends on: tenant, locale, version, generator and question; "" without an index."""
        if self._report is None or not self._report.version:
            return ""
        version = self._share.version_for(normalised, self._report.version) if self._share else self._report.version
        return self._keys.faq_name(locale, version, self._report.generator, normalised)

    async def refresh(self) -> None:
        """Look at the pointer now.

        Raises:
            StoreUnavailable: Redis cannot serve; what was seen last is kept.
            ValueError: the pointer holds nonsense; what was seen last is kept.
        """
        with translated():
            found = cast("dict[bytes, bytes]", await self._client.hgetall(self._keys.index()))
        fields = {name: value.decode() for name, value in found.items()}
        self._report = (
            ActiveReport(
                version=fields.get(b"version", ""),
                generator=fields.get(b"generator", ""),
                workers=int(fields.get(b"workers", "0")),
                refused=fields.get(b"refused", ""),
            )
            if fields
            else None
        )

    async def __aenter__(self) -> Self:
        await self._try_refresh()
        self._task = asyncio.create_task(self._poll(), name="active index")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        # Again and again: Python 3.11's wait_for, inside redis-py, may swallow a cancellation.
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=0.1)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await self._try_refresh()

    async def _try_refresh(self) -> None:
        # A pointer that cannot be read must not end the polling: the next report repairs it.
        with suppress(StoreUnavailable, RedisError, ValueError):
            await self.refresh()
