"""The one place that joins the rooms: what an API process and a worker process are made of."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache

import structlog

from qa_service.answering.ask import Ask
from qa_service.answering.decide import Policy
from qa_service.answering.no_cache import NoCache
from qa_service.answering.ports import AnswerCache, Door
from qa_service.api.house import House, Readiness
from qa_service.conversation.conversation import Conversation
from qa_service.conversation.inquiry_desk import InquiryDesk
from qa_service.domain.errors import SettingsError, StoreUnavailable
from qa_service.domain.question import Question
from qa_service.domain.share import parse_share
from qa_service.generation.extractive import ExtractiveGenerator
from qa_service.knowledge.versions import Versions
from qa_service.retrieval.encoder import Encoder, open_encoder
from qa_service.retrieval.manifest import read_manifest, verify
from qa_service.retrieval.remembering import RememberingEncoder
from qa_service.retrieval.rerank import CrossEncoderReranker, Reranker
from qa_service.retrieval.snapshot import Snapshot, open_snapshot
from qa_service.settings import Settings
from qa_service.store.active_index import RedisActiveIndex
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.bells import RedisBells
from qa_service.store.connection import Redis, open_redis, translated
from qa_service.store.health_watch import RedisHealthWatch
from qa_service.store.hot_questions import hottest
from qa_service.store.index_roll import RedisIndexRoll
from qa_service.store.inquiries import RedisInquiries
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.leases import WorkerLease
from qa_service.store.sessions import RedisSessions
from qa_service.store.shadow_counts import ShadowCounts
from qa_service.worker.door import Door as WorkerDoor
from qa_service.worker.index_watch import IndexWatch
from qa_service.worker.trial import Canary, Shadow
from qa_service.worker.warm import warm
from qa_service.worker.worker import Worker

log = structlog.get_logger(__name__)

LIGHT = "light"
_WARMED = 200  # questions asked again after an activation
_BUILTIN_READY_QUESTION = "怎么退货"


def versions_of(settings: Settings) -> Versions:
    """Give the snapshots of the knowledge base that the settings name."""
    return Versions(settings.indexes_dir, settings.knowledge_base)


@lru_cache(maxsize=4)
def encoder_named(name: str) -> Encoder:
    """Open an encoder once a process."""
    return open_encoder(name)


@lru_cache(maxsize=4)
def reranker_named(name: str) -> Reranker | None:
    """Open a reranker once a process; None stands for the light one, which belongs to its snapshot."""
    if name == LIGHT:
        return None
    # torch costs seconds and hundreds of megabytes: only who names a model pays
    from qa_service.retrieval.transformer import PairScorer  # noqa: PLC0415

    return CrossEncoderReranker(name, PairScorer.open(name).score)


def open_version(settings: Settings, version: str) -> Snapshot:
    """Verify and open a version with the encoder it was built with.

    Raises:
        SnapshotError: it is missing, damaged, or made for another encoder or tokeniser.
    """
    folder = versions_of(settings).path(version)
    verify(folder)
    encoder = RememberingEncoder(encoder_named(read_manifest(folder).encoder.name))
    snapshot = open_snapshot(folder, encoder, reranker=reranker_named(settings.reranker))
    snapshot.rank_faq([_BUILTIN_READY_QUESTION])  # loads what the first question would wait for
    return snapshot


def make_ask(snapshot: Snapshot, cache: AnswerCache, door: Door) -> Ask:
    """Join a snapshot, its generator and its thresholds."""
    shelf, thresholds = snapshot.passages, snapshot.calibration.thresholds
    return Ask(
        knowledge=snapshot,
        generator=ExtractiveGenerator(
            terms=shelf.tokeniser.tokens, weight=shelf.keyword.weight, likeness=snapshot.likeness
        ),
        cache=cache,
        policy=Policy(answer=thresholds.answer, clarify=thresholds.clarify, passage=thresholds.passage),
        door=door,
    )


def redis_address(settings: Settings) -> str:
    """Give the Redis in use; SettingsError when `serve` has not said which."""
    if settings.redis_url is None:
        raise SettingsError(
            "QA_REDIS_URL names the Redis that the api and the worker share; `serve` starts a private one"
        )
    return settings.redis_url.get_secret_value()


@asynccontextmanager
async def furnished(settings: Settings) -> AsyncIterator[House]:
    """Open what an API process needs, and close it at the end."""
    keys = Keys(tenant=settings.knowledge_base, partitions=settings.redis_partitions)
    async with AsyncExitStack() as stack:
        client = open_redis(redis_address(settings))
        stack.push_async_callback(client.aclose)
        bells = await stack.enter_async_context(RedisBells(client, keys))
        index = await stack.enter_async_context(RedisActiveIndex(client, keys, share=parse_share(settings.canary)))
        health = await stack.enter_async_context(RedisHealthWatch(client))
        lease = await stack.enter_async_context(WorkerLease(client))
        sessions = RedisSessions(client, keys, queue_cap=settings.queue_cap)
        inquiries = RedisInquiries(client, keys, queue_cap=settings.queue_cap)

        async def readiness() -> Readiness:
            return await _readiness(client, index, health.not_kept)

        yield House(
            conversation=Conversation(
                sessions=sessions, bells=bells, index=index, next_id=lease.next_id, tenant=settings.knowledge_base
            ),
            desk=InquiryDesk(inquiries=inquiries, bells=bells, index=index, next_id=lease.next_id),
            readiness=readiness,
        )


async def _readiness(client: Redis, index: RedisActiveIndex, not_kept: tuple[str, ...] | None) -> Readiness:
    report = index.last_report
    checks = {"store": "ok", "index": index.version or "none: build one, or start a worker"}
    # A promise that Redis cannot keep is named, and keeps no question from being answered.
    checks["durability"] = "not known yet" if not_kept is None else "; ".join(not_kept) or "ok"
    if report and report.refused:
        checks["refused_index"] = report.refused
    try:
        with translated():
            await client.ping()
    except StoreUnavailable as error:
        checks["store"] = error.detail
    ready = checks["store"] == "ok" and bool(index.version)
    return Readiness(ready=ready, checks=checks, not_kept=not_kept or ())


async def run_worker(settings: Settings, stop: asyncio.Event) -> None:
    """Answer what the queue holds until `stop` is set."""
    keys = Keys(tenant=settings.knowledge_base, partitions=settings.redis_partitions)
    name = f"{socket.gethostname()}-{os.getpid()}"
    async with AsyncExitStack() as stack:
        client = open_redis(redis_address(settings))
        stack.push_async_callback(client.aclose)
        door = await stack.enter_async_context(WorkerDoor())
        open_ask = _opener(settings, RedisAnswerCache(client, keys), door)
        canary, shadow = _canary(settings, open_ask), _shadow(settings, client, keys, door)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        roll = RedisIndexRoll(client, keys, worker=name, generator=ExtractiveGenerator.fingerprint)

        def committed(ask: Ask) -> None:
            tasks.create_task(_warm(client, keys, ask))

        watch = IndexWatch(versions=versions_of(settings), open_ask=open_ask, beat=roll.beat, committed=committed)
        worker = Worker(
            jobs=JobQueue(client, keys, consumer=name, claim_idle_ms=settings.claim_idle_ms),
            sessions=RedisSessions(client, keys),
            current=lambda: watch.current,
            batch=settings.batch,
            claim_idle_ms=settings.claim_idle_ms,
            canary=canary,
            shadow=shadow,
        )
        following = tasks.create_task(watch.follow(stop))
        await worker.run(stop)
        await following  # whose last beat would come after the farewell
        with contextlib.suppress(StoreUnavailable):
            await roll.leave()


def _opener(settings: Settings, cache: AnswerCache, door: Door) -> Callable[[str], Ask]:
    return lambda version: make_ask(open_version(settings, version), cache, door)


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


async def _warm(client: Redis, keys: Keys, ask: Ask) -> None:
    """Ask the hottest questions again, for every partition whose sessions may ask them."""
    try:
        hot = await hottest(client, keys, _WARMED)
        generator = ExtractiveGenerator.fingerprint
        questions = [
            Question(
                text=one.normalised,
                locale=one.locale,
                normalised=one.normalised,
                cache_key=keys.faq(partition, keys.faq_name(one.locale, ask.version, generator, one.normalised)),
            )
            for one in hot
            for partition in range(keys.partitions)
        ]
        await warm(ask, questions)
    except Exception:  # the edge of a job that nobody waits for: it must not end the worker
        log.exception("cache not warmed", version=ask.version)
