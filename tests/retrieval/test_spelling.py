"""Slips of spelling are mended by the base's own words, and nothing else is touched."""

import time
from pathlib import Path

import pytest
from answering.small_base import FAQ, PASSAGES, build_small, encoder, faq, open_small
from hypothesis import given
from hypothesis import strategies as st

from qa_service.domain.errors import SnapshotError
from qa_service.retrieval.snapshot import Snapshot, open_snapshot
from qa_service.retrieval.spelling import SPELLING

SPELT = (
    faq("cancel", "未发货的订单可以取消。", "怎么取消订单", "订单还没发货能取消吗", "取消发货"),
    faq("huabei", "可以用花呗。", "花呗怎么付款", "能用花呗吗", "电话缴费"),
    faq("stopped", "Send it to us.", "My package has stopped moving", "The package is not moving", "a package stopped"),
)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return open_small(tmp_path_factory.mktemp("spelling"), (*FAQ, *SPELT, *PASSAGES))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("怎么取效订单", "怎么取消订单"),
        ("什么时候法货", "什么时候发货"),
        ("怎么开法票", "怎么开发票"),
        ("my pakage has stoped", "my package has stopped"),
        ("teh shiping fee", "the shipping fee"),
        ("How much is PSOTAGE?", "How much is postage?"),
    ],
)
def test_a_slip_is_mended_by_a_word_of_the_base(snapshot: Snapshot, written: str, meant: str) -> None:
    assert snapshot.spelling.mend(written) == meant


@pytest.mark.parametrize(
    "text",
    [
        "花呗怎么付款",  # no dictionary has it, but the base does
        "能打到我的卡里吗",
        "how do I cancel",  # a word of the language, though not of the base
        "it doesnt arrive",  # without its apostrophe
        "a packaging",  # another form
        "order TH01 and SKU-pakage1",  # a code
        "he said 'pakages'",
        "发",
        "",
        "？！",
    ],
)
def test_what_is_no_slip_stays_as_it_is(snapshot: Snapshot, text: str) -> None:
    assert snapshot.spelling.mend(text) == text


def test_no_wording_of_the_base_is_taken_for_a_slip(snapshot: Snapshot) -> None:
    for entry in (*FAQ, *SPELT):
        for wording in entry.wordings:
            assert snapshot.spelling.mend(wording) == wording


@given(text=st.text(max_size=60))
def test_any_text_is_read_and_its_length_in_characters_of_chinese_stays(snapshot: Snapshot, text: str) -> None:
    mended = snapshot.spelling.mend(text)
    assert sum("\u4e00" <= one <= "\u9fff" for one in mended) == sum("\u4e00" <= one <= "\u9fff" for one in text)


def test_the_likelier_reading_ranks_and_is_told(snapshot: Snapshot) -> None:
    [slip, plain] = snapshot.rank_faq(["my pakage has stoped", "怎么开发票"])
    assert slip.best is not None
    assert slip.best.entry_id == "stopped"
    assert slip.read_as == "my package has stopped"
    assert plain.read_as == ""
    explained = snapshot.explain_faq(slip.read_as, slip)
    assert "stop" in explained[0].terms


def test_a_reading_that_finds_less_is_not_taken(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(snapshot.spelling), "mend", lambda _self, _text: "something else altogether")
    [ranking] = snapshot.rank_faq(["怎么开发票"])
    assert ranking.read_as == ""
    assert ranking.best is not None
    assert ranking.best.entry_id == "invoice"


@pytest.mark.parametrize("damage", [None, b"", b"[]", b'{"english": 1, "chinese": {}, "sounds": {}}'])
def test_damaged_words_are_refused_by_name(tmp_path: Path, damage: bytes | None) -> None:
    versions, built = build_small(tmp_path)
    file = versions.path(built.version) / SPELLING
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    with pytest.raises(SnapshotError, match=SPELLING):
        open_snapshot(versions.path(built.version), encoder())


def test_a_long_question_is_looked_through_in_a_few_milliseconds(snapshot: Snapshot) -> None:
    long = "地扯天错了还没发活，能自已改马，" * 20 + "my pakage has stoped " * 8
    times_ms = []
    for _ in range(20):
        begun_s = time.perf_counter()
        snapshot.spelling.mend(long)
        times_ms.append((time.perf_counter() - begun_s) * 1000)
    assert min(times_ms) < 15  # 2 on a quiet machine


def test_a_text_of_many_unknown_words_is_left_alone(snapshot: Snapshot) -> None:
    junk = " ".join(f"zz{a}{b}q" for a in "abcd" for b in "efgh")
    assert snapshot.spelling.mend(f"{junk} pakage") == f"{junk} pakage"
