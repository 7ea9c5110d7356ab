"""Weights and thresholds fitted on labelled questions, to stated bounds. It asks the real shelf and writes no file.

Three things are fitted, in this order: the fusion's keyword weight (the best recall@1), the curve from score and lead
to a probability (logistic regression; each in-scope question counts a second time with its right entries taken away,
because the near miss, whose entry is missing, is the hard case), and the thresholds (the lowest that keep the bounds).
What is reported comes from folds that were left out of the fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qa_service.answering.follow_up import resolve
from qa_service.domain.errors import KnowledgeError
from qa_service.domain.hit import Ranking
from qa_service.knowledge.evaluate import LabelledQuestion, as_question
from qa_service.retrieval.calibration import Calibration, ProbabilityCurve, Thresholds
from qa_service.retrieval.rerank import curve_inputs

_KEYWORD_WEIGHTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_FOLDS = 5
_REGULARISATION = 10.0  # C of the logistic regression: two inputs need little
_RESAMPLES = 1000
_LEAST_OF_A_KIND = 8  # right and wrong first candidates, without which there is no curve to fit

Doubles = NDArray[np.float64]
RankAll = Callable[[Calibration, Sequence[str]], list[Ranking]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What must hold on the labelled questions: shares, 0 to 1."""

    answer_precision: float = 0.95  # of the answers given, at least so many are right
    refusal: float = 0.80  # of the questions that no entry answers, at least so many are not even asked back about


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A share (0 to 1) and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the calibration gives on left-out folds; `brier` is the mean squared error of the probabilities."""

    questions: int
    recall_at_1: Interval
    answer_precision: Interval
    coverage: Interval
    refusal: Interval
    brier: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A calibration and what it gives."""

    calibration: Calibration
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """First candidates: `inputs` (n, 2) score and lead, `right` (n,), `in_scope` (n,); `removed` inputs never right."""

    inputs: Doubles
    right: NDArray[np.bool_]
    in_scope: NDArray[np.bool_]
    removed: Doubles


def calibrate(
    questions: Sequence[LabelledQuestion], rank: RankAll, start: Calibration, bounds: Bounds, *, name: str
) -> Fitted:
    """Fit a calibration; `rank` ranks texts under the calibration it is given.

    Raises:
        KnowledgeError: too few questions are answered right, or too few wrong, to learn from.
    """
    texts = [resolve(as_question(question)) for question in questions]
    candidates = [replace(start, fusion=replace(start.fusion, keyword=weight)) for weight in _KEYWORD_WEIGHTS]
    rankings = {one.fusion.keyword: rank(one, texts) for one in candidates}
    best = max(candidates, key=lambda one: _recall(questions, rankings[one.fusion.keyword]))
    sample = _sample(questions, rankings[best.fusion.keyword])
    if min(sample.right.sum(), (~sample.right).sum()) < _LEAST_OF_A_KIND:
        raise KnowledgeError(
            f"{int(sample.right.sum())} of {len(questions)} questions find a right entry first: at least "
            f"{_LEAST_OF_A_KIND} that do and {_LEAST_OF_A_KIND} that do not are needed to learn the difference"
        )
    left_out = _left_out_probabilities(sample)
    curve = _fit_curve(sample, np.ones(len(sample.right), bool))
    thresholds = _thresholds(left_out, sample, bounds, start.thresholds)
    calibration = replace(best, name=name, curve=curve, thresholds=thresholds)
    return Fitted(calibration=calibration, report=_report(left_out, sample, thresholds))


def _recall(questions: Sequence[LabelledQuestion], rankings: Sequence[Ranking]) -> float:
    return sum(_is_right(q, r) for q, r in zip(questions, rankings, strict=True) if q.right)


def _is_right(question: LabelledQuestion, ranking: Ranking) -> bool:
    return ranking.best is not None and ranking.best.entry_id in question.right


def _sample(questions: Sequence[LabelledQuestion], rankings: Sequence[Ranking]) -> _Sample:
    pairs = list(zip(questions, rankings, strict=True))
    without = [
        Ranking(hits=tuple(hit for hit in ranking.hits if hit.entry_id not in question.right))
        for question, ranking in pairs
        if question.right
    ]
    return _Sample(
        inputs=np.array([_inputs(ranking) for _, ranking in pairs]),
        right=np.array([_is_right(question, ranking) for question, ranking in pairs]),
        in_scope=np.array([bool(question.right) for question in questions]),
        removed=np.array([_inputs(ranking) for ranking in without]).reshape(-1, 2),
    )


def _inputs(ranking: Ranking) -> Doubles:
    scores = np.array([hit.reranked for hit in ranking.hits[:2]], dtype=np.float32)
    return curve_inputs(scores)[0].astype(np.float64) if len(scores) else np.zeros(2)


def _fit_curve(sample: _Sample, used: NDArray[np.bool_]) -> ProbabilityCurve:
    # Only who calibrates pays for importing it.
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    removed = sample.removed[used[sample.in_scope]]
    inputs = np.concatenate([sample.inputs[used], removed])
    right = np.concatenate([sample.right[used], np.zeros(len(removed), bool)])
    weights = np.concatenate([np.ones(int(used.sum())), np.full(len(removed), 0.5)])
    model = LogisticRegression(C=_REGULARISATION).fit(inputs, right, sample_weight=weights)
    (score, lead), (intercept,) = model.coef_[0].tolist(), model.intercept_.tolist()
    return ProbabilityCurve(intercept=round(intercept, 3), score=round(score, 3), lead=round(lead, 3))


def _left_out_probabilities(sample: _Sample) -> Doubles:
    """Give each question's probability by a curve that was fitted without its fold."""
    fold = np.arange(len(sample.right)) % _FOLDS
    probabilities = np.zeros(len(sample.right))
    for left_out in range(_FOLDS):
        curve = _fit_curve(sample, fold != left_out)
        inputs = sample.inputs[fold == left_out]
        logit = curve.intercept + inputs @ np.array([curve.score, curve.lead])
        probabilities[fold == left_out] = 1.0 / (1.0 + np.exp(-logit))
    return probabilities


def _thresholds(probabilities: Doubles, sample: _Sample, bounds: Bounds, start: Thresholds) -> Thresholds:
    """Give the lowest thresholds that keep the bounds.

    Where none keeps the precision, nothing is answered. Who may be answered is never refused: where the two bounds
    contradict each other, the refusal gives way, and the report says what it comes to.
    """
    order = np.argsort(-probabilities)
    precision = np.cumsum(sample.right[order]) / np.arange(1, len(order) + 1)
    is_last_of_equals = np.append(np.diff(probabilities[order]) != 0, [True])  # a threshold cannot part equals
    kept = np.flatnonzero((precision >= bounds.answer_precision) & is_last_of_equals)
    answer = float(probabilities[order][kept[-1]]) if len(kept) else 1.0
    out_of_scope = np.sort(probabilities[~sample.in_scope])
    place = int(np.ceil(bounds.refusal * len(out_of_scope)))
    clarify = float(np.nextafter(out_of_scope[place - 1], 1.0)) if place else start.clarify
    # Unrounded: a threshold rounded down would let the next, perhaps wrong, answer in.
    return replace(start, answer=answer, clarify=min(clarify, answer))


def _report(probabilities: Doubles, sample: _Sample, thresholds: Thresholds) -> Report:
    answered = probabilities >= thresholds.answer
    refused = probabilities < thresholds.clarify
    return Report(
        questions=len(probabilities),
        recall_at_1=_interval(sample.right[sample.in_scope]),
        answer_precision=_interval(sample.right[answered]),
        coverage=_interval(answered[sample.in_scope]),
        refusal=_interval(refused[~sample.in_scope]),
        brier=round(float(np.mean((probabilities - sample.right) ** 2)), 4),
    )


def _interval(hits: NDArray[np.bool_]) -> Interval:
    if not len(hits):
        return Interval(value=0.0, low=0.0, high=0.0)
    drawn = np.random.default_rng(0).integers(0, len(hits), (_RESAMPLES, len(hits)))
    low, high = np.quantile(hits[drawn].mean(axis=1), [0.025, 0.975])
    return Interval(value=round(float(hits.mean()), 4), low=round(float(low), 4), high=round(float(high), 4))
