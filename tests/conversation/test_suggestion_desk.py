"""The suggestion desk on the real store: what it asks a worker for, what it remembers, and for how long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from qa_service.conversation.suggestion_desk import SuggestionDesk
from qa_service.domain.errors import AnswerLate, IndexUnavailable, InvalidInput
from qa_service.domain.snowflake import Snowflake
from qa_service.domain.suggestion import Match, Suggested, Suggestion, Typed
from qa_service.store.bells import RedisBells
from qa_service.store.connection import open_redis
from qa_service.store.keys import Keys
from qa_service.store.suggestions import RedisSuggestions, SuggestionQueue

KEYS = Keys(tenant="shop")


@dataclass(kw_only=True)
class Index:
    """An ActiveIndex whose version a test sets."""

    version: str = "v1"

    def cache_key(self, locale: str, normalised: str) -> str:
        return ""


@dataclass(kw_only=True)
class Scene:
    """A desk, and a worker who tells how often it was asked."""

    desk: SuggestionDesk
    queue: SuggestionQueue
    index: Index
    now: list[float]  # seconds
    asked: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        working = asyncio.create_task(self._work(stop))
        try:
            yield
        finally:
            stop.set()
            await working

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for job in await self.queue.take(block_ms=50):
                self.asked.append(job.text)
                found = Suggestion(entry_id="e", text=f"{job.text}…", match=Match.PREFIX)
                given = Suggested(suggestions=(found,), index_version=self.index.version)
                await self.queue.finish_suggested([(job, given)])

    async def suggest(self, text: str, *, wait_s: float = 3.0) -> Suggested:
        return await self.desk.suggest(Typed(text=text, limit=8), request_id="r", pointer="parameter:q", wait_s=wait_s)


@pytest.fixture
async def scene(redis_url: str) -> AsyncIterator[Scene]:
    client, index = open_redis(redis_url), Index()
    now: list[float] = [100.0]
    async with RedisBells(client, KEYS) as bells:
        desk = SuggestionDesk(
            suggestions=RedisSuggestions(client, KEYS),
            bells=bells,
            index=index,
            next_id=Snowflake(1).next_id,
            clock_s=lambda: now[0],
        )
        queue = SuggestionQueue(client, KEYS, consumer="test")
        await queue.ensure_group()
        yield Scene(desk=desk, queue=queue, index=index, now=now)
    await client.aclose()


async def test_what_many_type_is_asked_for_once_in_a_few_seconds(scene: Scene) -> None:
    async with scene.worker():
        assert (await scene.suggest("退")).suggestions[0].text == "退…"
        assert await scene.suggest(" 退 ") == await scene.suggest("退")
        assert scene.asked == ["退"]
        scene.now[0] += 6
        await scene.suggest("退")
        assert scene.asked == ["退", "退"]


async def test_what_is_remembered_goes_with_its_version(scene: Scene) -> None:
    async with scene.worker():
        assert (await scene.suggest("退")).index_version == "v1"
        scene.index.version = "v2"
        assert (await scene.suggest("退")).index_version == "v2"
        assert scene.asked == ["退", "退"]


async def test_without_a_worker_it_ends_and_nothing_is_remembered(scene: Scene) -> None:
    with pytest.raises(AnswerLate):
        await scene.suggest("退", wait_s=0.05)
    await asyncio.sleep(0.06)
    assert await scene.queue.take(block_ms=0) == []  # nobody waits for it
    async with scene.worker():
        assert (await scene.suggest("退")).suggestions


async def test_without_an_index_it_says_so_and_a_bad_text_is_told_first(scene: Scene) -> None:
    scene.index.version = ""
    with pytest.raises(IndexUnavailable):
        await scene.suggest("退")
    with pytest.raises(InvalidInput) as caught:
        await scene.suggest("退" * 65)
    assert (caught.value.code, caught.value.pointer) == ("invalid-parameter", "parameter:q")
