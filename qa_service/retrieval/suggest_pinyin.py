"""Which places does a spelling follow: letters that stand for ideographs, whole (tuihuo), by initials (th), or mixed.

A character is met by its whole pinyin, by its first letter, by its zh, ch or sh, or by itself; the last one also by
any beginning of its pinyin. It knows no rank.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qa_service.retrieval.suggest_index import Places, SuggestIndex

_FEW = 2048  # places from which on they are looked at one by one instead of cut by initials
_MOST_STEPS = 300  # of one search: what can be read in very many ways is not read to its end
_TWO_LETTERS = ("zh", "ch", "sh")
_LONGEST_SPELLING = 6  # zhuang


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one character must be: of one of the codes `begin` to `end` (excluded), or spelt as one of these spellings.

    All of them have the one `initial`. `to` is where the piece ends in what was typed.
    """

    to: int
    begin: int
    end: int
    initial: int
    is_whole_initial: bool = False
    is_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """Places, and how many characters behind each were met: `places` int32 (n,), `lengths` int64 (n,)."""

    places: Places
    lengths: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reach:
    """How far a search has come: places of an order by initials (all of `order`, at first), and what is still due."""

    places: Places
    order: str = ""
    checks: tuple[tuple[int, Piece], ...] = ()  # how many characters on, and what stands there
    is_sorted: bool = True


class PinyinSearch:
    """Searches one index. Nothing in it changes but what it remembers, and threads may share it."""

    def __init__(self, index: SuggestIndex) -> None:
        self._index = index
        self._initials_of = index.arrays["initials"]
        self._spellings_of = index.arrays["spellings"]
        self._text = index.arrays["text"]
        self._range = lru_cache(4096)(self._range_once)

    def following(self, order: str, typed: str) -> Met:
        """Give the places of one order ("starts" or "words") that a folded text follows as pinyin."""
        letters = typed.replace(" ", "")  # tui huo
        literal = next((at for at, character in enumerate(letters) if character.isascii()), len(letters))
        reach = _Reach(places=self._index.arrays[f"spelt_{order}"], order=f"spelt_{order}")
        if literal:  # it begins with ideographs: they are found as they are
            ids = self._index.ids_of(letters[:literal])
            if ids is None:
                return _met([])
            reach = _Reach(places=self._index.following(order, ids), is_sorted=False)
        return _met(list(self._walk(reach, letters, literal, literal, [_MOST_STEPS])))

    def spelt(self, order: str, typed: str) -> Met:
        """Give the places that sound like a folded text, character by character."""
        reach: _Reach | None = _Reach(places=self._index.arrays[f"spelt_{order}"], order=f"spelt_{order}")
        letters = typed.replace(" ", "")
        for depth, character in enumerate(letters):
            spelling = self._index.spelling_of(character)
            if not spelling or reach is None:
                return _met([])
            initial = ord(self._index.spellings[spelling][0])
            reach = self._narrowed(reach, depth, Piece(to=0, begin=spelling, end=spelling + 1, initial=initial))
        return _met([(self._checked(reach), len(letters))]) if reach else _met([])

    def _walk(self, reach: _Reach, letters: str, at: int, depth: int, steps: list[int]) -> Iterator[tuple[Places, int]]:
        if at == len(letters):
            yield self._checked(reach), depth
            return
        for piece in self._pieces(letters, at):
            steps[0] -= 1
            if steps[0] < 0:
                return
            further = self._narrowed(reach, depth, piece)
            if further:
                yield from self._walk(further, letters, piece.to, depth + 1, steps)

    def _pieces(self, letters: str, at: int) -> Iterator[Piece]:
        """Give what the next character may be, the longest spelling first."""
        if not letters[at].isascii():
            ids = self._index.ids_of(letters[at])
            if ids is not None:
                begin, end = self._index.codes_of(int(ids[0]))
                for initial in np.unique(self._initials_of[begin:end]).tolist():
                    yield Piece(to=at + 1, begin=begin, end=end, initial=initial, is_code=True)
            return
        rest = letters[at : at + _LONGEST_SPELLING]
        for length in range(len(rest), 0, -1):
            part = rest[:length]
            is_last = at + length == len(letters)
            begin, end = self._range(part)
            if begin == end:
                continue
            is_short = length == 1 or part in _TWO_LETTERS
            if not is_last and not is_short:
                if self._index.spellings[begin] != part:
                    continue
                end = begin + 1
            yield Piece(to=at + length, begin=begin, end=end, initial=ord(part[0]), is_whole_initial=length == 1)

    def _range_once(self, part: str) -> tuple[int, int]:
        """Give which spellings begin with some letters."""
        names = self._index.spellings
        return bisect_left(names, part), bisect_left(names, part + "\x7f")

    def _narrowed(self, reach: _Reach, depth: int, piece: Piece) -> _Reach | None:
        """Give what is left of a reach; None when nothing is."""
        if reach.order and not depth:
            places = self._index.beginning(reach.order, piece.initial)
            due = [] if piece.is_whole_initial else [(depth, piece)]
            return _Reach(places=places, checks=tuple(due)) if len(places) else None
        if reach.is_sorted and len(reach.places) > _FEW:
            places = self._with_initial(reach.places, depth, piece.initial)
            checks = reach.checks if piece.is_whole_initial else (*reach.checks, (depth, piece))
            return _Reach(places=places, checks=checks) if len(places) else None
        places = self._checked(_Reach(places=reach.places, checks=(*reach.checks, (depth, piece))))
        return _Reach(places=places, is_sorted=False) if len(places) else None

    def _with_initial(self, places: Places, depth: int, initial: int) -> Places:
        def behind(place: int) -> int:
            return int(self._initials_of[self._text[place + depth]])

        begin = bisect_left(places, initial, key=behind)
        return places[begin : bisect_right(places, initial, lo=begin, key=behind)]

    def _checked(self, reach: _Reach) -> Places:
        places = reach.places
        for depth, piece in reach.checks:
            there = self._text[places + depth]
            if not piece.is_code:
                there = self._spellings_of[there]
            places = places[(there >= piece.begin) & (there < piece.end)]
        return places


def _met(found: list[tuple[Places, int]]) -> Met:
    """Join what several readings found; a place that several of them meet keeps the first length."""
    if not found:
        return Met(places=np.empty(0, np.int32), lengths=np.empty(0, np.int64))
    places = np.concatenate([places for places, _ in found])
    lengths = np.repeat([length for _, length in found], [len(places) for places, _ in found])
    if len(found) > 1:
        places, firsts = np.unique(places, return_index=True)
        lengths = lengths[firsts]
    return Met(places=places, lengths=lengths)
