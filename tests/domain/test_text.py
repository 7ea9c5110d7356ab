import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.domain.errors import InvalidInput
from qa_service.domain.text import MAX_QUESTION_CHARS, check_question, fold_width, normalise, question_hash

ZERO_WIDTH = "\u200b"
VISIBLE = re.compile(r"[^\s\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad]")


@given(st.text())
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text().filter(lambda text: bool(VISIBLE.search(text))))
def test_what_can_be_seen_is_never_normalised_away(text: str) -> None:
    assert normalise(text)


@given(st.text(alphabet="退货 Pro+3.5折℃C²?？。!", min_size=1))
def test_invisible_characters_anywhere_change_nothing(text: str) -> None:
    assert normalise(ZERO_WIDTH.join(text)) == normalise(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Pro+", "Pro"),
        ("3.5折", "35折"),
        ("-20℃", "20℃"),
        ("C++", "C"),
        ("C#", "C"),
        ("10²", "102"),
        ("不能退", "能退"),
        ("满100-20", "满10020"),
        ("1/2", "12"),
        ("50%", "50"),
        ("1,000", "1.000"),
        ("①", "1"),
        ("iPhone 15", "iPhone 16"),
        ("A B", "AB"),
        ("7天内?能退", "7天内能退"),
        ("$5", "5"),
        ("3:30", "330"),
    ],
)
def test_what_changes_the_meaning_stays_apart(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)
    assert normalise(one + "？") != normalise(other + "？")


@pytest.mark.parametrize(
    "text",
    [
        "怎么退货 pro+",
        "怎么退货 Pro+？",
        "怎么退货 PRO+!!!",
        "怎么退货 Pro+。",
        "怎么退货 Pro+……",
        "怎么退货 Pro+...",
        "怎么退货 Pro+ ~",
        "怎么退货 Pro+ ？ ！ ",
        "\u3000怎么退货\u3000Ｐｒｏ＋\u3000",
        "怎么退货 \t\n Pro+",
        "怎么退货\u00a0Pro+",
        "怎么\u200b退货 P\u00adro+\ufeff",
        "\u202a怎么退货 Pro+\u202c？",
    ],
)
def test_two_spellings_of_one_question_are_the_same(text: str) -> None:
    assert normalise(text) == "怎么退货 pro+"


@pytest.mark.parametrize("text", ["？", "。。。", " ! "])
def test_a_question_of_punctuation_alone_stays_something(text: str) -> None:
    assert normalise(text)


@given(st.text())
def test_folding_the_width_keeps_the_length(text: str) -> None:
    assert len(fold_width(text)) == len(text)


def test_full_width_ascii_becomes_ascii_and_nothing_else_does() -> None:
    assert fold_width("ＡＢＣ１２３！～　＋") == "ABC123!~ +"
    assert fold_width("退货。、②℃²") == "退货。、②℃²"


@given(st.text(), st.text())
def test_the_hash_of_a_question_is_128_bits_that_tell_questions_apart(one: str, other: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", question_hash(one))
    assert (question_hash(one) == question_hash(other)) == (one == other)


def test_the_hash_is_the_same_in_every_process() -> None:
    assert question_hash("怎么退货") == "85cde5a9c8b17368f44bf05cefbfeed1"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "question-not-text"),
        (7, "question-not-text"),
        (True, "question-not-text"),
        (b"bytes", "question-not-text"),
        (["怎么退货"], "question-not-text"),
        ({"text": "怎么退货"}, "question-not-text"),
        ("", "question-empty"),
        (" \t\r\n\u3000\u00a0", "question-empty"),
        ("\u200b\ufeff\u2060", "question-empty"),
        (" \u200b \u200b ", "question-empty"),
        ("\x00\x1b\x7f", "question-empty"),
        ("问" * 501, "question-too-long"),
        ("a" * 100_000, "question-too-long"),
        ("\ud83d", "malformed-text"),
        ("怎么\udc00退货", "malformed-text"),
    ],
)
def test_a_bad_question_is_refused_with_its_code(text: object, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_question(text, pointer="/messages/0/text")
    assert refusal.value.code == code
    assert refusal.value.pointer == "/messages/0/text"
    assert refusal.value.detail


@pytest.mark.parametrize(
    ("text", "checked"),
    [
        ("  怎么退货？ ", "怎么退货？"),
        ("\u3000怎么退货\u3000", "怎么退货"),
        ("第一行\n第二行\t栏", "第一行\n第二行\t栏"),
        ("怎么\x00退\x1b货\x85", "怎么退货"),
        ("👩‍💻 能退吗", "👩‍💻 能退吗"),
        ("问" * 500, "问" * 500),
        (f" {'问' * 500} ", "问" * 500),
        ("?", "?"),
    ],
)
def test_a_good_question_comes_back_trimmed(text: str, checked: str) -> None:
    assert check_question(text) == checked


@given(st.text(max_size=600))
def test_whatever_is_accepted_is_trimmed_short_and_accepted_again(text: str) -> None:
    try:
        checked = check_question(text)
    except InvalidInput:
        return
    assert 1 <= len(checked) <= MAX_QUESTION_CHARS
    assert checked == checked.strip()
    assert check_question(checked) == checked
    assert question_hash(normalise(checked))
