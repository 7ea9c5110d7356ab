"""Two scores a wording become one an entry, as a loop in plain Python would do it."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.retrieval.calibration import FusionWeights
from qa_service.retrieval.fusion import Fused, fuse

SCORE = st.floats(-1, 2, width=32)
ENTRIES = st.lists(st.lists(st.tuples(SCORE, SCORE), min_size=1, max_size=6), min_size=1, max_size=8)
WEIGHTS = st.builds(FusionWeights, keyword=st.floats(0, 1), support=st.floats(0, 1))
Entries = list[list[tuple[float, float]]]


def fused(entries: Entries, weights: FusionWeights) -> Fused:
    rows = np.array([row for entry in entries for row in entry], np.float32).reshape(-1, 2)
    starts = np.cumsum([0, *(len(entry) for entry in entries[:-1])], dtype=np.int64)
    return fuse(rows[:, 0], rows[:, 1], starts if entries else np.empty(0, np.int64), weights)


def sums(entry: list[tuple[float, float]], weights: FusionWeights) -> list[float]:
    return [weights.keyword * keyword + (1 - weights.keyword) * vector for keyword, vector in entry]


@given(entries=ENTRIES, weights=WEIGHTS)
def test_an_entry_scores_its_best_wording_supported_by_the_mean_of_its_best_three(
    entries: Entries, weights: FusionWeights
) -> None:
    result = fused(entries, weights)
    begin = 0
    for place, entry in enumerate(entries):
        best_first = sorted(sums(entry, weights), reverse=True)
        mean = sum(best_first[:3]) / len(best_first[:3])
        expected = (1 - weights.support) * best_first[0] + weights.support * mean
        assert result.score[place] == pytest.approx(expected, abs=1e-5)
        assert result.keyword[place] == max(keyword for keyword, _ in entry)
        assert result.vector[place] == max(vector for _, vector in entry)
        best_row = int(result.best_row[place]) - begin
        assert 0 <= best_row < len(entry)
        assert sums(entry, weights)[best_row] == pytest.approx(best_first[0], abs=1e-5)
        begin += len(entry)


@given(row=st.tuples(SCORE, SCORE), weights=WEIGHTS)
def test_an_entry_with_one_wording_scores_that_wording_alone(row: tuple[float, float], weights: FusionWeights) -> None:
    assert fused([[row]], weights).score[0] == pytest.approx(sums([row], weights)[0], abs=1e-5)


@given(entries=ENTRIES, weights=WEIGHTS, random=st.randoms(use_true_random=False))
def test_neither_the_order_of_entries_nor_that_of_their_wordings_changes_a_score(
    entries: Entries, weights: FusionWeights, random: Random
) -> None:
    order = list(range(len(entries)))
    random.shuffle(order)
    mixed = [random.sample(entries[i], len(entries[i])) for i in order]
    assert fused(mixed, weights).score == pytest.approx(fused(entries, weights).score[order], abs=1e-5)


def test_no_entries_give_no_scores() -> None:
    result = fused([], FusionWeights())
    assert result.score.shape == result.keyword.shape == result.best_row.shape == (0,)
