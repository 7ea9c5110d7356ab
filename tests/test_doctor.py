"""`qa-service doctor` in front of sound and unsound surroundings, and what /readyz says of promises."""

import asyncio
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from answering.small_base import build_small
from api.service import eventually
from click.testing import CliRunner, Result
from store.odd_redis import PASSWORD, odd_redis

from qa_service.cli import main
from qa_service.doctor.finding import Finding, Level, told
from qa_service.doctor.machine_checks import (
    PYTHON_NEWEST,
    PYTHON_OLDEST,
    check_clock,
    check_disk,
    check_open_files,
    check_python,
)
from qa_service.doctor.redis_checks import judge
from qa_service.settings import Settings
from qa_service.store.connection import open_redis
from qa_service.store.health import RedisHealth
from qa_service.store.index_roll import RedisIndexRoll
from qa_service.store.keys import Keys
from qa_service.store.private import PrivateRedis

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
Findings = dict[str, dict[str, str]]


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*(f"QA_{field.upper()}" for field in Settings.model_fields), "QA_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The folder of an active version."""
    versions, built = build_small(tmp_path)
    versions.activate(built.version)
    return versions.path(built.version)


def doctor(*words: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *words])


def found_by_doctor() -> tuple[int, Findings]:
    """The exit code, and the findings by name."""
    result = doctor("--json")
    document = json.loads(result.stdout)
    assert document["errors"] == sum(finding["level"] == "error" for finding in document["findings"])
    return result.exit_code, {finding["name"]: finding for finding in document["findings"]}


def level_of(finding: dict[str, str]) -> str:
    assert bool(finding["advice"]) is (finding["level"] != "ok"), finding  # what is bad can be mended, and only that
    return finding["level"]


def test_before_the_first_serve_all_is_well_once_there_is_an_index(index: Path, tmp_path: Path) -> None:
    code, findings = found_by_doctor()
    assert code == 0, findings
    assert {level_of(finding) for name, finding in findings.items() if name != "open files"} == {"ok"}
    assert "will start a private one, with AOF on" in findings["redis"]["found"]
    assert index.name in findings["index"]["found"]
    assert "not made yet" in findings["state disk"]["found"]
    assert not (tmp_path / "var").exists()


def test_a_sound_redis_has_nothing_to_be_told(index: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_REDIS_URL", redis_url)
    code, findings = found_by_doctor()
    assert code == 0
    for name in ("redis", "durability", "eviction", "memory", "clock"):
        assert level_of(findings[name]) == "ok"
    assert findings["durability"]["found"] == "appendonly on, appendfsync everysec"


def test_a_redis_that_may_lose_questions_is_an_error_with_advice_below(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with odd_redis(tmp_path / "r", maxmemory_policy="allkeys-lru", maxmemory="100mb") as server:
        monkeypatch.setenv("QA_REDIS_URL", server.url)
        result = doctor()
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["error", "durability", "appendonly", "off"]
    assert lines[2].strip().startswith("-> 202 is not kept over a Redis crash: set appendonly yes")
    assert lines[3].split() == ["error", "eviction", "maxmemory-policy", "allkeys-lru"]
    assert lines[4].strip().startswith("-> ")
    assert lines[-1].startswith("2 errors, ")


def test_what_a_managed_redis_hides_is_a_warning_and_its_password_is_never_shown(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with odd_redis(tmp_path / "r", appendonly="yes") as server:
        monkeypatch.setenv("QA_REDIS_URL", server.url_of_user("mute", "-config", "-info"))
        code, findings = found_by_doctor()
        assert PASSWORD not in doctor("--settings").stdout
    assert code == 0
    for name in ("redis", "durability", "eviction", "memory"):
        assert level_of(findings[name]) == "warning"
        assert "unknown" in findings[name]["found"]


def test_a_wrong_password_is_named_and_not_shown(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with odd_redis(tmp_path / "r") as server:
        right = server.url_of_user("someone")
        for url in (right.replace(PASSWORD, "opensesame"), server.url.replace("//", "//:opensesame@")):
            monkeypatch.setenv("QA_REDIS_URL", url)
            result = doctor()
            assert "it refuses the user or the password" in result.stdout
            assert "opensesame" not in result.stdout
            assert result.exit_code == 1


def test_a_redis_that_hangs_or_is_not_there_or_is_misspelt_is_one_error(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with odd_redis(tmp_path / "r") as server, server.stopped():
        monkeypatch.setenv("QA_REDIS_URL", server.url)
        code, findings = found_by_doctor()
    assert code == 1
    assert "TimeoutError" in findings["redis"]["found"]
    assert "durability" not in findings
    assert level_of(findings["index"]) == "ok"  # the other checks were made
    monkeypatch.setenv("QA_REDIS_URL", server.url)
    assert "ConnectionError" in found_by_doctor()[1]["redis"]["found"]
    monkeypatch.setenv("QA_REDIS_URL", "redis://:sec#ret@127.0.0.1:6379")
    result = doctor()
    assert "no address of a Redis" in result.stdout
    assert "sec" not in result.stdout
    assert result.exit_code == 1


@pytest.fixture
def running(tmp_path: Path) -> Iterator[PrivateRedis]:
    """The private Redis of a `serve` on the default state folder."""
    server = PrivateRedis(tmp_path / "var")
    loop = asyncio.new_event_loop()
    loop.run_until_complete(server.__aenter__())
    yield server
    loop.run_until_complete(server.__aexit__(None, None, None))
    loop.close()


def test_without_an_address_the_private_redis_of_a_running_serve_is_looked_at(
    index: Path, running: PrivateRedis
) -> None:
    code, findings = found_by_doctor()
    assert code == 0
    assert "private one of a running `serve`" in findings["redis"]["found"]
    assert level_of(findings["durability"]) == "ok"


def test_a_private_redis_whose_path_is_too_long_for_a_socket_is_found_too(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / ("long" * 30)
    monkeypatch.setenv("QA_STATE_DIR", str(state))

    async def look() -> str:
        async with PrivateRedis(state):
            return (await asyncio.to_thread(found_by_doctor))[1]["redis"]["found"]

    loop = asyncio.new_event_loop()
    assert "private one of a running `serve`" in loop.run_until_complete(look())
    loop.close()


def test_a_socket_that_a_crash_left_behind_is_no_running_redis(index: Path, tmp_path: Path) -> None:
    with odd_redis(tmp_path / "var"):
        pass  # killed: its socket stays
    assert (tmp_path / "var" / "redis.sock").is_socket()
    assert "will start a private one" in found_by_doctor()[1]["redis"]["found"]


def test_without_an_index_the_way_to_one_is_named() -> None:
    code, findings = found_by_doctor()
    assert code == 1
    assert level_of(findings["index"]) == "error"
    assert "qa-service index build" in findings["index"]["advice"]


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: flip(folder / "faq" / "entries.jsonl"), "SHA-256"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda folder: (folder.parent / "ACTIVE").write_text("20250101-nowhere"), "20250101-nowhere"),
        (lambda folder: (folder.parent / "ACTIVE").write_text("../../etc"), "no name for a version"),
        (
            lambda folder: folder.rename(folder.with_name("v2")) and (folder.parent / "ACTIVE").write_text("v2"),
            "foreign",
        ),
    ],
    ids=[
        "a flipped bit",
        "no manifest",
        "a version that is not there",
        "a pointer out of the folder",
        "another's name",
    ],
)
def test_a_damaged_index_is_an_error_that_says_what_is_wrong(
    index: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(index)
    code, findings = found_by_doctor()
    assert code == 1
    assert level_of(findings["index"]) == "error"
    assert said in findings["index"]["found"]
    assert level_of(findings["encoder"]) == "ok"


def test_an_encoder_and_custom_words_that_are_not_there_are_errors(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QA_ENCODER", "./nowhere")
    monkeypatch.setenv("QA_CUSTOM_WORDS", "nowhere.txt")
    code, findings = found_by_doctor()
    assert code == 1
    assert "nowhere" in findings["encoder"]["found"]
    assert "nowhere.txt" in findings["tokeniser"]["found"]
    assert level_of(findings["index"]) == "ok"  # it was built with others


def test_a_bad_setting_is_a_finding_and_settings_are_shown_only_on_request(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "QA_PORT=8000" not in doctor().stdout
    assert "QA_PORT=8000" in doctor("--settings").stdout
    assert json.loads(doctor("--settings", "--json").stdout)["settings"]["port"] == "8000"
    monkeypatch.setenv("QA_PROT", "1")
    result = doctor()
    assert result.exit_code == 1
    assert result.stdout.startswith("error    settings  unknown setting QA_PROT")


HEALTHY = RedisHealth(
    version="6.2.14",
    role="master",
    loading=False,
    appendonly=True,
    appendfsync="always",
    aof_last_write_status="ok",
    maxmemory_policy="noeviction",
    maxmemory=1000,
    used_memory=10,
)


def changed(**members: Any) -> list[Finding]:
    """What is bad about a healthy Redis with other `members`."""
    health = RedisHealth(**{name: getattr(HEALTHY, name) for name in HEALTHY.__dataclass_fields__} | members)
    return [finding for finding in judge(health, "it") if finding.level is not Level.OK]


@pytest.mark.parametrize(
    ("members", "name", "level"),
    [
        ({"version": "6.0.16"}, "redis", "error"),
        ({"version": "5.0.7"}, "redis", "error"),
        ({"version": "unstable"}, "redis", "warning"),
        ({"version": None}, "redis", "warning"),
        ({"role": "slave"}, "redis", "error"),
        ({"loading": True}, "redis", "error"),
        ({"appendfsync": "no"}, "durability", "warning"),
        ({"appendfsync": None}, "durability", "warning"),
        ({"aof_last_write_status": "err"}, "durability", "error"),
        ({"appendonly": None}, "durability", "warning"),
        ({"maxmemory_policy": "allkeys-lfu"}, "eviction", "error"),
        ({"maxmemory_policy": "allkeys-lfu", "maxmemory": 0}, "eviction", "warning"),
        ({"maxmemory_policy": "volatile-ttl"}, "eviction", "warning"),
        ({"used_memory": 810}, "memory", "warning"),
        ({"used_memory": 960}, "memory", "error"),
        ({"maxmemory": None}, "memory", "warning"),
    ],
)
def test_each_weakness_of_a_redis_is_one_finding_with_advice(members: dict[str, Any], name: str, level: str) -> None:
    [finding] = changed(**members)
    assert (finding.name, finding.level.value) == (name, level)
    assert finding.advice


@pytest.mark.parametrize("members", [{}, {"version": "7.2.4-rc1"}, {"version": "10.0"}, {"maxmemory": 0}])
def test_a_healthy_redis_has_no_weakness(members: dict[str, Any]) -> None:
    assert changed(**members) == []


@pytest.mark.parametrize(
    ("now", "offset_ms", "level"),
    [
        (NOW, None, "ok"),
        (NOW, 900.0, "ok"),
        (NOW, -1_001.0, "warning"),
        (NOW, 1_001.0, "warning"),
        (datetime(2024, 12, 31, tzinfo=UTC), 0.0, "error"),
        (datetime(1970, 1, 1, tzinfo=UTC), 5e9, "error"),
    ],
)
def test_a_clock_apart_from_redis_is_a_warning_and_one_before_all_ids_an_error(
    now: datetime, offset_ms: float | None, level: str
) -> None:
    assert check_clock(now, offset_ms).level.value == level


def test_which_clock_is_ahead_is_said() -> None:
    assert check_clock(NOW, 2_500.0).found.endswith("2.5 s ahead of Redis")
    assert check_clock(NOW, -2_500.0).found.endswith("2.5 s behind Redis")


@pytest.mark.parametrize(("limit", "level"), [(256, "warning"), (1024, "warning"), (1152, "ok"), (-1, "ok")])
def test_a_low_limit_of_open_files_is_a_warning(limit: int, level: str) -> None:
    assert check_open_files(limit).level.value == level


@pytest.mark.parametrize(("free", "level"), [(10**10, "ok"), (10**9 - 1, "warning"), (10**8 - 1, "error")])
def test_little_room_on_a_disk_is_a_warning_and_none_an_error(tmp_path: Path, free: int, level: str) -> None:
    assert check_disk("disk", tmp_path, free_bytes=free).level.value == level


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert check_disk("disk", tmp_path / "file" / "var").level is Level.ERROR
    assert check_disk("disk", tmp_path / "not" / "yet").level is Level.OK


def test_the_pythons_are_those_that_the_package_names() -> None:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert named == f">={PYTHON_OLDEST[0]}.{PYTHON_OLDEST[1]},<{PYTHON_NEWEST[0]}.{PYTHON_NEWEST[1] + 1}"
    assert check_python((3, 13, 9)).level is Level.OK
    assert check_python((3, 14, 0)).level is Level.WARNING


def test_advice_stands_below_what_is_bad_and_the_last_line_sums_up() -> None:
    fine = Finding(name="a", found="fine")
    bad = Finding(name="bcd", level=Level.WARNING, found="bad", advice="mend it")
    assert told([fine, bad], {}) == [
        "ok       a    fine",
        "warning  bcd  bad",
        "              -> mend it",
        "0 errors, 1 warning",
    ]


@contextmanager
def api_process(folder: Path, redis_url: str, port: int) -> Iterator[Path]:
    """A real API process; yields its log."""
    environment = {**os.environ, "QA_REDIS_URL": redis_url, "QA_PORT": str(port)}
    command = [sys.executable, "-m", "qa_service.cli", "api"]
    log_file = folder / "api.log"
    with log_file.open("wb") as log, subprocess.Popen(command, cwd=folder, env=environment, stderr=log) as process:
        try:
            yield log_file
        finally:
            process.terminate()
            process.wait(20)


def readyz(port: int) -> httpx.Response | None:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz")
    except httpx.TransportError:
        return None


async def _report_an_index(url: str) -> None:
    """Do what a worker with an open index does several times a second."""
    client = open_redis(url)
    roll = RedisIndexRoll(client, Keys(tenant="shop"), worker="w", generator="g")
    await roll.beat(wanted="v1", ready="v1")
    await client.aclose()


def check_ready_says(url: str, port: int, durability: str) -> dict[str, Any]:
    """Wait until the process is ready and has looked at Redis; its meta."""
    loop = asyncio.new_event_loop()

    def is_ready() -> bool:
        loop.run_until_complete(_report_an_index(url))
        ready = readyz(port)
        return ready is not None and ready.status_code == 200 and "not known yet" not in ready.text

    assert eventually(is_ready, 20)
    loop.close()
    ready = readyz(port)
    assert ready is not None
    assert ready.status_code == 200
    document = ready.json()
    assert document["data"]["attributes"]["checks"]["durability"] == durability
    return dict(document["meta"])


def test_an_api_process_is_ready_names_what_redis_does_not_keep_and_logs_it_once(
    tmp_path: Path, free_port: int
) -> None:
    with (
        odd_redis(tmp_path / "r", maxmemory_policy="allkeys-lru") as server,
        api_process(tmp_path, server.url, free_port) as log,
    ):
        off = "appendonly is off: accepted questions are lost when Redis crashes"
        policy = "maxmemory-policy is allkeys-lru"
        evicts = f"{policy}: accepted questions are evicted without an error when the memory is full"
        meta = check_ready_says(server.url, free_port, f"{off}; {evicts}")
        assert meta["not_kept"] == [off, evicts]
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert [line["detail"] for line in lines if line["event"] == "promise not kept"] == [off, evicts]
    assert {line["level"] for line in lines if line["event"] == "promise not kept"} == {"warning"}


def test_an_api_process_on_a_sound_redis_has_nothing_to_name(tmp_path: Path, free_port: int, redis_url: str) -> None:
    with api_process(tmp_path, redis_url, free_port) as log:
        meta = check_ready_says(redis_url, free_port, "ok")
        assert "not_kept" not in meta
        assert "promise not kept" not in log.read_text()


def test_asking_whether_it_is_ready_costs_redis_no_look_at_its_settings(tmp_path: Path, free_port: int) -> None:
    with odd_redis(tmp_path / "r") as server, api_process(tmp_path, server.url, free_port):
        assert eventually(lambda: "appendonly is off" in getattr(readyz(free_port), "text", ""), 20)
        before = calls_of(server.url, "config|get", "config")
        for _ in range(20):
            readyz(free_port)
        assert calls_of(server.url, "config|get", "config") - before <= 1  # the half minute may just have passed


def calls_of(url: str, *commands: str) -> int:
    """How often commands were called on a Redis, under whichever name its version counts them."""

    async def count_calls() -> int:
        client = open_redis(url)
        stats = await client.info("commandstats")
        await client.aclose()
        return sum(int(stats[f"cmdstat_{name}"]["calls"]) for name in commands if f"cmdstat_{name}" in stats)

    loop = asyncio.new_event_loop()
    called = loop.run_until_complete(count_calls())
    loop.close()
    return called
