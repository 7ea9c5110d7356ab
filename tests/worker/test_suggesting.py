"""The worker's other hand over a real Redis: suggestions come while a batch is being answered."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from answering.small_base import open_small
from redis.asyncio import Redis
from structlog.testing import capture_logs

from qa_service.answering.ask import Ask
from qa_service.answering.decide import Policy
from qa_service.answering.no_cache import NoCache
from qa_service.domain.saying import KeyPress
from qa_service.domain.snowflake import Snowflake, wall_clock_ms
from qa_service.domain.suggestion import Suggested, Typed
from qa_service.generation.extractive import ExtractiveGenerator
from qa_service.main import make_ask
from qa_service.retrieval.snapshot import Snapshot
from qa_service.store.connection import open_redis
from qa_service.store.keys import Keys
from qa_service.store.suggestions import RedisSuggestions, SuggestionQueue
from qa_service.worker.door import Door
from qa_service.worker.suggesting import SuggestionWorker
from qa_service.worker.worker import Bot

T = TypeVar("T")
KEYS = Keys(tenant="shop")
IDS = Snowflake(9)


class FailingAsk(Ask):
    """Has a bug in what suggests."""

    def __init__(self, snapshot: Snapshot, door: Door) -> None:
        super().__init__(
            knowledge=snapshot,
            generator=ExtractiveGenerator(terms=list, weight=lambda _term: 1.0),
            cache=NoCache(),
            policy=Policy(answer=0.0, clarify=0.0, passage=9.0),
            door=door,
        )

    def suggest(self, all_typed: Sequence[Typed]) -> list[Suggested]:
        raise ZeroDivisionError(all_typed)


@dataclass(kw_only=True)
class Workplace:
    """A worker for two tenants that share an index, or the second of which has none."""

    client: Redis
    asks: dict[str, Ask | None] = field(default_factory=dict)

    @property
    def queue(self) -> SuggestionQueue:
        return SuggestionQueue(self.client, KEYS, consumer="first", tenants=("shop", "bank"), claim_idle_ms=50)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        bots = {tenant: Bot(current=lambda tenant=tenant: self.asks.get(tenant)) for tenant in ("shop", "bank")}  # type: ignore[misc]  # bound in the loop
        stop = asyncio.Event()
        async with Door() as door:
            running = asyncio.create_task(SuggestionWorker(jobs=self.queue, bots=bots, door=door).run(stop))
            try:
                yield
            finally:
                stop.set()
                await asyncio.wait_for(running, 5)

    async def type(self, text: str, *, tenant: str = "shop", wait_ms: int = 30_000) -> str:
        job_id = IDS.next_id()
        press = KeyPress(
            job_id=job_id,
            typed=Typed(text=text, limit=2),
            request_id="r1",
            expires_at_ms=wall_clock_ms() + wait_ms,
        )
        await RedisSuggestions(self.client, KEYS.of(tenant)).submit(press)
        return job_id

    async def given(self, job_id: str, *, tenant: str = "shop") -> Suggested:
        return await eventually(lambda: RedisSuggestions(self.client, KEYS.of(tenant)).reply(job_id))


async def eventually(look: Callable[[], Awaitable[T | None]], within_s: float = 8.0) -> T:
    async with asyncio.timeout(within_s):
        while (found := await look()) is None:  # noqa: ASYNC110  # Redis tells nobody
            await asyncio.sleep(0.01)
        return found


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return open_small(tmp_path_factory.mktemp("press"))


@pytest.fixture
async def place(snapshot: Snapshot, redis_url: str) -> AsyncIterator[Workplace]:
    client = open_redis(redis_url)
    async with Door() as door:
        yield Workplace(client=client, asks={"shop": make_ask(snapshot, NoCache(), door)})
    await client.aclose()


async def test_what_is_typed_gets_suggestions_of_the_index_in_force(place: Workplace) -> None:
    async with place.worker():
        jobs = [await place.type(text) for text in ("退k", "fapiao", "退k", "龘")]
        [first, second, again, nothing] = [await place.given(job) for job in jobs]
    ask = place.asks["shop"]
    assert ask is not None
    assert [one.entry_id for one in first.suggestions] == ["refund-time"]
    assert {one.entry_id for one in second.suggestions} <= {"invoice", "invoice-title"}
    assert again == first
    assert nothing == Suggested(index_version=ask.version)
    assert await place.queue.backlog() == 0


async def test_what_a_tenant_without_an_index_types_waits_and_holds_up_nobody(place: Workplace) -> None:
    async with place.worker():
        waiting = await place.type("退k", tenant="bank")
        assert (await place.given(await place.type("退k"))).suggestions
        place.asks["bank"] = place.asks["shop"]
        assert (await place.given(waiting, tenant="bank")).suggestions


async def test_what_a_dead_worker_held_is_let_go_once_nobody_waits(place: Workplace) -> None:
    await place.type("退k", wait_ms=20)
    await place.queue.ensure_group()
    assert len(await place.queue.take(block_ms=0)) == 1
    await asyncio.sleep(0.1)  # it is silent now, and its asker has gone
    async with place.worker():
        await eventually(lambda: _empty(place.queue))


async def test_a_bug_is_logged_and_the_next_key_press_is_served(place: Workplace, snapshot: Snapshot) -> None:
    ask = place.asks["shop"]
    async with Door() as door:
        place.asks["shop"] = FailingAsk(snapshot, door)
        with capture_logs() as logs:
            async with place.worker():
                await place.type("退k")
                await eventually(lambda: _logged(logs, "suggestions failed"))
                place.asks["shop"] = ask
                assert (await place.given(await place.type("退k"))).suggestions


async def _empty(queue: SuggestionQueue) -> bool | None:
    return True if await queue.backlog() == 0 else None


async def _logged(logs: Sequence[MutableMapping[str, Any]], event: str) -> bool | None:
    return True if any(line["event"] == event for line in logs) else None
