"""The demo data hold what their README promises, and their checker finds each kind of fault."""

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "data"
ENTRIES = "shop/faq.en.jsonl"
QUESTIONS = "evaluation/questions.en.jsonl"
ARTICLE = "shop/articles/membership-tiers.en.md"

Members = dict[str, Any]


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    """`data/check.py`, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("demo_data_check", DATA / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the real data, free to be spoilt."""
    return Path(shutil.copytree(DATA, tmp_path / "data"))


def rows(path: Path) -> list[Members]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def change(path: Path, edit: Callable[[list[Members]], object]) -> None:
    changed = rows(path)
    edit(changed)
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in changed), encoding="utf-8")


def test_the_real_data_pass_and_their_counts_are_printed(
    checker: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checker.main([str(DATA)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "Chinese entries" in printed.out
    assert "questions: near-miss" in printed.out


def test_a_fault_goes_to_standard_error_with_its_place_and_fails_the_run(
    checker: ModuleType, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(copy / ENTRIES, lambda entries: entries[1].update(id=entries[0]["id"]))
    assert checker.main([str(copy)]) == 1
    assert f"{ENTRIES}:2: the id en-order-cancel-unshipped is already used at {ENTRIES}:1\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        pytest.param(lambda e: e[4].pop("answer"), ":5: answer is missing, or is no text", id="no-answer"),
        pytest.param(
            lambda e: e[4].update(question=" "), ":5: question is missing, or is no text", id="blank-question"
        ),
        pytest.param(
            lambda e: e[4].update(similar="one"), ":5: similar is missing, or is no list", id="similar-no-list"
        ),
        pytest.param(lambda e: e[4].update(tags=[1]), ":5: tags is missing, or is no list of texts", id="tag-no-text"),
        pytest.param(
            lambda e: e[4]["similar"].append(e[0]["question"].upper()),
            ":5: the wording",
            id="wording-of-two-entries",
        ),
        pytest.param(
            lambda e: e[4].update(not_for=[e[4]["question"].replace(" ", "  ")]),
            "is both a wording and in not_for",
            id="not-for-its-own-wording",
        ),
        pytest.param(lambda e: e[4].pop("id"), ":5: id is missing, or is no text", id="no-id"),
    ],
)
def test_a_faulty_entry_is_named_by_line_and_reason(
    checker: ModuleType, copy: Path, edit: Callable[[list[Members]], object], reason: str
) -> None:
    change(copy / ENTRIES, edit)
    assert any(ENTRIES in fault and reason in fault for fault in checker.check(copy))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        pytest.param(lambda q: q[2].update(faq_id="en-none"), ":3: there is no entry en-none", id="unknown-entry"),
        pytest.param(lambda q: q[2].update(article="none"), ":3: there is no article none", id="unknown-article"),
        pytest.param(lambda q: q[2].pop("faq_id"), ":3: faq_id is missing", id="no-label"),
        pytest.param(
            lambda q: q[2].update(context="earlier"), ":3: context is missing, or is no", id="context-no-list"
        ),
        pytest.param(lambda q: q[2].pop("kind"), ":3: kind is missing", id="no-kind"),
        pytest.param(lambda q: q[2].update(query="long " * 101), ":3: the question has 504", id="too-long"),
        pytest.param(lambda q: q[2].update(query=q[0]["query"]), ":3: the question", id="asked-twice"),
    ],
)
def test_a_faulty_question_is_named_by_line_and_reason(
    checker: ModuleType, copy: Path, edit: Callable[[list[Members]], object], reason: str
) -> None:
    change(copy / QUESTIONS, edit)
    assert any(f"{QUESTIONS}{reason}" in fault for fault in checker.check(copy))


def test_a_question_that_is_a_wording_but_for_case_and_white_space_is_found(checker: ModuleType, copy: Path) -> None:
    wording = rows(copy / ENTRIES)[0]["similar"][0]
    change(copy / QUESTIONS, lambda questions: questions[0].update(query=f" {wording.upper().replace(' ', '')}?? "))
    (fault,) = checker.check(copy)
    assert fault.startswith(f"{QUESTIONS}:1: ")
    assert fault.endswith("is a wording of en-order-cancel-unshipped")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param("---\nid", "id", "does not begin with front matter", id="no-front-matter"),
        pytest.param("title: Membership tiers in detail\n", "", "title is missing in the front matter", id="no-title"),
    ],
)
def test_an_article_with_unreadable_front_matter_is_named(
    checker: ModuleType, copy: Path, old: str, new: str, reason: str
) -> None:
    article = copy / ARTICLE
    article.write_text(article.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    assert any(fault.startswith(f"{ARTICLE}:1: ") and reason in fault for fault in checker.check(copy))


def test_an_article_and_an_entry_must_not_share_an_id(checker: ModuleType, copy: Path) -> None:
    change(copy / ENTRIES, lambda entries: entries[0].update(id="article-membership-tiers"))
    assert any("the id article-membership-tiers is already used" in fault for fault in checker.check(copy))


@pytest.mark.parametrize("line", ["{", "[]", '"text"'])
def test_a_row_that_is_no_json_object_is_named(checker: ModuleType, copy: Path, line: str) -> None:
    entries = copy / ENTRIES
    entries.write_text(f"{entries.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    (fault,) = checker.check(copy)
    assert fault.startswith(f"{ENTRIES}:{len(rows(DATA / ENTRIES)) + 2}: the row is not")


def test_too_few_of_anything_is_a_fault(checker: ModuleType, tmp_path: Path) -> None:
    assert checker.check(tmp_path) == [
        "data: 0 Chinese entries; at least 300 are expected",
        "data: 0 English entries; at least 150 are expected",
        "data: 0 entries with not_for; at least 60 are expected",
        "data: 0 articles; at least 20 are expected",
        "data: 0 questions in Chinese; at least 600 are expected",
        "data: 0 questions in English; at least 300 are expected",
        "data: 0 trap questions; at least 400 are expected",
        "data: 0 questions without entry; at least 150 are expected",
    ]


@pytest.mark.parametrize("change", [{"sibling": "no-such"}, {"pair": 9999}])
def test_a_trap_pair_that_does_not_point_at_itself_is_a_fault(
    checker: ModuleType, copy: Path, change: dict[str, object]
) -> None:
    traps = copy / "evaluation/traps.zh.jsonl"
    first, *rest = rows(traps)
    traps.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in ({**first, **change}, *rest)) + "\n")
    assert any("is not two questions that name each other's entry" in fault for fault in checker.check(copy))
