"""The second look: the best fused candidates, compared with the question in detail. It knows no index.

`LightReranker` weighs what the feature reader sees; `CrossEncoderReranker` asks a model that reads both texts.
Both leave a raw score; `probabilities` turns the scores of one question into calibrated chances.
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qa_service.retrieval.calibration import FEATURES, ProbabilityCurve, RerankWeights, ScopeCurve
from qa_service.retrieval.features import Candidate, FeatureReader


class Reranker(Protocol):
    """Gives each candidate of one question a raw score, float32 (candidates,), higher is better."""

    @property
    def name(self) -> str:
        """What it is, for manifests and logs."""
        ...

    def score(self, question: str, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Score the candidates of one question."""
        ...

    def signs(self, question: str, candidates: Sequence[Candidate]) -> list[dict[str, float]]:
        """Give what adds up to each candidate's score, by name."""
        ...


class LightReranker:
    """A weighted sum of features. No model; about 30 us a candidate."""

    name = "light"

    def __init__(self, reader: FeatureReader, weights: RerankWeights | None = None) -> None:
        self._reader = reader
        self._weights = np.array(astuple(weights or RerankWeights()), np.float32)

    def score(self, question: str, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Give the weighted sums, float32 (candidates,)."""
        return self._reader.matrix(question, candidates) @ self._weights

    def signs(self, question: str, candidates: Sequence[Candidate]) -> list[dict[str, float]]:
        """Give each candidate's weighted features that are not 0, by name."""
        rows = (self._reader.matrix(question, candidates) * self._weights).tolist()
        return [{name: value for name, value in zip(FEATURES, row, strict=True) if value} for row in rows]

    def under(self, weights: RerankWeights) -> "LightReranker":
        """Give one with other weights that shares what was read."""
        return LightReranker(self._reader, weights)


class CrossEncoderReranker:
    """A model that reads question and wording together, named by the operator."""

    def __init__(self, name: str, score_pairs: Callable[[str, Sequence[str]], NDArray[np.float32]]) -> None:
        self.name = name
        self._score_pairs = score_pairs

    def score(self, question: str, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Give the model's scores, float32 (candidates,)."""
        return self._score_pairs(question, [candidate.hit.wording for candidate in candidates])

    def signs(self, question: str, candidates: Sequence[Candidate]) -> list[dict[str, float]]:
        """Give the model's scores: it names no grounds."""
        return [{self.name: score} for score in self.score(question, candidates).tolist()]


def chance_in_scope(scores: NDArray[np.float32], curve: ScopeCurve) -> float:
    """Give the chance (0 to 1) that any of the candidates answers, from their raw scores, best first.

    The lead over the next one says which entry is right, and nothing of whether one is.
    """
    if not len(scores):
        return 0.0
    return float(1.0 / (1.0 + np.exp(-(curve.intercept + curve.score * float(scores[0])))))


def curve_inputs(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give what the curve is taken over, float32 (n, 2): each score, and its lead over the best other one (-1 to 1).

    `scores` (n,) stand best first, and there is at least one.
    """
    rival = np.full_like(scores, scores[0])
    rival[0] = scores[1] if len(scores) > 1 else 0.0
    return np.stack([scores, np.clip(scores - rival, -1.0, 1.0)], axis=1)


def probabilities(scores: NDArray[np.float32], curve: ProbabilityCurve) -> NDArray[np.float32]:
    """Turn raw scores, best first, into chances (0 to 1) that each entry answers the question; same shape.

    The lead of an entry is measured against the best other one, so that two likely entries hold each other down.
    """
    if not len(scores):
        return scores
    logit = curve.intercept + curve_inputs(scores) @ np.array([curve.score, curve.lead])
    chances: NDArray[np.float32] = (1.0 / (1.0 + np.exp(-logit))).astype(np.float32)
    return chances
