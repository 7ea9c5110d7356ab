import pytest

from qa_service.domain.entry import Entry, EntryKind
from qa_service.domain.errors import KnowledgeError
from qa_service.knowledge.report import Problem, Reading, refuse_problems, report_lines


def problems(number: int) -> tuple[Problem, ...]:
    return tuple(Problem(file="shop.jsonl", line=i, reason="question is empty") for i in range(1, number + 1))


def test_the_report_lists_each_problem_and_sums_up() -> None:
    entries = (
        Entry(id="a", question="q", similar=("r", "s")),
        Entry(id="p#1", question="t", answer="u", kind=EntryKind.PASSAGE),
    )
    whole_file = Problem(file="help.md", line=0, reason="the article has no text")
    assert list(report_lines(Reading(entries=entries, problems=(*problems(1), whole_file)))) == [
        "shop.jsonl:1: question is empty",
        "help.md: the article has no text",
        "1 FAQ entry and 1 passage read (4 wordings), 2 problems",
    ]


def test_strictness_accepts_clean_sources() -> None:
    refuse_problems([])


def test_strictness_lists_the_first_twenty_problems_and_counts_the_rest() -> None:
    with pytest.raises(KnowledgeError) as refusal:
        refuse_problems(problems(25))
    lines = refusal.value.detail.splitlines()
    assert lines[0] == "25 problems in the sources:"
    assert lines[20] == "shop.jsonl:20: question is empty"
    assert lines[21:] == ["... and 5 more"]
