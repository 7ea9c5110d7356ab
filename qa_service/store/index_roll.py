"""How a new index version comes into force in every worker at once: each says what it has ready, one script commits.

It knows no index from the inside, and no file.
"""

from collections.abc import Callable
from dataclasses import dataclass

from redis.asyncio import Redis

from qa_service.store.active_index import FORGOTTEN_AFTER_MS
from qa_service.store.connection import translated
from qa_service.store.keys import Keys
from qa_service.store.scripts import Call, load, run

ALIVE_MS = 10_000  # a worker that has said nothing for this long is not waited for
GATHER_MS = 2_000  # after an outage, for workers to come back before anything new comes into force


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """The version that answers ("" while none is committed), and whether this very beat committed it."""

    committed: str
    committed_here: bool


class RedisIndexRoll:
    """One worker's voice in what answers next. Redis's clock says who lives, unless `clock_ms` (Unix ms) does.

    The very first version comes into force as soon as one worker has it: nobody answers from another one.
    """

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        *,
        worker: str,
        generator: str,
        clock_ms: Callable[[], int | None] = lambda: None,
        forgotten_after_ms: int = FORGOTTEN_AFTER_MS,
    ) -> None:
        self._client = client
        self._keys = keys
        self._worker = worker
        self._generator = generator
        self._clock_ms = clock_ms
        self._forgotten_after_ms = forgotten_after_ms

    async def beat(self, *, wanted: str, ready: str, serving: str = "", refusal: str = "") -> Roll:
        """Say that this worker lives, and learn what all of them answer from.

        `ready` is the version it has opened, `wanted` the one it would go over to, `serving` the one it answers from,
        and `refusal` why it will not have one; each may be "". To be repeated several times a second.

        Raises:
            StoreUnavailable: Redis cannot serve.
        """
        now_ms = self._clock_ms()
        call = Call(
            script=load("beat"),
            keys=(self._keys.index(), self._keys.index_workers(), self._keys.index_ready()),
            args=(
                *(self._worker, "" if now_ms is None else now_ms, ready, wanted, self._generator),
                *(ALIVE_MS, self._forgotten_after_ms, refusal, serving, GATHER_MS),
            ),
        )
        committed, here = await run(self._client, call)
        return Roll(committed=committed.decode(), committed_here=bool(here))

    async def leave(self) -> None:
        """Say that this worker stops, so that nobody waits for it.

        Raises:
            StoreUnavailable: Redis cannot serve; it is forgotten by itself in a few seconds.
        """
        with translated():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.zrem(self._keys.index_workers(), self._worker)
                pipe.hdel(self._keys.index_ready(), self._worker)
                await pipe.execute()
