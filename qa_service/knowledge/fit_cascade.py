"""How clear a quick look must be to stand, fitted on labelled questions. It knows no index and no threshold.

The margin is the smallest at which, as at every larger one, the questions that the quick look keeps lose at most half a
point of recall@1 against asking the slow encoder every time.
"""

from dataclasses import dataclass

import numpy as np

from qa_service.knowledge.fit_curves import FOLDS, Chances, Doubles, Flags, Sample, fit_curve, fit_scope_curve
from qa_service.knowledge.interval import Interval, interval_of
from qa_service.retrieval.calibration import Cascade

MOST_LOST = 0.005  # of recall@1
NEVER = 9.0  # a margin that no lead reaches


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeReport:
    """What the quick look gives on left-out folds.

    `kept`: of all questions, in and out of scope, those that the slow encoder was spared. `recall_at_1` is that of both
    together, `recall_at_1_without` that of the slow encoder asked every time.
    """

    kept: Interval
    recall_at_1: Interval
    recall_at_1_without: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Which questions a quick look keeps: `asked` (n,), and `removed` with their right entries taken away."""

    asked: Flags
    removed: Flags


def fit_cascade(look: Sample, full: Sample, start: Cascade) -> Cascade:
    """Fit margin and curves; `look` and `full` are the same questions by the quick look and by the slow encoder."""
    everything = np.ones(len(look.right), bool)
    return Cascade(
        margin=fit_margin(look, full, everything),
        fusion=start.fusion,
        rerank=start.rerank,
        curve=fit_curve(look, everything),
        scope_curve=fit_scope_curve(look, everything),
    )


def fit_margin(look: Sample, full: Sample, used: Flags) -> float:
    """Give the smallest margin that loses little on the questions `used` (n,); NEVER where none does."""
    in_scope = used & look.in_scope
    agreed = np.flatnonzero(in_scope & look.agreed)
    leads = look.inputs[agreed, 1]
    order = np.argsort(-leads, kind="stable")
    lost = np.cumsum(full.right[agreed[order]].astype(int) - look.right[agreed[order]].astype(int))
    is_last_of_equals = np.append(np.diff(leads[order]) != 0, [True])[: len(order)]  # a margin cannot part equals
    too_many = np.flatnonzero((lost > MOST_LOST * in_scope.sum()) & is_last_of_equals)
    allowed = np.flatnonzero(is_last_of_equals[: too_many[0] if len(too_many) else None])
    return float(leads[order][allowed[-1]]) if len(allowed) else NEVER


def kept_left_out(look: Sample, full: Sample) -> Kept:
    """Tell what would be kept at margins that were fitted without the question's fold."""
    fold = np.arange(len(look.right)) % FOLDS
    asked, removed = np.zeros(len(fold), bool), np.zeros(len(look.removed), bool)
    for left_out in range(FOLDS):
        here, margin = fold == left_out, fit_margin(look, full, fold != left_out)
        asked[here] = _kept(look.inputs, look.agreed, margin)[here]
        removed_here = here[look.in_scope]
        removed[removed_here] = _kept(look.removed, look.removed_agreed, margin)[removed_here]
    return Kept(asked=asked, removed=removed)


def _kept(inputs: Doubles, agreed: Flags, margin: float) -> Flags:
    kept: Flags = agreed & (inputs[:, 1] >= margin)
    return kept


def mixed_right(look: Sample, full: Sample, kept: Kept) -> Flags:
    """Tell which first entries are right, (n,), each by the stage that ranked the question."""
    return np.where(kept.asked, look.right, full.right)


def mixed_chances(look: Chances, full: Chances, kept: Kept) -> Chances:
    """Give each question the chances of the stage that ranked it."""
    return Chances(
        answers=np.where(kept.asked, look.answers, full.answers),
        in_scope=np.where(kept.asked, look.in_scope, full.in_scope),
        removed=np.where(kept.removed, look.removed, full.removed),
    )


def report_cascade(look: Sample, full: Sample, kept: Kept) -> CascadeReport:
    """Give share and cost of what is kept."""
    return CascadeReport(
        kept=interval_of(kept.asked),
        recall_at_1=interval_of(mixed_right(look, full, kept)[full.in_scope]),
        recall_at_1_without=interval_of(full.right[full.in_scope]),
    )
