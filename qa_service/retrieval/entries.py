"""The entries of a snapshot, read one at a time from a memory map. It knows no score."""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from qa_service.domain.entry import Entry, EntryKind
from qa_service.domain.errors import SnapshotError

_TEXT = "entries.jsonl"
_OFFSETS = "entries.offsets.npy"  # int64 (entries + 1,): where each line begins
_FIRST_ROWS = "entries.rows.npy"  # int64 (entries + 1,): which index row each entry's wordings begin at
_CHINESE = "entries.chinese.npy"  # bool (rows,): which index rows hold an ideograph
_DECODED_AT_ONCE = 65_536  # entries kept decoded: about 100 MB at most


_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")


def is_chinese(text: str) -> bool:
    """Whether a text holds an ideograph; "PLUS 怎么开" does."""
    return bool(_IDEOGRAPH.search(text))


def row_texts(entry: Entry) -> tuple[str, ...]:
    """Give the texts an entry is found by, one index row each.

    Those of an FAQ entry are its wordings; of a passage, its heading path with its text.
    """
    if entry.kind is EntryKind.PASSAGE:
        return (f"{entry.question}\n{entry.answer or ''}",)
    return entry.wordings


def write_entries(entries: Sequence[Entry], folder: Path) -> None:
    """Write entries, where each begins, and which rows of the legs are theirs (one row a wording)."""
    lines = [msgspec.json.encode(entry) + b"\n" for entry in entries]
    (folder / _TEXT).write_bytes(b"".join(lines))
    np.save(folder / _OFFSETS, _ends([len(line) for line in lines]))
    np.save(folder / _CHINESE, np.array([is_chinese(text) for entry in entries for text in row_texts(entry)], bool))
    np.save(folder / _FIRST_ROWS, _ends([len(row_texts(entry)) for entry in entries]))


def _ends(sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)


class EntryTable:
    """Opened entries: `table[i]` decodes entry i and keeps it."""

    def __init__(self, folder: Path) -> None:
        """Map the files of `folder`.

        Raises:
            SnapshotError: a file is missing or is not what it should be.
        """
        try:
            # Plain views of the mapped memory: np.memmap's own indexing costs a microsecond each time.
            self._offsets: NDArray[np.int64] = np.asarray(np.load(folder / _OFFSETS, mmap_mode="r"))
            self.first_rows: NDArray[np.int64] = np.asarray(np.load(folder / _FIRST_ROWS, mmap_mode="r"))
            self.is_chinese: NDArray[np.bool_] = np.load(folder / _CHINESE)
            path = folder / _TEXT
            self._text = np.memmap(path, mode="r", dtype=np.uint8) if path.stat().st_size else np.empty(0, np.uint8)
        except (OSError, ValueError) as error:
            raise SnapshotError(f"the entries in {folder} cannot be opened: {error}") from error
        self._decoder = msgspec.json.Decoder(Entry)
        self._entry = lru_cache(maxsize=_DECODED_AT_ONCE)(self._decode)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, position: int) -> Entry:
        return self._entry(position)

    def owners(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the entry of each row; same shape."""
        return np.searchsorted(self.first_rows, rows, side="right") - 1

    def _decode(self, position: int) -> Entry:
        begin, end = int(self._offsets[position]), int(self._offsets[position + 1])
        return self._decoder.decode(self._text[begin:end].tobytes())
