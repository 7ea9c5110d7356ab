"""What a Redis is found to promise, under every setting an operator may have given it."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from qa_service.domain.errors import StoreUnavailable
from qa_service.store.health import RedisHealth, inspect_redis, read_health
from qa_service.store.health_watch import RedisHealthWatch
from store.conftest import Connect
from store.odd_redis import odd_redis

SOUND = RedisHealth(appendonly=True, aof_last_write_status="ok", maxmemory_policy="noeviction")


async def test_the_private_redis_keeps_every_promise_and_tells_everything(connect: Connect, redis_url: str) -> None:
    health = await inspect_redis(connect(redis_url))
    assert health.not_kept == ()
    assert (health.appendonly, health.appendfsync, health.aof_last_write_status) == (True, "everysec", "ok")
    assert (health.maxmemory_policy, health.maxmemory) == ("noeviction", 0)
    assert (health.role, health.loading) == ("master", False)
    assert health.version
    assert health.version[0].isdigit()
    assert health.used_memory
    assert health.used_memory > 100_000
    assert health.clock_offset_ms is not None
    assert abs(health.clock_offset_ms) < 500


async def test_a_stock_redis_loses_accepted_questions_and_says_so(connect: Connect, tmp_path: Path) -> None:
    with odd_redis(tmp_path, maxmemory_policy="allkeys-lru", maxmemory="50mb", appendfsync="no") as server:
        health = await inspect_redis(connect(server.url))
    assert (health.appendonly, health.appendfsync, health.maxmemory) == (False, "no", 50 * 1024**2)
    assert health.evicts_anything
    off, evicted = health.not_kept
    assert off == "appendonly is off: accepted questions are lost when Redis crashes"
    assert "allkeys-lru" in evicted


@pytest.mark.parametrize("rule", ["-config", "-config|get"])
async def test_where_config_is_forbidden_what_info_tells_is_known_and_the_rest_is_unknown(
    connect: Connect, tmp_path: Path, rule: str
) -> None:
    rules = (rule,) if rule == "-config" else ("-config", "+config|set")
    with odd_redis(tmp_path, appendonly="yes") as server:
        health = await inspect_redis(connect(server.url_of_user("managed", *rules)))
    assert health.appendfsync is None
    assert (health.appendonly, health.maxmemory_policy) == (True, "noeviction")
    assert health.not_kept == ()


async def test_a_redis_that_tells_nothing_is_reached_and_its_promises_are_unknown_not_fine(
    connect: Connect, tmp_path: Path
) -> None:
    with odd_redis(tmp_path, appendonly="yes") as server:
        health = await inspect_redis(connect(server.url_of_user("mute", "-config", "-info", "-time")))
    assert health == RedisHealth()
    assert [sentence.split(":")[0] for sentence in health.not_kept] == [
        "appendonly is unknown",
        "maxmemory-policy is unknown",
    ]


async def test_a_redis_that_hangs_is_given_up_at_the_deadline(connect: Connect, tmp_path: Path) -> None:
    with odd_redis(tmp_path) as server, server.stopped():
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="TimeoutError"):
            await inspect_redis(connect(server.url), deadline_s=0.2)
        assert time.monotonic() - began < 0.45


async def test_a_wrong_password_is_a_redis_that_cannot_serve(connect: Connect, tmp_path: Path) -> None:
    with odd_redis(tmp_path) as server:
        await connect(server.url).config_set("requirepass", "open-sesame")
        for url in (server.url, f"unix://:wrong@{server.socket}"):
            with pytest.raises(StoreUnavailable):
                await inspect_redis(connect(url))


async def test_a_replica_is_told_from_a_primary(connect: Connect, tmp_path: Path) -> None:
    with odd_redis(tmp_path) as server:
        client = connect(server.url)
        await client.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]  # redis-py has no types for it
        assert (await inspect_redis(client)).role == "slave"


def test_a_file_that_cannot_be_written_is_a_promise_not_kept() -> None:
    assert SOUND.not_kept == ()
    [sentence] = read_health(
        {"aof_enabled": 1, "aof_last_write_status": "err", "maxmemory_policy": "volatile-lru"}, {}
    ).not_kept
    assert "cannot be written" in sentence


def test_members_of_another_kind_are_unknown() -> None:
    health = read_health({"loading": "soon", "maxmemory": "lots", "aof_enabled": None}, {})
    assert health == RedisHealth()


async def eventually(holds: Callable[[], bool], within_s: float = 3.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110  # nothing rings when it does
            await asyncio.sleep(0.01)


async def test_a_broken_promise_is_logged_once_and_forgotten_when_it_is_kept_again(
    connect: Connect, tmp_path: Path
) -> None:
    with odd_redis(tmp_path) as server, capture_logs() as logs:
        client = connect(server.url)
        async with RedisHealthWatch(client, look_every_s=0.02) as watch:
            await eventually(lambda: bool(watch.not_kept))
            await asyncio.sleep(0.1)
            assert [(line["log_level"], line["event"]) for line in logs] == [("warning", "promise not kept")]
            await client.config_set("appendonly", "yes")
            await eventually(lambda: watch.not_kept == ())
            await client.config_set("appendonly", "no")
            await eventually(lambda: bool(watch.not_kept))
    assert [line["detail"].split(":")[0] for line in logs] == ["appendonly is off"] * 2


async def test_the_watch_delays_nobody_keeps_what_it_saw_and_looks_again_when_redis_is_back(
    connect: Connect, tmp_path: Path
) -> None:
    client = connect(f"unix://{tmp_path}/redis.sock", timeout_s=0.1)
    began = time.monotonic()
    async with RedisHealthWatch(client, look_every_s=0.02, try_again_s=0.02) as watch:
        assert time.monotonic() - began < 0.05
        await asyncio.sleep(0.1)
        seen_before = watch.not_kept
        with odd_redis(tmp_path):
            await eventually(lambda: bool(watch.not_kept))
        await asyncio.sleep(0.1)
        assert watch.not_kept
        with odd_redis(tmp_path, appendonly="yes"):
            await eventually(lambda: watch.not_kept == ())
    assert seen_before is None
