"""Fitting BM25 to token lists and laying its scores out by term, for `keyword.py` to map. It answers no question."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rank_bm25 import BM25Okapi

from qa_service.domain.errors import SnapshotError

Rows = NDArray[np.int32]
Doubles = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

K1, B, EPSILON = 1.5, 0.75, 0.25  # rank_bm25's own defaults
ARRAYS = ("terms", "idfs", "ceilings", "dense_of", "starts", "rows", "impacts", "dense", "mean_length")
DENSE_SHARE = 20  # a term in more than one row of 20 is kept as a line of floats: adding it beats scattering it
_HASHES_KEPT = 131_072


def build_keyword(rows: Sequence[Sequence[str]], folder: Path) -> None:
    """Fit BM25 to the tokens of each row and write the index into `folder`, which is made where it is missing.

    Raises:
        SnapshotError: two terms share a 64-bit hash (one in 10^13 for a vocabulary of a million).
    """
    folder.mkdir(parents=True, exist_ok=True)
    # BM25Okapi divides by zero where there is no term at all.
    arrays = _compiled(rows) if any(rows) else _without_terms(len(rows))
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", arrays[name], allow_pickle=False)


@lru_cache(_HASHES_KEPT)
def hash_of(term: str) -> int:
    """Give the 64-bit number that stands for a term in the vocabulary."""
    return int.from_bytes(hashlib.blake2b(term.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def check_distinct(sorted_hashes: NDArray[np.uint64]) -> None:
    """Raise SnapshotError where two neighbours are equal: the postings of two terms would be one."""
    if bool((sorted_hashes[1:] == sorted_hashes[:-1]).any()):
        raise SnapshotError("two terms share a 64-bit hash; change or leave out one wording and build again")


def _without_terms(row_count: int) -> Arrays:
    nothing = np.empty(0, np.int32)
    postings = _laid_out(nothing, nothing, np.empty(0), np.empty(0), row_count)
    return postings | {"terms": np.empty(0, np.uint64), "idfs": np.empty(0), "mean_length": np.zeros(())}


def _compiled(rows: Sequence[Sequence[str]]) -> Arrays:
    """Fit BM25Okapi, then lay out its scores by term. Impacts are computed in float64 in its own order."""
    fit = BM25Okapi(rows, k1=K1, b=B, epsilon=EPSILON)
    hashes = np.fromiter(map(hash_of, fit.idf), np.uint64, len(fit.idf))
    order = np.argsort(hashes)
    check_distinct(hashes[order])
    place_of = dict(zip([*fit.idf], np.argsort(order).tolist(), strict=True))
    idfs = np.fromiter(fit.idf.values(), np.float64, len(fit.idf))[order]

    widths = np.fromiter(map(len, fit.doc_freqs), np.int64, len(rows))
    size = int(widths.sum())
    row_of = np.repeat(np.arange(len(rows), dtype=np.int32), widths)
    places = np.fromiter(map(place_of.__getitem__, chain.from_iterable(fit.doc_freqs)), np.int32, size)
    frequencies = np.fromiter(chain.from_iterable(map(dict.values, fit.doc_freqs)), np.int64, size)
    norms = K1 * (1 - B + B * np.array(fit.doc_len) / fit.avgdl)
    impacts = idfs[places] * (frequencies * (K1 + 1) / (frequencies + norms[row_of]))
    postings = _laid_out(places, row_of, impacts, idfs, len(rows))
    return postings | {"terms": hashes[order], "idfs": idfs, "mean_length": np.array(fit.avgdl)}


def _laid_out(places: Rows, row_of: Rows, impacts: Doubles, idfs: Doubles, row_count: int) -> Arrays:
    """Frequent terms become lines of floats, the others stay postings, by term and then by row."""
    widths = np.bincount(places, minlength=len(idfs))
    # A term of weight 0 stays a posting: in a line, the rows that hold it could not be told from the others.
    is_dense = (widths * DENSE_SHARE > row_count) & (idfs != 0)
    dense_of = np.where(is_dense, np.cumsum(is_dense) - 1, -1).astype(np.int32)
    in_line = is_dense[places]
    dense = np.zeros((int(is_dense.sum()), row_count), np.float32)
    dense[dense_of[places[in_line]], row_of[in_line]] = impacts[in_line]
    sparse = np.flatnonzero(~in_line)
    sparse = sparse[np.argsort(places[sparse], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(np.where(is_dense, 0, widths))]).astype(np.int64)
    postings: Arrays = {"starts": starts, "rows": row_of[sparse], "impacts": impacts[sparse].astype(np.float32)}
    ceilings = np.zeros(len(idfs), np.float32)
    np.maximum.at(ceilings, places, np.abs(impacts).astype(np.float32))
    return postings | {"dense_of": dense_of, "dense": dense, "ceilings": ceilings}
