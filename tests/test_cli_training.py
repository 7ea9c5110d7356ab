"""train encoder refuses what cannot teach before it spends any minute on it: one line, exit code 2."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qa_service.cli import main

GROUPS = [[f"question {n}", f"asked otherwise {n}"] for n in range(6)]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*words: str) -> Result:
    return CliRunner().invoke(main, ["train", "encoder", "--out", "trained", *words])


def write(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path.name


def refusal(result: Result) -> str:
    """What it says: one line, and no traceback."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param([], "no two texts of one meaning in pairs.jsonl", id="an empty file"),
        pytest.param([{"texts": ["alone"]}], "no two texts of one meaning in pairs.jsonl", id="a group of one"),
        pytest.param([{"texts": GROUPS[0]}, {"texts": 7}], "pairs.jsonl:2: ", id="texts that are a number"),
        pytest.param([{"id": "x", "question": "y"}], "pairs.jsonl:1: expected", id="a row of another file"),
        pytest.param(["text"], "pairs.jsonl:1: ", id="a row that is no object"),
    ],
)
def test_a_file_without_groups_ends_with_one_line_that_names_it(folder: Path, rows: list[object], said: str) -> None:
    line = refusal(train("--pairs", write(folder / "pairs.jsonl", *rows)))
    assert line.startswith("Unreadable knowledge: ")
    assert said in line
    assert not (folder / "trained").exists()


def test_a_file_for_early_stopping_without_groups_is_named(folder: Path) -> None:
    pairs = write(folder / "pairs.jsonl", *({"texts": group} for group in GROUPS))
    line = refusal(train("--pairs", pairs, "--dev", write(folder / "dev.jsonl")))
    assert "dev.jsonl" in line


def test_a_base_folder_that_is_not_there_ends_with_one_line_that_says_what_to_give(folder: Path) -> None:
    pairs = write(folder / "pairs.jsonl", *({"texts": group} for group in GROUPS))
    line = refusal(train("--pairs", pairs, "--base", "./nowhere"))
    assert line.startswith("Unusable model: there is no model in ./nowhere: give a folder")
    assert not (folder / "trained").exists()


def test_a_teacher_that_is_not_there_ends_with_one_line_that_says_what_to_give(folder: Path) -> None:
    pairs = write(folder / "pairs.jsonl", *({"texts": group} for group in GROUPS))
    line = refusal(train("--pairs", pairs, "--teacher", "./nowhere"))
    assert line.startswith("Unusable model: there is no model in ./nowhere: give a folder")
    assert "train without --teacher" in line


def test_unlabelled_texts_and_a_dictionary_without_any_are_named(folder: Path) -> None:
    pairs = write(folder / "pairs.jsonl", *({"texts": group} for group in GROUPS))
    assert "no text in empty.jsonl" in refusal(train("--pairs", pairs, "--texts", write(folder / "empty.jsonl")))
    line = refusal(train("--pairs", pairs, "--dictionary", write(folder / "empty.jsonl")))
    assert "no word with a gloss in empty.jsonl" in line


@pytest.mark.parametrize("words", [["--pairs", "nowhere.jsonl"], [], ["--pairs", ".", "--minutes", "0"]])
def test_what_was_mistyped_is_refused_with_the_usage(folder: Path, words: list[str]) -> None:
    result = train(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")
