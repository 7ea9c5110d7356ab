"""What is seen when a question and its candidates are laid side by side, as numbers. It knows no index and no weight.

The features and what each means are named in `calibration.RerankWeights`; all but the legs' scores lie in 0 to 1.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

from qa_service.domain.entry import Entry
from qa_service.domain.hit import Hit
from qa_service.domain.text import normalise
from qa_service.retrieval.calibration import FEATURES
from qa_service.retrieval.contrasts import Sides, sides
from qa_service.retrieval.entries import is_chinese
from qa_service.retrieval.quantities import quantities

_NEGATIONS = re.compile(
    r"(?<![特分区个差告识级])[不没别未无](?!客气|好意思|错|同|过|管|仅|但|如)|\b(?:not|no|never|without|cannot|can't)\b|n't\b"
)
# "能不能", "有没有", "是不是", "可不可以": a question, not a negation.
_ASKING = re.compile(r"(.)[不没]\1|(?:吗|没|不)$")
# What an English question shares with a Chinese wording is a product's name, by which all its entries are alike.
ACROSS_LANGUAGES = 0.25
_KEPT = 65_536  # texts and entries read at once
_WORDINGS_READ = 12  # of an entry
_ANSWER_CHARS = 1_500  # of an entry's answer
_LEAST_MASS = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One entry beside the question, with what the legs said of it."""

    entry: Entry
    hit: Hit


class FeatureReader:
    """Reads texts once and keeps what it saw of them; about 20 us a candidate."""

    def __init__(self, *, tokens: Callable[[str], Sequence[str]], weight: Callable[[str], float]) -> None:
        self._tokens = tokens
        self._weight = lru_cache(maxsize=_KEPT)(weight)
        self._read = lru_cache(maxsize=_KEPT)(self._read_once)
        self._entries: dict[str, _Vocabulary] = {}

    def matrix(self, question: str, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Give the features of one question's candidates, float32 (candidates, features), in the order of FEATURES."""
        asked = self._read(question)
        if not candidates:
            return np.zeros((0, len(FEATURES)), np.float32)
        wordings = [self._read(candidate.hit.wording).text for candidate in candidates]
        common = 2 * cdist([asked.text], wordings, scorer=LCSseq.similarity)[0]
        lengths = np.array([len(asked.text) + len(wording) for wording in wordings])
        alike = (common / np.maximum(lengths, 1)).tolist()
        rows = [self._row(asked, *pair) for pair in zip(candidates, alike, strict=True)]
        return np.array(rows, np.float32)

    def _row(self, asked: "_Reading", candidate: Candidate, common_subsequence: float) -> tuple[float, ...]:
        """Give one candidate's features in the order of FEATURES."""
        hit = candidate.hit
        wording, known = self._read(hit.wording), self._vocabulary(candidate.entry)
        spelling = 1.0 if asked.is_chinese or not wording.is_chinese else ACROSS_LANGUAGES
        one_language = asked.is_chinese == wording.is_chinese
        # A long text of another language is near many questions: what its entry means as a whole stands in for it.
        answer = hit.answer if one_language or not candidate.entry.answer else hit.centroid
        return (
            hit.fused,
            spelling * self._mass(asked.tokens & wording.tokens) / asked.mass,
            spelling * self._mass(asked.tokens & known.tokens) / asked.mass,
            asked.negates != wording.negates,
            _contrast(asked.sides, wording.sides),
            len(asked.quantities & known.quantities) / len(asked.quantities) if asked.quantities else 0.0,
            one_language,
            spelling * common_subsequence,
            hit.centroid,
            answer,
            max(0.0, hit.not_for - hit.vector),
        )

    def _read_once(self, text: str) -> "_Reading":
        tokens = frozenset(self._tokens(text))
        folded = normalise(text)
        return _Reading(
            text=folded,
            tokens=tokens,
            mass=max(self._mass(tokens), _LEAST_MASS),
            negates=bool(_NEGATIONS.search(_ASKING.sub(" ", folded))),
            quantities=quantities(folded),
            is_chinese=is_chinese(folded),
            sides=sides(folded),
        )

    def _vocabulary(self, entry: Entry) -> "_Vocabulary":
        known = self._entries.get(entry.id)
        if known is None:
            if len(self._entries) >= _KEPT:
                self._entries.clear()
            # Read for these two alone: a fresh snapshot reads hundreds of entries before it has its first answer.
            wordings = entry.wordings[:_WORDINGS_READ]
            texts = (*wordings, (entry.answer or "")[:_ANSWER_CHARS])
            known = self._entries[entry.id] = _Vocabulary(
                tokens=frozenset().union(*map(self._tokens, wordings)),
                quantities=frozenset().union(*(quantities(normalise(text)) for text in texts)),
            )
        return known

    def _mass(self, tokens: frozenset[str]) -> float:
        return sum(map(self._weight, tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What is needed of a text, once; `mass` is the idf of its tokens."""

    text: str
    tokens: frozenset[str]
    mass: float
    negates: bool
    quantities: frozenset[tuple[str, str]]
    is_chinese: bool
    sides: Sides


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vocabulary:
    """What all wordings of an entry say, and the quantities of its answer too."""

    tokens: frozenset[str]
    quantities: frozenset[tuple[str, str]]


def _contrast(asked: Sides, wording: Sides) -> float:
    """Give the share (0 to 1), of the contrasts that both name, on which they name no side in common."""
    both = asked.keys() & wording.keys()
    return sum(asked[one].isdisjoint(wording[one]) for one in both) / len(both) if both else 0.0
