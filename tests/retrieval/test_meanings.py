"""Vectors of whole entries: what is written is what is compared."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from qa_service.domain.entry import Entry
from qa_service.domain.errors import SnapshotError
from qa_service.retrieval.meanings import Meanings, write_meanings

AXES = {"一": 0, "二": 1, "三": 2, "四": 3}


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    vectors = np.zeros((len(texts), 4), np.float32)
    for row, text in enumerate(texts):
        vectors[row, AXES[text]] = 1.0
    return vectors


def written(folder: Path) -> Meanings:
    entries = [
        Entry(id="a", question="一", similar=("二",), answer="三", not_for=("四", "三")),
        Entry(id="b", question="四"),
    ]
    write_meanings(entries, encode(["一", "二", "四"]), [2, 1], encode, folder)
    return Meanings(folder)


def test_an_entry_is_compared_by_the_middle_of_its_wordings_its_answer_and_what_it_is_not_for(tmp_path: Path) -> None:
    meanings = written(tmp_path)
    one, other = meanings.likeness(encode(["一"])[0], np.array([0, 1]))
    assert one.centroid == pytest.approx(np.sqrt(0.5), abs=1e-3)
    assert (one.answer, one.not_for) == (0.0, 0.0)
    assert (other.centroid, other.answer, other.not_for) == (0.0, 0.0, -1.0)
    [answered] = meanings.likeness(encode(["三"])[0], np.array([0]))
    assert (answered.answer, answered.not_for) == (1.0, 1.0)


def test_a_shelf_of_nothing_can_be_written_and_opened(tmp_path: Path) -> None:
    write_meanings([], np.zeros((0, 4), np.float32), [], encode, tmp_path)
    assert Meanings(tmp_path).likeness(encode(["一"])[0], np.array([], np.int64)) == []


@pytest.mark.parametrize("name", ["centroids.npy", "answers.npy", "not_for.npy", "not_for.rows.npy"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    written(tmp_path)
    (tmp_path / name).write_bytes(b"no array")
    with pytest.raises(SnapshotError, match=str(tmp_path)):
        Meanings(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(SnapshotError, match=str(tmp_path)):
        Meanings(tmp_path)
