"""The sets of benchmarks ask dev rows only, keep test rows aside, and drop what belongs to their own domain."""

import gzip
import json
from pathlib import Path

import pytest

from benchmarks._sets import Read, demo_sets, read_set, real_sets


def write(path: Path, *rows: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def entry(number: int, *similar: str) -> dict[str, object]:
    return {"id": f"bk77-intent{number}", "question": f"what of {number}", "similar": similar}


def row(query: str, number: int | None, split: str = "dev", **more: object) -> dict[str, object]:
    return {"query": query, "faq_id": None if number is None else f"bk77-intent{number}", "split": split, **more}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    at = tmp_path / "open"
    many = [f"wording {number}" for number in range(20)]
    write(at / "en_banking77.faq.jsonl.gz", entry(0, *many), entry(1))
    write(
        at / "en_banking77.queries.jsonl.gz",
        row("taught", 0, "train"),
        row("asked of 0", 0, "train"),  # measured too: no wording
        row("asked of 0", 0),
        row("asked of 1", 1),
        row("kept aside", 1, "test"),
        row("leans on another", 1, context=["earlier"]),
    )
    (at / "en_banking77.idoos_intents.json").write_text('["intent1"]')
    write(
        at / "en_clinc150.queries.jsonl.gz", row("in CLINC's scope", 7), row("outside", None), row("x", None, "train")
    )
    write(at / "zh_medical.faq.jsonl.gz", entry(0))
    write(at / "zh_medical.queries.jsonl.gz", row("a", 0, "train"), row("b", 0, "test"))
    write(at / "zh_oos.queries.jsonl.gz", row("ill", None, kind="medical"), row("hello", None, kind="chitchat"))
    return tmp_path


def read(data: Path, name: str, cap: int = 300) -> Read:
    [one] = [one for one in real_sets(data) if one.name == name]
    return read_set(one, cap)


def queries(found: Read) -> tuple[set[str], set[str]]:
    return {one.query for one in found.questions}, {one.query for one in found.strangers}


def test_only_sets_whose_files_are_there_are_read(data: Path) -> None:
    assert {one.name for one in real_sets(data)} == {
        "zh_medical",
        "en_banking77",
        "en_banking77_held_out",
        "en_banking77_all",
    }


def test_dev_rows_without_context_are_asked_and_another_sets_strangers(data: Path) -> None:
    found = read(data, "en_banking77")
    assert queries(found) == ({"asked of 0", "asked of 1"}, {"outside"})
    assert [len(one.wordings) for one in found.entries] == [10, 1]


def test_questions_of_entries_held_out_are_out_of_scope(data: Path) -> None:
    found = read(data, "en_banking77_held_out")
    assert queries(found) == ({"asked of 0"}, {"asked of 1"})
    assert [one.id for one in found.entries] == ["bk77-intent0"]
    assert not any(stranger.right for stranger in found.strangers)


def test_training_rows_become_wordings_unless_they_are_measured(data: Path) -> None:
    found = read(data, "en_banking77_all")
    assert found.entries[0].wordings[-1] == "taught"
    assert len(found.entries[0].wordings) == 22


def test_without_dev_rows_all_but_the_test_rows_are_asked_and_the_own_domain_is_no_stranger(data: Path) -> None:
    assert queries(read(data, "zh_medical")) == ({"a"}, {"hello"})


def test_the_cap_takes_the_same_questions_each_time(data: Path) -> None:
    assert len(read(data, "en_banking77", 1).questions) == 1
    assert read(data, "en_banking77", 1) == read(data, "en_banking77", 1)


def test_each_demo_set_asks_its_own_language() -> None:
    chinese, english = (read_set(one, 1_000) for one in demo_sets())
    assert len(chinese.entries) > 100
    assert len(english.questions) > 30
    assert not {one.id for one in chinese.entries} & {one.id for one in english.entries}
    assert not any(one.context or one.kind == "article" for one in (*chinese.questions, *chinese.strangers))
    assert chinese.strangers
