"""One collection of a snapshot (the FAQ, or the passages): both legs, fusion and rerank. It knows no decision.

Each leg proposes rows (one row a wording); both scores are then computed for every candidate's rows, so that fusion
never guesses a missing one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from qa_service.domain.hit import Hit, Ranking
from qa_service.domain.stopwatch import Stopwatch
from qa_service.retrieval.calibration import Calibration
from qa_service.retrieval.entries import EntryTable, is_chinese, row_texts
from qa_service.retrieval.features import ACROSS_LANGUAGES, Candidate
from qa_service.retrieval.fusion import fuse
from qa_service.retrieval.keyword import KeywordIndex
from qa_service.retrieval.meanings import Likeness, Meanings
from qa_service.retrieval.rerank import Reranker, chance_in_scope, probabilities
from qa_service.retrieval.tokens import Tokeniser
from qa_service.retrieval.vectors import VectorIndex

_PROPOSED_ROWS = 64  # by each leg
_CANDIDATES = 48  # entries that are scored exactly
RERANKED = 20  # entries that get the second look
_BEST_ROWS = 8  # of a leg that may share the best score
_ROWS_PER_ENTRY = 32  # of an entry with more wordings, the proposed ones come first

Rows = NDArray[np.int64]


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The opened files of one collection, with what searches them.

    `clock` tells (aware) when a question is asked.
    """

    entries: EntryTable
    keyword: KeywordIndex
    vectors: VectorIndex
    meanings: Meanings
    tokeniser: Tokeniser
    reranker: Reranker
    calibration: Calibration
    clock: Callable[[], datetime] = _utc_now

    def rank(self, texts: Sequence[str], encoded: NDArray[np.float32], watch: Stopwatch) -> list[Ranking]:
        """Rank the entries that are valid now for each text.

        `encoded` holds the texts' vectors, float32 (texts, dimension); `watch` counts the stages.
        """
        if not len(self.entries):
            return [Ranking() for _ in texts]
        with watch("vectors"):
            nearest = self.vectors.search(encoded, _PROPOSED_ROWS)
        return [self._rank_one(text, encoded[i], nearest.rows[i], watch) for i, text in enumerate(texts)]

    def legs_agree(self, texts: Sequence[str], encoded: NDArray[np.float32]) -> list[bool]:
        """Tell for each text whether one entry is the best of both legs: far cheaper than ranking."""
        nearest = self.vectors.search(encoded, _BEST_ROWS)
        agreed = []
        for text, rows, scores in zip(texts, nearest.rows, nearest.scores, strict=True):
            tokens = self.tokeniser.tokens(text)
            by_keyword = self.keyword.top(tokens, _BEST_ROWS).rows.astype(np.int64)
            legs = (by_keyword, self._keyword_ratios(text, tokens, by_keyword)), (rows[rows >= 0], scores[rows >= 0])
            one, other = (set(self.entries.owners(own[of == of.max(initial=-1.0)]).tolist()) for own, of in legs)
            agreed.append(not one.isdisjoint(other))
        return agreed

    def _rank_one(
        self, text: str, vector: NDArray[np.float32], nearest: NDArray[np.int32], watch: Stopwatch
    ) -> Ranking:
        with watch("keyword"):
            tokens = self.tokeniser.tokens(text)
            by_keyword = self.keyword.top(tokens, _PROPOSED_ROWS).rows
        by_vector = nearest[nearest >= 0]
        if not len(by_keyword) and not vector.any():
            return Ranking()
        with watch("fuse"):
            candidates = self._fuse(text, tokens, vector, _interleave(by_keyword, by_vector))
        with watch("rerank"):
            return self._rerank(text, candidates)

    def _fuse(self, text: str, tokens: Sequence[str], vector: NDArray[np.float32], proposed: Rows) -> list[Candidate]:
        """Score every row of the proposed entries on both legs; give the entries, best fused first."""
        rows, starts, entries = self._candidate_rows(proposed)
        if not len(entries):
            return []
        keyword = self._keyword_ratios(text, tokens, rows)
        fused = fuse(keyword, self.vectors.score_rows(vector, rows), starts, self.calibration.fusion)
        order = np.lexsort((entries, -fused.score))
        closely = self.meanings.likeness(vector, entries[order[:RERANKED]])
        candidates: list[Candidate] = []
        for rank, place in enumerate(order.tolist()):
            position, score = int(entries[place]), float(fused.score[place])
            entry = self.entries[position]
            wording = row_texts(entry)[int(rows[fused.best_row[place]] - self.entries.first_rows[position])]
            hit = Hit(
                entry=position,
                entry_id=entry.id,
                wording=wording,
                keyword=float(fused.keyword[place]),
                vector=float(fused.vector[place]),
                fused=score,
                **(_cosines(closely[rank]) if rank < RERANKED else {}),
            )
            candidates.append(Candidate(entry=entry, hit=hit))
        return candidates

    def _keyword_ratios(self, text: str, tokens: Sequence[str], rows: Rows) -> NDArray[np.float32]:
        """Give the rows' BM25 over the question's own, float32 (rows,)."""
        best_possible = self.keyword.self_score(tokens)
        if best_possible <= 0:  # BM25 has nothing to say: in one or two rows
            return np.zeros(len(rows), np.float32)
        ratios = self.keyword.score_rows(tokens, rows.astype(np.int32)) / best_possible
        return (ratios * self.spelling_counts(text, rows)).astype(np.float32)

    def spelling_counts(self, text: str, rows: NDArray[np.integer]) -> NDArray[np.float64]:
        """Give how much of a common word counts (0 to 1) between a question and some rows, float64 (rows,)."""
        if is_chinese(text):
            return np.ones(len(rows))
        return np.where(self.entries.is_chinese[rows], ACROSS_LANGUAGES, 1.0)

    def _candidate_rows(self, proposed: Rows) -> tuple[Rows, Rows, Rows]:
        """Give all rows of the first valid entries proposed, where each entry's begin, and the entries; all int64."""
        first_rows = self.entries.first_rows
        owners = self.entries.owners(proposed)
        now = self.clock()
        valid = (entry for entry in dict.fromkeys(owners.tolist()) if self.entries[entry].is_valid_at(now))
        entries = list(islice(valid, _CANDIDATES))
        groups = [np.empty(0, np.int64)]
        for entry in entries:
            own = np.arange(first_rows[entry], first_rows[entry + 1])
            if len(own) > _ROWS_PER_ENTRY:
                own = np.unique(np.concatenate([proposed[owners == entry], own])[:_ROWS_PER_ENTRY])
            groups.append(own)
        starts = np.cumsum([len(group) for group in groups[:-1]], dtype=np.int64)
        return np.concatenate(groups), starts, np.array(entries, np.int64)

    def _rerank(self, text: str, candidates: Sequence[Candidate]) -> Ranking:
        scores = self.reranker.score(text, candidates[:RERANKED])
        order = np.argsort(-scores, kind="stable")
        chances = probabilities(scores[order], self.calibration.curve)
        in_scope = chance_in_scope(scores[order], self.calibration.scope_curve)
        looked_at = [
            _with_scores(candidates[i].hit, reranked=float(scores[i]), probability=float(chance))
            for i, chance in zip(order.tolist(), chances.tolist(), strict=True)
        ]
        return Ranking(hits=(*looked_at, *(candidate.hit for candidate in candidates[RERANKED:])), in_scope=in_scope)


def _cosines(likeness: Likeness) -> dict[str, float]:
    return {"centroid": likeness.centroid, "answer": likeness.answer, "not_for": likeness.not_for}


def _with_scores(hit: Hit, *, reranked: float, probability: float) -> Hit:
    # dataclasses.replace() costs five times as much, and this runs for every candidate of every question
    return Hit(
        entry=hit.entry,
        entry_id=hit.entry_id,
        wording=hit.wording,
        keyword=hit.keyword,
        vector=hit.vector,
        fused=hit.fused,
        centroid=hit.centroid,
        answer=hit.answer,
        not_for=hit.not_for,
        reranked=reranked,
        probability=probability,
    )


def _interleave(one: NDArray[np.int32], other: NDArray[np.int32]) -> Rows:
    """Give both rankings by turns, so that cutting the candidates cuts both legs alike."""
    rank = np.concatenate([np.arange(len(one)), np.arange(len(other))])
    return np.concatenate([one, other]).astype(np.int64)[np.argsort(rank, kind="stable")]
