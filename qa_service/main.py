"""What an API process is made of: it joins the rooms, as `main_worker.py` and `main_webhooks.py` do for the others."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from pathlib import Path

import structlog

from qa_service.access.opening import AccessSources, open_gate
from qa_service.access.tenants import TenantSources, bots_of, read_tenants_file, with_tables
from qa_service.answering.ask import Ask
from qa_service.answering.decide import Policy
from qa_service.answering.ports import AnswerCache, Door
from qa_service.api.address import networks_of
from qa_service.api.house import House, Readiness, Rooms
from qa_service.api.limits import Limits, Quotas
from qa_service.conversation.conversation import Conversation
from qa_service.conversation.erasure import Erasure
from qa_service.conversation.inquiry_desk import InquiryDesk
from qa_service.conversation.streams import Streams
from qa_service.conversation.suggestion_desk import SuggestionDesk
from qa_service.domain.errors import SettingsError, StoreUnavailable
from qa_service.domain.session import Proof
from qa_service.domain.share import parse_share
from qa_service.generation.extractive import ExtractiveGenerator
from qa_service.knowledge.versions import Versions
from qa_service.main_webhooks import webhook_desk
from qa_service.retrieval.encoder import Encoder, open_encoder
from qa_service.retrieval.manifest import read_manifest, verify
from qa_service.retrieval.remembering import RememberingEncoder
from qa_service.retrieval.rerank import CrossEncoderReranker, Reranker
from qa_service.retrieval.snapshot import Snapshot, open_snapshot
from qa_service.settings import Settings
from qa_service.store.active_index import RedisActiveIndex
from qa_service.store.batcher import Batcher
from qa_service.store.bells import RedisBells
from qa_service.store.connection import Redis, open_redis, translated
from qa_service.store.erasure import RedisErasure
from qa_service.store.events import RedisEvents
from qa_service.store.health_watch import RedisHealthWatch
from qa_service.store.inquiries import RedisInquiries
from qa_service.store.keys import Keys
from qa_service.store.leases import WorkerLease
from qa_service.store.limits import RedisLimits
from qa_service.store.sessions import RedisSessions
from qa_service.store.suggestions import RedisSuggestions

log = structlog.get_logger(__name__)

LIGHT = "light"


def settings_of(settings: Settings, tenant: str) -> Settings:
    """Give the settings of one tenant alone; a version on trial is the default tenant's."""
    trial = {} if tenant == settings.knowledge_base else {"canary": "", "shadow": ""}
    return settings.model_copy(update={"knowledge_base": tenant, "knowledge_bases": "", **trial})


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
    manifest, reranker = read_manifest(folder), reranker_named(settings.reranker)
    encoder = RememberingEncoder(encoder_named(manifest.encoder.name))
    quick = RememberingEncoder(encoder_named(manifest.quick.name)) if manifest.quick and not reranker else None
    snapshot = open_snapshot(folder, encoder, reranker=reranker, quick=quick)
    if quick and not snapshot.quick:
        log.warning("no quick look: another built-in encoder made it, build the index again", version=version)
    snapshot.rank_faq(["怎么退货"])  # any question: it loads what the first one would wait for
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


def keys_dir(settings: Settings) -> Path:
    """Give the folder of signing keys and clients."""
    return settings.keys_dir or settings.state_dir / "keys"


def access_sources(settings: Settings) -> AccessSources:
    """Give what the settings say about who may call; raises as `tenant_sources` does."""
    return AccessSources(
        keys_dir=keys_dir(settings),
        state_dir=settings.state_dir,
        host=settings.host,
        issuer=settings.token_issuer,
        tenant=settings.knowledge_base,
        tenants=tenant_sources(settings),
    )


def tenant_sources(settings: Settings) -> tuple[TenantSources, ...]:
    """Give what is set for each tenant, the default one first; SettingsError when the tenants' file is no good."""
    secrets = settings.user_token_secret.get_secret_value() if settings.user_token_secret else ""
    default = TenantSources(
        name=settings.knowledge_base,
        user_issuer=settings.user_token_issuer or settings.knowledge_base,
        user_secrets=tuple(line.strip() for line in secrets.splitlines() if line.strip()),
        user_public_keys=settings.user_token_public_key,
    )
    file = settings.tenants_file
    tables = read_tenants_file(file) if file else {}
    return with_tables(default, settings.tenants, tables, file.parent if file else Path())


@asynccontextmanager
async def furnished(settings: Settings) -> AsyncIterator[House]:
    """Open what an API process needs, and close it at the end."""
    keys = Keys(tenant=settings.knowledge_base, partitions=settings.redis_partitions)
    gate, sources = open_gate(access_sources(settings)), tenant_sources(settings)
    async with AsyncExitStack() as stack:
        client = open_redis(redis_address(settings))
        stack.push_async_callback(client.aclose)
        bells = await stack.enter_async_context(RedisBells(client, keys))
        health = await stack.enter_async_context(RedisHealthWatch(client))
        new_id = (await stack.enter_async_context(WorkerLease(client))).next_id
        batcher = Batcher(client)  # one for all: a limit's script travels with other requests' commands
        indexes: dict[str, RedisActiveIndex] = {}
        tenants: dict[str, Rooms] = {}
        for one in sources:
            own, cap = keys.of(one.name), one.queue_cap or settings.queue_cap
            share = parse_share(settings_of(settings, one.name).canary)
            index = await stack.enter_async_context(RedisActiveIndex(client, own, share=share))
            sessions = RedisSessions(client, own, queue_cap=cap, batcher=batcher)
            suggestions = RedisSuggestions(client, own, batcher=batcher)
            inquiries = RedisInquiries(client, own, queue_cap=cap, batcher=batcher)
            indexes[one.name] = index
            tenants[one.name] = Rooms(
                conversation=Conversation(sessions=sessions, bells=bells, index=index, next_id=new_id, tenant=one.name),
                desk=InquiryDesk(inquiries=inquiries, bells=bells, index=index, next_id=new_id),
                suggestions=SuggestionDesk(suggestions=suggestions, bells=bells, index=index, next_id=new_id),
                erasure=Erasure(records=RedisErasure(client, own, batcher=batcher), index=index),
                streams=Streams(events=RedisEvents(client, own, batcher=batcher), bells=bells),
                webhooks=webhook_desk(settings, batcher, own, new_id),
            )
        yield House(
            tenants=tenants,
            bots=bots_of(sources),
            readiness=lambda: _readiness(client, indexes, health.not_kept),
            gate=gate,
            limits=_limits(settings, tenants, RedisLimits(batcher, keys)),
            ws_idle_s=settings.ws_idle_s,
        )


def _limits(settings: Settings, tenants: Mapping[str, Rooms], counted: RedisLimits) -> Limits:
    async def uid_of(tenant: str, sid: str, proof: Proof) -> str:
        return (await tenants[tenant].conversation.read(sid, proof)).uid

    quotas = Quotas(uid=settings.limit_uid_per_min, ip=settings.limit_ip_per_min, client=settings.limit_client_per_min)
    return Limits(admit=counted.admit, uid_of=uid_of, quotas=quotas, trusted=networks_of(settings.trusted_proxies))


async def _readiness(
    client: Redis, indexes: Mapping[str, RedisActiveIndex], not_kept: tuple[str, ...] | None
) -> Readiness:
    """Tell what is missing. A tenant without an index keeps the others from nothing: one that has one is enough."""
    checks = {"store": "ok"}
    for place, (tenant, index) in enumerate(indexes.items()):
        suffix = f":{tenant}" if place else ""  # the default tenant's stands first, as where it is the only one
        checks[f"index{suffix}"] = index.version or "none: build one, or start a worker"
        if index.last_report and index.last_report.refused:
            checks[f"refused_index{suffix}"] = index.last_report.refused
    # A promise that Redis cannot keep is named, and keeps no question from being answered.
    checks["durability"] = "not known yet" if not_kept is None else "; ".join(not_kept) or "ok"
    try:
        with translated():
            await client.ping()
    except StoreUnavailable as error:
        checks["store"] = error.detail
    ready = checks["store"] == "ok" and any(index.version for index in indexes.values())
    return Readiness(ready=ready, checks=checks, not_kept=not_kept or ())
