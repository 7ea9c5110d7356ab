"""What the quality benchmark counts, against values worked out by hand and those of scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from benchmarks._quality_metrics import (
    Asked,
    Found,
    Judged,
    auroc,
    calibration_error,
    coverage_at,
    firsts,
    judge,
    paired_bootstrap,
    ranking_figures,
    risk_curve,
)


def asked(*found: str, right: str = "", maybe: str = "") -> Asked:
    """Entries are single letters, the surest first."""
    scored = tuple(Found(entry_id=one, score=1 - place / 20) for place, one in enumerate(found))
    return Asked(right=frozenset(right), maybe=frozenset(maybe), found=scored)


def judged(*answers: tuple[float, bool, bool]) -> list[Judged]:
    return [Judged(confidence=sure, right=right, in_scope=inside) for sure, right, inside in answers]


def test_recall_and_reciprocal_rank_count_the_first_right_entry() -> None:
    figures = ranking_figures([asked(*"abc", right="a"), asked(*"abc", right="c"), asked(*"abc", right="x")])
    assert figures["recall_at_1"] == pytest.approx(1 / 3)
    assert figures["recall_at_5"] == pytest.approx(2 / 3)
    assert figures["mrr_at_10"] == pytest.approx((1 + 1 / 3) / 3)
    assert figures["ndcg_at_10"] == pytest.approx((1 + 1 / math.log2(4)) / 3)


def test_what_comes_after_the_tenth_rank_counts_for_nothing() -> None:
    figures = ranking_figures([asked(*"abcdefghijk", right="k")])
    assert figures == dict.fromkeys(("recall_at_1", "recall_at_5", "recall_at_10", "mrr_at_10", "ndcg_at_10"), 0.0)


@given(st.permutations("abcdefgh"), st.sets(st.sampled_from("abcdefgh"), min_size=1))
def test_the_discounted_gain_is_that_of_scikit_learn(order: list[str], right: set[str]) -> None:
    relevant = [[float(one in right) for one in order]]
    scores = [[float(-place) for place in range(len(order))]]
    figures = ranking_figures([asked(*order, right="".join(right))])
    assert figures["ndcg_at_10"] == pytest.approx(ndcg_score(relevant, scores, k=10))


def test_entries_that_may_be_right_are_no_candidates_unless_figures_are_strict() -> None:
    one = asked(*"mab", right="a", maybe="am")
    assert ranking_figures([one])["recall_at_1"] == 1.0
    assert ranking_figures([one], strict=True)["recall_at_1"] == 0.0
    assert firsts([one, asked(right="a"), asked("b", right="a")]).tolist() == [1.0, 0.0, 0.0]
    assert judge([one])[0] == Judged(confidence=0.95, right=True, in_scope=True)


def test_a_system_that_finds_nothing_is_less_sure_than_any_other() -> None:
    [nothing, something] = judge([asked(right="a"), asked("b")])
    assert nothing.confidence < something.confidence
    assert (nothing.in_scope, something.in_scope) == (True, False)
    assert coverage_at([nothing]) == 0.0


@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5), min_size=1))
def test_the_area_is_that_of_scikit_learn_with_ties_too(inside: list[int], outside: list[int]) -> None:
    expected = roc_auc_score([1] * len(inside) + [0] * len(outside), inside + outside)
    assert auroc(inside, outside) == pytest.approx(expected)


def test_an_area_needs_both_kinds_of_questions() -> None:
    assert auroc([], [0.5]) is None
    assert auroc([0.5], []) is None


def test_coverage_is_the_highest_at_which_answers_are_right_often_enough() -> None:
    answers = judged((0.9, True, True), (0.8, False, False), (0.7, True, True), (0.6, True, True), (0.5, False, True))
    # right: 1/1, 1/2, 2/3, 3/4, 3/5 of the answers; in scope: 1, 1, 2, 3, 4 of 4
    assert coverage_at(answers, 0.95) == 0.25
    assert coverage_at(answers, 0.75) == 0.75
    assert coverage_at(answers, 0.76) == 0.25
    assert coverage_at(answers, 0.6) == 1.0


def test_questions_of_one_confidence_are_answered_together_or_not_at_all() -> None:
    answers = judged((0.9, True, True), (0.9, False, True), (0.1, True, True))
    assert [(point.coverage, point.precision) for point in risk_curve(answers)] == [(2 / 3, 0.5), (1.0, 2 / 3)]
    assert coverage_at(answers, 0.95) == 0.0


def test_the_calibration_error_weighs_each_bin_by_its_questions() -> None:
    # bin 0.9-1: two of 0.95, one right: gap 0.45; bin 0.2-0.3: one of 0.25, right: gap 0.75
    answers = judged((0.95, True, True), (0.95, False, True), (0.25, True, True))
    assert calibration_error(answers) == pytest.approx((2 * 0.45 + 0.75) / 3)
    assert calibration_error(judged((1.0, True, True), (0.0, False, False))) == 0.0
    assert calibration_error([]) is None


def test_equal_systems_differ_by_nothing_and_others_by_the_mean_of_their_sets() -> None:
    even = np.tile([0.0, 1.0], 50)
    same = paired_bootstrap([(even, even)])
    assert (same.mean, same.low, same.high) == (0.0, 0.0, 0.0)
    better = paired_bootstrap([(np.ones(100), even), (even, even)])
    assert better.mean == pytest.approx(0.25)
    assert 0.15 < better.low < 0.25 < better.high < 0.35


def test_the_interval_is_that_of_the_binomial_and_the_same_each_time() -> None:
    first, second = np.r_[np.ones(60), np.zeros(340)], np.zeros(400)
    found = paired_bootstrap([(first, second)], resamples=4_000)
    spread = 1.96 * math.sqrt(0.15 * 0.85 / 400)
    assert found.low == pytest.approx(0.15 - spread, abs=0.006)
    assert found.high == pytest.approx(0.15 + spread, abs=0.006)
    assert found == paired_bootstrap([(first, second)], resamples=4_000)
