"""Weights and thresholds fitted on labelled questions, to stated bounds. It asks the real shelf and writes no file.

Fitted, in this order: the fusion's keyword weight (the best recall@1); the curve from score and lead to the chance that
the first entry answers, and the one from the score to the chance that any does (logistic regression; each in-scope
question counts half again with its right entries taken away, because the near miss, whose entry is missing, is the hard
case); how clear a quick look must be, where the index has one (`fit_cascade.py`); and the thresholds (the lowest that
keep the bounds). What is reported comes from folds that were left out of the fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qa_service.answering.follow_up import resolve
from qa_service.domain.errors import KnowledgeError
from qa_service.domain.hit import Ranking
from qa_service.knowledge.evaluate import LabelledQuestion, as_question
from qa_service.knowledge.fit_cascade import (
    CascadeReport,
    fit_cascade,
    kept_left_out,
    mixed_chances,
    mixed_right,
    report_cascade,
)
from qa_service.knowledge.fit_curves import (
    Chances,
    Flags,
    Sample,
    fit_curve,
    fit_scope_curve,
    is_right,
    left_out_chances,
    sample_of,
)
from qa_service.knowledge.interval import Interval, interval_of
from qa_service.retrieval.calibration import Calibration, Thresholds

_KEYWORD_WEIGHTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_LEAST_OF_A_KIND = 8  # right and wrong first candidates, without which there is no curve to fit

RankAll = Callable[[Calibration, Sequence[str]], list[Ranking]]
LookAll = Callable[[Sequence[str]], list[Ranking]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What must hold on the labelled questions: shares, 0 to 1."""

    answer_precision: float = 0.95  # of the answers given, at least so many are right
    refusal: float = 0.80  # of the questions that no entry answers, at least so many are not even asked back about


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the calibration gives on left-out folds; `brier` is the mean squared error of the probabilities.

    `near_miss_silence`: of the in-scope questions, asked once more with their right entries taken away, those that got
    no answer.
    """

    questions: int
    recall_at_1: Interval
    answer_precision: Interval
    coverage: Interval
    refusal: Interval
    near_miss_silence: Interval
    brier: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A calibration and what it gives; `cascade` where there is a quick look."""

    calibration: Calibration
    report: Report
    cascade: CascadeReport | None = None


def calibrate(
    questions: Sequence[LabelledQuestion],
    rank: RankAll,
    start: Calibration,
    bounds: Bounds,
    *,
    name: str,
    quick: LookAll | None = None,
) -> Fitted:
    """Fit a calibration; `rank` ranks texts under the calibration it is given, `quick` by the quick look.

    Raises:
        KnowledgeError: too few questions are answered right, or too few wrong, to learn from.
    """
    texts = [resolve(as_question(question)) for question in questions]
    candidates = [replace(start, fusion=replace(start.fusion, keyword=weight)) for weight in _KEYWORD_WEIGHTS]
    rankings = {one.fusion.keyword: rank(one, texts) for one in candidates}
    best = max(candidates, key=lambda one: _recall(questions, rankings[one.fusion.keyword]))
    sample = _checked(sample_of(questions, rankings[best.fusion.keyword]))
    right, chances = sample.right, left_out_chances(sample)
    cascade, cascade_report = best.cascade, None
    if quick:
        look = _checked(sample_of(questions, quick(texts)))
        cascade, kept = fit_cascade(look, sample, best.cascade), kept_left_out(look, sample)
        right, chances = mixed_right(look, sample, kept), mixed_chances(left_out_chances(look), chances, kept)
        cascade_report = report_cascade(look, sample, kept)
    everything = np.ones(len(sample.right), bool)
    thresholds = _thresholds(chances, right, sample.in_scope, bounds, start.thresholds)
    calibration = replace(
        best,
        name=name,
        curve=fit_curve(sample, everything),
        scope_curve=fit_scope_curve(sample, everything),
        thresholds=thresholds,
        cascade=cascade,
    )
    report = _report(chances, right, sample.in_scope, thresholds)
    return Fitted(calibration=calibration, report=report, cascade=cascade_report)


def _checked(sample: Sample) -> Sample:
    if min(sample.right.sum(), (~sample.right).sum()) < _LEAST_OF_A_KIND:
        raise KnowledgeError(
            f"{int(sample.right.sum())} of {len(sample.right)} questions find a right entry first: at least "
            f"{_LEAST_OF_A_KIND} that do and {_LEAST_OF_A_KIND} that do not are needed to learn the difference"
        )
    return sample


def _recall(questions: Sequence[LabelledQuestion], rankings: Sequence[Ranking]) -> float:
    return sum(is_right(q, r) for q, r in zip(questions, rankings, strict=True) if q.right)


def _thresholds(chances: Chances, right: Flags, in_scope: Flags, bounds: Bounds, start: Thresholds) -> Thresholds:
    """Give the lowest thresholds that keep the bounds; where none keeps the precision, nothing is answered."""
    order = np.argsort(-chances.answers)
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    is_last_of_equals = np.append(np.diff(chances.answers[order]) != 0, [True])  # a threshold cannot part equals
    kept = np.flatnonzero((precision >= bounds.answer_precision) & is_last_of_equals)
    answer = float(chances.answers[order][kept[-1]]) if len(kept) else 1.0
    out_of_scope = np.sort(chances.in_scope[~in_scope])
    place = int(np.ceil(bounds.refusal * len(out_of_scope)))
    clarify = float(np.nextafter(out_of_scope[place - 1], 1.0)) if place else start.clarify
    # Unrounded: a threshold rounded down would let the next, perhaps wrong, answer in.
    return replace(start, answer=answer, clarify=clarify)


def _report(chances: Chances, right: Flags, in_scope: Flags, thresholds: Thresholds) -> Report:
    answered = chances.answers >= thresholds.answer
    refused = ~answered & (chances.in_scope < thresholds.clarify)
    return Report(
        questions=len(answered),
        recall_at_1=interval_of(right[in_scope]),
        answer_precision=interval_of(right[answered]),
        coverage=interval_of(answered[in_scope]),
        refusal=interval_of(refused[~in_scope]),
        near_miss_silence=interval_of(chances.removed < thresholds.answer),
        brier=round(float(np.mean((chances.answers - right) ** 2)), 4),
    )
