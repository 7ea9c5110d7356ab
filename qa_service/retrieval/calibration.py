"""The numbers that turn two scores into a ranking and a ranking into a probability. It knows no index and no file.

They belong to a snapshot (`calibration.json`), because they fit one encoder and one knowledge base; a snapshot
without labelled questions gets the defaults below.
"""

from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionWeights:
    """A convex sum: `keyword` of the BM25 ratio and the rest of the cosine; `support` of the mean of the best three."""

    keyword: float = 0.4
    support: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankWeights:
    """What each feature of a candidate is worth; the sum is its score. Shares are of idf mass, 0 to 1.

    All but `not_for` were fitted as one listwise model on 13 sets, each of which was left out in turn
    (docs/decisions/0020-reranker.md); `not_for` is a cautious guess that cost nothing there.
    """

    fused: float = 1.0
    question_covered: float = -0.163  # of the question, the share found in the best wording ...
    wordings_cover: float = 0.137  # ... in any wording of the entry: several that help count, one that says it all less
    negation_differs: float = -0.011
    contrast: float = -0.042  # one says "before", the other "after": of the contrasts that both touch, the share
    quantity_found: float = 0.097  # of the question's numbers with units, the share found in wordings and answer
    same_language: float = 0.090  # an English question is better answered in English
    common_subsequence: float = 0.095  # characters in the same order, of those of both
    centroid: float = 0.327  # cosine with the middle of the wordings
    answer: float = 0.233  # cosine with the answer; where that is in another language, `centroid` again
    not_for: float = -0.30  # how much nearer (cosine) a `not_for` wording is than the best one


FEATURES = tuple(field.name for field in fields(RerankWeights))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilityCurve:
    """A logistic curve over the best reranked score and its lead over the next entry."""

    intercept: float = -6.81
    score: float = 6.12
    lead: float = 12.38


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeCurve:
    """A logistic curve over the best reranked score: does anything here answer the question."""

    intercept: float = -5.69
    score: float = 6.82


# A passage has one text: nothing of it supports or contradicts it.
_PASSAGE_WEIGHTS = RerankWeights(**dict.fromkeys((field.name for field in fields(RerankWeights)), 0.0) | {"fused": 1.0})
# A passage is long: its words are thinned out, so that it scores lower than a wording that fits as well.
_PASSAGE_CURVE = ProbabilityCurve(intercept=-7.21, score=14.81, lead=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where a probability becomes a decision (0 to 1)."""

    answer: float = 0.50  # that this entry answers
    clarify: float = 0.50  # that some entry does: then the bot asks back, where it cannot tell which
    passage: float = 0.30  # that a passage holds the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """When a question needs no slow encoder, and the numbers of the quick look that decides it.

    `margin`: the least lead of the reranked score, where keyword and vector agree. It is cautious until it is fitted:
    a model that is never wrong would gain next to nothing on what is kept at it (docs/decisions/0027-cascade.md).
    """

    margin: float = 0.20
    fusion: FusionWeights = field(default_factory=FusionWeights)
    rerank: RerankWeights = field(default_factory=RerankWeights)
    curve: ProbabilityCurve = field(default_factory=ProbabilityCurve)
    scope_curve: ScopeCurve = field(default_factory=ScopeCurve)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """All of a snapshot's fitted numbers; `name` says where they come from."""

    name: str = "defaults"
    fusion: FusionWeights = field(default_factory=FusionWeights)
    rerank: RerankWeights = field(default_factory=RerankWeights)
    curve: ProbabilityCurve = field(default_factory=ProbabilityCurve)
    scope_curve: ScopeCurve = field(default_factory=ScopeCurve)
    passage_rerank: RerankWeights = _PASSAGE_WEIGHTS
    passage_curve: ProbabilityCurve = _PASSAGE_CURVE
    thresholds: Thresholds = field(default_factory=Thresholds)
    cascade: Cascade = field(default_factory=Cascade)
