"""The lease of a snowflake worker number: who makes ids under which number, and up to which millisecond.

A number is leased by `qa:ids:worker:<n>` (SET NX PX, the value names the holder). Beside it, without an expiry, stands
a ceiling: no id of a later millisecond was ever made under that number. A holder raises it by one lease length with
each renewal and stays below it; the next holder starts above it. So ids never repeat, also when a number changes hands
between machines whose clocks disagree or were set back. It knows nothing of what the ids name.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from qa_service.domain.errors import StoreUnavailable
from qa_service.domain.snowflake import MAX_WORKERS, Snowflake, created_at_ms, wall_clock_ms

LEASE_MS = 30_000
_RENEWALS_PER_LEASE = 3
_RETRIES_PER_RENEWAL = 10
_FIRST_TIMEOUT_S = 10.0
_LEASE_SHARE = 0.9  # the last tenth is left to clocks that run at another speed than Redis's

# KEYS: the lease, its ceiling. All numbers are milliseconds. -1: somebody else holds it.
_TAKE = """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return -1 end
local ceiling = tonumber(redis.call('GET', KEYS[2]) or '0')
redis.call('SET', KEYS[2], string.format('%.0f', math.max(ceiling, tonumber(ARGV[3])) + ARGV[2]))
return ceiling
"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
return 1
"""
_GIVE_BACK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""
_log = structlog.get_logger(__name__)


def _seconds() -> float:
    # Goes on while the machine sleeps, as the lease in Redis does; time.monotonic() stands still on Linux.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class WorkerLease:
    """Makes ids under a leased worker number, as an async context manager. For one event loop, not for threads.

    A background task renews the lease; a lost one is replaced by another number. `lease_ms` is the life of a lease
    that nobody renews, `prefix` sets installations in one Redis apart, and `clock_ms` is the wall clock (Unix
    milliseconds), which may jump either way.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = "qa",
        lease_ms: int = LEASE_MS,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._take, self._renew, self._give_back = map(redis.register_script, (_TAKE, _RENEW, _GIVE_BACK))
        self._prefix = prefix
        self._lease_ms = lease_ms
        self._renewal_s = lease_ms / 1000 / _RENEWALS_PER_LEASE
        self._clock_ms = clock_ms
        self._holder = secrets.token_hex(16)
        self._number = secrets.randbelow(MAX_WORKERS)  # where to start looking
        self._ids = Snowflake(self._number)
        self._used_ms = 0  # no id of a later millisecond was made here, nor by earlier holders of the number
        self._floor_ms = self._ceiling_ms = 0
        self._held_until_s = 0.0
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def number(self) -> int | None:
        """The worker number held (0 to 1023); None while there is none."""
        return self._number if _seconds() < self._held_until_s else None

    def next_id(self) -> str:
        """A new id: greater than all that were made here before, equal to none that any other holder made.

        Raises:
            StoreUnavailable: no number is held, because Redis is away or has lost it.
        """
        if self.number is None:
            raise StoreUnavailable("no worker number is leased, so that no id can be made")
        made = self._ids.next_id()
        made_ms = created_at_ms(made)
        if made_ms > self._ceiling_ms:
            raise StoreUnavailable("every id of this lease is used up; the next renewal brings more")
        self._used_ms = made_ms
        return made

    async def __aenter__(self) -> Self:
        """Lease a number and keep it; while Redis is away, go on trying: `next_id` says so meanwhile."""
        try:
            async with asyncio.timeout(_FIRST_TIMEOUT_S):
                await self._lease_another()
        except (RedisError, OSError, TimeoutError, StoreUnavailable) as error:
            _log.warning("no worker number leased yet", error=type(error).__name__, detail=str(error))
        self._task = asyncio.create_task(self._keep(), name="worker-lease")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the number back if Redis answers; otherwise the lease runs out."""
        assert self._task is not None, "the context is not entered"
        self._closing = True
        self._task.cancel()
        await asyncio.wait([self._task])
        self._held_until_s = 0.0
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(self._renewal_s):
                await self._give_back(keys=self._keys(self._number), args=[self._holder, self._used_ms])

    async def _keep(self) -> None:
        pause_s = self._renewal_s if self.number is not None else self._renewal_s / _RETRIES_PER_RENEWAL
        # The flag, because Python 3.11 may lose a cancellation inside redis-py: its asyncio.wait_for() swallows one
        # that arrives together with the result.
        while not self._closing:
            await asyncio.sleep(pause_s)
            try:
                async with asyncio.timeout(self._renewal_s):
                    await self._renew_or_replace()
                pause_s = self._renewal_s
            except (RedisError, OSError, TimeoutError, StoreUnavailable) as error:
                pause_s = self._renewal_s / _RETRIES_PER_RENEWAL
                _log.warning("worker lease not renewed", number=self._number, error=type(error).__name__)

    async def _renew_or_replace(self) -> None:
        asked_s, lost = _seconds(), self._number
        ceiling_ms = max(self._ceiling_ms, self._newest_ms() + self._lease_ms)
        if await self._renew(keys=self._keys(self._number), args=[self._holder, self._lease_ms, ceiling_ms]) == 1:
            self._hold(asked_s, ceiling_ms)
            return
        self._held_until_s = 0.0
        await self._lease_another()
        _log.warning("worker number lost and replaced", lost=lost, number=self._number)

    async def _lease_another(self) -> None:
        for step in range(MAX_WORKERS):
            number = (self._number + step) % MAX_WORKERS
            asked_s, newest_ms = _seconds(), self._newest_ms()
            used_ms = await self._take(keys=self._keys(number), args=[self._holder, self._lease_ms, newest_ms])
            if used_ms >= 0:
                self._number, self._ids = number, Snowflake(number, self._bounded_clock_ms)
                self._used_ms = max(self._used_ms, used_ms)
                self._floor_ms = self._used_ms + 1
                self._hold(asked_s, max(used_ms, newest_ms) + self._lease_ms)
                return
        raise StoreUnavailable(f"all {MAX_WORKERS} worker numbers are taken")

    def _hold(self, asked_s: float, ceiling_ms: int) -> None:
        # Counted from before Redis was asked: what it counts itself began later.
        self._held_until_s = asked_s + self._lease_ms / 1000 * _LEASE_SHARE
        self._ceiling_ms = ceiling_ms

    def _bounded_clock_ms(self) -> int:
        """The wall clock while it lies in the reserved range; else its start, so that the ids' own clock goes on."""
        now_ms = self._clock_ms()
        return now_ms if self._floor_ms <= now_ms <= self._ceiling_ms else self._floor_ms

    def _newest_ms(self) -> int:
        return max(self._used_ms, self._clock_ms())

    def _keys(self, number: int) -> list[str]:
        lease = f"{self._prefix}:ids:worker:{number}"
        return [lease, f"{{{lease}}}:ceiling"]  # the braces put both into one slot of a Redis Cluster
