"""The rooms joined: a question goes in at the api's end and comes out answered by the worker's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from answering.small_base import build_small
from pydantic import SecretStr

from qa_service.api.house import House
from qa_service.domain.answer import Answer
from qa_service.domain.errors import IndexUnavailable, SettingsError, SnapshotError
from qa_service.main import encoder_named, furnished, open_version, redis_address, reranker_named
from qa_service.main_worker import run_worker
from qa_service.settings import Settings


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    redis = SecretStr(redis_url)
    return Settings(redis_url=redis, indexes_dir=tmp_path / "indexes", state_dir=tmp_path / "state", claim_idle_ms=500)


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    async with furnished(settings) as house:
        yield house


async def ask(house: House, text: str) -> Answer:
    return await house.tenants["shop"].desk.ask(text, locale="zh-CN", request_id="r1", wait_s=3.0)


async def answered_by(house: House, version: str, within_s: float = 3.0) -> Answer:
    async with asyncio.timeout(within_s):
        while True:
            try:
                answer = await ask(house, "怎么开发票")
            except IndexUnavailable:
                answer = None
            if answer and answer.index_version == version:
                return answer
            await asyncio.sleep(0.05)


async def test_a_question_is_answered_from_the_active_version_and_from_the_next_one_soon_after(
    house: House, settings: Settings, tmp_path: Path
) -> None:
    versions, first = build_small(tmp_path)
    versions.activate(first.version)
    stop = asyncio.Event()
    working = asyncio.create_task(run_worker(settings, stop))
    answer = await answered_by(house, first.version)
    assert (await house.readiness()).ready
    _, second = build_small(tmp_path)
    versions.activate(second.version)
    again = await answered_by(house, second.version)
    assert again.text == answer.text
    stop.set()
    await asyncio.wait_for(working, 3)


async def test_without_an_index_nothing_is_answered_and_readiness_says_why(house: House, settings: Settings) -> None:
    stop = asyncio.Event()
    working = asyncio.create_task(run_worker(settings, stop))
    await asyncio.sleep(0.3)
    with pytest.raises(IndexUnavailable):
        await ask(house, "怎么开发票")
    readiness = await house.readiness()
    assert not readiness.ready
    assert readiness.checks["store"] == "ok"
    assert "none" in readiness.checks["index"]
    stop.set()
    await asyncio.wait_for(working, 3)


def test_a_version_is_verified_before_it_is_opened(settings: Settings, tmp_path: Path) -> None:
    versions, built = build_small(tmp_path)
    assert open_version(settings, built.version).version == built.version
    (versions.path(built.version) / "words.txt").write_text("extra")
    with pytest.raises(SnapshotError, match="extra file"):
        open_version(settings, built.version)


def test_a_redis_must_be_named() -> None:
    with pytest.raises(SettingsError, match="QA_REDIS_URL"):
        redis_address(Settings(redis_url=None))


def test_an_encoder_is_opened_once_and_the_light_reranker_belongs_to_its_snapshot() -> None:
    assert encoder_named("builtin") is encoder_named("builtin")
    assert reranker_named("light") is None
