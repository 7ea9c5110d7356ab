"""Entries come back from the disk as they were written, and every row knows its entry."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_service.domain.entry import Entry, EntryKind
from qa_service.domain.errors import SnapshotError
from qa_service.retrieval.entries import EntryTable, row_texts, write_entries

TEXT = st.text(max_size=12)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=8)), timezone(-timedelta(hours=3, minutes=30))])
MOMENTS = st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=ZONES)  # noqa: DTZ001  # hypothesis adds the zone
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
ENTRY = st.builds(
    Entry,
    id=TEXT,
    question=TEXT,
    answer=st.none() | TEXT,
    kind=st.sampled_from(EntryKind),
    similar=TEXTS,
    not_for=TEXTS,
    tags=TEXTS,
    locale=st.none() | TEXT,
    valid_from=MOMENTS,
    valid_until=MOMENTS,
    metadata=st.dictionaries(TEXT, JSON, max_size=3),
)


@settings(max_examples=50)
@given(entries=st.lists(ENTRY, max_size=5))
def test_entries_come_back_as_they_were_with_metadata_and_dates(entries: list[Entry]) -> None:
    with TemporaryDirectory() as folder:
        write_entries(entries, Path(folder))
        table = EntryTable(Path(folder))
        assert [table[place] for place in range(len(table))] == entries
        wordings = [place for place, entry in enumerate(entries) for _ in row_texts(entry)]
        assert table.owners(np.arange(len(wordings))).tolist() == wordings


def test_a_table_of_no_entries_is_empty(tmp_path: Path) -> None:
    write_entries([], tmp_path)
    assert len(EntryTable(tmp_path)) == 0


@pytest.mark.parametrize("name", ["entries.jsonl", "entries.offsets.npy", "entries.rows.npy"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_entries([Entry(id="a", question="b")], tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(SnapshotError, match=name):
        EntryTable(tmp_path)


def test_a_file_of_offsets_that_holds_none_is_refused(tmp_path: Path) -> None:
    write_entries([Entry(id="a", question="b")], tmp_path)
    (tmp_path / "entries.offsets.npy").write_bytes(b"no array")
    with pytest.raises(SnapshotError, match="cannot be opened"):
        EntryTable(tmp_path)
