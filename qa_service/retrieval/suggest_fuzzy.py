"""What was typed with a slip: which places would follow it? It knows no rank.

Three slips are looked for: another ideograph of the same sound (the commonest of Chinese input), misspelt words of
letters, and one character, whatever it is, that is wrong, missing, too many, or swapped with the next.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from qa_service.retrieval.suggest_build import is_spaced_word
from qa_service.retrieval.suggest_fold import Kind, kind_of
from qa_service.retrieval.suggest_index import Ids, Places, SuggestIndex
from qa_service.retrieval.suggest_pinyin import Met, PinyinSearch

_ORDERS = ("starts", "words")
_LEAST_IDEOGRAPHS = 3  # of what is typed: a slip in two leaves one
_LEAST_CHARACTERS = 6  # where there are fewer ideographs
_LOOKED_AT = 1024  # places of one half, the preferred ones
_SPELLINGS_TRIED = 3  # of one misspelt word
_TEXTS_TRIED = 6
_LONG_WORD = 8  # letters from which on two slips are forgiven
_WORD = re.compile(r"[^\W\d_]+")


class FuzzySearch:
    """Searches one index. Nothing in it changes but what it remembers, and threads may share it."""

    def __init__(self, index: SuggestIndex, pinyin: PinyinSearch) -> None:
        self._index = index
        self._pinyin = pinyin
        self._known = frozenset(index.vocabulary)
        self._beginnings = lru_cache(32)(self._beginnings_once)

    def following(self, typed: str) -> Iterator[Met]:
        """Give places that a folded text follows but for a slip, the likeliest kind of slip first."""
        ideographs = sum(kind_of(character) is Kind.IDEOGRAPH for character in typed)
        if ideographs >= _LEAST_IDEOGRAPHS - 1:
            for order in _ORDERS:
                yield self._pinyin.spelt(order, typed)
        for text in self._respelt(typed):
            ids = self._index.ids_of(text)
            if ids is not None:
                yield from self._exactly(ids)
        if ideographs >= _LEAST_IDEOGRAPHS or len(typed) >= _LEAST_CHARACTERS:
            yield from self._but_for_one(typed)

    def _exactly(self, wanted: Ids) -> Iterator[Met]:
        for order in _ORDERS:
            places = self._index.following(order, wanted)
            yield Met(places=places, lengths=np.full(len(places), len(wanted), np.int64))

    def _respelt(self, typed: str) -> Iterator[str]:
        """Give the text with its unknown words replaced by known ones, the nearest first."""
        words = list(_WORD.finditer(typed))
        choices = [self._spellings(word[0], is_last=word.end() == len(typed)) for word in words]
        for chosen in islice(product(*choices), _TEXTS_TRIED):
            respelt, end = "", 0
            for word, instead in zip(words, chosen, strict=True):
                respelt += typed[end : word.start()] + instead
                end = word.end()
            respelt += typed[end:]
            if respelt != typed:
                yield respelt

    def _spellings(self, word: str, *, is_last: bool) -> list[str]:
        """Give what a word may have been meant to be; the last one may still be under way."""
        if not is_spaced_word(word) or word in self._known:
            return [word]
        forgiven = 2 if len(word) >= _LONG_WORD else 1
        found: dict[str, float] = {}
        for length in range(len(word) - forgiven, len(word) + forgiven + 1):
            candidates = self._beginnings(length, is_last)
            near = extract(word, candidates, scorer=OSA.distance, score_cutoff=forgiven, limit=_SPELLINGS_TRIED)
            found |= {choice: distance for choice, distance, _ in near}
        nearest = sorted(found, key=lambda choice: (found[choice], -len(choice), choice))
        return nearest[:_SPELLINGS_TRIED] or [word]

    def _beginnings_once(self, length: int, is_last: bool) -> tuple[str, ...]:  # noqa: FBT001  # a cache's key
        """Give the known words of some length, or what known words of that length and more begin with."""
        if is_last:
            return tuple(dict.fromkeys(word[:length] for word in self._index.vocabulary if len(word) >= length))
        return tuple(word for word in self._index.vocabulary if len(word) == length)

    def _but_for_one(self, typed: str) -> Iterator[Met]:
        """Give places that the text follows but for one character: one of its halves must be right."""
        # A character that no wording holds stands for itself: nothing equals it.
        wanted = np.concatenate([_or_unknown(self._index.ids_of(character)) for character in typed])
        half = _middle(typed)
        first, second = wanted[:half], wanted[half:]
        if half and (wanted >= 0).all():  # two that are swapped across the middle leave neither half right
            yield from self._exactly(np.concatenate([first[:-1], second[:1], first[-1:], second[1:]]))
        if (first >= 0).all() and half:
            for order in _ORDERS:
                yield self._near(self._preferred(order, first), wanted)
        if (second >= 0).all():
            for order in (*_ORDERS, "inside"):
                there = self._preferred(order, second)
                begins = np.concatenate([there - half - shift for shift in (0, -1, 1)])
                yield self._near(begins[begins > 0], wanted)

    def _preferred(self, order: str, wanted: Ids) -> Places:
        places = self._index.following(order, wanted)
        return np.partition(places, _LOOKED_AT)[:_LOOKED_AT] if len(places) > _LOOKED_AT else places

    def _near(self, places: Places, wanted: Ids) -> Met:
        lengths = near_lengths(self._index.window(places, len(wanted) + 1), wanted)
        return Met(places=places[lengths > 0], lengths=lengths[lengths > 0])


def near_lengths(windows: Ids, wanted: Ids) -> NDArray[np.int64]:
    """Give how many characters of each window are `wanted` but for exactly one slip; 0 where they are not.

    `windows` is (n, m + 1) for m characters wanted. A slip is a character that is wrong, missing, too many, or swapped
    with the next. A window must begin with a character of its wording (not 0).
    """
    count, size = len(windows), len(wanted)
    same = windows[:, :size] == wanted
    first = np.where(same.all(axis=1), size, np.argmin(same, axis=1))  # where the slip is
    missing, extra = windows[:, 1:] == wanted, np.zeros_like(same)
    extra[:, 1:] = windows[:, : size - 1] == wanted[1:]
    line = np.arange(count)
    at = np.minimum(first, size - 1)
    after = np.minimum(first + 1, size)
    is_wrong = _from(same)[line, after] & (windows[line, at] > 0)
    is_missing = _from(missing)[line, first] & (windows[line, at] > 0)
    is_extra = _from(extra)[line, after]
    following = np.minimum(at + 1, size - 1)
    is_swapped = (
        (at + 1 < size)
        & (windows[line, at] == wanted[following])
        & (windows[line, following] == wanted[at])
        & _from(same)[line, np.minimum(first + 2, size)]
    )
    lengths = np.select([is_swapped, is_wrong, is_missing, is_extra], [size, size, size + 1, size - 1], 0)
    inside = (first < size) & (windows[:, 0] > 0)
    return np.where(inside, lengths, 0)


def _from(equal: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether all is equal from each place on; one column more than `equal`, in which nothing is left to differ."""
    rest = np.logical_and.accumulate(equal[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([rest, np.ones((len(equal), 1), np.bool_)], axis=1)


def _middle(typed: str) -> int:
    """Give where to part a text: as near to its middle as an ideograph or a word begins, for these are indexed."""
    half = len(typed) // 2
    begins = [place for place in range(1, len(typed)) if _begins(typed[place - 1], typed[place])]
    return min(begins, key=lambda place: abs(place - half), default=half)


def _begins(before: str, character: str) -> bool:
    kind = kind_of(character)
    return character != " " and (kind is Kind.IDEOGRAPH or before == " " or kind is not kind_of(before))


def _or_unknown(ids: Ids | None) -> Ids:
    return np.array([-1], np.int32) if ids is None else ids
