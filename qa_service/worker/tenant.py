"""One tenant in a worker: what answers its questions, and who sees to it that this is the version in force.

It knows no setting and no file: whoever makes it opens the versions.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from qa_service.answering.ask import Ask
from qa_service.store.connection import Redis
from qa_service.store.index_roll import RedisIndexRoll
from qa_service.store.keys import Keys
from qa_service.worker.index_watch import IndexWatch, Versions
from qa_service.worker.trial import Canary, Shadow
from qa_service.worker.warm import warm_hottest
from qa_service.worker.worker import Bot


@dataclass(frozen=True, slots=True, kw_only=True)
class OnTrial:
    """Versions that are tried beside the one in force."""

    canary: Canary | None = None
    shadow: Shadow | None = None


class TenantInWorker:
    """A tenant's bot in worker `name`; `open_ask` opens a version, and `tasks` owns what warms the cache for it."""

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        *,
        name: str,
        generator: str,
        versions: Versions,
        open_ask: Callable[[str], Ask],
        tasks: asyncio.TaskGroup,
        trial: OnTrial,
    ) -> None:
        def committed(ask: Ask) -> None:
            tasks.create_task(warm_hottest(client, keys, ask, generator=generator))

        self._roll = RedisIndexRoll(client, keys, worker=name, generator=generator)
        self._watch = IndexWatch(
            versions=versions, open_ask=open_ask, beat=self._roll.beat, committed=committed, tenant=keys.tenant
        )
        self.tenant = keys.tenant
        self.bot = Bot(current=lambda: self._watch.current, canary=trial.canary, shadow=trial.shadow)

    async def follow(self, stop: asyncio.Event) -> None:
        """Keep the bot at the version in force until `stop` is set."""
        await self._watch.follow(stop)

    async def leave(self) -> None:
        """Say that this worker stops; StoreUnavailable when Redis cannot serve."""
        await self._roll.leave()
