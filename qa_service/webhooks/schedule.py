"""When a delivery is tried again: the schedule of Standard Webhooks with jitter, and what a receiver asks for."""

import math
import random
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

_MINUTE, _HOUR = 60.0, 3600.0
# Standard Webhooks 1.0.0, "Deliverability and reliability".
RETRIES_S = (0.0, 5.0, 5 * _MINUTE, 30 * _MINUTE, *(hours * _HOUR for hours in (2, 5, 10, 14, 20, 24)))
TIMEOUT_S = 15.0  # of an attempt in all; Standard Webhooks asks for 15 to 30
_MOST_ATTEMPTS = 50
_JITTER = 0.2  # up to a fifth later: what failed together does not come back together
_LONGEST_WISH_S = 24 * _HOUR  # of a Retry-After


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Seconds to wait before each attempt, the first one's included."""

    waits_s: tuple[float, ...] = RETRIES_S

    def next_wait_s(self, tries: int, wish_s: float | None) -> float | None:
        """Give the seconds until the next attempt after `tries` of them; None when there is none.

        A receiver's wish is kept where it is longer, up to a day.
        """
        if tries >= len(self.waits_s):
            return None
        wait_s = self.waits_s[tries] * (1 + random.uniform(0, _JITTER))  # noqa: S311  # nobody gains by guessing it
        return max(wait_s, min(wish_s or 0.0, _LONGEST_WISH_S))


def schedule_of(text: str) -> Schedule:
    """Read seconds with commas between them; ValueError when they are none."""
    waits_s = tuple(float(part) for part in text.split(","))
    if not all(0 <= wait_s <= _LONGEST_WISH_S for wait_s in waits_s) or len(waits_s) > _MOST_ATTEMPTS:
        message = f"at most {_MOST_ATTEMPTS} numbers of seconds, each up to a day, with commas between them"
        raise ValueError(message)
    return Schedule(waits_s=waits_s)


def retry_after_s(header: str, now_s: float) -> float | None:
    """Read a Retry-After: seconds or an HTTP date, as seconds from now; None when it is neither."""
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) < 10 else math.inf
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None
