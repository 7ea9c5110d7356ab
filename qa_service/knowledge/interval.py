"""A share with how sure it is. It knows nothing of what was counted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A share (0 to 1) and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def interval_of(hits: NDArray[np.bool_]) -> Interval:
    """Give the share of `hits` (n,) that are true; zeros where there are none."""
    if not len(hits):
        return Interval(value=0.0, low=0.0, high=0.0)
    drawn = np.random.default_rng(0).integers(0, len(hits), (_RESAMPLES, len(hits)))
    low, high = np.quantile(hits[drawn].mean(axis=1), [0.025, 0.975])
    return Interval(value=round(float(hits.mean()), 4), low=round(float(low), 4), high=round(float(high), 4))
