"""BM25 from postings: rank_bm25's Okapi statistics, compiled into arrays that are mapped from disk.

It knows nothing of texts and entries: rows are lists of tokens, and a row's number is its place at build time.
In the folder: `terms` (sorted 64-bit hashes), `idfs`, `starts` (where each term's postings begin), `rows` and `impacts`
(the postings), `ceilings` (a term's greatest absolute impact), `dense_of` (its line in `dense`, or -1), `dense`
(impacts of frequent terms, one float32 per row) and `mean_length` (tokens per row).
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from qa_service.domain.errors import SnapshotError
from qa_service.retrieval.keyword_build import ARRAYS, K1, Arrays, B, Doubles, Rows, hash_of

Floats = NDArray[np.float32]

_ROUNDING = 2 * 2.0**-23  # twice what each addition in float32 may lose of the greatest possible sum
TWO_LEVEL_FROM_ROWS = 65_536  # below it one plain pass over all rows is as fast (measured)
BLOCK_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordHits:
    """The best rows of a question, best first, equal scores by row: `rows` int32 (n,), `scores` float32 (n,)."""

    rows: Rows
    scores: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    """A known term of a question: how often the question holds it, and either its postings or its dense line."""

    count: int
    ceiling: float  # its greatest absolute impact, times the count
    rows: Rows
    impacts: Floats
    line: Floats | None

    def add_to(self, sums: NDArray[Any]) -> None:
        """Add the term's impacts to the sums of all rows (float32 or float64)."""
        impacts = self.impacts if self.line is None else self.line
        if self.count > 1 or impacts.dtype != sums.dtype:  # np.add.at is 20 times slower where the types differ
            impacts = np.multiply(impacts, self.count, dtype=sums.dtype)
        if self.line is None:
            np.add.at(sums, self.rows, impacts)  # half the time of `sums[rows] += impacts` since NumPy 1.25
        else:
            sums += impacts

    def at(self, rows: Rows) -> Doubles:
        """The term's impacts at the given rows, times its count; 0.0 where a row does not hold it."""
        if self.line is not None:
            return np.asarray(self.line[rows] * np.float64(self.count), np.float64)
        places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.asarray(self.impacts[places] * np.float64(self.count) * (self.rows[places] == rows), np.float64)


class KeywordIndex:
    """An opened index. Nothing in it changes, and threads may share it. Scores are higher for better rows."""

    def __init__(self, arrays: Arrays, two_level_from: int) -> None:
        self._terms, self._idfs, self._ceilings = arrays["terms"], arrays["idfs"], arrays["ceilings"]
        self._starts, self._rows, self._impacts = arrays["starts"], arrays["rows"], arrays["impacts"]
        self._dense_of, self._dense = arrays["dense_of"], arrays["dense"]
        self._mean_length = float(arrays["mean_length"])
        self._two_level_from = two_level_from
        self._all_weigh = bool((self._idfs > 0).all())  # then a row without a score holds no term

    @classmethod
    def open(cls, folder: Path, *, two_level_from: int = TWO_LEVEL_FROM_ROWS) -> Self:
        """Map an index from disk; from `two_level_from` rows on, the best are found in two levels.

        Raises:
            SnapshotError: a file is missing or damaged.
        """
        try:
            # A plain view of the mapped memory: np.memmap's own slicing costs microseconds a term.
            arrays = {name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in ARRAYS}
        except (OSError, ValueError, TypeError, EOFError) as error:
            raise SnapshotError(f"the keyword index in {folder.name} cannot be opened: {error}") from error
        terms, rows, impacts, *of_terms = (len(arrays[name]) for name in ("terms", "rows", "impacts", *ARRAYS[1:4]))
        if of_terms != [terms] * 3 or len(arrays["starts"]) != terms + 1 or not rows == impacts == arrays["starts"][-1]:
            raise SnapshotError(f"the keyword index in {folder.name} is damaged: its files do not belong together")
        return cls(arrays, two_level_from)

    def __len__(self) -> int:
        return int(self._dense.shape[1])

    def idf(self, token: str) -> float:
        """The weight BM25 gives a token; 0.0 for one that no row holds."""
        place = self._places([token])[0]
        return float(self._idfs[place]) if place >= 0 else 0.0

    def holds(self, token: str) -> bool:
        """Whether any row holds a token."""
        return bool(self._places([token])[0] >= 0)

    def weight(self, token: str) -> float:
        """What a token tells (> 0): its idf, or that of a token in one row of a base with this one row more.

        An unknown word tells most: a question full of them is about something else.
        """
        idf = self.idf(token)
        return idf if idf > 0 else math.log1p(len(self) / 1.5)

    def scores(self, tokens: Sequence[str]) -> Floats:
        """The score of every row (float32, one per row): `BM25Okapi.get_scores` within a relative 1e-6."""
        return self._sums(self._known(tokens)).astype(np.float32)

    def score_rows(self, tokens: Sequence[str], rows: Rows) -> Floats:
        """The scores of the given rows (float32, in their order), equal to those `scores` gives them."""
        return self._sums_of_rows(self._known(tokens), rows)

    def top(self, tokens: Sequence[str], k: int) -> KeywordHits:
        """At most `k` best rows among those that hold a token of the question; none when no token is known."""
        known = self._known(tokens)
        if not known or k < 1:
            return KeywordHits(rows=np.empty(0, np.int32), scores=np.empty(0, np.float32))
        likely = self._likely(known, k) if len(self) >= self._two_level_from else None
        if likely is not None:
            return _best(likely, self._sums_of_rows(known, likely), k)
        sums = self._sums(known)
        holding = np.flatnonzero(sums).astype(np.int32) if self._all_weigh else self._holding(known)
        return _best(holding, sums[holding].astype(np.float32), k)

    def self_score(self, tokens: Sequence[str]) -> float:
        """What a row with exactly these tokens would score, at its own length: the measure of a perfect match.

        An unknown token counts as in a base with this one row more, so that a question of unknown words is far from it.
        0.0 without tokens, and where BM25 has nothing to say: in a base of one or two rows its weights are <= 0.
        """
        if not tokens or not len(self._terms):
            return 0.0
        norm = K1 * (1 - B + B * len(tokens) / self._mean_length)
        counts = Counter(tokens)
        places = self._places(counts)
        unknown_idf = math.log(len(self) + 0.5) - math.log(1.5)
        idfs = np.where(places >= 0, self._idfs[places], unknown_idf)
        frequencies = np.fromiter(counts.values(), np.float64, len(counts))
        return max(0.0, float(np.sum(frequencies * idfs * (frequencies * (K1 + 1) / (frequencies + norm)))))

    def _places(self, distinct: Collection[str]) -> NDArray[np.int64]:
        """Each token's place in the vocabulary, or -1."""
        if not len(self._terms):
            return np.full(len(distinct), -1, np.int64)
        hashes = np.fromiter(map(hash_of, distinct), np.uint64, len(distinct))
        places = np.minimum(np.searchsorted(self._terms, hashes), len(self._terms) - 1)
        return np.where(self._terms[places] == hashes, places, -1)

    def _known(self, tokens: Sequence[str]) -> list[_Term]:
        counts = Counter(tokens)
        places = self._places(counts)
        known = places[places >= 0]
        repeats = np.fromiter(counts.values(), np.int64, len(counts))[places >= 0]
        columns = (repeats, self._ceilings[known], self._starts[known], self._starts[known + 1], self._dense_of[known])
        return [
            _Term(
                count=count,
                ceiling=ceiling * count,
                rows=self._rows[begin:end],
                impacts=self._impacts[begin:end],
                line=self._dense[line] if line >= 0 else None,
            )
            for count, ceiling, begin, end, line in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def _sums(self, known: Sequence[_Term]) -> NDArray[np.float64]:
        """The scores of all rows."""
        sparse = [term for term in known if term.line is None]
        sums = np.zeros(len(self))
        if sparse:  # one pass over all postings: a call of NumPy's for each term costs more than the work
            counts = np.repeat([term.count for term in sparse], [len(term.rows) for term in sparse])
            impacts = np.concatenate([term.impacts for term in sparse]) * counts
            rows = np.concatenate([term.rows for term in sparse])
            sums = np.bincount(rows, impacts, len(self)).astype(np.float64, copy=False)
        for term in known:
            if term.line is not None:
                term.add_to(sums)
        return sums

    def _sums_of_rows(self, known: Sequence[_Term], rows: Rows) -> Floats:
        return sum((term.at(rows) for term in known), start=np.zeros(len(rows))).astype(np.float32)

    def _holding(self, known: Sequence[_Term]) -> Rows:
        """The rows that hold any of the terms, whatever their score: BM25 gives 0 or less to what most rows hold."""
        holding = np.zeros(len(self), np.bool_)
        for term in known:
            holding[term.rows] = True
            if term.line is not None:
                holding |= term.line != 0
        return np.flatnonzero(holding).astype(np.int32)

    def _likely(self, known: Sequence[_Term], k: int) -> Rows | None:
        """A few rows (ascending) among which the `k` best surely are; None when fewer than `k` score above zero.

        Rare terms are summed first. What frequent ones may add is bounded by their ceilings, so that their lines are
        read only at rows that may still win; in full where that bounds nothing. `slack` is what float32 may lose.
        """
        slack = _ROUNDING * (len(known) + 1) * sum(term.ceiling for term in known)
        frequent = [term for term in known if term.line is not None]
        sums = np.zeros(-(-len(self) // BLOCK_ROWS) * BLOCK_ROWS, np.float32)
        for term in known:
            if term.line is None:
                term.add_to(sums)
        rows = _reaching(sums, k, slack + sum(term.ceiling for term in frequent))
        if rows is None:
            for term in frequent:
                term.add_to(sums[: len(self)])
            return _reaching(sums, k, slack)
        totals = sum((term.at(rows) for term in frequent), start=sums[rows])
        return rows[totals >= _kth_best(totals, k) - slack]


def _reaching(sums: Floats, k: int, margin: float) -> Rows | None:
    """Rows whose sum is within `margin` of the `k`-th best; None when rows without a sum (0.0) are, too.

    The `k`-th best stands in one of the `k` blocks with the greatest maxima: partitioning all sums is slow (measured).
    """
    maxima = np.maximum.reduceat(sums, np.arange(0, len(sums), BLOCK_ROWS))
    best_blocks = np.argpartition(maxima, -k)[-k:] if k < len(maxima) else slice(None)
    among = sums.reshape(-1, BLOCK_ROWS)[best_blocks].ravel()
    floor = _kth_best(among, k) - margin if k <= len(among) else 0.0
    return np.flatnonzero(sums >= floor).astype(np.int32) if floor > 0 else None


def _kth_best(values: Floats | Doubles, k: int) -> float:
    return float(np.partition(values, -k)[-k])


def _best(rows: Rows, scores: Floats, k: int) -> KeywordHits:
    """The `k` best of some rows (ascending)."""
    if len(rows) > k > 0:
        kept = scores >= _kth_best(scores, k)
        rows, scores = rows[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")[:k]
    return KeywordHits(rows=rows[order], scores=scores[order])
