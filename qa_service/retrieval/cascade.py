"""The quick look: the FAQ ranked with the built-in encoder's vectors, so that a slow model is asked less often.

It holds only what differs from the shelf that the named encoder searches; entries and keyword index are that shelf's
own. It knows no snapshot, and it does not know what a slower model would have said.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qa_service.domain.hit import Ranking
from qa_service.domain.stopwatch import Stopwatch
from qa_service.retrieval.calibration import Calibration
from qa_service.retrieval.encoder import Encoder
from qa_service.retrieval.meanings import Meanings
from qa_service.retrieval.rerank import LightReranker
from qa_service.retrieval.shelf import Shelf
from qa_service.retrieval.vectors import VectorIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickLook:
    """A second encoder with its vectors of the FAQ, and the numbers that fit its scores."""

    encoder: Encoder
    vectors: VectorIndex
    meanings: Meanings
    calibration: Calibration

    def sure(self, faq: Shelf, texts: Sequence[str], watch: Stopwatch) -> list[Ranking | None]:
        """Rank the FAQ for each text; None where the ranking is not sure. All of it counts as the stage `quick`."""
        with watch("quick"):
            shelf, encoded = self.over(faq), self.encoder.encode(texts)
            likely = [place for place, agreed in enumerate(shelf.legs_agree(texts, encoded)) if agreed]
            found: list[Ranking | None] = [None] * len(texts)
            ranked = shelf.rank([texts[place] for place in likely], encoded[likely], Stopwatch())
            for place, ranking in zip(likely, ranked, strict=True):
                if is_sure(ranking, self.calibration.cascade.margin):
                    found[place] = replace(ranking, quick=True)
            return found

    def rank(self, faq: Shelf, texts: Sequence[str]) -> list[Ranking]:
        """Rank the FAQ for each text, however unsure."""
        rankings = self.over(faq).rank(texts, self.encoder.encode(texts), Stopwatch())
        return [replace(ranking, quick=True) for ranking in rankings]

    def over(self, faq: Shelf) -> Shelf:
        """Give the shelf as this encoder sees it."""
        reranker = faq.reranker
        if isinstance(reranker, LightReranker):
            reranker = reranker.under(self.calibration.rerank)
        return replace(
            faq, vectors=self.vectors, meanings=self.meanings, calibration=self.calibration, reranker=reranker
        )


def open_quick_look(folder: Path, encoder: Encoder, calibration: Calibration) -> QuickLook:
    """Open the vectors of a quick look under a snapshot's calibration; SnapshotError when they cannot be."""
    own = calibration.cascade
    return QuickLook(
        encoder=encoder,
        vectors=VectorIndex.open(folder / "vectors"),
        meanings=Meanings(folder),
        calibration=replace(
            calibration, fusion=own.fusion, rerank=own.rerank, curve=own.curve, scope_curve=own.scope_curve
        ),
    )


def is_sure(ranking: Ranking, margin: float) -> bool:
    """Whether a quick look is enough: keyword, vector and reranker put the same entry first, clearly before the next.

    `margin` is the least lead of its reranked score that is clear.
    """
    return agrees(ranking) and lead(ranking) >= margin


def agrees(ranking: Ranking) -> bool:
    """Whether no entry has a higher keyword score or cosine than the one that the reranker put first."""
    best = ranking.best
    if best is None or best.keyword <= 0:
        return False
    return all(best.keyword >= hit.keyword and best.vector >= hit.vector for hit in ranking.hits)


def lead(ranking: Ranking) -> float:
    """Give how far the first entry's reranked score is above the second one's; above 0 where it is alone."""
    scores = [hit.reranked for hit in ranking.hits[:2]]
    return scores[0] - (scores[1] if len(scores) > 1 else 0.0) if scores else 0.0
