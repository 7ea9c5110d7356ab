"""Nearest vectors by cosine: FAISS proposes rows, the stored vectors score them. It knows no texts and no entries.

A folder holds `vectors.faiss` (what is searched), `vectors.f16.npy` (every row, for exact scores) and `vectors.json`
(what the two must be). All are memory-mapped and read-only. FAISS may crash on a file whose bytes were changed:
whoever opens a folder that it did not just build checks the snapshot's hashes first.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

import faiss
import msgspec
import numpy as np
from numpy.typing import NDArray

from qa_service.domain.errors import ModelError, SnapshotError

INDEX_FILE, ROWS_FILE, CARD_FILE = "vectors.faiss", "vectors.f16.npy", "vectors.json"
FLAT_ROWS = 20_000  # exact to here: 1.4 ms a question of 384 dimensions, 0.3 ms in batches of 64
PQ_ROWS = 200_000  # every code is read to here: 1.2 ms a question, recall@10 0.99
NOTHING = -1  # the row of "no more was found"
WORST = -1.0  # its score: no cosine is lower

_LEAST_DIMENSION = 32  # 4-bit codes of shorter vectors say too little (recall@10 0.93 at 8)
_REFINED = 4  # so many times the rows asked for are looked at again
_SPARE_ROWS = 16  # and so many more are scored exactly, as 8-bit scores confuse close neighbours
_ROWS_A_LIST = 300
_PROBED_SHARE = 4  # every fourth list is probed: hashed spelling clusters badly (300,000 rows: recall@10 0.93, 0.6 ms)
_TRAINING_ROWS_A_LIST = 64
_BLAS_FROM_QUERIES = 3  # below, FAISS's own loop beats a matrix product (20,000 rows: 1.1 against 3.0 ms for one)


class VectorKind(StrEnum):
    """How the rows are searched; chosen by their number."""

    FLAT = "flat"  # every row, exactly
    PQ = "pq"  # every row's 4-bit product codes, the best looked at again
    IVF = "ivf"  # the codes of the nearest clusters only


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorHits:
    """The nearest rows of each query, best first.

    `rows` int32 (queries, k), NOTHING where no more was found; `scores` float32 (queries, k), cosines from -1 to 1,
    WORST where no more was found. Equal scores go by row.
    """

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]


class _Card(msgspec.Struct, frozen=True, kw_only=True):
    """What `vectors.json` says of its two neighbours."""

    kind: VectorKind
    rows: int
    dimension: int
    index_bytes: int


def build_vectors(
    vectors: NDArray[np.float32], folder: Path, *, flat_rows: int = FLAT_ROWS, pq_rows: int = PQ_ROWS
) -> VectorKind:
    """Write the three files of float32 (rows, dimension) into `folder`, which is made where it is missing.

    Rows are scaled to length 1; rows of zeros stay and are like nothing. More than `flat_rows` are searched by their
    codes, more than `pq_rows` in clusters.

    Raises:
        ModelError: a vector holds NaN or infinity.
    """
    if not np.isfinite(vectors).all():
        raise ModelError("the encoder gave vectors with NaN or infinity: its weights are damaged")
    unit = _unit(vectors)
    count, dimension = unit.shape
    kind = _choose(count, dimension, flat_rows, pq_rows)
    index = _fill(kind, unit)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / ROWS_FILE, unit.astype(np.float16))
    faiss.write_index(index, str(folder / INDEX_FILE))
    index_bytes = (folder / INDEX_FILE).stat().st_size
    card = _Card(kind=kind, rows=count, dimension=dimension, index_bytes=index_bytes)
    (folder / CARD_FILE).write_bytes(msgspec.json.encode(card))
    return kind


class VectorIndex:
    """An opened folder. Safe to search from several threads; each search uses one."""

    def __init__(self, card: _Card, index: faiss.Index, stored: NDArray[np.float16]) -> None:
        self._card = card
        self._index = index
        self._stored = stored
        # NumPy widens half floats one by one (15 ms for 64 questions); a table of all of them takes 1.7 ms.
        self._widened = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map the files of a folder; reads little of them.

        Raises:
            SnapshotError: a file is missing, damaged, cut short, or does not fit the others.
        """
        card = _read_card(folder / CARD_FILE)
        stored = _map_rows(folder / ROWS_FILE, card)
        index = _map_index(folder / INDEX_FILE, card)
        # Both are settings of the whole process: shared cores make two threads slower, and FAISS compares its
        # threshold with queries x dimension.
        faiss.omp_set_num_threads(1)
        faiss.cvar.distance_compute_blas_threshold = _BLAS_FROM_QUERIES * card.dimension
        return cls(card, index, stored)

    def __len__(self) -> int:
        return self._card.rows

    @property
    def kind(self) -> VectorKind:
        """How the rows are searched."""
        return self._card.kind

    @property
    def dimension(self) -> int:
        """The length of each vector."""
        return self._card.dimension

    def search(self, queries: NDArray[np.float32], k: int) -> VectorHits:
        """Find up to `k` nearest rows of each query, float32 (queries, dimension) of any length.

        A query of zeros finds nothing. Scores are those of `score_rows`, whatever the kind.

        Raises:
            ModelError: the queries have another dimension than the index.
        """
        self._check_dimension(queries.shape[-1])
        unit = _unit(queries)
        rows = np.full((len(unit), k), NOTHING, np.int32)
        scores = np.full((len(unit), k), WORST, np.float32)
        wanted = min(k + _SPARE_ROWS, len(self))
        asked = np.flatnonzero(unit.any(axis=1))
        if k > 0 and wanted > 0 and len(asked):
            found = self._index.search(unit[asked], wanted)[1]
            ranked, exact = self._rank(unit[asked], found)
            rows[asked, : min(k, wanted)] = ranked[:, :k]
            scores[asked, : min(k, wanted)] = exact[:, :k]
        return VectorHits(rows=rows, scores=scores)

    def score_rows(self, query: NDArray[np.float32], rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Give the exact cosine of one query (dimension,) and each of the rows: float32 (rows,).

        Raises:
            ModelError: the query has another dimension than the index.
        """
        self._check_dimension(query.shape[-1])
        scores: NDArray[np.float32] = self._rows(rows) @ _unit(query[None, :])[0]
        return scores

    def _rank(
        self, unit: NDArray[np.float32], found: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Order what FAISS found by exact scores, then by row; what it did not find comes last."""
        exact = np.matmul(self._rows(np.maximum(found, 0)), unit[:, :, None])[:, :, 0]
        missing = found == NOTHING
        order = np.lexsort((found, -exact, missing), axis=-1)
        exact[missing] = WORST
        return np.take_along_axis(found, order, axis=1), np.take_along_axis(exact, order, axis=1)

    def _rows(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        widened: NDArray[np.float32] = np.take(self._widened, self._stored[rows].view(np.uint16))
        return widened

    def _check_dimension(self, dimension: int) -> None:
        if dimension != self.dimension:
            raise ModelError(
                f"the encoder gives {dimension} dimensions, the index was built with {self.dimension}: "
                "name the encoder of the build, or build the index again"
            )


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each row to length 1; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.zeros(vectors.shape, np.float32)
    np.divide(vectors, lengths, out=unit, where=lengths > 0)
    return unit


def _choose(rows: int, dimension: int, flat_rows: int, pq_rows: int) -> VectorKind:
    if rows <= flat_rows or dimension < _LEAST_DIMENSION:
        return VectorKind.FLAT
    return VectorKind.PQ if rows <= pq_rows else VectorKind.IVF


def _fill(kind: VectorKind, unit: NDArray[np.float32]) -> faiss.Index:
    count, dimension = unit.shape
    if kind is VectorKind.FLAT:
        index = faiss.IndexFlatIP(dimension)
        index.add(unit)
        return index
    pieces = dimension // 2 if dimension % 2 == 0 else dimension
    lists = max(count // _ROWS_A_LIST, 1)
    clusters = f"IVF{lists}," if kind is VectorKind.IVF else ""
    refined = faiss.index_factory(dimension, f"{clusters}PQ{pieces}x4fs,Refine(SQ8)", faiss.METRIC_INNER_PRODUCT)
    assert isinstance(refined, faiss.IndexRefine)
    refined.k_factor = _REFINED
    if kind is VectorKind.IVF:
        inverted = faiss.extract_index_ivf(refined)
        inverted.nprobe = max(lists // _PROBED_SHARE, 1)
        inverted.cp.max_points_per_centroid = _TRAINING_ROWS_A_LIST
    refined.train(unit)
    refined.add(unit)
    return refined


def _read_card(path: Path) -> _Card:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Card)
    except (OSError, msgspec.MsgspecError) as error:
        raise SnapshotError(f"{path} cannot be read ({error}): build the index again") from error


def _map_rows(path: Path, card: _Card) -> NDArray[np.float16]:
    try:
        stored: NDArray[np.float16] = np.load(path, mmap_mode="r" if card.rows else None)  # nothing cannot be mapped
    except (OSError, ValueError, EOFError) as error:
        raise SnapshotError(f"{path} cannot be read ({error}): build the index again") from error
    if stored.shape != (card.rows, card.dimension) or stored.dtype != np.float16:
        raise SnapshotError(
            f"{path} holds {stored.dtype} {stored.shape}, and {CARD_FILE} promises float16 "
            f"({card.rows}, {card.dimension}): build the index again"
        )
    return stored


def _map_index(path: Path, card: _Card) -> faiss.Index:
    # The length is looked at first: FAISS crashes the process on some files that were cut short.
    try:
        if path.stat().st_size != card.index_bytes:
            raise SnapshotError(f"{path} has another length than when it was built: build the index again")
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except (OSError, RuntimeError) as error:
        raise SnapshotError(f"{path} cannot be read ({error}): build the index again") from error
    if (index.ntotal, index.d) != (card.rows, card.dimension):
        raise SnapshotError(f"{path} does not fit {CARD_FILE}: build the index again")
    return index
