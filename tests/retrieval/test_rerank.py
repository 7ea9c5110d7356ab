"""The second look: what each sign does to a candidate, and how scores become chances."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.domain.entry import Entry
from qa_service.retrieval.calibration import ProbabilityCurve, RerankWeights
from qa_service.retrieval.rerank import Candidate, LightReranker, probabilities

NOTHING = RerankWeights(**{field.name: 0.0 for field in fields(RerankWeights)})
SCORES = st.lists(st.floats(-1, 3, width=32), min_size=1, max_size=6).map(lambda found: sorted(found, reverse=True))
CURVES = st.builds(ProbabilityCurve, intercept=st.floats(-9, 9), score=st.floats(0, 9), lead=st.floats(0, 9))


def score(question: str, wording: str, weights: RerankWeights, *, not_for: tuple[str, ...] = ()) -> float:
    reranker = LightReranker(tokens=list, weight=lambda _token: 1.0, weights=weights)
    entry = Entry(id="a", question=wording, not_for=not_for)
    return float(reranker.score(question, [Candidate(entry=entry, wording=wording, fused=0.5)])[0])


@pytest.mark.parametrize(
    ("question", "wording", "differs"),
    [
        ("可以退货", "可以退货", False),
        ("不可以退货", "可以退货", True),
        ("没收到货", "收到货了", True),
        ("没收到货", "还没有收到货", False),
        ("能不能退货", "可以退货", False),  # a question, not a negation
        ("有没有发票", "怎么开发票", False),
        ("可不可以换", "可以换", False),
        ("发货了没", "发货了", False),
        ("优惠券不能用", "优惠券怎么用", True),
        ("特别版在哪买", "在哪买", False),
        ("I did not get it", "I got it", True),
        ("it doesn't work", "it works", True),
        ("can I return it without a box", "can I return it", True),
        ("note the notice", "a notice", False),
    ],
)
def test_a_negation_on_one_side_alone_counts_against_a_candidate(question: str, wording: str, *, differs: bool) -> None:
    assert score(question, wording, replace(NOTHING, negation_differs=-1.0)) == pytest.approx(-0.5 if differs else 0.5)


@pytest.mark.parametrize(
    ("question", "wording", "misses"),
    [
        ("满200减20怎么用", "满200减20的券", False),
        ("满300减20怎么用", "满200减20的券", True),
        ("3.5折", "3.5折", False),
        ("3.5折", "35折", True),
        ("７天", "7天", False),
        ("几天", "7天", False),
    ],
)
def test_a_number_of_the_question_that_a_wording_lacks_counts_against_it(
    question: str, wording: str, *, misses: bool
) -> None:
    assert score(question, wording, replace(NOTHING, number_missing=-1.0)) == pytest.approx(-0.5 if misses else 0.5)


def test_likeness_to_a_not_for_wording_lowers_a_candidate_and_only_where_it_exceeds_its_own() -> None:
    weights = replace(NOTHING, not_for=-1.0)
    excluded = ("券过期了能补吗",)
    assert score("券过期了能补吗", "券怎么用", weights, not_for=excluded) < 0.5
    assert score("券怎么用", "券怎么用", weights, not_for=excluded) == pytest.approx(0.5)
    assert score("券过期了能补吗", "券怎么用", weights) == pytest.approx(0.5)
    near = score("券过期了", "券怎么用", weights, not_for=excluded)
    assert score("券过期了能补吗", "券怎么用", weights, not_for=excluded) < near < 0.5


def test_a_candidate_whose_words_are_in_the_question_beats_one_whose_words_are_not() -> None:
    reranker = LightReranker(tokens=list, weight=lambda _token: 1.0)
    close, far = (
        Candidate(entry=Entry(id=text, question=text), wording=text, fused=0.5) for text in ("怎么退货", "修改密码")
    )
    scores = reranker.score("怎么退货呢", [far, close])
    assert scores.dtype == np.float32
    assert scores[1] > scores[0]


def test_no_candidates_get_no_scores() -> None:
    assert LightReranker(tokens=list, weight=lambda _token: 1.0).score("怎么退货", []).shape == (0,)
    assert probabilities(np.empty(0, np.float32), ProbabilityCurve()).shape == (0,)


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
