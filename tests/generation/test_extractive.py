"""Sentences are quoted as they stand, cited by number, and few."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.domain.passage import Draft, Passage
from qa_service.generation.extractive import ExtractiveGenerator, split_sentences

CUSTOMS = Passage(
    entry_id="customs#1",
    title="跨境商品 > 关税",
    text="跨境包裹的关税由平台代缴。退货以后关税在三十天内退还。其他费用请见订单详情！",
)
SOFA = Passage(
    entry_id="sofa#1", title="大件 > 配送", text="1. 沙发由专车配送。\n2. 上楼每层加收**二十元**搬运费；请预约。"
)
# Letters that often meet in one sentence, so that passages and questions have something in common.
WORDS = st.text(st.sampled_from("退货关税运费天元"), min_size=1, max_size=30)
SENTENCES = st.tuples(WORDS, st.sampled_from("。！？；")).map("".join)
PASSAGES = st.lists(st.lists(SENTENCES, min_size=1, max_size=4), min_size=1, max_size=4)
CITATION = re.compile(r" \[(\d+)\]$")
ANY_TEXT = st.text(st.sampled_from("退货ab12 .,;:!?。！？；“”\"')（）\n-*#`、…/=&"), max_size=80)


def generate(question: str, passages: Sequence[Passage]) -> Draft | None:
    return ExtractiveGenerator(terms=list, weight=lambda term: 0.0 if term in " ，。？" else 1.0).generate(
        question, passages
    )


def sentences_of(draft: Draft) -> list[tuple[str, int]]:
    """Give each sentence of a text with its citation's number; a number counts back to where another one stands."""
    found: list[tuple[str, int]] = []
    for line in reversed(draft.text.split("\n")):
        cited = CITATION.search(line)
        number = int(cited[1]) if cited else found[-1][1]
        found.append((CITATION.sub("", line), number))
    return found[::-1]


@given(passages=PASSAGES, question=WORDS)
def test_every_sentence_stands_literally_in_the_passage_that_its_number_cites(
    passages: list[list[str]], question: str
) -> None:
    read = [Passage(entry_id=f"p{n}", title="", text="".join(text)) for n, text in enumerate(passages)]
    draft = generate(question, read)
    if draft is None:
        return
    text_of = {passage.entry_id: passage.text for passage in read}
    quoted = sentences_of(draft)
    assert {number for _, number in quoted} == set(range(1, len(draft.cited) + 1))
    assert len(set(draft.cited)) == len(draft.cited)
    assert all(sentence in text_of[draft.cited[number - 1]] for sentence, number in quoted)
    assert 1 <= len(quoted) <= 3
    assert len(draft.text) <= 400
    assert 0 < draft.coverage <= 1 + 1e-9


def test_the_sentence_that_covers_the_question_is_chosen_and_its_neighbours_are_not() -> None:
    draft = generate("退货关税退还", [CUSTOMS, SOFA])
    assert draft is not None
    assert draft.text == "退货以后关税在三十天内退还。 [1]"
    assert draft.cited == ("customs#1",)
    assert draft.coverage == 1.0


def test_a_source_is_numbered_by_the_order_of_citing_and_named_once_for_neighbouring_sentences() -> None:
    draft = generate("沙发上楼搬运", [CUSTOMS, SOFA])
    assert draft is not None
    assert draft.text == "沙发由专车配送。\n上楼每层加收二十元搬运费； [1]"
    assert draft.cited == ("sofa#1",)


def test_sentences_of_two_passages_stand_in_reading_order_each_with_its_number() -> None:
    draft = generate("沙发专车代缴关税", [CUSTOMS, SOFA])
    assert draft is not None
    assert draft.text == "跨境包裹的关税由平台代缴。 [1]\n沙发由专车配送。 [2]"
    assert draft.cited == ("customs#1", "sofa#1")


def test_what_the_heading_says_counts_as_covered() -> None:
    titled = Passage(entry_id="a", title="沙发", text="由专车配送。")
    bare = Passage(entry_id="a", title="", text="由专车配送。")
    covered, less = generate("沙发专车", [titled]), generate("沙发专车", [bare])
    assert covered is not None
    assert less is not None
    assert (covered.coverage, less.coverage) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("question", "passages"),
    [
        ("彩虹", [CUSTOMS, SOFA]),
        ("关税", []),
        ("", [CUSTOMS]),
        ("，。？", [CUSTOMS]),
        ("关税", [Passage(entry_id="empty", title="关税", text="")]),
        ("关税", [Passage(entry_id="endless", title="", text="关税" * 201)]),
    ],
)
def test_where_no_sentence_has_to_do_with_the_question_nothing_is_said(question: str, passages: list[Passage]) -> None:
    assert generate(question, passages) is None


def test_long_sentences_are_left_out_rather_than_cut() -> None:
    long = [Passage(entry_id=f"p{n}", title="", text=word + "一" * 180 + "。") for n, word in enumerate("关税退")]
    draft = generate("关税退", long)
    assert draft is not None
    assert len(sentences_of(draft)) == 2
    assert len(draft.text) <= 400


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("一。二！三？四；五", ["一。", "二！", "三？", "四；", "五"]),
        ("1. 打开订单\n2. 点“退货”。", ["打开订单", "点“退货”。"]),
        ("# 标题\n- **重点**：`x`\n* y", ["标题", "重点：x", "y"]),
        ("他说“可以。”然后走了", ["他说“可以。”", "然后走了"]),
        ("真的吗？！是的。", ["真的吗？！", "是的。"]),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("打3.5折；see https://a.b/c?id=1&x=2 now", ["打3.5折；", "see https://a.b/c?id=1&x=2 now"]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_a_text_is_split_after_its_sentences_and_list_items_without_their_marks(text: str, pieces: list[str]) -> None:
    assert split_sentences(text) == pieces


@given(text=ANY_TEXT)
def test_splitting_loses_no_text_but_white_space_and_marks(text: str) -> None:
    marks = re.compile(r"[\s*`#-]|^\s*\d+[.)、]\s+", re.MULTILINE)
    pieces = split_sentences(text)
    # A number before a list item is a mark only at the beginning of its line, which a joined text no longer has.
    assert "".join(re.sub(r"[\s*`#\d.)、-]", "", piece) for piece in pieces) == re.sub(
        r"[\d.)、]", "", marks.sub("", text)
    )
    assert all(piece == piece.strip() and piece for piece in pieces)
