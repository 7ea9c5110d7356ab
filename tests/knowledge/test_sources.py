import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qa_service.domain.errors import KnowledgeError
from qa_service.knowledge.jsonl import MAX_LINE_BYTES
from qa_service.knowledge.read import read_sources, source_files
from qa_service.knowledge.report import Reading

GOOD = '{"id": "a", "question": "怎么退货？", "answer": "七天内可退。"}\n'
SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
UNREADABLE = Path("/proc/self/mem")  # even for root: nothing is mapped at its start


def read_bytes(folder: Path, raw: bytes, name: str = "faq.jsonl") -> Reading:
    path = folder / name
    path.write_bytes(raw)
    return read_sources([path])


def reasons(reading: Reading) -> list[tuple[int, str]]:
    return [(problem.line, problem.reason) for problem in reading.problems]


def row(entry_id: str) -> str:
    return json.dumps({"id": entry_id, "question": f"question {entry_id}"})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(
            b'{"id": "b",}', "not JSON: Expecting property name enclosed in double quotes at column 12", id="{"
        ),
        pytest.param(b"[1]", "a row must be a JSON object, not '[1]'", id="list"),
        pytest.param(b"null", "a row must be a JSON object, not 'null'", id="null"),
        pytest.param(b'{"id": "b", "question": NaN}', "not JSON: NaN is no JSON number", id="NaN"),
        pytest.param(b'{"id": "b", "id": "c"}', "the key 'id' stands twice in one object", id="key twice"),
        pytest.param(b'{"id": "b", "n": ' + b"9" * 5000 + b"}", "not JSON that can be read", id="huge number"),
        pytest.param(b'{"id": ' + b"[" * 100_000, "nested too deeply", id="100,000 deep"),
        pytest.param('{"id": "b", "question": "退货"}'.encode("gbk"), "invalid UTF-8 at byte 26 of the line", id="GBK"),
        pytest.param(b'{"id": "b", "question": "\\ud800"}', "half of a surrogate pair", id="lone surrogate"),
        pytest.param(b'{"id": "b", "question": ""}', "question is empty", id="empty question"),
    ],
)
def test_a_bad_line_is_reported_and_its_neighbours_are_read(tmp_path: Path, line: bytes, reason: str) -> None:
    reading = read_bytes(tmp_path, GOOD.encode() + line + b"\n" + row("z").encode())
    assert [entry.id for entry in reading.entries] == ["a", "z"]
    [problem] = reading.problems
    assert (problem.file, problem.line) == (str(tmp_path / "faq.jsonl"), 2)
    assert reason in problem.reason


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n  \n" + row("b").encode() + b"\r\n")
    assert [entry.id for entry in reading.entries] == ["a", "b"]
    assert not reading.problems


def test_a_utf16_file_is_named_as_such_once(tmp_path: Path) -> None:
    assert reasons(read_bytes(tmp_path, GOOD.encode("utf-16"))) == [(1, "the file is UTF-16; save it as UTF-8")]
    assert reasons(read_bytes(tmp_path, "id,question\n".encode("utf-16"), "faq.csv")) == [
        (1, "the file is UTF-16; save it as UTF-8")
    ]


def test_a_line_without_end_is_skipped_without_being_held(tmp_path: Path) -> None:
    endless = b'{"id": "' + b"x" * (2 * MAX_LINE_BYTES) + b'"}\n'
    reading = read_bytes(tmp_path, endless + GOOD.encode())
    assert [entry.id for entry in reading.entries] == ["a"]
    assert reasons(reading) == [(1, f"the line is longer than {MAX_LINE_BYTES:,} bytes")]


def test_a_repeated_id_names_the_first_place_across_files(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_text("\n" + GOOD, encoding="utf-8")
    (tmp_path / "2.csv").write_text("id,question\na,再问\nb,二\n", encoding="utf-8")
    reading = read_sources([tmp_path])
    assert [entry.question for entry in reading.entries] == ["怎么退货？", "二"]
    assert reasons(reading) == [(2, f"id 'a' is already used at {tmp_path / '1.jsonl'}:2")]


@pytest.mark.parametrize("damage", ["cut", "flip", "checksum", "no gzip"])
def test_damaged_gzip_is_a_problem_and_what_came_before_is_kept(tmp_path: Path, damage: str) -> None:
    good = gzip.compress(b"".join(row(os.urandom(20).hex()).encode() + b"\n" for _ in range(5000)), mtime=0)
    raw = {
        "cut": good[: len(good) // 2],
        "flip": good[: len(good) // 2] + b"\xff\xff\xff\xff\xff\xff" + good[len(good) // 2 + 6 :],
        "checksum": good[:-8] + b"\0\0\0\0" + good[-4:],
        "no gzip": b"plain text",
    }[damage]
    reading = read_bytes(tmp_path, raw, "faq.jsonl.gz")
    problem = reading.problems[-1]
    assert "the gzip data is damaged or cut short" in problem.reason
    assert (len(reading.entries) > 1000) is (damage != "no gzip")
    assert problem.line > len(reading.entries)


def test_a_folder_is_read_in_name_order_without_hidden_files_and_readmes(tmp_path: Path) -> None:
    for name in ["b.jsonl", "a/x.jsonl", ".hidden.jsonl", ".git/y.jsonl", "notes.txt", "c.JSONL"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(row(name), encoding="utf-8")
    for name in ["README.md", "a/Readme.zh-CN.md"]:
        (tmp_path / name).write_text("# About\n\nText.", encoding="utf-8")
    assert [source.name for source in source_files([tmp_path])] == ["a/x.jsonl", "b.jsonl", "c.JSONL"]
    assert [entry.id for entry in read_sources([tmp_path]).entries] == ["a/x.jsonl", "b.jsonl", "c.JSONL"]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "faq.jsonl"
    path.write_text(GOOD, encoding="utf-8")
    reading = read_sources([path, tmp_path, path])
    assert len(reading.entries) == 1
    assert not reading.problems


def test_files_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "faq.jsonl").write_text(row(folder), encoding="utf-8")
    sources = source_files([tmp_path / "one", tmp_path / "two"])
    assert [source.name for source in sources] == ["faq.jsonl", str((tmp_path / "two" / "faq.jsonl").resolve())]


def test_an_empty_folder_is_an_empty_reading(tmp_path: Path) -> None:
    assert read_sources([tmp_path]) == Reading(entries=(), problems=())


@pytest.mark.parametrize("name", ["missing.jsonl", "notes.txt", "pipe.jsonl"])
def test_a_path_that_is_no_source_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(KnowledgeError, match=name):
        read_sources([tmp_path / name])


@pytest.mark.parametrize("name", ["faq.jsonl", "faq.jsonl.gz", "faq.csv", "faq.md"])
@pytest.mark.skipif(not UNREADABLE.exists(), reason="only Linux has a file that opens and cannot be read")
def test_a_file_that_fails_while_it_is_read_is_an_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.symlink_to(UNREADABLE)
    with pytest.raises(KnowledgeError, match=rf"{name} cannot be read: Input/output error"):
        read_sources([path])


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
keys = st.sampled_from(
    ["id", "question", "answer", "similar", "not_for", "tags", "locale", "valid_from", "valid_until", "x"]
)


@given(rows=st.lists(st.dictionaries(keys, anything) | anything, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_json_value_becomes_an_entry_or_a_problem(tmp_path: Path, rows: list[Any]) -> None:
    text = "".join(json.dumps(value) + "\n" for value in rows)
    reading = read_bytes(tmp_path, text.encode())
    assert len(reading.entries) + len(reading.problems) == len(rows)
    places = [problem.line for problem in reading.problems]
    assert places == sorted(set(places))


@given(raw=st.binary(max_size=300), name=st.sampled_from(["x.jsonl", "x.jsonl.gz", "x.csv", "x.md"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_read_or_reported(tmp_path: Path, raw: bytes, name: str) -> None:
    for problem in read_bytes(tmp_path, raw, name).problems:
        assert problem.reason
        assert problem.line <= raw.count(b"\n") + raw.count(b"\r") + 1


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="not run: the folder shared/data is not beside the repository")
def test_the_shared_question_sets_are_read_without_a_problem() -> None:
    sets = sorted(SHARED_DATA.glob("**/*.faq.jsonl.gz"))
    assert sets
    for path in sets:
        with gzip.open(path) as file:
            lines = sum(1 for _ in file)
        reading = read_sources([path])
        assert (len(reading.entries), reading.problems) == (lines, ()), path.name
