"""The vector index gives what NumPy gives, from mapped files, and refuses files that are not what was built."""

from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qa_service.domain.errors import ModelError, SnapshotError
from qa_service.retrieval.vectors import (
    CARD_FILE,
    INDEX_FILE,
    NOTHING,
    ROWS_FILE,
    WORST,
    VectorIndex,
    VectorKind,
    build_vectors,
)


def _random(rows: int, dimension: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, dimension), dtype=np.float32)


def _clustered(rows: int, dimension: int, seed: int) -> NDArray[np.float32]:
    """Like wordings of entries: groups of neighbours around common centres, the same for every seed."""
    centres = _random(60, dimension, 99)
    chosen = np.random.default_rng(seed).integers(0, len(centres), rows)
    return (centres[chosen] + 0.7 * _random(rows, dimension, seed)).astype(np.float32)


def _cosines(queries: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The oracle: every cosine, in double precision, 0 where a vector is all zeros."""

    def unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1.0)

    return (unit(queries) @ unit(rows).T).astype(np.float32)


@given(
    rows=st.integers(1, 60),
    dimension=st.integers(1, 40),
    queries=st.integers(1, 20),
    k=st.integers(1, 70),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_a_flat_search_gives_the_best_cosines_of_the_numpy_oracle(
    tmp_path_factory: pytest.TempPathFactory, rows: int, dimension: int, queries: int, k: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("flat")
    stored, asked = _random(rows, dimension, seed), _random(queries, dimension, seed ^ 1)
    build_vectors(stored, folder)
    hits = VectorIndex.open(folder).search(asked, k)
    cosines = _cosines(asked, stored)
    found = min(k, rows)
    best = -np.sort(-cosines, axis=1)[:, :found]
    np.testing.assert_allclose(hits.scores[:, :found], best, atol=2e-3)  # rows are kept in half precision
    np.testing.assert_allclose(
        hits.scores[:, :found], np.take_along_axis(cosines, hits.rows[:, :found].astype(np.int64), axis=1), atol=2e-3
    )
    assert (hits.rows[:, found:] == NOTHING).all()
    assert (hits.scores[:, found:] == WORST).all()


@pytest.mark.parametrize(
    ("kind", "dimension", "pq_rows"),
    [
        (VectorKind.PQ, 384, 10_000),
        (VectorKind.PQ, 33, 10_000),
        (VectorKind.IVF, 384, 1000),
        (VectorKind.IVF, 48, 1000),
    ],
)
def test_an_approximate_search_finds_95_of_100_true_neighbours(
    tmp_path: Path, kind: VectorKind, dimension: int, pq_rows: int
) -> None:
    stored, asked = _clustered(3000, dimension, 1), _clustered(100, dimension, 2)
    assert build_vectors(stored, tmp_path, flat_rows=500, pq_rows=pq_rows) is kind
    index = VectorIndex.open(tmp_path)
    assert index.kind is kind
    hits = index.search(asked, 10)
    true = np.argsort(-_cosines(asked, stored), axis=1)[:, :10]
    recall = np.mean([len(set(found) & set(wanted)) / 10 for found, wanted in zip(hits.rows, true, strict=True)])
    assert recall >= 0.95
    assert (np.diff(hits.scores, axis=1) <= 0).all()


@pytest.mark.parametrize(("flat_rows", "pq_rows"), [(5000, 5000), (500, 5000), (500, 1000)])
def test_the_scores_of_a_search_are_those_of_its_rows_whatever_the_kind(
    tmp_path: Path, flat_rows: int, pq_rows: int
) -> None:
    build_vectors(_clustered(2000, 64, 1), tmp_path, flat_rows=flat_rows, pq_rows=pq_rows)
    index = VectorIndex.open(tmp_path)
    query = _clustered(1, 64, 3)
    hits = index.search(query, 20)
    np.testing.assert_allclose(index.score_rows(query[0], hits.rows[0]), hits.scores[0], atol=1e-6)


@pytest.mark.parametrize("flat_rows", [5000, 500])
def test_equal_scores_go_by_row(tmp_path: Path, flat_rows: int) -> None:
    stored = _clustered(1000, 64, 1)
    stored[[7, 400, 13]] = stored[900]
    build_vectors(stored, tmp_path, flat_rows=flat_rows)
    hits = VectorIndex.open(tmp_path).search(stored[900:901], 4)
    assert hits.rows[0].tolist() == [7, 13, 400, 900]


@pytest.mark.parametrize(("flat_rows", "pq_rows"), [(5000, 5000), (100, 5000), (100, 200)])
def test_asking_for_more_rows_than_there_are_gives_each_at_most_once(
    tmp_path: Path, flat_rows: int, pq_rows: int
) -> None:
    build_vectors(_clustered(700, 64, 1), tmp_path, flat_rows=flat_rows, pq_rows=pq_rows)
    hits = VectorIndex.open(tmp_path).search(_clustered(3, 64, 2), 1000)
    assert hits.rows.shape == hits.scores.shape == (3, 1000)
    for row in hits.rows:
        found = row[row != NOTHING].tolist()
        assert len(found) == len(set(found)) > 0
        assert (row[len(found) :] == NOTHING).all()


def test_an_empty_base_is_an_index_that_finds_nothing(tmp_path: Path) -> None:
    assert build_vectors(np.zeros((0, 384), np.float32), tmp_path) is VectorKind.FLAT
    index = VectorIndex.open(tmp_path)
    assert (len(index), index.dimension) == (0, 384)
    hits = index.search(_random(2, 384, 0), 5)
    assert (hits.rows == NOTHING).all()
    assert (hits.scores == WORST).all()
    assert index.score_rows(_random(1, 384, 0)[0], np.zeros(0, np.int64)).shape == (0,)


def test_no_queries_and_no_places_give_empty_hits(tmp_path: Path) -> None:
    build_vectors(_random(5, 8, 0), tmp_path)
    index = VectorIndex.open(tmp_path)
    assert index.search(np.zeros((0, 8), np.float32), 3).rows.shape == (0, 3)
    assert index.search(_random(2, 8, 1), 0).rows.shape == (2, 0)


@pytest.mark.parametrize(("flat_rows", "pq_rows"), [(5000, 5000), (100, 5000), (100, 200)])
def test_vectors_of_zeros_find_nothing_and_never_make_nan(tmp_path: Path, flat_rows: int, pq_rows: int) -> None:
    stored = _clustered(700, 64, 1)
    stored[::3] = 0.0
    build_vectors(stored, tmp_path, flat_rows=flat_rows, pq_rows=pq_rows)
    index = VectorIndex.open(tmp_path)
    queries = _clustered(3, 64, 2)
    queries[1] = 0.0
    hits = index.search(queries, 700)
    assert not np.isnan(hits.scores).any()
    assert (hits.rows[1] == NOTHING).all()
    assert hits.rows[0][0] != NOTHING
    assert index.score_rows(queries[0], np.array([0]))[0] == 0.0
    assert index.score_rows(queries[1], np.array([1]))[0] == 0.0


def test_a_vectors_length_does_not_matter(tmp_path: Path) -> None:
    stored = _random(50, 16, 0)
    stretched = stored * np.linspace(0.1, 9.0, 50, dtype=np.float32)[:, None]
    build_vectors(stored, tmp_path / "a")
    build_vectors(stretched, tmp_path / "b")
    query = _random(1, 16, 1)
    plain = VectorIndex.open(tmp_path / "a").search(query, 10)
    other = VectorIndex.open(tmp_path / "b").search(query * 7, 10)
    assert plain.rows.tolist() == other.rows.tolist()
    np.testing.assert_allclose(plain.scores, other.scores, atol=1e-3)


def test_rows_are_mapped_read_only(tmp_path: Path) -> None:
    build_vectors(_random(50, 16, 0), tmp_path)
    stored = VectorIndex.open(tmp_path)._stored
    assert isinstance(stored, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        stored[0, 0] = 1.0


def test_an_opened_index_searches_on_one_thread(tmp_path: Path) -> None:
    build_vectors(_random(50, 16, 0), tmp_path)
    faiss.omp_set_num_threads(2)
    VectorIndex.open(tmp_path)
    assert faiss.omp_get_max_threads() == 1


def test_short_vectors_are_searched_exactly_however_many_they_are(tmp_path: Path) -> None:
    assert build_vectors(_random(600, 8, 0), tmp_path, flat_rows=10, pq_rows=20) is VectorKind.FLAT


@pytest.mark.parametrize("missing", [INDEX_FILE, ROWS_FILE, CARD_FILE])
def test_a_missing_file_makes_the_snapshot_unusable(tmp_path: Path, missing: str) -> None:
    build_vectors(_random(50, 16, 0), tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(SnapshotError, match=missing):
        VectorIndex.open(tmp_path)


@pytest.mark.parametrize("flat_rows", [5000, 100])
@pytest.mark.parametrize("damaged", [INDEX_FILE, ROWS_FILE, CARD_FILE])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_a_file_cut_short_is_refused(tmp_path: Path, damaged: str, kept: float, flat_rows: int) -> None:
    build_vectors(_clustered(700, 64, 1), tmp_path, flat_rows=flat_rows)
    path = tmp_path / damaged
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(SnapshotError, match=damaged):
        VectorIndex.open(tmp_path)


@pytest.mark.parametrize("damaged", [INDEX_FILE, ROWS_FILE, CARD_FILE])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, damaged: str) -> None:
    build_vectors(_random(50, 16, 0), tmp_path)
    path = tmp_path / damaged
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(SnapshotError, match=damaged):
        VectorIndex.open(tmp_path)


def test_files_of_two_builds_do_not_mix(tmp_path: Path) -> None:
    build_vectors(_random(50, 16, 0), tmp_path / "a")
    build_vectors(_random(50, 24, 0), tmp_path / "b")
    (tmp_path / "b" / ROWS_FILE).replace(tmp_path / "a" / ROWS_FILE)
    with pytest.raises(SnapshotError, match=r"\(50, 24\).*\(50, 16\)"):
        VectorIndex.open(tmp_path / "a")


def test_a_query_of_another_dimension_is_refused_with_both_numbers(tmp_path: Path) -> None:
    build_vectors(_random(50, 16, 0), tmp_path)
    index = VectorIndex.open(tmp_path)
    with pytest.raises(ModelError, match=r"24 dimensions.*16"):
        index.search(_random(1, 24, 1), 5)
    with pytest.raises(ModelError, match=r"24 dimensions.*16"):
        index.score_rows(_random(1, 24, 1)[0], np.array([0]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_encoder_that_gives_no_numbers_builds_nothing(tmp_path: Path, bad: float) -> None:
    stored = _random(5, 8, 0)
    stored[2, 3] = bad
    with pytest.raises(ModelError, match="NaN"):
        build_vectors(stored, tmp_path)
    assert not list(tmp_path.iterdir())
