"""Type-ahead over known questions: what has been typed goes in, the entries it may become come out, best first.

By kind: a question that begins with it, one with a word that does, by pinyin, within a word; where there is none of
these, but for a slip. Within a kind an entry's own question comes before its other wordings, and the shorter before the
longer. It knows no session.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qa_service.domain.suggestion import Match, Suggestion
from qa_service.retrieval.entries import EntryTable
from qa_service.retrieval.suggest_build import LONGEST, microseconds
from qa_service.retrieval.suggest_fold import Kind, fold, kind_of
from qa_service.retrieval.suggest_fuzzy import FuzzySearch
from qa_service.retrieval.suggest_index import Places, SuggestIndex
from qa_service.retrieval.suggest_pinyin import Met, PinyinSearch

_LOOKED_AT = 4  # places for each suggestion wanted, at first: an entry has several wordings
_AMONG = 64  # entries that are looked at where a language is preferred
_MORE = 8  # times as many where these were not enough


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """An entry's best wording: its row, which characters of the folded text match, and how."""

    row: int
    begin: int
    end: int
    match: Match


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Suggester:
    """Suggests the entries of one collection. Nothing in it changes, and threads may share it.

    `clock` tells (aware) when something is typed.
    """

    def __init__(self, index: SuggestIndex, entries: EntryTable, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._index = index
        self._entries = entries
        self._clock = clock
        self._pinyin = PinyinSearch(index)
        self._fuzzy = FuzzySearch(index, self._pinyin)

    @classmethod
    def open(cls, folder: Path, entries: EntryTable) -> "Suggester":
        """Map the files of a folder; `entries` are those that it was built from. Raises SnapshotError."""
        suggester = cls(SuggestIndex.open(folder), entries)
        suggester.suggest("退h", 1)  # opens what folds: the first customer would wait some 40 ms for it
        return suggester

    def suggest(self, typed: str, limit: int, *, locale: str = "") -> tuple[Suggestion, ...]:
        """Give at most `limit` entries that are valid now for what was typed, best first, each once.

        Where entries fit equally well, those in the language of `locale` come first.
        """
        folded = fold(typed).text[:LONGEST]
        found: dict[int, _Found] = {}
        if folded and len(self._entries):
            now = microseconds(self._clock())
            for match, met in self._kinds(folded, found):
                room = limit - len(found)
                more = self._valid(met, match, found.keys(), max(room, _AMONG) if locale else room, now)
                chosen = self._in_language_first(more, locale)[:room] if locale else list(more)
                found |= {owner: more[owner] for owner in chosen}
                if len(found) == limit:
                    break  # before the next kind is looked for
        return tuple(self._told(owner, one) for owner, one in found.items())

    def _kinds(self, folded: str, found: Collection[int]) -> Iterator[tuple[Match, Met]]:
        """Give what fits, kind after kind; slips are looked for only where nothing has been found by then."""
        ids = self._index.ids_of(folded)
        if ids is not None:
            for order in ("starts", "words"):
                yield Match.PREFIX, _as_met(self._index.following(order, ids), len(ids))
        if any(kind_of(character) is not Kind.IDEOGRAPH for character in folded):
            for order in ("starts", "words"):
                yield Match.PINYIN, self._pinyin.following(order, folded)
        if ids is not None:
            yield Match.SUBSTRING, _as_met(self._index.following("inside", ids), len(ids))
        for met in self._fuzzy.following(folded) if not found else ():
            yield Match.FUZZY, met

    def _valid(self, met: Met, match: Match, known: Collection[int], room: int, now: int) -> dict[int, _Found]:
        """Give the entries of the preferred places, at most `room`, but for those that are known or not valid."""
        arrays, looked_at, found = self._index.arrays, 0, dict[int, _Found]()
        count = _LOOKED_AT * room
        while looked_at < len(met.places) and len(found) < room:
            chosen = _smallest(met.places, count)[looked_at:]
            places = met.places[chosen]
            rows = np.searchsorted(arrays["rows"], places, side="right") - 1
            owners, begins = arrays["owners"][rows], places - arrays["rows"][rows]
            valid = arrays["valid"][owners]
            kept = (valid[:, 0] <= now) & (now < valid[:, 1])
            columns = (column[kept].tolist() for column in (owners, rows, begins, met.lengths[chosen]))
            for owner, row, begin, length in zip(*columns, strict=True):
                if owner not in known and owner not in found:
                    found[owner] = _Found(row=row, begin=begin, end=begin + length, match=match)
                    if len(found) == room:
                        break
            looked_at, count = min(count, len(met.places)), count * _MORE
        return found

    def _in_language_first(self, owners: Iterable[int], locale: str) -> list[int]:
        """Sort entries by whether their question is in the language of a locale; the order stays otherwise."""
        wants_chinese = locale.lower().startswith("zh")
        first_rows, is_chinese = self._entries.first_rows, self._entries.is_chinese
        return sorted(owners, key=lambda owner: bool(is_chinese[first_rows[owner]]) is not wants_chinese)

    def _told(self, position: int, found: _Found) -> Suggestion:
        entry = self._entries[position]
        text = entry.wordings[int(self._index.arrays["wordings"][found.row])]
        span = fold(text).span(found.begin, found.end)
        return Suggestion(entry_id=entry.id, text=text, match=found.match, highlight=(span,))


def _as_met(places: Places, length: int) -> Met:
    return Met(places=places, lengths=np.full(len(places), length, np.int64))


def _smallest(places: Places, count: int) -> NDArray[np.intp]:
    """Give where the `count` smallest places stand, in their order."""
    if len(places) <= count:
        return np.argsort(places, kind="stable")
    near = np.argpartition(places, count)[:count]
    return near[np.argsort(places[near], kind="stable")]
