"""A shelf finds an entry by its wordings, scores every candidate exactly, and keeps to the validity of entries."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from answering.small_base import FAQ, PASSAGES, encoder, faq, open_small

from qa_service.domain.entry import Entry
from qa_service.domain.hit import Ranking
from qa_service.domain.stopwatch import Stopwatch
from qa_service.retrieval.shelf import Shelf
from qa_service.retrieval.snapshot import Snapshot

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return open_small(tmp_path_factory.mktemp("shelf"))


def rank(shelf: Shelf, *texts: str) -> list[Ranking]:
    return shelf.rank(texts, encoder().encode(texts), Stopwatch())


@pytest.mark.parametrize(("entry", "wording"), [(entry, wording) for entry in FAQ for wording in entry.wordings])
def test_the_exact_wording_of_an_entry_ranks_it_first(snapshot: Snapshot, entry: Entry, wording: str) -> None:
    [ranking] = snapshot.rank_faq([wording])
    assert ranking.best is not None
    assert (ranking.best.entry_id, ranking.best.wording) == (entry.id, wording)
    assert snapshot.faq_entry(ranking.best.entry) == entry


@pytest.mark.parametrize("entry", PASSAGES)
def test_a_passage_is_found_by_its_heading_and_by_its_text(snapshot: Snapshot, entry: Entry) -> None:
    assert entry.answer
    for ranking in snapshot.rank_passages([entry.question, entry.answer]):
        assert ranking.best is not None
        assert snapshot.passage(ranking.best.entry) == entry


def test_a_question_that_says_nothing_gets_an_empty_ranking(snapshot: Snapshot) -> None:
    assert snapshot.rank_faq(["？！……", "..."]) == [Ranking(), Ranking()]


def test_both_scores_are_exact_for_every_candidate_whichever_leg_proposed_it(snapshot: Snapshot) -> None:
    shelf = snapshot.faq
    wordings = [entry.wordings for entry in FAQ]
    rows = encoder().encode([wording for entry in wordings for wording in entry])
    starts = np.cumsum([0, *(len(entry) for entry in wordings)])
    for text in ("退款几天到账啊", "发票", "how much is the shipping", "xyzzy"):
        tokens = shelf.tokeniser.tokens(text)
        keyword = shelf.keyword.scores(tokens) / shelf.keyword.self_score(tokens)
        cosine = rows @ encoder().encode([text])[0]
        [ranking] = rank(shelf, text)
        assert {hit.entry for hit in ranking.hits} == set(range(len(FAQ)))  # so few entries are all candidates
        for hit in ranking.hits:
            own = slice(starts[hit.entry], starts[hit.entry + 1])
            assert hit.keyword == pytest.approx(keyword[own].max(), rel=1e-5)
            assert hit.vector == pytest.approx(cosine[own].max(), abs=2e-3)  # the rows are kept as float16
            assert hit.wording in wordings[hit.entry]


def test_a_batch_is_ranked_as_its_questions_are_one_by_one(snapshot: Snapshot) -> None:
    texts = ["怎么开发票", "？！", "reset the password", "积分", "怎么开发票"]
    for ranked, text in zip(rank(snapshot.faq, *texts), texts, strict=True):
        [alone] = rank(snapshot.faq, text)
        assert [(hit.entry_id, hit.wording) for hit in ranked.hits] == [(h.entry_id, h.wording) for h in alone.hits]
        assert [hit.reranked for hit in ranked.hits] == pytest.approx([hit.reranked for hit in alone.hits], abs=1e-4)


def test_of_an_entry_with_very_many_wordings_the_one_that_was_asked_is_scored(tmp_path: Path) -> None:
    many = faq("many", "x", *(f"第{number}号柜台的营业时间" for number in range(100, 160)))
    shelf = open_small(tmp_path, (*FAQ, many)).faq
    [ranking] = rank(shelf, "第157号柜台的营业时间")
    assert ranking.best is not None
    assert (ranking.best.entry_id, ranking.best.wording) == ("many", "第157号柜台的营业时间")


def test_an_empty_shelf_ranks_nothing(tmp_path: Path) -> None:
    snapshot = open_small(tmp_path, FAQ)
    assert snapshot.rank_passages(["关税", "沙发"]) == [Ranking(), Ranking()]
    assert rank(snapshot.passages, "关税") == [Ranking()]


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "found"),
    [
        (None, None, True),
        (NOW - HOUR, NOW + HOUR, True),
        (None, NOW - HOUR, False),
        (None, NOW, False),  # the end is not part of it
        (NOW + HOUR, None, False),
        (NOW, None, True),
    ],
)
def test_an_entry_is_a_candidate_only_while_it_is_valid(
    tmp_path: Path, valid_from: datetime | None, valid_until: datetime | None, *, found: bool
) -> None:
    dated = replace(FAQ[0], valid_from=valid_from, valid_until=valid_until)
    shelf = replace(open_small(tmp_path, (dated, *FAQ[1:])).faq, clock=lambda: NOW)
    [ranking] = rank(shelf, dated.question)
    assert (dated.id in {hit.entry_id for hit in ranking.hits}) is found
    assert len(ranking.hits) == len(FAQ) - 1 + found


def test_validity_is_looked_at_when_a_question_is_asked_and_not_when_the_index_is_opened(tmp_path: Path) -> None:
    moments = [NOW]
    dated = replace(FAQ[0], valid_until=NOW + HOUR)
    shelf = replace(open_small(tmp_path, (dated, *FAQ[1:])).faq, clock=lambda: moments[-1])
    [before] = rank(shelf, dated.question)
    moments.append(NOW + 2 * HOUR)
    [after] = rank(shelf, dated.question)
    assert before.best is not None
    assert before.best.entry_id == dated.id
    assert dated.id not in {hit.entry_id for hit in after.hits}


def test_where_no_entry_is_valid_the_ranking_is_empty(tmp_path: Path) -> None:
    over = [replace(entry, valid_until=NOW) for entry in FAQ]
    shelf = replace(open_small(tmp_path, over).faq, clock=lambda: NOW)
    assert rank(shelf, "怎么开发票") == [Ranking()]


def test_the_clock_of_a_shelf_that_is_given_none_is_the_present(tmp_path: Path) -> None:
    over = replace(FAQ[0], valid_until=datetime.now(UTC) - HOUR)
    begun = replace(FAQ[1], valid_from=datetime.now(UTC) - HOUR)
    [ranking] = open_small(tmp_path, (over, begun, *FAQ[2:])).rank_faq([over.question])
    ids = {hit.entry_id for hit in ranking.hits}
    assert over.id not in ids
    assert begun.id in ids


def test_a_word_that_an_english_question_shares_with_a_chinese_wording_counts_a_quarter(tmp_path: Path) -> None:
    wordings = ("PLUS 怎么开", "open PLUS", "怎么退货", "how to pay", "修改密码")
    snapshot = open_small(tmp_path, [faq(wording, "可以。", wording) for wording in wordings])
    keyword = {
        text: {hit.wording: hit.keyword for hit in rank(snapshot.faq, text)[0].hits} for text in ("PLUS", "PLUS 呢")
    }
    tokens = {text: snapshot.faq.tokeniser.tokens(text) for text in keyword}
    best = {text: snapshot.faq.keyword.self_score(tokens[text]) for text in keyword}
    exact = {text: snapshot.faq.keyword.scores(tokens[text]) / best[text] for text in keyword}
    assert keyword["PLUS"]["PLUS 怎么开"] == pytest.approx(exact["PLUS"][0] / 4, rel=1e-4)
    assert keyword["PLUS"]["open PLUS"] == pytest.approx(exact["PLUS"][1], rel=1e-4)
    assert keyword["PLUS 呢"]["PLUS 怎么开"] == pytest.approx(exact["PLUS 呢"][0], rel=1e-4)
