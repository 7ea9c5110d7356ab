"""The numbers that turn two scores into a ranking and a ranking into a probability. It knows no index and no file.

They belong to a snapshot (`calibration.json`), because they fit one encoder and one knowledge base; a snapshot
without labelled questions gets the defaults below.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionWeights:
    """A convex sum: `keyword` of the BM25 ratio and the rest of the cosine; `support` of the mean of the best three."""

    keyword: float = 0.4
    support: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankWeights:
    """What each sign is worth beside the fused score (weight 1). Shares are of idf mass, 0 to 1.

    The first two were chosen on nine sets, the demo's own questions among them (docs/decisions/0006-fusion.md); the
    signs of the rest are plain, and their sizes cautious.
    """

    wordings_cover: float = 0.05  # of the question, the share found in any wording of the entry
    answer_covers: float = 0.10  # of the question, the share found at the beginning of the answer
    negation_differs: float = -0.02
    number_missing: float = -0.02  # the question names a number that the wording does not
    not_for: float = -0.10  # how much likelier a `not_for` wording is than the best one


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilityCurve:
    """A logistic curve over the best reranked score and its lead over the next entry."""

    intercept: float = -4.6
    score: float = 8.1
    lead: float = 8.9


# A passage is long: its words are thinned out, so that it scores lower than a wording that fits as well.
_PASSAGE_CURVE = ProbabilityCurve(intercept=-12.6, score=30.0, lead=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where a probability becomes a decision (0 to 1)."""

    answer: float = 0.55
    clarify: float = 0.32
    passage: float = 0.50  # that a passage holds the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """All of a snapshot's fitted numbers; `name` says where they come from."""

    name: str = "defaults"
    fusion: FusionWeights = field(default_factory=FusionWeights)
    rerank: RerankWeights = field(default_factory=RerankWeights)
    curve: ProbabilityCurve = field(default_factory=ProbabilityCurve)
    passage_curve: ProbabilityCurve = _PASSAGE_CURVE
    thresholds: Thresholds = field(default_factory=Thresholds)
