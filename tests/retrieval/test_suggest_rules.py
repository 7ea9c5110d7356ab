"""Rules of type-ahead that hold for every text, each beside a plain reading of the same rule."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pypinyin import Style, lazy_pinyin
from rapidfuzz.distance import OSA

from qa_service.domain.entry import Entry
from qa_service.domain.suggestion import Match
from qa_service.retrieval.suggest_fold import fold
from qa_service.retrieval.suggest_fuzzy import near_lengths
from qa_service.retrieval.suggest_index import SuggestIndex
from qa_service.retrieval.suggest_pinyin import PinyinSearch
from retrieval.suggest_base import ALL, built, known, opened, tokeniser

IDEOGRAPHS = "退货流程怎么银行长重庆乐会员一二儿绿女"
PARTS = [*IDEOGRAPHS, *"？， aBtx1", "plus", "How do I", "é", "ﬁ", "ß", "貨", "カ"]
wordings = st.lists(st.sampled_from(PARTS), min_size=1, max_size=8).map("".join)
entries_of = st.lists(st.lists(wordings, min_size=1, max_size=3), min_size=1, max_size=8).map(
    lambda all_of: [known(*one, entry_id=str(number)) for number, one in enumerate(all_of)]
)
chinese = st.text(IDEOGRAPHS, min_size=1, max_size=8)
spelt = st.text("thlczmyaguine退货", min_size=1, max_size=7)


@given(st.text(max_size=20), st.integers(0, 20))
def test_what_a_beginning_folds_to_begins_what_the_whole_folds_to(text: str, length: int) -> None:
    assert fold(text).text.startswith(fold(text[:length]).text)


@given(st.text(max_size=20))
def test_folding_twice_changes_nothing_and_every_character_knows_where_it_came_from(text: str) -> None:
    folded = fold(text)
    assert fold(folded.text).text == folded.text
    assert len(folded.places) == len(folded.text)
    assert list(folded.places) == sorted(folded.places)
    assert all(0 <= place < len(text) for place in folded.places)


@settings(max_examples=40, deadline=None)
@given(entries_of)
def test_every_beginning_of_every_wording_finds_its_entry_as_such(entries: list[Entry]) -> None:
    suggester = opened(entries)
    for entry in entries:
        for wording in entry.wordings:
            for length in range(1, len(wording) + 1):
                if fold(wording[:length]).text:
                    found = {one.entry_id: one.match for one in suggester.suggest(wording[:length], ALL)}
                    assert found[entry.id] is Match.PREFIX


@settings(max_examples=40, deadline=None)
@given(entries_of, wordings)
def test_those_that_begin_with_it_are_those_that_a_plain_scan_finds_and_they_come_first(
    entries: list[Entry], typed: str
) -> None:
    wanted = fold(typed).text
    begin_so = {e.id for e in entries if wanted and any(fold(w).text.startswith(wanted) for w in e.wordings)}
    found = [one.entry_id for one in opened(entries).suggest(typed, ALL)]
    assert set(found[: len(begin_so)]) == begin_so
    assert len(set(found)) == len(found)


@settings(max_examples=40, deadline=None)
@given(st.lists(chinese, min_size=1, max_size=10, unique=True))
def test_all_initials_of_a_wording_find_its_entry_among_as_many_as_share_them(questions: list[str]) -> None:
    suggester = opened([known(question) for question in questions])
    initials = {question: "".join(name[0] for name in names_of(question)) for question in questions}
    for question in questions:
        sharing = sum(fits(initials[question], other, names_of(other)) for other in questions)
        found = suggester.suggest(initials[question], sharing)
        assert question in {one.text for one in found}
        assert {one.match for one in found} == {Match.PINYIN}


@settings(max_examples=150, deadline=None)
@given(st.lists(wordings, min_size=1, max_size=6), spelt)
def test_what_pinyin_finds_is_what_a_plain_reading_of_its_rule_finds(questions: list[str], typed: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        index = built([known(question) for question in questions], Path(scratch))
        found = owners(index, PinyinSearch(index).following("starts", typed).places.tolist())
    folded = [fold(question).text for question in questions]
    fitting = {number for number, text in enumerate(folded) if text and fits(typed, text, names_of(text))}
    assert found == fitting


@given(
    st.lists(st.text("abcd", min_size=8, max_size=8), min_size=1, max_size=20),
    st.text("abcd", min_size=2, max_size=7),
)
def test_one_slip_is_told_as_the_distance_of_damerau_tells_it(texts: list[str], typed: str) -> None:
    size = len(typed)
    windows = np.array([[ord(character) for character in text[: size + 1]] for text in texts], np.int32)
    lengths = near_lengths(windows, np.array([ord(character) for character in typed], np.int32)).tolist()
    for text, length in zip(texts, lengths, strict=True):
        near = [at for at in (size - 1, size, size + 1) if OSA.distance(typed, text[:at]) == 1]
        assert (length in near) if length else (not near or text.startswith(typed))


def owners(index: SuggestIndex, places: Sequence[int]) -> set[int]:
    rows = np.searchsorted(index.arrays["rows"], places, side="right") - 1
    return set(index.arrays["owners"][rows].tolist())


def names_of(folded: str) -> list[str]:
    """How each character is spelt, "" where it is not: words by the dictionary of phrases, letters as they are."""
    names: list[str] = []
    run = ""
    for character in [*folded, ""]:
        if character and not character.isascii() and character not in "éカ":
            run += character
            continue
        # kana is cut together with ideographs
        names += (
            [name for word in tokeniser().cut(run) for name in lazy_pinyin(word, style=Style.NORMAL)] if run else []
        )
        names += [character if character.isascii() and character != " " else ""] if character else []
        run = ""
    return names


def fits(typed: str, text: str, names: Sequence[str]) -> bool:
    """Whether a text begins as it is spelt: each character whole, by its first letter, by zh, ch or sh, or itself."""
    if not typed:
        return True
    if not text:
        return False
    name = names[0]
    if not typed[0].isascii():
        return typed[0] == text[0] and fits(typed[1:], text[1:], names[1:])
    if name and name.startswith(typed):
        return True
    beginnings = {name, name[:1], *(two for two in ("zh", "ch", "sh") if name.startswith(two))} - {""}
    return any(typed.startswith(one) and fits(typed[len(one) :], text[1:], names[1:]) for one in beginnings)
