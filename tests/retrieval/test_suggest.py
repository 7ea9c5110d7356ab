"""Type-ahead: what is offered for what has been typed, in which order, and what is not."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qa_service.domain.entry import Entry
from qa_service.domain.errors import SnapshotError
from qa_service.domain.suggestion import Match
from qa_service.retrieval.suggest import Suggester
from qa_service.retrieval.suggest_build import ARRAYS
from qa_service.retrieval.suggest_index import SuggestIndex
from retrieval.suggest_base import ALL, built, known, opened, texts

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
RETURN = known("退货流程", "怎么申请退货")
SHOP = (
    RETURN,
    known("退货的运费谁出？"),
    known("发票抬头开错了怎么改？", "发票抬头错了"),
    known("优惠券怎么领？"),
    known("PLUS 会员怎么开通？"),
    known("iPhone 15 多少钱"),
    known("银行卡怎么绑定"),
    known("How do I reset my password?", "I forgot my password"),
    known("What is the shipping fee?"),
)


@pytest.fixture(scope="module")
def shop() -> Suggester:
    return opened(SHOP)


@pytest.mark.parametrize(
    ("typed", "first", "match", "marked"),
    [
        ("退货流", "退货流程", Match.PREFIX, "退货流"),
        ("流程", "退货流程", Match.PREFIX, "流程"),  # a word of it
        ("thlc", "退货流程", Match.PINYIN, "退货流程"),
        ("tuihuo", "退货流程", Match.PINYIN, "退货"),
        ("tui huo", "退货流程", Match.PINYIN, "退货"),
        ("tuihliu", "退货流程", Match.PINYIN, "退货流"),
        ("退h", "退货流程", Match.PINYIN, "退货"),
        ("t货lc", "退货流程", Match.PINYIN, "退货流程"),
        ("yinhang", "银行卡怎么绑定", Match.PINYIN, "银行"),
        ("plus会", "PLUS 会员怎么开通？", Match.PREFIX, "PLUS 会"),
        ("plushy", "PLUS 会员怎么开通？", Match.PINYIN, "PLUS 会员"),
        ("ＰＬＵＳ", "PLUS 会员怎么开通？", Match.PREFIX, "PLUS"),
        ("iphone15", "iPhone 15 多少钱", Match.PREFIX, "iPhone 15"),
        ("15 多", "iPhone 15 多少钱", Match.PREFIX, "15 多"),
        ("退貨", "退货流程", Match.PREFIX, "退货"),  # traditional
        ("票抬头开", "发票抬头开错了怎么改？", Match.SUBSTRING, "票抬头开"),
        ("退货流成", "退货流程", Match.FUZZY, "退货流程"),  # the same sound
        ("优惠卷怎么", "优惠券怎么领？", Match.FUZZY, "优惠券怎么"),  # another character
        ("发抬头开", "发票抬头开错了怎么改？", Match.FUZZY, "发票抬头开"),  # one is missing
        ("发票票抬头", "发票抬头开错了怎么改？", Match.FUZZY, "发票抬头"),  # one too many
        ("发抬票头", "发票抬头开错了怎么改？", Match.FUZZY, "发票抬头"),  # swapped
        ("how do i rest", "How do I reset my password?", Match.FUZZY, "How do I reset"),
        ("pasword", "How do I reset my password?", Match.FUZZY, "password"),
        ("shiping fee", "What is the shipping fee?", Match.FUZZY, "shipping fee"),
    ],
)
def test_what_is_typed_finds_the_question_it_may_become(
    shop: Suggester, typed: str, first: str, match: Match, marked: str
) -> None:
    best = shop.suggest(typed, 8)[0]
    assert (best.text, best.match) == (first, match)
    assert "".join(best.text[begin:end] for begin, end in best.highlight) == marked


@pytest.mark.parametrize(
    "typed", ["", " ", "？！", "😀", "\u200b", "asdfghjkl", "龘龘龘", "的" * 64, "zhuang" * 10, "a" * 64]
)
def test_what_fits_nothing_gives_nothing(shop: Suggester, typed: str) -> None:
    assert shop.suggest(typed, 8) == ()


def test_better_kinds_come_first_and_an_entry_comes_once() -> None:
    suggester = opened(
        [
            known("th-long beginning with letters"),
            known("申请退货"),  # a word by pinyin
            known("退货流程很长", "退货"),  # its beginning by pinyin, twice
            known("the shortest"),
        ]
    )
    found = suggester.suggest("th", 8)
    assert texts(found) == ["the shortest", "th-long beginning with letters", "退货流程很长", "申请退货"]
    assert [one.match for one in found] == [Match.PREFIX, Match.PREFIX, Match.PINYIN, Match.PINYIN]


def test_an_entrys_own_question_is_shown_rather_than_a_shorter_wording() -> None:
    assert texts(opened([known("退货要多少天才能到账", "退货几天")]).suggest("退货", 8)) == ["退货要多少天才能到账"]
    assert texts(opened([known("多少天到账", "退货几天")]).suggest("退货", 8)) == ["退货几天"]


def test_of_equals_the_shorter_comes_first_then_the_earlier_entry() -> None:
    entries = [known("退货多久", entry_id="a"), known("退货吗", entry_id="b"), known("退货运费", entry_id="c")]
    assert [one.entry_id for one in opened(entries).suggest("退", 8)] == ["b", "a", "c"]


def test_no_more_come_than_are_wanted_and_all_of_them_when_they_are() -> None:
    suggester = opened([known(f"退货问题{number}") for number in range(300)])
    assert len(suggester.suggest("th", 7)) == 7
    assert len(suggester.suggest("退", 300)) == 300


def test_many_wordings_of_one_entry_keep_no_other_out() -> None:
    many = known("甲", *(f"退货{number}" for number in range(500)))
    assert len(opened([many, known("退货的一个很长的问题")]).suggest("退货", 2)) == 2


def test_what_has_no_answer_is_not_offered() -> None:
    assert texts(opened([known("退货吗", answer=None), known("退货的", answer="")]).suggest("退货", 8)) == []


def test_what_is_not_valid_now_is_not_offered_and_keeps_no_other_out() -> None:
    def entry(name: str, valid_from: datetime | None = None, valid_until: datetime | None = None) -> Entry:
        return Entry(id=name, question=f"退货{name}", answer="答", valid_from=valid_from, valid_until=valid_until)

    second = timedelta(seconds=1)
    over = [entry(f"旧{number}", valid_until=NOW) for number in range(100)]
    entries = [*over, entry("明天", valid_from=NOW + second), entry("今天的", valid_from=NOW, valid_until=NOW + second)]
    assert texts(opened(entries, now=NOW).suggest("退货", 2)) == ["退货今天的"]
    assert len(opened(entries, now=NOW - second).suggest("退货", ALL)) == 100


def test_a_locale_prefers_its_language_within_a_kind_and_hides_nothing() -> None:
    entries = [known("App 怎么下载"), known("App download for any phone")]
    suggester = opened(entries)
    assert texts(suggester.suggest("app", 8, locale="zh-CN")) == ["App 怎么下载", "App download for any phone"]
    assert texts(suggester.suggest("app", 8, locale="en")) == ["App download for any phone", "App 怎么下载"]
    assert texts(suggester.suggest("app", 8)) == ["App 怎么下载", "App download for any phone"]


def test_nothing_is_offered_where_nothing_is_known() -> None:
    for entries in ([], [known("？？")], [known("退货", answer=None)]):
        assert opened(entries).suggest("退货", 8) == ()


def test_a_file_that_is_missing_or_of_another_index_is_refused(tmp_path: Path) -> None:
    built(SHOP, tmp_path / "one")
    built([RETURN], tmp_path / "other")
    with pytest.raises(SnapshotError, match="cannot be opened"):
        SuggestIndex.open(tmp_path)
    for name in ("rows", "owners", "spellings", "readings", "starts"):
        mixed = tmp_path / "one" / "suggest" / f"{name}.npy"
        whole = mixed.read_bytes()
        other = (tmp_path / "other" / "suggest" / f"{name}.npy").read_bytes()
        mixed.write_bytes(other if name != "readings" else whole[:-2])
        with pytest.raises(SnapshotError):
            SuggestIndex.open(tmp_path / "one" / "suggest")
        mixed.write_bytes(whole)
    assert {path.stem for path in (tmp_path / "one" / "suggest").glob("*.npy")} == set(ARRAYS)


def test_the_longest_and_the_most_ambiguous_end_in_time(shop: Suggester) -> None:
    for typed in ("xianxianxian" * 6, "退" * 64, "shishi" * 12, "a b c d " * 8):
        started = time.process_time()
        shop.suggest(typed, 20)
        assert time.process_time() - started < 0.5  # some milliseconds, on a busy machine
