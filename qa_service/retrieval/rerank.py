"""The second look: the best fused candidates, compared with the question in detail. It knows no index.

`LightReranker` adds a handful of signs to the fused score; `CrossEncoderReranker` asks a model that reads both texts.
Both leave a raw score; `probabilities` turns the scores of one question into calibrated chances.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qa_service.domain.entry import Entry
from qa_service.domain.text import normalise
from qa_service.retrieval.calibration import ProbabilityCurve, RerankWeights

_NEGATIONS = re.compile(
    r"(?<![特分区个差告识级])[不没别未无](?!客气|好意思|错|同|过|管|仅|但|如)|\b(?:not|no|never|without|cannot|can't)\b|n't\b"
)
# "能不能", "有没有", "是不是", "可不可以": a question, not a negation.
_ASKING = re.compile(r"(.)[不没]\1|(?:吗|没|不)$")
_KEPT = 65_536  # token sets, idfs and vocabularies kept at once
_WORDINGS_READ = 12  # of an entry
_ANSWER_CHARS = 200  # of an entry's answer: what it is about stands at its beginning
_LEAST_MASS = 1e-9
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One entry beside the question: its fused score, the wording that scored best, and the entry itself."""

    entry: Entry
    wording: str
    fused: float


class Reranker(Protocol):
    """Gives each candidate of one question a raw score, float32 (candidates,), higher is better."""

    @property
    def name(self) -> str:
        """What it is, for manifests and logs."""
        ...

    def score(self, question: str, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Score the candidates of one question."""
        ...

    def signs(self, question: str, candidate: Candidate) -> dict[str, float]:
        """Give what adds up to one candidate's score, by name."""
        ...


class LightReranker:
    """The fused score and a few signs that neither leg sees. No model; about 30 us a candidate."""

    name = "light"

    def __init__(
        self,
        *,
        tokens: Callable[[str], Sequence[str]],
        weight: Callable[[str], float],
        weights: RerankWeights | None = None,
    ) -> None:
        self._tokens = lru_cache(maxsize=_KEPT)(lambda text: frozenset(tokens(text)))
        self._weight = lru_cache(maxsize=_KEPT)(weight)
        self._weights = weights or RerankWeights()
        self._vocabularies: dict[str, _Vocabulary] = {}

    def score(self, question: str, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Give fused + weighted signs, float32 (candidates,)."""
        asked = self._asked(question)
        return np.array([sum(self._signs(asked, one).values()) for one in candidates], dtype=np.float32)

    def signs(self, question: str, candidate: Candidate) -> dict[str, float]:
        """Give the fused score and each weighted sign, by name; their sum is the candidate's score."""
        return self._signs(self._asked(question), candidate)

    def _asked(self, question: str) -> "_Asked":
        tokens = self._tokens(question)
        negates, numbers = _negation_and_numbers(question)
        return _Asked(tokens=tokens, mass=max(self._mass(tokens), _LEAST_MASS), negates=negates, numbers=numbers)

    def _signs(self, asked: "_Asked", candidate: Candidate) -> dict[str, float]:
        weights, known = self._weights, self._vocabulary(candidate.entry)
        wording = self._tokens(candidate.wording)
        shared, wording_mass = self._mass(asked.tokens & wording), self._mass(wording)
        negates, numbers = _negation_and_numbers(candidate.wording)
        likeness = shared / max(asked.mass + wording_mass - shared, _LEAST_MASS)
        return {
            "fused": candidate.fused,
            "wordings_cover": weights.wordings_cover * self._mass(asked.tokens & known.wordings) / asked.mass,
            "answer_covers": weights.answer_covers * self._mass(asked.tokens & known.answer) / asked.mass,
            "negation_differs": weights.negation_differs * (asked.negates != negates),
            "number_missing": weights.number_missing * bool(asked.numbers - numbers),
            "not_for": weights.not_for * max(0.0, self._likeness_to(known.not_for, asked) - likeness),
        }

    def _likeness_to(self, texts: Sequence[frozenset[str]], asked: "_Asked") -> float:
        """Give the share (0 to 1) of common idf mass with the likest of some texts."""
        return max(
            (self._mass(asked.tokens & one) / max(self._mass(asked.tokens | one), _LEAST_MASS) for one in texts),
            default=0.0,
        )

    def _vocabulary(self, entry: Entry) -> "_Vocabulary":
        known = self._vocabularies.get(entry.id)
        if known is None:
            if len(self._vocabularies) >= _KEPT:
                self._vocabularies.clear()
            known = self._vocabularies[entry.id] = _Vocabulary(
                wordings=frozenset().union(*map(self._tokens, entry.wordings[:_WORDINGS_READ])),
                answer=self._tokens((entry.answer or "")[:_ANSWER_CHARS]),
                not_for=tuple(map(self._tokens, entry.not_for)),
            )
        return known

    def _mass(self, tokens: frozenset[str]) -> float:
        return sum(map(self._weight, tokens))


class CrossEncoderReranker:
    """A model that reads question and wording together, named by the operator."""

    def __init__(self, name: str, score_pairs: Callable[[str, Sequence[str]], NDArray[np.float32]]) -> None:
        self.name = name
        self._score_pairs = score_pairs

    def score(self, question: str, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Give the model's scores, float32 (candidates,)."""
        return self._score_pairs(question, [candidate.wording for candidate in candidates])

    def signs(self, question: str, candidate: Candidate) -> dict[str, float]:
        """Give the model's score: it names no grounds."""
        return {self.name: float(self._score_pairs(question, [candidate.wording])[0])}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is needed of the question, once."""

    tokens: frozenset[str]
    mass: float
    negates: bool
    numbers: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vocabulary:
    """The tokens of an entry: of its wordings, of its answer's beginning, and of each `not_for` wording."""

    wordings: frozenset[str]
    answer: frozenset[str]
    not_for: tuple[frozenset[str], ...]


@lru_cache(maxsize=_KEPT)
def _negation_and_numbers(text: str) -> tuple[bool, frozenset[str]]:
    """Whether a text negates, and its numbers."""
    folded = normalise(text)
    return bool(_NEGATIONS.search(_ASKING.sub(" ", folded))), frozenset(_NUMBERS.findall(folded))


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
