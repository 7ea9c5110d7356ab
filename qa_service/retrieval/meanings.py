"""Vectors of a whole entry: the middle of its wordings, its answer, and what it is not for. It knows no score.

A single wording may be near a question by chance; the middle of all of them and the answer rarely are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qa_service.domain.entry import Entry
from qa_service.domain.errors import SnapshotError

_CENTROIDS = "centroids.npy"  # float16 (entries, dimension), length 1
_ANSWERS = "answers.npy"  # float16 (entries, dimension), length 1, or 0 where there is no answer
_NOT_FOR = "not_for.npy"  # float16 (`not_for` wordings, dimension), in the order of the entries
_FIRST_NOT_FOR = "not_for.rows.npy"  # int64 (entries + 1,): where those of each entry begin
_LEAST_LENGTH = 1e-9

Encode = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Cosines (-1 to 1) of a question with an entry; `not_for` is that of the likest such wording, -1 without one."""

    centroid: float
    answer: float
    not_for: float


def write_meanings(
    entries: Sequence[Entry], vectors: NDArray[np.float32], sizes: Sequence[int], encode: Encode, folder: Path
) -> None:
    """Write the vectors of some entries.

    `vectors` (rows, dimension) are those of their wordings, `sizes` says how many rows each entry has (at least one).
    """
    starts = np.cumsum([0, *sizes[:-1]]) if sizes else np.empty(0, np.int64)
    sums = np.add.reduceat(vectors, starts, axis=0) if sizes else vectors
    lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), _LEAST_LENGTH)
    answers = np.zeros(sums.shape, np.float32)
    answered = [place for place, entry in enumerate(entries) if entry.answer]
    answers[answered] = encode([entries[place].answer or "" for place in answered])
    np.save(folder / _CENTROIDS, (sums / lengths).astype(np.float16))
    np.save(folder / _ANSWERS, answers.astype(np.float16))
    np.save(folder / _NOT_FOR, encode([wording for entry in entries for wording in entry.not_for]).astype(np.float16))
    np.save(folder / _FIRST_NOT_FOR, np.cumsum([0, *(len(entry.not_for) for entry in entries)], dtype=np.int64))


class Meanings:
    """The opened vectors of a shelf's entries."""

    def __init__(self, folder: Path) -> None:
        """Map the files of `folder`.

        Raises:
            SnapshotError: a file is missing or is not what it should be.
        """
        try:
            self._centroids, self._answers, self._not_for, self._first_not_for = (
                # Plain views of the mapped memory: np.memmap's own indexing costs a microsecond each time.
                np.asarray(np.load(folder / name, mmap_mode="r" if (folder / name).stat().st_size > _EMPTY else None))
                for name in (_CENTROIDS, _ANSWERS, _NOT_FOR, _FIRST_NOT_FOR)
            )
        except (OSError, ValueError, EOFError) as error:
            raise SnapshotError(f"the vectors in {folder} cannot be opened: {error}") from error

    def likeness(self, vector: NDArray[np.float32], entries: NDArray[np.int64]) -> list[Likeness]:
        """Compare a question's vector, float32 (dimension,) of length 1, with some entries."""
        if not len(entries):
            return []
        centroids = self._centroids[entries].astype(np.float32) @ vector
        answers = self._answers[entries].astype(np.float32) @ vector
        not_for = [self._likest_not_for(position, vector) for position in entries.tolist()]
        return [
            Likeness(centroid=centroid, answer=answer, not_for=excluded)
            for centroid, answer, excluded in zip(centroids.tolist(), answers.tolist(), not_for, strict=True)
        ]

    def _likest_not_for(self, position: int, vector: NDArray[np.float32]) -> float:
        begin, end = self._first_not_for[position : position + 2].tolist()
        return float((self._not_for[begin:end].astype(np.float32) @ vector).max()) if end > begin else -1.0


_EMPTY = 128  # bytes of a .npy header: an array of nothing cannot be mapped
