"""The text of all wordings and its sorted places, mapped from disk: which places does something follow? It ranks none.

A place is a number in the text; the places of preferred wordings are smaller. `suggest_build.py` says what the files
hold.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from qa_service.domain.errors import SnapshotError
from qa_service.retrieval.suggest_build import (
    ARRAYS,
    FIRST_IDEOGRAPH,
    IDEOGRAPHS,
    LONGEST,
    SPELLINGS,
    VOCABULARY,
)

Places = NDArray[np.int32]
Ids = NDArray[np.int32]  # of characters: places among `known`, 0 parts wordings


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestIndex:
    """Opened files. Nothing in it changes, and threads may share it."""

    arrays: dict[str, NDArray[Any]]
    known: NDArray[np.uint32]  # distinct characters, ascending; the first is the 0 that parts wordings
    ids: Ids  # code -> place in `known`
    spellings: tuple[str, ...]  # ascending
    vocabulary: tuple[str, ...]  # ascending

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map an index from disk.

        Raises:
            SnapshotError: a file is missing or damaged.
        """
        try:
            arrays = {name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in ARRAYS}
            spellings, vocabulary = (
                tuple((folder / name).read_text(encoding="utf-8").split("\n")) for name in (SPELLINGS, VOCABULARY)
            )
        except (OSError, ValueError, TypeError, EOFError) as error:
            raise SnapshotError(f"the suggestions in {folder.name} cannot be opened: {error}") from error
        _check(arrays, folder)
        known, ids = np.unique(arrays["characters"], return_inverse=True)
        return cls(arrays=arrays, known=known, ids=ids.astype(np.int32), spellings=spellings, vocabulary=vocabulary)

    def ids_of(self, text: str) -> Ids | None:
        """Give the characters of a folded text by their ids; None when one of them is in no wording."""
        wanted = np.fromiter(map(ord, text), np.uint32, len(text))
        ids = np.minimum(np.searchsorted(self.known, wanted), len(self.known) - 1)
        return ids.astype(np.int32) if bool((self.known[ids] == wanted).all()) else None

    def following(self, order: str, wanted: Ids) -> Places:
        """Give the places of one order ("starts", "words" or "inside") that some characters follow; in no order."""
        text, ids, length = self.arrays["text"], self.ids, len(wanted)
        places = self.beginning(order, int(wanted[0]))

        def behind(place: int) -> list[int]:
            found: list[int] = ids[text[place + 1 : place + length]].tolist()
            return found

        key = wanted[1:].tolist()
        if not key:
            return places
        begin = bisect_left(places, key, key=behind)
        return places[begin : bisect_right(places, key, lo=begin, key=behind)]

    def beginning(self, order: str, first: int) -> Places:
        """Give the places of an order that one id (or, where it is by initials, one initial) stands at."""
        firsts = self.arrays[f"firsts_{order}"]
        begin, end = firsts[first : first + 2].tolist() if first + 1 < len(firsts) else (0, 0)
        found: Places = self.arrays[order][begin:end]
        return found

    def codes_of(self, character: int) -> tuple[int, int]:
        """Give the codes (first, and last + 1) of an id: a character has one for each of its spellings."""
        begin, end = np.searchsorted(self.ids, [character, character + 1]).tolist()
        return begin, end

    def window(self, places: Places, width: int) -> Ids:
        """Give the characters that follow some places, by their ids; (places, width)."""
        found: Ids = self.ids[self.arrays["text"][places[:, None] + np.arange(width)]]
        return found

    def spelling_of(self, character: str) -> int:
        """Give how a folded character is spelt alone, as a place in `spellings`; 0 where nobody knows."""
        offset = ord(character) - FIRST_IDEOGRAPH
        if 0 <= offset < IDEOGRAPHS:
            return int(self.arrays["readings"][offset])
        place = bisect_left(self.spellings, character)
        return place if self.spellings[place : place + 1] == (character,) else 0


def _check(arrays: dict[str, NDArray[Any]], folder: Path) -> None:
    text, codes, rows = arrays["text"], len(arrays["characters"]), len(arrays["rows"])
    last = len(text) - LONGEST - 2
    fits = (
        len(arrays["spellings"]) == len(arrays["initials"]) == codes
        and len(arrays["owners"]) == len(arrays["wordings"]) == rows == len(arrays["starts"])
        and (not rows or 0 < int(arrays["rows"][-1]) < last)
        and len(arrays["readings"]) == IDEOGRAPHS
    )
    if not fits:
        raise SnapshotError(f"the suggestions in {folder.name} are damaged: their files do not belong together")
