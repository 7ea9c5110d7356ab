"""What a worker process is made of: it joins the rooms that answer. It knows no HTTP."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack

from qa_service.answering.ask import Ask
from qa_service.answering.no_cache import NoCache
from qa_service.answering.ports import AnswerCache, Door
from qa_service.domain.errors import StoreUnavailable
from qa_service.domain.share import parse_share
from qa_service.generation.extractive import ExtractiveGenerator
from qa_service.main import make_ask, open_version, redis_address, settings_of, versions_of
from qa_service.settings import Settings
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.connection import Redis, open_redis
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.sessions import RedisSessions
from qa_service.store.shadow_counts import ShadowCounts
from qa_service.store.suggestions import SuggestionQueue
from qa_service.worker.door import Door as WorkerDoor
from qa_service.worker.suggesting import SuggestionWorker
from qa_service.worker.tenant import OnTrial, TenantInWorker
from qa_service.worker.trial import Canary, Shadow
from qa_service.worker.worker import Worker

_OPENING = threading.Lock()  # one index at a time: several tenants' would open the encoder several times


async def run_worker(settings: Settings, stop: asyncio.Event) -> None:
    """Answer what the tenants' queues hold until `stop` is set."""
    keys = Keys(tenant=settings.knowledge_base, partitions=settings.redis_partitions)
    name = f"{socket.gethostname()}-{os.getpid()}"
    async with AsyncExitStack() as stack:
        client = open_redis(redis_address(settings))
        stack.push_async_callback(client.aclose)
        door = await stack.enter_async_context(WorkerDoor())
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tenants = [_tenant(settings_of(settings, one), client, door, tasks, name=name) for one in settings.tenants]
        jobs = JobQueue(client, keys, consumer=name, tenants=settings.tenants, claim_idle_ms=settings.claim_idle_ms)
        worker = Worker(
            jobs=jobs,
            sessions=RedisSessions(client, keys),
            bots={one.tenant: one.bot for one in tenants},
            batch=settings.batch,
            claim_idle_ms=settings.claim_idle_ms,
        )
        at_key_presses = SuggestionWorker(
            jobs=SuggestionQueue(client, keys, consumer=name, tenants=settings.tenants),
            bots={one.tenant: one.bot for one in tenants},
            door=await stack.enter_async_context(WorkerDoor()),
        )
        suggesting = tasks.create_task(at_key_presses.run(stop))
        following = [tasks.create_task(one.follow(stop)) for one in tenants]
        await worker.run(stop)
        await asyncio.gather(suggesting, *following)  # whose last beats would come after the farewells
        with contextlib.suppress(StoreUnavailable):
            await asyncio.gather(*(one.leave() for one in tenants))


def _tenant(settings: Settings, client: Redis, door: Door, tasks: asyncio.TaskGroup, *, name: str) -> TenantInWorker:
    """Join what answers the one tenant that the settings name; only versions on trial are opened here and now."""
    keys = Keys(tenant=settings.knowledge_base, partitions=settings.redis_partitions)
    open_ask = _opener(settings, RedisAnswerCache(client, keys), door)
    return TenantInWorker(
        client,
        keys,
        name=name,
        generator=ExtractiveGenerator.fingerprint,
        versions=versions_of(settings),
        open_ask=open_ask,
        tasks=tasks,
        trial=OnTrial(canary=_canary(settings, open_ask), shadow=_shadow(settings, client, keys, door)),
    )


def _opener(settings: Settings, cache: AnswerCache, door: Door) -> Callable[[str], Ask]:
    def open_ask(version: str) -> Ask:
        with _OPENING:
            return make_ask(open_version(settings, version), cache, door)

    return open_ask


def _canary(settings: Settings, open_ask: Callable[[str], Ask]) -> Canary | None:
    share = parse_share(settings.canary)
    return Canary(share=share, ask=open_ask(share.version)) if share else None


def _shadow(settings: Settings, client: Redis, keys: Keys, door: Door) -> Shadow | None:
    if not settings.shadow:
        return None
    ask = make_ask(open_version(settings, settings.shadow), NoCache(), door)
    return Shadow(ask=ask, count=ShadowCounts(client, keys, settings.shadow).add)


async def shadow_counts(settings: Settings, version: str) -> dict[str, int]:
    """Give what a shadow version would have done so far; StoreUnavailable when Redis cannot serve."""
    client = open_redis(redis_address(settings))
    try:
        return await ShadowCounts(client, Keys(tenant=settings.knowledge_base), version).read()
    finally:
        await client.aclose()
