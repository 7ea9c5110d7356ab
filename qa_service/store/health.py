"""What the Redis in use says of itself, and which of our promises it cannot keep. It reads no key and sets nothing."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from qa_service.store.connection import translated

_DEADLINE_S = 1.0
_EVICTS_ANYTHING = "allkeys-"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisHealth:
    """A Redis as it describes itself; None stands for what it would not tell, as a managed one that forbids CONFIG.

    Memory is in bytes, and a `maxmemory` of 0 means no limit. `clock_offset_ms` is this machine's clock minus that of
    Redis, uncertain by half a round trip.
    """

    version: str | None = None
    role: str | None = None  # master or slave
    loading: bool | None = None
    appendonly: bool | None = None
    appendfsync: str | None = None
    aof_last_write_status: str | None = None  # ok or err
    maxmemory_policy: str | None = None
    maxmemory: int | None = None
    used_memory: int | None = None
    clock_offset_ms: float | None = None

    @property
    def evicts_anything(self) -> bool:
        """Whether a full memory costs keys that have no expiry, such as the queue."""
        return self.maxmemory_policy is not None and self.maxmemory_policy.startswith(_EVICTS_ANYTHING)

    @property
    def not_kept(self) -> tuple[str, ...]:
        """The promises that this Redis breaks or may break, a sentence each; empty when it keeps them all."""
        sentences = []
        if self.appendonly is None:
            sentences.append("appendonly is unknown: accepted questions may be lost when Redis crashes")
        elif not self.appendonly:
            sentences.append("appendonly is off: accepted questions are lost when Redis crashes")
        elif self.aof_last_write_status not in {"ok", None}:
            sentences.append("the append-only file cannot be written: accepted questions may be lost")
        if self.maxmemory_policy is None:
            sentences.append("maxmemory-policy is unknown: accepted questions may be evicted when the memory is full")
        elif self.evicts_anything:
            policy = f"maxmemory-policy is {self.maxmemory_policy}"
            sentences.append(f"{policy}: accepted questions are evicted without an error when the memory is full")
        return tuple(sentences)


async def inspect_redis(client: Redis, *, deadline_s: float = _DEADLINE_S) -> RedisHealth:
    """Ask Redis about itself, in one round trip; what it refuses to tell stays unknown.

    Raises:
        StoreUnavailable: it does not answer before the deadline, or lets nobody in with these credentials.
    """
    asked_s = time.time()
    with translated():  # outside: a TimeoutError is an OSError
        async with asyncio.timeout(deadline_s), client.pipeline(transaction=False) as pipe:
            pipe.info()
            pipe.config_get("appendfsync")
            pipe.time()
            replies = await pipe.execute(raise_on_error=False)
    middle_s = (asked_s + time.time()) / 2
    described, configured, redis_time = (None if isinstance(reply, Exception) else reply for reply in replies)
    offset_ms = (middle_s - redis_time[0] - redis_time[1] / 1e6) * 1000.0 if redis_time else None
    return read_health(described or {}, configured or {}, clock_offset_ms=offset_ms)


def read_health(
    described: Mapping[str, Any], configured: Mapping[str, str], *, clock_offset_ms: float | None = None
) -> RedisHealth:
    """Read the replies to INFO and CONFIG GET; INFO tells of the AOF and of memory where CONFIG is forbidden."""
    return RedisHealth(
        version=_text(described, "redis_version"),
        role=_text(described, "role"),
        loading=_switch(described, "loading"),
        appendonly=_switch(described, "aof_enabled"),
        appendfsync=_text(configured, "appendfsync"),
        aof_last_write_status=_text(described, "aof_last_write_status"),
        maxmemory_policy=_text(described, "maxmemory_policy"),
        maxmemory=_count(described, "maxmemory"),
        used_memory=_count(described, "used_memory"),
        clock_offset_ms=clock_offset_ms,
    )


def _text(members: Mapping[str, Any], name: str) -> str | None:
    return str(members[name]) if name in members else None


def _count(members: Mapping[str, Any], name: str) -> int | None:
    return found if isinstance(found := members.get(name), int) else None


def _switch(members: Mapping[str, Any], name: str) -> bool | None:
    found = _count(members, name)
    return None if found is None else found != 0
