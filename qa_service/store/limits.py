"""Limits on Redis: one script for all limits of a request, exact however many processes ask.

It travels with the commands of other requests (`batcher.py`), and knows neither HTTP nor who is limited.
"""

import hashlib
from collections.abc import Sequence

from qa_service.domain.limits import UNLIMITED, WINDOW_S, Limit, Room, Verdict
from qa_service.store.batcher import Batcher
from qa_service.store.keys import Keys
from qa_service.store.scripts import Call, load

_CLEANED_AT_ONCE = 100  # old entries of one log; the rest goes with the next requests, and nobody waits for it


class RedisLimits:
    """Sliding logs by Redis's own clock: no window of `window_s` seconds ever holds more than a limit's quota."""

    def __init__(self, batcher: Batcher, keys: Keys, *, window_s: float = WINDOW_S) -> None:
        self._batcher = batcher
        self._keys = keys
        self._window_us = int(window_s * 1_000_000)

    async def admit(self, tenant: str, limits: Sequence[Limit]) -> Verdict:
        """Count one request against all limits of a tenant, or, where one has no room, against none.

        Raises:
            StoreUnavailable: Redis cannot serve; nobody knows whether it counted.
        """
        if not limits:
            return UNLIMITED
        keys = self._keys.of(tenant)
        names = [keys.limit(limit.name, _digest(limit.subject)) for limit in limits]
        each = [number for limit in limits for number in (limit.quota, int(limit.counts))]
        call = Call(script=load("limits"), keys=names, args=(self._window_us, _CLEANED_AT_ONCE, *each))
        admitted, *figures = await self._batcher.run(call)
        rooms = tuple(
            Room(name=limit.name, quota=limit.quota, left=left, more_in_s=more_in_ms / 1000)
            for limit, left, more_in_ms in zip(limits, figures[::2], figures[1::2], strict=True)
        )
        return Verdict(admitted=bool(admitted), rooms=rooms)


def _digest(subject: str) -> str:
    """32 hex digits: a uid or an address is nobody's to read in a key's name, and of any length."""
    return hashlib.blake2b(subject.encode(errors="surrogatepass"), digest_size=16).hexdigest()
