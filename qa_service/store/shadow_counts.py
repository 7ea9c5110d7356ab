"""What a shadow version would have done, added up. It knows no answer."""

from collections import Counter
from collections.abc import Sequence
from typing import cast

from redis.asyncio import Redis

from qa_service.store.connection import translated
from qa_service.store.keys import Keys


class ShadowCounts:
    """The counts of one shadow version, over all workers."""

    def __init__(self, client: Redis, keys: Keys, version: str) -> None:
        self._client = client
        self._name = keys.shadow(version)

    async def add(self, pairs: Sequence[str]) -> None:
        """Count each `decision>decision:same|differs`.

        Raises:
            StoreUnavailable: Redis cannot serve.
        """
        with translated():
            async with self._client.pipeline(transaction=False) as pipe:
                for pair, times in Counter(pairs).items():
                    pipe.hincrby(self._name, pair, times)
                await pipe.execute()

    async def read(self) -> dict[str, int]:
        """Give the counts so far.

        Raises:
            StoreUnavailable: Redis cannot serve.
        """
        with translated():
            found = cast("dict[bytes, bytes]", await self._client.hgetall(self._name))
        return {pair.decode(): int(times) for pair, times in found.items()}
