"""What the quality benchmark counts: rankings, abstaining, calibration, and whether a difference is more than chance.

It knows no system: a ranking is a list of entry ids with scores, best first, whoever made it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CUTS = (1, 5, 10)
BINS = 10
RESAMPLES = 1_000
SEED = 20_250_101

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One entry that a system found, higher score is better."""

    entry_id: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a system found for one question, best first; nothing is right where the question is out of scope.

    `maybe` names entries that may be equally right: they are no candidates, but for the strict figures. `scope` says
    how sure the system is that anything here answers, on whatever scale; where it has no such figure, its first score.
    """

    right: frozenset[str]
    maybe: frozenset[str]
    found: tuple[Found, ...]
    scope: float | None = None

    @property
    def sureness(self) -> float:
        """How sure the system is that anything here answers."""
        first = self.found[0].score if self.found else 0.0
        return first if self.scope is None else self.scope

    def ids(self, *, strict: bool = False) -> list[str]:
        """The entries found, best first."""
        left_out = frozenset() if strict else self.maybe - self.right
        return [one.entry_id for one in self.found if one.entry_id not in left_out]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A system's first entry for one question: how sure it is, whether that is right, whether anything would be."""

    confidence: float
    right: bool
    in_scope: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPoint:
    """What answering from a threshold on gives: the share of in-scope questions answered, of all answers the right."""

    threshold: float
    coverage: float
    precision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A mean difference and its 95 % interval."""

    mean: float
    low: float
    high: float


def ranking_figures(asked: Sequence[Asked], *, strict: bool = False) -> dict[str, float]:
    """Give recall@1/5/10, MRR@10 and nDCG@10 over questions in scope, 0 to 1; nothing for no questions."""
    if not asked:
        return {}
    ranks = [_right_ranks(one, strict=strict) for one in asked]
    figures = {f"recall_at_{cut}": _mean([bool(own and own[0] <= cut) for own in ranks]) for cut in CUTS}
    figures["mrr_at_10"] = _mean([1 / own[0] if own and own[0] <= 10 else 0.0 for own in ranks])
    figures["ndcg_at_10"] = _mean([_ndcg(own, len(one.right)) for own, one in zip(ranks, asked, strict=True)])
    return figures


def _right_ranks(asked: Asked, *, strict: bool) -> list[int]:
    """Give the ranks of the right entries, from 1, best first."""
    return [rank for rank, entry_id in enumerate(asked.ids(strict=strict), 1) if entry_id in asked.right]


def _ndcg(ranks: Sequence[int], right: int) -> float:
    gain = sum(1 / np.log2(rank + 1) for rank in ranks if rank <= 10)
    ideal = sum(1 / np.log2(rank + 1) for rank in range(1, min(right, 10) + 1))
    return float(gain / ideal)


def firsts(asked: Sequence[Asked]) -> Floats:
    """Give 1 where the first entry is right and 0 elsewhere, (questions,): what recall@1 is the mean of."""
    return np.array([one.ids()[:1] != [] and one.ids()[0] in one.right for one in asked], np.float64)


def judge(asked: Sequence[Asked]) -> list[Judged]:
    """Take each question's first entry; a system that finds nothing is not sure at all."""
    judged = []
    for one in asked:
        left_out = one.maybe - one.right
        first = next((found for found in one.found if found.entry_id not in left_out), None)
        judged.append(
            Judged(
                confidence=first.score if first else -np.inf,
                right=first is not None and first.entry_id in one.right,
                in_scope=bool(one.right),
            )
        )
    return judged


def auroc(inside: Sequence[float], outside: Sequence[float]) -> float | None:
    """Give the chance that one of `inside` is above one of `outside`, a tie being half; None where one is empty."""
    if not len(inside) or not len(outside):
        return None
    ordered, ours = np.sort(np.array(outside)), np.array(inside)
    below, not_above = np.searchsorted(ordered, ours, "left"), np.searchsorted(ordered, ours, "right")
    return float((below + not_above).mean() / 2 / len(ordered))


def risk_curve(judged: Sequence[Judged]) -> list[RiskPoint]:
    """Give what each threshold between two confidences gives, surest first; questions of one confidence go together."""
    ordered = sorted(judged, key=lambda one: -one.confidence)
    in_scope = sum(one.in_scope for one in ordered)
    points, answered_in_scope, right = [], 0, 0
    for place, one in enumerate(ordered, 1):
        answered_in_scope += one.in_scope
        right += one.right
        last_of_its_confidence = place == len(ordered) or ordered[place].confidence < one.confidence
        if last_of_its_confidence and np.isfinite(one.confidence):
            points.append(
                RiskPoint(
                    threshold=one.confidence, coverage=answered_in_scope / max(in_scope, 1), precision=right / place
                )
            )
    return points


def coverage_at(judged: Sequence[Judged], precision: float = 0.95) -> float:
    """Give the highest share of in-scope questions answered at which so many answers (to any question) are right."""
    return max((point.coverage for point in risk_curve(judged) if point.precision >= precision), default=0.0)


def calibration_error(judged: Sequence[Judged]) -> float | None:
    """Give the mean gap between confidence (0 to 1) and share right over 10 bins, weighted by their questions."""
    if not judged:
        return None
    sure = np.clip([one.confidence for one in judged], 0.0, 1.0)
    right = np.array([one.right for one in judged], np.float64)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs((sure[bins == one] - right[bins == one]).sum()) for one in range(BINS)]
    return float(sum(gaps) / len(judged))


def paired_bootstrap(pairs: Sequence[tuple[Floats, Floats]], *, resamples: int = RESAMPLES) -> Difference:
    """Resample the questions of each set: the mean over the sets of (first minus second), with its 95 % interval.

    Each pair holds the same questions' figures under two systems, (questions,).
    """
    drawn = np.random.default_rng(SEED)
    means = np.zeros(resamples)
    differences = [first - second for first, second in pairs]
    for one in differences:
        means += one[drawn.integers(len(one), size=(resamples, len(one)))].mean(axis=1) / len(differences)
    low, high = np.quantile(means, (0.025, 0.975))
    mean = float(np.mean([one.mean() for one in differences]))
    return Difference(mean=mean, low=float(low), high=float(high))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
