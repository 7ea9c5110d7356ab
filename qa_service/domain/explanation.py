"""Why an answer is what it is: every number that led to it, for whoever asks."""

from collections.abc import Mapping
from dataclasses import dataclass

from qa_service.domain.answer import Answer
from qa_service.domain.hit import Hit


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedHit:
    """A candidate with its grounds.

    `terms` maps each token of the question that the named wording holds to its BM25 score; their sum over the
    question's self-score is that wording's keyword score. `signs` maps each sign of the reranker to what it adds to
    the raw score, and they sum to it; empty for a candidate that got no second look.
    """

    hit: Hit
    question: str
    terms: Mapping[str, float]
    signs: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """An answer, the text that was searched for, and all that was weighed.

    That text is a follow-up joined with its context, and without slips of spelling where it is likelier so.
    `in_scope` is the chance (0 to 1) that some entry answers, which decides on asking back. `quick` tells that the
    FAQ's candidates come from the quick look: the index's own encoder was not asked for them.
    """

    answer: Answer
    asked: str
    tokens: tuple[str, ...]
    reason: str
    thresholds: Mapping[str, float]
    calibration: str
    faq: tuple[ExplainedHit, ...]
    passages: tuple[ExplainedHit, ...]
    in_scope: float = 0.0
    quick: bool = False
