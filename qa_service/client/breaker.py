"""A circuit breaker: after some failures in a row nothing is sent for a while. It knows calls, and nothing of HTTP.

One call at a time tries whether the service is back, because a service that hangs is not helped by all who wait for it.
Why not a library: docs/decisions/0030-sdk.md.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qa_service.client.errors import BreakerOpen, Refused, Unavailable


class Breaker:
    """Counts calls that failed in a row: closed until there are `failures`, then open for `pause_s`, then half open.

    A call fails when it ends with Unavailable. A refusal is an answer. A call that its caller gave up says nothing.
    """

    def __init__(self, *, failures: int = 5, pause_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = failures
        self._pause_s = pause_s
        self._clock = clock
        self._failed = 0
        self._opened_at: float | None = None
        self._probing = False
        self._era = 0  # grows whenever it opens or closes: what was sent before says nothing about now

    def is_open(self) -> bool:
        """Whether calls are held back, but for the one that tries."""
        return self._opened_at is not None

    @contextmanager
    def call(self, *, counts: bool = True) -> Iterator[None]:
        """Let a call through and learn how it ended; where `counts` is false its failure teaches nothing.

        Raises:
            BreakerOpen: nothing is sent now.
        """
        is_probe = self._admit()
        era = self._era
        try:
            yield
        except Refused:
            self._succeeded(era)
            raise
        except Unavailable:
            if counts:
                self._has_failed(era)
            raise
        else:
            self._succeeded(era)
        finally:
            if is_probe:
                self._probing = False

    def _admit(self) -> bool:
        """Give whether this is the one call that tries."""
        if self._opened_at is None:
            return False
        left_s = self._opened_at + self._pause_s - self._clock()
        if left_s > 0 or self._probing:
            raise BreakerOpen("the last calls failed; not sent", retry_after_s=max(left_s, 0.0))
        self._probing = True
        return True

    def _succeeded(self, era: int) -> None:
        if era != self._era:
            return
        self._failed = 0
        if self._opened_at is not None:
            self._opened_at = None
            self._era += 1

    def _has_failed(self, era: int) -> None:
        if era != self._era:
            return
        self._failed += 1
        if self._failed >= self._most:
            self._opened_at = self._clock()
            self._era += 1
