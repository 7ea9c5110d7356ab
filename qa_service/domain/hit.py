"""Candidates for a question and everything that was measured of them. Every score is higher-is-better."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One entry as a candidate for one question.

    `keyword` is the BM25 score of its best wording over the question's own self-score (0 to about 1), `vector` the
    cosine of its best wording (-1 to 1), `fused` their convex sum with the support of the other wordings. `centroid`,
    `answer` and `not_for` are the cosines of the middle of its wordings, of its answer, and of the likest of its
    `not_for` wordings (-1 without one); they are looked up for the best fused candidates only. `reranked` is the
    reranker's raw score, `probability` the calibrated chance (0 to 1) that the entry answers the question.
    """

    entry: int  # position in the snapshot
    entry_id: str
    wording: str  # the wording that scored best
    keyword: float
    vector: float
    fused: float
    centroid: float = 0.0
    answer: float = 0.0
    not_for: float = -1.0
    reranked: float = 0.0
    probability: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The candidates for one question, best reranked first; empty when nothing the question says is known.

    `in_scope` is the calibrated chance (0 to 1) that some entry answers, even where it is unclear which. `quick` tells
    that a quick look was enough, so that its scores are not those of the index's own encoder. `read_as` is what the
    question was taken for where it seemed to hold a slip of spelling, else "".
    """

    hits: tuple[Hit, ...] = ()
    in_scope: float = 0.0
    quick: bool = False
    read_as: str = ""

    @property
    def best(self) -> Hit | None:
        """The first candidate, if there is one."""
        return self.hits[0] if self.hits else None
