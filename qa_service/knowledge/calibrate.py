"""Weights and thresholds fitted on labelled questions, to stated bounds. It asks the real shelf and writes no file.

Fitted, in this order: the fusion's keyword weight (the best recall@1); the curve from score and lead to the chance that
the first entry answers, and the one from the score to the chance that any does (logistic regression; each in-scope
question counts half again with its right entries taken away, because the near miss, whose entry is missing, is the hard
case); and the thresholds (the lowest that keep the bounds). What is reported comes from folds that were left out of the
fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qa_service.answering.follow_up import resolve
from qa_service.domain.errors import KnowledgeError
from qa_service.domain.hit import Ranking
from qa_service.knowledge.evaluate import LabelledQuestion, as_question
from qa_service.retrieval.calibration import Calibration, ProbabilityCurve, ScopeCurve, Thresholds
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
    """A calibration and what it gives."""

    calibration: Calibration
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """First candidates: `inputs` (n, 2) score and lead, `right` (n,), `in_scope` (n,).

    `removed` are the inputs of the in-scope questions, in their order, with their right entries taken away.
    """

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
    left_out = _left_out_chances(sample)
    everything = np.ones(len(sample.right), bool)
    thresholds = _thresholds(left_out, sample, bounds, start.thresholds)
    calibration = replace(
        best,
        name=name,
        curve=_fit_curve(sample, everything),
        scope_curve=_fit_scope_curve(sample, everything),
        thresholds=thresholds,
    )
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
    intercept, (score, lead) = _fit_logistic(sample, used, sample.right, columns=2)
    return ProbabilityCurve(intercept=intercept, score=score, lead=lead)


def _fit_scope_curve(sample: _Sample, used: NDArray[np.bool_]) -> ScopeCurve:
    intercept, (score,) = _fit_logistic(sample, used, sample.in_scope, columns=1)
    return ScopeCurve(intercept=intercept, score=score)


def _fit_logistic(
    sample: _Sample, used: NDArray[np.bool_], target: NDArray[np.bool_], *, columns: int
) -> tuple[float, list[float]]:
    """Give intercept and weights over the first `columns` inputs; questions with their entry taken away count half."""
    # Only who calibrates pays for importing it.
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    removed = sample.removed[used[sample.in_scope]]
    inputs = np.concatenate([sample.inputs[used], removed])[:, :columns]
    wanted = np.concatenate([target[used], np.zeros(len(removed), bool)])
    weights = np.concatenate([np.ones(int(used.sum())), np.full(len(removed), 0.5)])
    model = LogisticRegression(C=_REGULARISATION).fit(inputs, wanted, sample_weight=weights)
    return round(float(model.intercept_[0]), 3), [round(float(weight), 3) for weight in model.coef_[0]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chances:
    """By curves that were fitted without the question's fold: that the first entry answers (n,), that any does (n,).

    `removed`: that the first entry answers where the right ones were taken away, one an in-scope question.
    """

    answers: Doubles
    in_scope: Doubles
    removed: Doubles


def _left_out_chances(sample: _Sample) -> _Chances:
    fold = np.arange(len(sample.right)) % _FOLDS
    answers, in_scope, removed = np.zeros(len(fold)), np.zeros(len(fold)), np.zeros(len(sample.removed))
    for left_out in range(_FOLDS):
        here, elsewhere = fold == left_out, fold != left_out
        curve, scope = _fit_curve(sample, elsewhere), _fit_scope_curve(sample, elsewhere)
        weights = np.array([curve.score, curve.lead])
        answers[here] = _logistic(curve.intercept + sample.inputs[here] @ weights)
        in_scope[here] = _logistic(scope.intercept + sample.inputs[here, 0] * scope.score)
        here_in_scope = here[sample.in_scope]
        removed[here_in_scope] = _logistic(curve.intercept + sample.removed[here_in_scope] @ weights)
    return _Chances(answers=answers, in_scope=in_scope, removed=removed)


def _logistic(logit: Doubles) -> Doubles:
    chance: Doubles = 1.0 / (1.0 + np.exp(-logit))
    return chance


def _thresholds(chances: _Chances, sample: _Sample, bounds: Bounds, start: Thresholds) -> Thresholds:
    """Give the lowest thresholds that keep the bounds; where none keeps the precision, nothing is answered."""
    order = np.argsort(-chances.answers)
    precision = np.cumsum(sample.right[order]) / np.arange(1, len(order) + 1)
    is_last_of_equals = np.append(np.diff(chances.answers[order]) != 0, [True])  # a threshold cannot part equals
    kept = np.flatnonzero((precision >= bounds.answer_precision) & is_last_of_equals)
    answer = float(chances.answers[order][kept[-1]]) if len(kept) else 1.0
    out_of_scope = np.sort(chances.in_scope[~sample.in_scope])
    place = int(np.ceil(bounds.refusal * len(out_of_scope)))
    clarify = float(np.nextafter(out_of_scope[place - 1], 1.0)) if place else start.clarify
    # Unrounded: a threshold rounded down would let the next, perhaps wrong, answer in.
    return replace(start, answer=answer, clarify=clarify)


def _report(chances: _Chances, sample: _Sample, thresholds: Thresholds) -> Report:
    answered = chances.answers >= thresholds.answer
    refused = ~answered & (chances.in_scope < thresholds.clarify)
    return Report(
        questions=len(answered),
        recall_at_1=_interval(sample.right[sample.in_scope]),
        answer_precision=_interval(sample.right[answered]),
        coverage=_interval(answered[sample.in_scope]),
        refusal=_interval(refused[~sample.in_scope]),
        near_miss_silence=_interval(chances.removed < thresholds.answer),
        brier=round(float(np.mean((chances.answers - sample.right) ** 2)), 4),
    )


def _interval(hits: NDArray[np.bool_]) -> Interval:
    if not len(hits):
        return Interval(value=0.0, low=0.0, high=0.0)
    drawn = np.random.default_rng(0).integers(0, len(hits), (_RESAMPLES, len(hits)))
    low, high = np.quantile(hits[drawn].mean(axis=1), [0.025, 0.975])
    return Interval(value=round(float(hits.mean()), 4), low=round(float(low), 4), high=round(float(high), 4))
