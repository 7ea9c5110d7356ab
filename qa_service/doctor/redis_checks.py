"""Can the Redis in use keep what the service promises. It judges what Redis says of itself, and sets nothing."""

import os
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from redis.exceptions import AuthenticationError

from qa_service.doctor.finding import Finding, Level
from qa_service.domain.errors import SettingsError, StoreUnavailable
from qa_service.settings import Settings
from qa_service.store.connection import open_redis
from qa_service.store.health import RedisHealth, inspect_redis
from qa_service.store.private import find_redis_server

_OLDEST = (6, 2)
_TIGHT, _FULL = 0.80, 0.95  # shares of maxmemory
_SETS = "in redis.conf, or CONFIG SET and CONFIG REWRITE"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisVisit:
    """What was found, and how far the clocks are apart: ours minus that of Redis, None when it did not tell."""

    findings: Sequence[Finding]
    clock_offset_ms: float | None = None


async def visit_redis(settings: Settings) -> RedisVisit:
    """Look at the Redis that QA_REDIS_URL names, else at the private one of a running `serve`, else for a server."""
    named = settings.redis_url.get_secret_value() if settings.redis_url else None
    url = named or _private_url(settings.state_dir)
    if url is None:
        return RedisVisit(findings=[_about_to_start()])
    try:
        where, client = _where(url), open_redis(url, max_connections=1)
    except ValueError:  # its text may show a part of the password
        found = "QA_REDIS_URL is no address of a Redis"
        advice = "write redis://:PASSWORD@HOST:PORT/0, with special characters of the password percent-encoded"
        return RedisVisit(findings=[Finding(name="redis", level=Level.ERROR, found=found, advice=advice)])
    whose = where if named else f"the private one of a running `serve`, {where}"
    try:
        health = await inspect_redis(client)
    except StoreUnavailable as error:
        found, advice = f"{whose}: {error.detail}", "start it, or check the address and what lies on the way"
        if _lets_nobody_in(error):
            found, advice = f"{whose}: it refuses the user or the password", "mend them in QA_REDIS_URL"
        elif not named:
            advice = "stop `serve`, and start it again"
        return RedisVisit(findings=[Finding(name="redis", level=Level.ERROR, found=found, advice=advice)])
    finally:
        await client.aclose()
    return RedisVisit(findings=judge(health, whose), clock_offset_ms=health.clock_offset_ms)


def judge(health: RedisHealth, whose: str) -> list[Finding]:
    """Judge a Redis that answers; `whose` says in words which one it is."""
    return [_server(health, whose), _durability(health), _eviction(health), _memory(health)]


def _server(health: RedisHealth, whose: str) -> Finding:
    found, fault, advice = f"{whose}, version {health.version or 'unknown'}", Level.ERROR, ""
    if health.loading:
        found, advice = f"{found}: still loading what it holds", "wait until it has, and look again"
    elif health.role not in {"master", None}:
        found, advice = f"{found}: a read-only replica", "name the primary in QA_REDIS_URL"
    elif (version := _version(health.version)) is None:
        fault, advice = Level.WARNING, "see to it yourself that it is Redis 6.2 or newer"
    elif version < _OLDEST:
        advice = "use Redis 6.2 or newer"
    return Finding(name="redis", level=fault if advice else Level.OK, found=found, advice=advice)


def _durability(health: RedisHealth) -> Finding:
    fsync = f"appendfsync {health.appendfsync or 'unknown'}"
    found, level, advice = f"appendonly on, {fsync}", Level.OK, ""
    if health.appendonly is None:
        found, level = "appendonly unknown: this Redis does not tell", Level.WARNING
        advice = "allow this user INFO, or see to it yourself that appendonly is on"
    elif not health.appendonly:
        found, level = "appendonly off", Level.ERROR
        advice = f"202 is not kept over a Redis crash: set appendonly yes ({_SETS})"
    elif health.aof_last_write_status == "err":
        found, level = "the last write to the append-only file failed", Level.ERROR
        advice = "see the log of Redis, and whether its disk is full"
    elif health.appendfsync is None:
        level, advice = Level.WARNING, "a power cut may cost more than a second: allow CONFIG GET, or check appendfsync"
    elif health.appendfsync == "no":
        level, advice = Level.WARNING, f"a power cut costs what the kernel had not written: set everysec ({_SETS})"
    return Finding(name="durability", level=level, found=found, advice=advice)


def _eviction(health: RedisHealth) -> Finding:
    policy = health.maxmemory_policy
    found, level, advice = f"maxmemory-policy {policy or 'unknown'}", Level.OK, ""
    if policy is None:
        level, advice = Level.WARNING, "allow this user INFO, or see to it yourself that the policy is noeviction"
    elif health.evicts_anything:
        # Without a limit nothing is evicted yet: whoever sets one will not think of this.
        level = Level.WARNING if health.maxmemory == 0 else Level.ERROR
        advice = f"a full memory would drop accepted questions without an error: set noeviction ({_SETS})"
    elif policy.startswith("volatile-"):
        level = Level.WARNING
        advice = f"the queue is kept, but sessions may be dropped before their 24 hours: set noeviction ({_SETS})"
    return Finding(name="eviction", level=level, found=found, advice=advice)


def _memory(health: RedisHealth) -> Finding:
    if health.used_memory is None or health.maxmemory is None:
        advice = "allow this user INFO, or watch the memory of Redis yourself"
        return Finding(name="memory", level=Level.WARNING, found="use and limit unknown", advice=advice)
    used = f"{health.used_memory / 1e6:,.1f} MB used"
    if health.maxmemory == 0:
        return Finding(name="memory", found=f"{used}, no limit set")
    share = health.used_memory / health.maxmemory
    level = Level.ERROR if share >= _FULL else Level.WARNING if share >= _TIGHT else Level.OK
    advice = "questions are refused with 503 when it is full: raise maxmemory" if level is not Level.OK else ""
    found = f"{used} of {health.maxmemory / 1e6:,.1f} MB ({share:.0%})"
    return Finding(name="memory", level=level, found=found, advice=advice)


def _about_to_start() -> Finding:
    try:
        server = find_redis_server()
    except SettingsError as error:
        advice = "install redis-server 6.2 or newer, or set QA_REDIS_URL"
        return Finding(name="redis", level=Level.ERROR, found=error.detail, advice=advice)
    version = ".".join(map(str, server.version))
    return Finding(
        name="redis",
        found=f"QA_REDIS_URL is not set: `serve` will start a private one, with AOF on ({server.path}, {version})",
    )


def _private_url(state_dir: Path) -> str | None:
    """The address of the private Redis when it listens; a socket that a crash left behind does not."""
    path = Path(os.path.abspath(state_dir), "redis.sock")  # noqa: PTH100  # resolve() would follow links, and lengthen paths
    with suppress(OSError):  # written where the path would be too long for a socket
        path = Path(os.fsdecode(path.with_name("redis.sock-folder").read_bytes()), path.name)
    with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.5)
        probe.connect(str(path))
        return f"unix://{quote(str(path))}"
    return None


def _lets_nobody_in(error: BaseException | None) -> bool:
    """Whether the credentials are at fault; on a new connection redis-py wraps that in a ConnectionError."""
    while error is not None and not isinstance(error, AuthenticationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _where(url: str) -> str:
    """Where a Redis is, without the password."""
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "unix" else f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


def _version(text: str | None) -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", text or "")
    return (int(found[1]), int(found[2])) if found else None
