"""Keyword search against its two oracles: rank_bm25's own scores, and a full sort."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from qa_service.domain.errors import SnapshotError
from qa_service.retrieval import keyword
from qa_service.retrieval.keyword import KeywordIndex
from qa_service.retrieval.keyword_build import build_keyword, check_distinct

TWO_LEVEL = 0  # from no rows on: always
PLAIN = 10**9

WORDS = st.sampled_from([*"abcdefgh", "退款", "退", "th01"])
ROWS = st.lists(st.lists(WORDS, max_size=9), min_size=1, max_size=40)
QUESTION = st.lists(st.one_of(WORDS, st.just("unheard of")), max_size=8)


def opened(rows: list[list[str]], *, two_level_from: int = PLAIN) -> KeywordIndex:
    with TemporaryDirectory() as folder:  # what is mapped outlives its name
        build_keyword(rows, Path(folder))
        return KeywordIndex.open(Path(folder), two_level_from=two_level_from)


def sorted_top(index: KeywordIndex, rows: list[list[str]], question: list[str], k: int) -> list[tuple[int, float]]:
    scores = index.scores(question)
    holding = [row for row, tokens in enumerate(rows) if set(tokens) & set(question)]
    return [(row, float(scores[row])) for row in sorted(holding, key=lambda row: (-scores[row], row))[:k]]


def large_corpus(rows: int, seed: int = 5) -> list[list[str]]:
    """Words as frequent as in a language (Zipf), over more than one block of rows."""
    generator = np.random.default_rng(seed)
    return [[f"w{min(word, 900)}" for word in generator.zipf(1.3, generator.integers(1, 12))] for _ in range(rows)]


@settings(deadline=None, max_examples=150)
@given(rows=ROWS, question=QUESTION)
@example(rows=[["a"]], question=["a"])
@example(rows=[["a"], ["b"]], question=["a", "a"])
@example(rows=[["a", "a", "b"], [], ["a"]], question=["a", "b", "unheard of"])
def test_every_score_is_that_of_rank_bm25(rows: list[list[str]], question: list[str]) -> None:
    index = opened(rows)
    expected = BM25Okapi(rows).get_scores(question) if any(rows) else np.zeros(len(rows))
    assert index.scores(question).dtype == np.float32
    np.testing.assert_allclose(index.scores(question), expected, rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=150)
@given(rows=ROWS, question=QUESTION, k=st.integers(1, 50), two_level_from=st.sampled_from([PLAIN, TWO_LEVEL]))
def test_the_best_rows_are_those_of_a_full_sort(
    rows: list[list[str]], question: list[str], k: int, two_level_from: int
) -> None:
    index = opened(rows, two_level_from=two_level_from)
    hits = index.top(question, k)
    assert list(zip(hits.rows.tolist(), hits.scores.tolist(), strict=True)) == sorted_top(index, rows, question, k)


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, question=QUESTION, data=st.data())
def test_given_rows_score_as_they_do_among_all(rows: list[list[str]], question: list[str], data: st.DataObject) -> None:
    index = opened(rows)
    chosen = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1))), np.int32)
    assert index.score_rows(question, chosen).tolist() == index.scores(question)[chosen].tolist()


@settings(deadline=None, max_examples=60)
@given(rows=ROWS.filter(any))
def test_weights_are_bit_equal_to_those_of_rank_bm25(rows: list[list[str]]) -> None:
    index, fit = opened(rows), BM25Okapi(rows)
    assert {word: index.idf(word) for word in fit.idf} == fit.idf
    assert index.idf("unheard of") == 0.0


@pytest.mark.parametrize("k", [1, 10, 700, 5000])
def test_two_levels_find_what_one_pass_finds_over_many_blocks(k: int, tmp_path: Path) -> None:
    rows = large_corpus(6 * keyword.BLOCK_ROWS + 100)
    build_keyword(rows, tmp_path)
    plain = KeywordIndex.open(tmp_path, two_level_from=PLAIN)
    two_level = KeywordIndex.open(tmp_path, two_level_from=TWO_LEVEL)
    for question in large_corpus(60, seed=6):
        hits = two_level.top(question, k)
        assert list(zip(hits.rows.tolist(), hits.scores.tolist(), strict=True)) == sorted_top(plain, rows, question, k)


def test_equal_rows_come_in_the_order_of_their_numbers_across_blocks(tmp_path: Path) -> None:
    rows = [["same", "words"] if row % 3 else ["other", f"w{row}"] for row in range(4 * keyword.BLOCK_ROWS)]
    build_keyword(rows, tmp_path)
    hits = KeywordIndex.open(tmp_path, two_level_from=TWO_LEVEL).top(["other"], 5)
    assert hits.rows.tolist() == [0, 3, 6, 9, 12]


@pytest.mark.parametrize("two_level_from", [PLAIN, TWO_LEVEL])
def test_a_question_without_a_known_word_finds_nothing(two_level_from: int) -> None:
    index = opened([["a", "b"], ["c"], []], two_level_from=two_level_from)
    assert len(index.top(["unheard of"], 3).rows) == 0
    assert len(index.top([], 3).rows) == 0
    assert len(index.top(["a"], 0).rows) == 0


def test_more_rows_asked_for_than_hold_a_word_gives_only_those(tmp_path: Path) -> None:
    build_keyword([["a"], ["b"], ["c"], ["a", "d"]], tmp_path)
    assert KeywordIndex.open(tmp_path).top(["a"], 100).rows.tolist() == [0, 3]


def test_a_base_of_one_row_is_found_though_bm25_scores_it_below_zero() -> None:
    hits = opened([["a", "b"]]).top(["a"], 3)
    assert hits.rows.tolist() == [0]
    assert hits.scores[0] < 0


@pytest.mark.parametrize("rows", [[], [[], []]], ids=["no-row", "empty-rows"])
def test_a_base_without_words_is_an_empty_index(rows: list[list[str]]) -> None:
    index = opened(rows)
    assert len(index) == len(rows)
    assert index.scores(["a"]).tolist() == [0.0] * len(rows)
    assert len(index.top(["a"], 3).rows) == 0
    assert index.score_rows(["a"], np.arange(len(rows), dtype=np.int32)).tolist() == [0.0] * len(rows)
    assert index.self_score(["a"]) == 0.0
    assert index.idf("a") == 0.0


def test_an_index_reopened_from_disk_answers_the_same(tmp_path: Path) -> None:
    rows = large_corpus(300)
    build_keyword(rows, tmp_path / "not" / "yet" / "there")
    first, second = (KeywordIndex.open(tmp_path / "not" / "yet" / "there") for _ in range(2))
    for question in rows[:20]:
        assert first.top(question, 10).rows.tolist() == second.top(question, 10).rows.tolist()
        assert first.scores(question).tolist() == second.scores(question).tolist()


def test_a_row_that_is_exactly_the_question_scores_the_self_score() -> None:
    rows = large_corpus(200)
    index = opened(rows)
    for row, question in enumerate(rows):
        assert index.self_score(question) == pytest.approx(index.scores(question)[row], rel=1e-6)


def test_unknown_words_take_a_question_away_from_a_perfect_match() -> None:
    index = opened(large_corpus(200))
    assert index.self_score(["w1", "unheard of"]) > 1.5 * index.self_score(["w1"])


def test_a_missing_or_damaged_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="cannot be opened"):
        KeywordIndex.open(tmp_path)
    build_keyword([["a", "b"], ["c"]], tmp_path)
    np.save(tmp_path / "idfs.npy", np.zeros(7))
    with pytest.raises(SnapshotError, match="damaged"):
        KeywordIndex.open(tmp_path)


def test_two_terms_with_one_hash_are_refused() -> None:
    check_distinct(np.array([1, 2, 3], np.uint64))
    with pytest.raises(SnapshotError, match="share a 64-bit hash"):
        check_distinct(np.array([1, 2, 2], np.uint64))
