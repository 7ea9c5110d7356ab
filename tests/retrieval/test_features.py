"""What is seen of a question and a candidate side by side."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.domain.entry import Entry
from qa_service.domain.hit import Hit
from qa_service.retrieval.calibration import FEATURES
from qa_service.retrieval.features import Candidate, FeatureReader

TEXTS = st.text(alphabet="退货怎么没发 12天abc before after", max_size=30)


def feature(name: str, question: str, wording: str, *, answer: str = "", others: tuple[str, ...] = ()) -> float:
    reader = FeatureReader(tokens=list, weight=lambda _token: 1.0)
    hit = Hit(entry=0, entry_id="a", wording=wording, keyword=0.4, vector=0.6, fused=0.5, not_for=0.7, centroid=0.3)
    entry = Entry(id="a", question=wording, similar=others, answer=answer or None)
    return float(reader.matrix(question, [Candidate(entry=entry, hit=hit)])[0, FEATURES.index(name)])


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
def test_a_negation_on_one_side_alone_is_seen(question: str, wording: str, *, differs: bool) -> None:
    assert feature("negation_differs", question, wording) == differs


@pytest.mark.parametrize(
    ("question", "wording", "share"),
    [
        ("付款前能改吗", "付款后能改吗", 1.0),
        ("还没发货能改吗", "已经发货了能改吗", 1.0),
        ("付款前能改吗", "付款前怎么改", 0.0),
        ("能改吗", "付款后能改吗", 0.0),  # the question names no side
        ("before it ships", "after it ships", 1.0),
        ("绑定手机号", "解绑手机号", 0.5),  # of the two contrasts, the object is the same one
        ("怎么取消绑定", "怎么解绑", 0.0),
        ("forward it", "afterwards", 0.0),  # no word of its own
    ],
)
def test_words_that_exclude_each_other_are_seen(question: str, wording: str, share: float) -> None:
    assert feature("contrast", question, wording) == share


@pytest.mark.parametrize(
    ("question", "wording", "answer", "share"),
    [
        ("加收12元是什么", "次日达", "加收 12 元，未送到退回", 1.0),
        ("checkout added 12 yuan", "next day", "costs 12元 more", 1.0),
        ("加收12元是什么", "发货要多久", "12 天内发出", 0.0),
        ("满200减20怎么用", "满200减20的券", "", 1.0),
        ("满300减20怎么用", "满200减20的券", "", 0.5),
        ("3.5折", "35折", "", 0.0),
        ("７天", "7天", "", 1.0),
        ("3个月", "3 months", "", 1.0),
        ("几天", "7天", "", 0.0),
    ],
)
def test_quantities_of_the_question_are_looked_for_in_wordings_and_answer(
    question: str, wording: str, answer: str, share: float
) -> None:
    assert feature("quantity_found", question, wording, answer=answer) == pytest.approx(share)


def test_shares_are_of_the_questions_words() -> None:
    assert feature("question_covered", "退货运费", "退货", others=("运",)) == pytest.approx(0.5)
    assert feature("wordings_cover", "退货运费", "退货", others=("运",)) == pytest.approx(0.75)


def test_characters_in_the_same_order_are_counted_over_both_lengths() -> None:
    assert feature("common_subsequence", "怎么退货", "怎么退货") == 1.0
    assert feature("common_subsequence", "怎么退货", "货退么怎") == 0.25
    assert feature("common_subsequence", "怎么退货", "abcd") == 0.0


def test_an_english_question_and_a_chinese_wording_differ_in_language() -> None:
    assert feature("same_language", "how to return", "怎么退货") == 0.0
    assert feature("same_language", "PLUS怎么开", "怎么退货") == 1.0


def test_an_answer_in_another_language_counts_as_the_middle_of_the_wordings_does() -> None:
    reader = FeatureReader(tokens=list, weight=lambda _token: 1.0)
    hit = Hit(entry=0, entry_id="a", wording="怎么退货", keyword=0, vector=0.6, fused=0.5, centroid=0.6, answer=0.2)

    def answer_feature(question: str, answer: str | None) -> float:
        entry = Entry(id="a", question="怎么退货", answer=answer)
        row = reader.matrix(question, [Candidate(entry=entry, hit=hit)])[0]
        return float(row[FEATURES.index("answer")])

    assert answer_feature("退货流程", "在订单页申请") == pytest.approx(0.2)
    assert answer_feature("how to return", "在订单页申请") == pytest.approx(0.6)
    assert answer_feature("how to return", None) == pytest.approx(0.2)  # what there is not cannot be replaced


def test_only_what_a_not_for_wording_is_nearer_than_the_best_one_counts() -> None:
    assert feature("not_for", "怎么退货", "怎么退货") == pytest.approx(0.1)
    reader = FeatureReader(tokens=list, weight=lambda _token: 1.0)
    hit = Hit(entry=0, entry_id="a", wording="退货", keyword=0.4, vector=0.6, fused=0.5, not_for=0.5)
    row = reader.matrix("退货", [Candidate(entry=Entry(id="a", question="退货"), hit=hit)])[0]
    assert row[FEATURES.index("not_for")] == 0.0


@given(question=TEXTS, wording=TEXTS)
def test_every_feature_lies_between_nothing_and_one(question: str, wording: str) -> None:
    for name in FEATURES:
        assert 0.0 <= feature(name, question, wording) <= 1.0


def test_twenty_candidates_take_less_than_a_millisecond() -> None:
    reader = FeatureReader(tokens=lambda text: text, weight=lambda _token: 1.0)
    wordings = [f"订单{place}付款以后怎么退货，运费谁出" for place in range(20)]
    candidates = [
        Candidate(
            entry=Entry(id=wording, question=wording, answer="七天内可以退"),
            hit=Hit(entry=0, entry_id=wording, wording=wording, keyword=0.4, vector=0.6, fused=0.5),
        )
        for wording in wordings
    ]
    times_ms = []
    for place in range(30):
        begun_s = time.perf_counter()
        reader.matrix(f"付款前买了{place}件，想退掉其中的一件要自己出运费吗", candidates)
        times_ms.append((time.perf_counter() - begun_s) * 1000)
    assert min(times_ms) < 1.0
