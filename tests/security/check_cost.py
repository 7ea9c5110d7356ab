"""What the checks before a route cost (who calls, from where, every limit), with the real middleware and Redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from access.minting import user_token
from api.service import BOT
from redis.asyncio import Redis

from qa_service.api.house import House
from qa_service.api.rate_limits import RateLimits

_ROUNDS = 5
_AT_ONCE = 32

Send = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one question by a user token, counted for its uid and its address.

    CPU in milliseconds of this process; the best of some rounds, because other processes disturb the caches.
    """

    round_trips: float
    alone_cpu_ms: float  # one after the other
    at_once_cpu_ms: float  # 32 at once, as under load
    new_tokens_at_once_cpu_ms: float  # every token seen for the first time
    new_tokens_alone_cpu_ms: float
    redis_cpu_ms: float  # of the Redis server, alone


async def cost_of_checks(house: House, redis: Redis, *, requests: int = 400) -> Cost:
    """Measure with so many requests a round; the house's limits must allow them."""
    served = RateLimits(_answer, lambda: house)
    known = user_token("u1")
    await _one(served, known)

    async def in_turn(tokens: Sequence[str]) -> None:
        for token in tokens:
            await _one(served, token)

    async def at_once(tokens: Sequence[str]) -> None:
        await asyncio.gather(*(in_turn(tokens[start::_AT_ONCE]) for start in range(_AT_ONCE)))

    reads, redis_s = [], []
    for _ in range(_ROUNDS):
        before, used = await _reads(redis), await _redis_cpu_s(redis)
        await in_turn([known] * requests)
        redis_s.append(await _redis_cpu_s(redis) - used)
        reads.append(await _reads(redis) - before - 2)  # what asked for these numbers

    def fresh(name: str) -> list[list[str]]:
        return [[user_token(f"{name}-{number}-{at}") for at in range(requests)] for number in range(_ROUNDS)]

    return Cost(
        round_trips=round(min(reads) / requests, 2),
        alone_cpu_ms=await _cpu_ms(in_turn, [[known] * requests] * _ROUNDS),
        at_once_cpu_ms=await _cpu_ms(at_once, [[known] * requests] * _ROUNDS),
        new_tokens_at_once_cpu_ms=await _cpu_ms(at_once, fresh("a")),
        new_tokens_alone_cpu_ms=await _cpu_ms(in_turn, fresh("b")),
        redis_cpu_ms=round(min(redis_s) * 1000 / requests, 3),
    )


async def _cpu_ms(work: Callable[[Sequence[str]], Awaitable[None]], rounds: Sequence[Sequence[str]]) -> float:
    taken = []
    for tokens in rounds:
        started = time.process_time()
        await work(tokens)
        taken.append((time.process_time() - started) * 1000 / len(tokens))
    return round(min(taken), 3)


async def _reads(redis: Redis) -> int:
    return int((await redis.info("stats"))["total_reads_processed"])


async def _redis_cpu_s(redis: Redis) -> float:
    used = await redis.info("cpu")
    return float(used["used_cpu_sys"]) + float(used["used_cpu_user"])


async def _one(served: RateLimits, token: str) -> None:
    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": f"{BOT}/sessions/1/messages",
        "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())],
        "client": ("192.0.2.1", 4711),
    }
    statuses: list[int] = []

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    await served(scope, _nothing, send)
    assert statuses == [201], statuses


async def _nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _answer(_scope: Any, _receive: Any, send: Send) -> None:
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
