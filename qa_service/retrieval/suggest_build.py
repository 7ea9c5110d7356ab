"""Laying out known questions for type-ahead: one text of all wordings, and where what begins in it. It answers nothing.

In the folder: `text` (a code a character, 0 between wordings), the codes' tables `characters` (code -> Unicode),
`spellings` (code -> place in spellings.txt) and `initials`; `starts`, `words` and `inside`, the places where a wording
begins, a later word of it, and a character within a word, each sorted by what follows; `spelt_starts`, `spelt_words`,
the first two sorted by the initials that follow; `firsts_…` of each of the five (where each character, or initial,
begins in it); `rows`, `owners`, `wordings` (where each wording begins, whose it is and which of the entry's), `valid`
(from and until, Unix microseconds, an entry each), `readings` (how each ideograph that may be typed is spelt) and
`vocabulary.txt`, the words in letters.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_service.domain.entry import Entry
from qa_service.retrieval.suggest_fold import Kind, fold, kind_of
from qa_service.retrieval.tokens import Tokeniser

ORDERS = ("starts", "words", "inside", "spelt_starts", "spelt_words")
ARRAYS = (
    *("text", "characters", "spellings", "initials", *ORDERS, *(f"firsts_{order}" for order in ORDERS)),
    *("rows", "owners", "wordings", "valid", "readings"),
)
SPELLINGS, VOCABULARY = "spellings.txt", "vocabulary.txt"
LONGEST = 64  # characters of what is typed: places are sorted by no more
FIRST_IDEOGRAPH, IDEOGRAPHS = 0x4E00, 0x5200  # the block whose spellings a typed character is looked up in
NO_SPELLING = 1  # the initial of what has none; letters and digits have their own code
ALWAYS, NEVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_LEAST_LETTERS = 4  # of a word in the vocabulary: a slip in a shorter one makes another word
_WORDS_KEPT = 131_072
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Longs = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A wording as it is laid out: folded, cut, and how each of its characters is spelt ("" where it is not)."""

    owner: int
    wording: int
    text: str
    words: tuple[str, ...]
    spellings: tuple[str, ...]


def build_suggestions(entries: Sequence[Entry], folder: Path, tokeniser: Tokeniser) -> None:
    """Write what type-ahead needs of some FAQ entries; those without an answer are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = sorted(_lines(entries, tokeniser), key=lambda line: (line.wording > 0, len(line.text), line.owner))
    names = sorted({"", *(name for line in lines for name in line.spellings)})
    arrays = _laid_out(lines, names)
    arrays["valid"] = np.array([_validity(entry) for entry in entries], np.int64).reshape(-1, 2)
    arrays["readings"] = _readings(names)
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", arrays[name], allow_pickle=False)
    (folder / SPELLINGS).write_text("\n".join(names), encoding="utf-8")
    words = {word for line in lines for word in line.words if is_spaced_word(word)}
    (folder / VOCABULARY).write_text("\n".join(sorted(words)), encoding="utf-8")


def is_spaced_word(word: str) -> bool:
    """Whether a folded word is one of letters, long enough that a slip in it can be told."""
    return len(word) >= _LEAST_LETTERS and all(kind_of(character) is Kind.LETTER for character in word)


def _lines(entries: Sequence[Entry], tokeniser: Tokeniser) -> Iterator[_Line]:
    for owner, entry in enumerate(entries):
        if not entry.answer:
            continue
        seen = set()
        for wording, text in enumerate(entry.wordings):
            folded = fold(text).text
            if folded and folded not in seen:  # the first of an entry's wordings that fold alike is shown
                seen.add(folded)
                words = tuple(_cut(folded, tokeniser))
                spellings = tuple(name for word in words for name in _spelt(word))
                yield _Line(owner=owner, wording=wording, text=folded, words=words, spellings=spellings)


def _cut(folded: str, tokeniser: Tokeniser) -> Iterator[str]:
    """Cut a folded text into words, and the spaces between them."""
    begin = 0
    for place in range(1, len(folded) + 1):
        whole = place == len(folded) or " " in folded[place - 1 : place + 1]
        if whole or kind_of(folded[place]) is not kind_of(folded[place - 1]):
            run = folded[begin:place]
            yield from tokeniser.cut(run) if kind_of(run[0]) is Kind.IDEOGRAPH else [run]
            begin = place


@lru_cache(_WORDS_KEPT)
def _spelt(word: str) -> tuple[str, ...]:
    """Spell a word, a name a character: an ideograph's pinyin without tones, ASCII letters and digits as they are."""
    # Its dictionary of phrases (行 in 银行) costs 50 MB and is needed at the build alone.
    from pypinyin import Style, pinyin  # noqa: PLC0415

    if word.isascii():
        return tuple("" if character == " " else character for character in word)
    if kind_of(word[0]) is not Kind.IDEOGRAPH:
        return tuple(character if character.isascii() else "" for character in word)
    names = [found[0] for found in pinyin(word, style=Style.NORMAL, errors=_unspelt)]
    return tuple(name if name.isascii() and name.isalpha() else "" for name in names)


def _unspelt(rest: str) -> Any:  # noqa: ANN401  # its types know no list, its documentation does
    """Give nothing for each of some characters without a pinyin."""
    return ["" for _ in rest]


def _readings(names: Sequence[str]) -> NDArray[np.uint16]:
    """Give how every common ideograph is spelt alone, as a place among the names; 0 for what no wording holds."""
    place_of = {name: place for place, name in enumerate(names)}
    block = map(chr, range(FIRST_IDEOGRAPH, FIRST_IDEOGRAPH + IDEOGRAPHS))
    return np.array([place_of.get(_spelt(character)[0], 0) for character in block], np.uint16)


def _laid_out(lines: Sequence[_Line], names: Sequence[str]) -> dict[str, NDArray[Any]]:
    place_of = {name: place for place, name in enumerate(names)}
    pairs = sorted({(character, name) for line in lines for character, name in _pairs(line)})
    code_of = {pair: code for code, pair in enumerate(pairs, start=1)}
    # The zeros behind are as many as any look from the last place may reach, the one before for a look back.
    codes: list[int] = [0]
    rows: list[int] = []
    for line in lines:
        rows.append(len(codes))
        codes += [code_of[pair] for pair in _pairs(line)]
        codes.append(0)
    text = np.array([*codes, *[0] * (LONGEST + 2)], np.uint16 if len(pairs) < 2**16 else np.uint32)
    characters = np.array([0, *(ord(character) for character, _ in pairs)], np.uint32)
    spellings = np.array([0, *(place_of[name] for _, name in pairs)], np.uint16)
    initials = np.array([0, *(ord(name[0]) if name else NO_SPELLING for _, name in pairs)], np.uint8)
    starts, words, inside = _places(lines, rows)
    ids = np.unique(characters, return_inverse=True)[1][text]
    return {
        **_orders(ids, {"starts": starts, "words": words, "inside": inside}),
        **_orders(initials[text].astype(np.int64), {"spelt_starts": starts, "spelt_words": words}),
        "text": text,
        "characters": characters,
        "spellings": spellings,
        "initials": initials,
        "rows": np.array(rows, np.int32),
        "owners": np.array([line.owner for line in lines], np.int32),
        "wordings": np.array([line.wording for line in lines], np.uint16),
    }


def _pairs(line: _Line) -> Iterable[tuple[str, str]]:
    return zip(line.text, line.spellings, strict=True)


def _places(lines: Sequence[_Line], rows: Sequence[int]) -> tuple[Longs, Longs, Longs]:
    """Give where wordings begin, where their further words do, and where ideographs stand within a word."""
    words: list[int] = []
    inside: list[int] = []
    for line, row in zip(lines, rows, strict=True):
        place = row
        for word in line.words:
            if place > row and word != " ":
                words.append(place)
            if kind_of(word[0]) is Kind.IDEOGRAPH:
                inside += range(place + 1, place + len(word))
            place += len(word)
    return np.array(rows, np.int64), np.array(words, np.int64), np.array(inside, np.int64)


def _orders(values: Longs, places_of: dict[str, Longs]) -> dict[str, NDArray[np.int32]]:
    """Sort places by the values that follow, and say where in each order each first value begins."""
    ranks, firsts = _ranks(values), np.arange(int(values.max()) + 2)
    orders: dict[str, NDArray[np.int32]] = {}
    for name, places in places_of.items():
        orders[name] = places[np.argsort(ranks[places], kind="stable")].astype(np.int32)
        orders[f"firsts_{name}"] = np.searchsorted(values[orders[name]], firsts).astype(np.int32)
    return orders


def _ranks(values: Longs) -> Longs:
    """Rank every place by the `LONGEST` values that follow (Manber and Myers 1990: the length known doubles)."""
    ranks, known = values, 1
    while known < LONGEST:
        behind = np.zeros_like(ranks)
        behind[:-known] = ranks[known:] + 1
        both = ranks * (int(ranks.max()) + 2) + behind
        order = np.argsort(both)
        ahead = both[order]
        steps = np.zeros_like(ranks)
        np.cumsum(ahead[1:] != ahead[:-1], out=steps[1:])
        ranks = np.empty_like(steps)
        ranks[order] = steps
        known *= 2
    return ranks


def _validity(entry: Entry) -> tuple[int, int]:
    return _microseconds(entry.valid_from, ALWAYS), _microseconds(entry.valid_until, NEVER)


def _microseconds(moment: datetime | None, otherwise: int) -> int:
    return microseconds(moment) if moment else otherwise


def microseconds(moment: datetime) -> int:
    """Give a moment (aware) as Unix microseconds."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
