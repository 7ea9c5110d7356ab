"""Curves from scores to chances, fitted on labelled questions, folds left out. It knows no threshold and no file."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_service.domain.hit import Ranking
from qa_service.knowledge.evaluate import LabelledQuestion
from qa_service.retrieval.calibration import ProbabilityCurve, ScopeCurve
from qa_service.retrieval.cascade import agrees
from qa_service.retrieval.rerank import curve_inputs

FOLDS = 5
_REGULARISATION = 10.0  # C of the logistic regression: two inputs need little

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """First candidates: `inputs` (n, 2) score and lead, `right` (n,), `in_scope` (n,), all legs `agreed` (n,) on it.

    `removed` are the inputs of the in-scope questions, in their order, with their right entries taken away.
    """

    inputs: Doubles
    right: Flags
    in_scope: Flags
    agreed: Flags
    removed: Doubles
    removed_agreed: Flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """By curves that were fitted without the question's fold: that the first entry answers (n,), that any does (n,).

    `removed`: that the first entry answers where the right ones were taken away, one an in-scope question.
    """

    answers: Doubles
    in_scope: Doubles
    removed: Doubles


def is_right(question: LabelledQuestion, ranking: Ranking) -> bool:
    """Whether an entry that answers the question comes first."""
    return ranking.best is not None and ranking.best.entry_id in question.right


def sample_of(questions: Sequence[LabelledQuestion], rankings: Sequence[Ranking]) -> Sample:
    """Take what the curves need from the rankings of labelled questions."""
    pairs = list(zip(questions, rankings, strict=True))
    without = [
        Ranking(hits=tuple(hit for hit in ranking.hits if hit.entry_id not in question.right))
        for question, ranking in pairs
        if question.right
    ]
    return Sample(
        inputs=np.array([_inputs(ranking) for _, ranking in pairs]),
        right=np.array([is_right(question, ranking) for question, ranking in pairs]),
        in_scope=np.array([bool(question.right) for question in questions]),
        agreed=np.array([agrees(ranking) for _, ranking in pairs]),
        removed=np.array([_inputs(ranking) for ranking in without]).reshape(-1, 2),
        removed_agreed=np.array([agrees(ranking) for ranking in without], bool),
    )


def _inputs(ranking: Ranking) -> Doubles:
    scores = np.array([hit.reranked for hit in ranking.hits[:2]], dtype=np.float32)
    return curve_inputs(scores)[0].astype(np.float64) if len(scores) else np.zeros(2)


def fit_curve(sample: Sample, used: Flags) -> ProbabilityCurve:
    """Fit the chance that the first entry answers, on the questions `used` (n,)."""
    intercept, (score, lead) = _fit_logistic(sample, used, sample.right, columns=2)
    return ProbabilityCurve(intercept=intercept, score=score, lead=lead)


def fit_scope_curve(sample: Sample, used: Flags) -> ScopeCurve:
    """Fit the chance that any entry answers, on the questions `used` (n,)."""
    intercept, (score,) = _fit_logistic(sample, used, sample.in_scope, columns=1)
    return ScopeCurve(intercept=intercept, score=score)


def _fit_logistic(sample: Sample, used: Flags, target: Flags, *, columns: int) -> tuple[float, list[float]]:
    """Give intercept and weights over the first `columns` inputs; questions with their entry taken away count half."""
    # Only who calibrates pays for importing it.
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    removed = sample.removed[used[sample.in_scope]]
    inputs = np.concatenate([sample.inputs[used], removed])[:, :columns]
    wanted = np.concatenate([target[used], np.zeros(len(removed), bool)])
    weights = np.concatenate([np.ones(int(used.sum())), np.full(len(removed), 0.5)])
    model = LogisticRegression(C=_REGULARISATION).fit(inputs, wanted, sample_weight=weights)
    return round(float(model.intercept_[0]), 3), [round(float(weight), 3) for weight in model.coef_[0]]


def left_out_chances(sample: Sample) -> Chances:
    """Give each question its chances by curves that were fitted on the other folds."""
    fold = np.arange(len(sample.right)) % FOLDS
    answers, in_scope, removed = np.zeros(len(fold)), np.zeros(len(fold)), np.zeros(len(sample.removed))
    for left_out in range(FOLDS):
        here, elsewhere = fold == left_out, fold != left_out
        curve, scope = fit_curve(sample, elsewhere), fit_scope_curve(sample, elsewhere)
        weights = np.array([curve.score, curve.lead])
        answers[here] = _logistic(curve.intercept + sample.inputs[here] @ weights)
        in_scope[here] = _logistic(scope.intercept + sample.inputs[here, 0] * scope.score)
        here_in_scope = here[sample.in_scope]
        removed[here_in_scope] = _logistic(curve.intercept + sample.removed[here_in_scope] @ weights)
    return Chances(answers=answers, in_scope=in_scope, removed=removed)


def _logistic(logit: Doubles) -> Doubles:
    chance: Doubles = 1.0 / (1.0 + np.exp(-logit))
    return chance
