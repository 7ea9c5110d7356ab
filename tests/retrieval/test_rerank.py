"""The second look: what a feature is worth to a candidate, and how scores become chances."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.domain.entry import Entry
from qa_service.domain.hit import Hit
from qa_service.retrieval.calibration import FEATURES, ProbabilityCurve, RerankWeights, ScopeCurve
from qa_service.retrieval.features import Candidate, FeatureReader
from qa_service.retrieval.rerank import LightReranker, chance_in_scope, probabilities

NOTHING = RerankWeights(**dict.fromkeys(FEATURES, 0.0))
READER = FeatureReader(tokens=list, weight=lambda _token: 1.0)
SCORES = st.lists(st.floats(-1, 3, width=32), min_size=1, max_size=6).map(lambda found: sorted(found, reverse=True))
CURVES = st.builds(ProbabilityCurve, intercept=st.floats(-9, 9), score=st.floats(0, 9), lead=st.floats(0, 9))


def candidate(wording: str, *, fused: float = 0.5) -> Candidate:
    hit = Hit(entry=0, entry_id=wording, wording=wording, keyword=0.4, vector=0.6, fused=fused)
    return Candidate(entry=Entry(id=wording, question=wording), hit=hit)


@pytest.mark.parametrize("name", FEATURES)
def test_a_score_is_the_weighted_sum_of_the_features(name: str) -> None:
    candidates = [candidate("12天内没发货怎么退"), candidate("before 3 days", fused=0.3)]
    column = READER.matrix("7天后怎么退货", candidates)[:, FEATURES.index(name)]
    reranker = LightReranker(READER, replace(NOTHING, **{name: -2.0}))
    assert reranker.score("7天后怎么退货", candidates) == pytest.approx(-2.0 * column)


def test_signs_sum_to_the_score_and_name_only_what_weighs() -> None:
    candidates = [candidate("12天内没发货怎么退"), candidate("before 3 days", fused=0.3)]
    reranker = LightReranker(READER)
    signs = reranker.signs("7天后怎么退货", candidates)
    assert [sum(each.values()) for each in signs] == pytest.approx(reranker.score("7天后怎么退货", candidates))
    assert all(value for each in signs for value in each.values())
    assert "negation_differs" in signs[0]
    assert "negation_differs" not in signs[1]


def test_other_weights_see_what_was_read_already() -> None:
    reranker = LightReranker(READER).under(replace(NOTHING, fused=3.0))
    assert reranker.score("怎么退货", [candidate("怎么退货")]) == pytest.approx(1.5)


def test_a_candidate_whose_words_are_in_the_question_beats_one_whose_words_are_not() -> None:
    close, far = LightReranker(READER).score("怎么退货呢", [candidate("怎么退货"), candidate("修改密码")])
    assert close > far


def test_no_candidates_get_no_scores() -> None:
    assert LightReranker(READER).score("怎么退货", []).shape == (0,)
    assert LightReranker(READER).signs("怎么退货", []) == []
    assert probabilities(np.empty(0, np.float32), ProbabilityCurve()).shape == (0,)
    assert chance_in_scope(np.empty(0, np.float32), ScopeCurve()) == 0.0


@given(scores=SCORES)
def test_a_close_rival_says_nothing_against_being_in_scope(scores: list[float]) -> None:
    alone = chance_in_scope(np.array(scores[:1], np.float32), ScopeCurve())
    assert chance_in_scope(np.array(scores, np.float32), ScopeCurve()) == alone
    assert 0.0 <= alone <= 1.0
    assert chance_in_scope(np.array([scores[0] + 1], np.float32), ScopeCurve()) > alone


@given(scores=SCORES, curve=CURVES)
def test_chances_fall_with_the_scores_and_lie_between_nothing_and_certainty(
    scores: list[float], curve: ProbabilityCurve
) -> None:
    chances = probabilities(np.array(scores, np.float32), curve)
    assert chances.shape == (len(scores),)
    assert ((chances >= 0) & (chances <= 1)).all()
    assert (np.diff(chances) <= 1e-6).all()


@given(scores=SCORES, more=st.floats(0, 2, width=32), curve=CURVES)
def test_a_better_best_score_never_makes_it_less_likely_nor_its_rivals_likelier(
    scores: list[float], more: float, curve: ProbabilityCurve
) -> None:
    before = probabilities(np.array(scores, np.float32), curve)
    after = probabilities(np.array([scores[0] + more, *scores[1:]], np.float32), curve)
    assert after[0] >= before[0] - 1e-6
    assert (after[1:] <= before[1:] + 1e-6).all()
