"""The numbers that are shown are the numbers that ranked: they add up to the scores they explain."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from answering.small_base import FAQ, PASSAGES, build_small, encoder, faq, open_small
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qa_service.domain.explanation import ExplainedHit
from qa_service.retrieval.entries import row_texts
from qa_service.retrieval.explain import explain_hits
from qa_service.retrieval.rerank import CrossEncoderReranker
from qa_service.retrieval.shelf import RERANKED, Shelf
from qa_service.retrieval.snapshot import Snapshot, open_snapshot

COUNTERS = [faq(f"counter-{n}", f"去 {n} 号。", f"{n} 号柜台怎么开发票", f"柜台 {n} 在哪") for n in range(RERANKED + 5)]
QUESTIONS = [
    *(wording for entry in FAQ for wording in entry.wordings),
    "优惠券过期了能补吗",  # what the coupon is not for
    "不能开 2 张发票吗，发票发票发票",
    "跨境包裹的关税由谁代缴",
    "完全无关的外星词汇",
    "？！",
]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return open_small(tmp_path_factory.mktemp("explain"), (*FAQ, *COUNTERS, *PASSAGES))


def keyword_score(shelf: Shelf, text: str, one: ExplainedHit) -> float:
    """The keyword score of the named wording, as ranking computes it: over the question's self-score."""
    tokens, entry = shelf.tokeniser.tokens(text), shelf.entries[one.hit.entry]
    row = int(shelf.entries.first_rows[one.hit.entry]) + row_texts(entry).index(one.hit.wording)
    score = float(shelf.keyword.score_rows(tokens, np.array([row], np.int32))[0])
    assert entry.question == one.question
    return score / shelf.keyword.self_score(tokens)


def check(shelf: Shelf, text: str, explained: Sequence[ExplainedHit]) -> None:
    tokens = shelf.tokeniser.tokens(text)
    for place, one in enumerate(explained):
        share = sum(one.terms.values()) / shelf.keyword.self_score(tokens)
        assert share == pytest.approx(keyword_score(shelf, text, one), abs=1e-5)
        assert set(one.terms) <= set(tokens)
        assert all(one.terms.values())
        if place < RERANKED:
            assert sum(one.signs.values()) == pytest.approx(one.hit.reranked, abs=1e-5)
        else:
            assert one.signs == {}


@pytest.mark.parametrize("text", QUESTIONS)
def test_terms_and_signs_add_up_to_the_scores_on_both_shelves(snapshot: Snapshot, text: str) -> None:
    for shelf, rank, explain in (
        (snapshot.faq, snapshot.rank_faq, snapshot.explain_faq),
        (snapshot.passages, snapshot.rank_passages, snapshot.explain_passages),
    ):
        [ranking] = rank([text])
        explained = explain(text, ranking)
        assert tuple(one.hit for one in explained) == ranking.hits
        check(shelf, text, explained)


# Words of the knowledge base in any order and number, so that terms repeat.
WORDS = st.lists(st.sampled_from(["发票", "怎么", "退货", "柜台 3", "不", "？", "shipping fee", "七天"]), max_size=12)


@settings(max_examples=40, deadline=None)
@given(words=WORDS)
def test_they_add_up_for_any_words_in_any_number(snapshot: Snapshot, words: list[str]) -> None:
    text = " ".join(words)
    [ranking] = snapshot.rank_faq([text])
    check(snapshot.faq, text, snapshot.explain_faq(text, ranking))


def test_where_an_entry_has_one_row_its_terms_make_up_the_hits_own_score(snapshot: Snapshot) -> None:
    text = "退货以后关税在几天内退还"
    [ranking] = snapshot.rank_passages([text])
    best = snapshot.passages.keyword.self_score(snapshot.tokens(text))
    explained = snapshot.explain_passages(text, ranking)
    assert explained
    for one in explained:
        assert sum(one.terms.values()) / best == pytest.approx(one.hit.keyword, abs=1e-5)


def test_more_candidates_are_shown_than_were_looked_at_twice(snapshot: Snapshot) -> None:
    [ranking] = snapshot.rank_faq(["柜台怎么开发票"])
    explained = snapshot.explain_faq("柜台怎么开发票", ranking)
    assert [bool(one.signs) for one in explained] == [place < RERANKED for place in range(len(explained))]
    assert len(explained) > RERANKED


def test_what_an_entry_is_not_for_shows_as_a_sign_against_it(snapshot: Snapshot) -> None:
    [ranking] = snapshot.rank_faq(["优惠券过期了能补吗"])
    explained = {one.hit.entry_id: one for one in snapshot.explain_faq("优惠券过期了能补吗", ranking)}
    assert explained["coupon"].signs["not_for"] < 0
    assert "not_for" not in explained["invoice"].signs


def test_without_candidates_there_is_nothing_to_explain(snapshot: Snapshot) -> None:
    assert explain_hits(snapshot.faq, "怎么开发票", []) == ()


def test_another_rerankers_score_is_its_only_sign(tmp_path: Path) -> None:
    def longest_first(_question: str, wordings: Sequence[str]) -> NDArray[np.float32]:
        return np.array([len(wording) for wording in wordings], np.float32)

    versions, built = build_small(tmp_path)
    reranker = CrossEncoderReranker("longest", longest_first)
    snapshot = open_snapshot(versions.path(built.version), encoder(), reranker=reranker)
    [ranking] = snapshot.rank_faq(["怎么开发票"])
    for one in snapshot.explain_faq("怎么开发票", ranking):
        assert one.signs == {"longest": one.hit.reranked}
