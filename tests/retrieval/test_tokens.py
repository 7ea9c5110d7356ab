"""What a text is found by: Chinese words, characters and bigrams; stems; codes that stay whole."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qa_service.domain.errors import KnowledgeError
from qa_service.retrieval.tokens import Tokeniser

TOKENISER = Tokeniser()


def distinct(text: str) -> set[str]:
    return set(TOKENISER.tokens(text))


def test_chinese_gives_words_characters_and_each_bigram_twice() -> None:
    assert Counter(TOKENISER.tokens("怎么退款")) == Counter(
        ["怎么", "退款", *"怎么退款", *["怎么", "么退", "退款"] * 2]
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("TH01报错", "th01"),
        ("Pro+多少钱", "pro+"),
        ("C++ 版", "c++"),
        ("用C++11写", "c++"),
        ("我的iPhone15坏了", "iphone15"),
        ("型号500-1002有货吗", "500-1002"),
        ("打3.5折", "3.5"),
        ("COVID-19", "covid-19"),
        ("2026-01-05到货", "2026-01-05"),
        ("v1.2.3", "v1.2.3"),
        ("C#", "c#"),
    ],
)
def test_a_code_stays_whole(text: str, code: str) -> None:
    assert code in distinct(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [("10²", "102"), ("Pro+", "Pro"), ("3.5折", "35折"), ("1½", "11/2"), ("①②", "12"), ("500-1002", "5001002")],
)
def test_what_means_another_thing_has_other_tokens(one: str, other: str) -> None:
    assert Counter(TOKENISER.tokens(one)) != Counter(TOKENISER.tokens(other))
    assert TOKENISER.tokens(other)[0] not in distinct(one) or other == "Pro"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("如何退款", "如何退款？"),
        ("APP登录", "ＡＰＰ登录"),
        ("怎麼退換貨", "怎么退换货"),
        ("REFUND", "refund"),
        ("I don't know", "I don’t know"),
        ("㎡", "m²"),
        ("cancelling orders", "cancelled order"),
    ],
)
def test_spellings_of_one_thing_have_the_same_tokens(one: str, other: str) -> None:
    assert TOKENISER.tokens(one) == TOKENISER.tokens(other)


@pytest.mark.parametrize("control", ["\x00", "\ud800", "\u200b", "\n"])
def test_a_character_no_text_has_swallows_nothing_behind_it(control: str) -> None:
    assert {"退款", "订单"} <= distinct(f"退款{control}訂單")


def test_a_model_name_still_meets_its_parts_written_apart() -> None:
    assert {"iphon", "15"} <= distinct("iPhone15") & distinct("iPhone 15")


def test_joined_words_without_a_digit_are_words() -> None:
    assert {"check", "in", "time"} <= distinct("check-in/time")
    assert {"help", "i", "need"} <= distinct("help.I need")


def test_short_function_words_are_kept() -> None:
    assert {"what", "is", "it"} <= distinct("What is it?")


def test_a_longer_word_meets_its_relatives_by_its_first_letters() -> None:
    assert "paym*" in distinct("payment") & distinct("payments")
    assert not any(token.endswith("*") for token in distinct("pay"))


@pytest.mark.parametrize("text", ["", " \n", "！？…", "😀", "+-#"])
def test_a_text_without_a_word_has_no_token(text: str) -> None:
    assert TOKENISER.tokens(text) == []


@given(st.text())
@example("ǅ ﬃ İ ß")
@example("𠮷野家\ud800")
def test_any_text_has_tokens_without_spaces_and_always_the_same(text: str) -> None:
    tokens = TOKENISER.tokens(text)
    assert tokens == TOKENISER.tokens(text)
    assert all(token and not any(char.isspace() for char in token) for token in tokens)


def custom(folder: Path, text: str) -> Tokeniser:
    path = folder / "words.txt"
    path.write_text(text, encoding="utf-8")
    return Tokeniser(path)


def test_custom_words_are_found_whole(tmp_path: Path) -> None:
    tokeniser = custom(tmp_path, "# our products\n極速達卡 9000\n5G套餐\n\nApple Care\n")
    assert "极速达卡" in tokeniser.tokens("极速达卡怎么办理")
    assert "极速达卡" not in distinct("极速达卡怎么办理")
    assert {"5g套餐", "套餐"} <= set(tokeniser.tokens("5G套餐多少钱"))
    assert "apple care" in tokeniser.tokens("does Apple Care cover it")
    assert "apple care" not in tokeniser.tokens("pineapple cares")


def test_the_fingerprint_follows_the_custom_words(tmp_path: Path) -> None:
    one, other, again = (custom(tmp_path, text) for text in ("甲乙丙\n", "甲乙丙 7\n", "甲乙丙\n# no word\n"))
    assert len({TOKENISER.fingerprint, one.fingerprint, other.fingerprint}) == 3
    assert one.fingerprint == again.fingerprint
    assert Tokeniser().fingerprint == TOKENISER.fingerprint


def test_a_custom_dictionary_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match=r"words\.txt"):
        Tokeniser(tmp_path / "words.txt")
    (tmp_path / "words.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(KnowledgeError, match="UTF-8"):
        Tokeniser(tmp_path / "words.txt")


def test_threads_share_one_tokeniser() -> None:
    texts = [f"cancelling number{number} payments 怎么退款{number}" for number in range(400)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(Tokeniser().tokens, texts)) == [TOKENISER.tokens(text) for text in texts]
