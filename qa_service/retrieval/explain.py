"""The numbers behind a ranking, taken from the same index and reranker that made it. It ranks nothing itself."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from qa_service.domain.explanation import ExplainedHit
from qa_service.domain.hit import Hit
from qa_service.retrieval.entries import row_texts
from qa_service.retrieval.features import Candidate
from qa_service.retrieval.shelf import RERANKED, Shelf


def explain_hits(shelf: Shelf, text: str, hits: Sequence[Hit]) -> tuple[ExplainedHit, ...]:
    """Explain the candidates that `shelf` gave for `text`, in their order."""
    terms = _terms(shelf, text, hits)
    signs = _signs(shelf, text, hits[:RERANKED])
    return tuple(
        ExplainedHit(
            hit=hit,
            question=shelf.entries[hit.entry].question,
            terms=terms[place],
            signs=signs[place] if place < len(signs) else {},
        )
        for place, hit in enumerate(hits)
    )


def _terms(shelf: Shelf, text: str, hits: Sequence[Hit]) -> list[Mapping[str, float]]:
    """Give what each token adds to the keyword score of each hit's wording, a token at a time for all hits."""
    rows = np.array([_row(shelf, hit) for hit in hits], dtype=np.int32)
    counts = Counter(shelf.tokeniser.tokens(text))
    counted = shelf.spelling_counts(text, rows)
    scores = {
        token: (shelf.keyword.score_rows([token] * times, rows) * counted).tolist() for token, times in counts.items()
    }
    return [{token: column[place] for token, column in scores.items() if column[place]} for place in range(len(hits))]


def _row(shelf: Shelf, hit: Hit) -> int:
    return int(shelf.entries.first_rows[hit.entry]) + row_texts(shelf.entries[hit.entry]).index(hit.wording)


def _signs(shelf: Shelf, text: str, hits: Sequence[Hit]) -> Sequence[Mapping[str, float]]:
    return shelf.reranker.signs(text, [Candidate(entry=shelf.entries[hit.entry], hit=hit) for hit in hits])
