"""What reading sources gave: entries, and what was refused and why. It knows no format and no index."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qa_service.domain.entry import Entry, EntryKind
from qa_service.domain.errors import KnowledgeError

_LISTED_WHEN_REFUSED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something in a source that was not taken in. `line` starts at 1; 0 means the file as a whole."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All that a set of sources holds, in the order of the sources."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]


def report_lines(reading: Reading) -> Iterator[str]:
    """Give each problem as `file:line: reason`, then one line that sums up."""
    yield from map(str, reading.problems)
    passages = sum(entry.kind is EntryKind.PASSAGE for entry in reading.entries)
    faq = len(reading.entries) - passages
    wordings = sum(len(entry.wordings) for entry in reading.entries)
    yield (
        f"{_count(faq, 'FAQ entry', 'FAQ entries')} and {_count(passages, 'passage', 'passages')} read "
        f"({_count(wordings, 'wording', 'wordings')}), {_count(len(reading.problems), 'problem', 'problems')}"
    )


def refuse_problems(problems: Sequence[Problem]) -> None:
    """Accept sources without a problem only.

    Raises:
        KnowledgeError: there is a problem; the first 20 are listed.
    """
    if not problems:
        return
    listed = [str(problem) for problem in problems[:_LISTED_WHEN_REFUSED]]
    if rest := len(problems) - len(listed):
        listed.append(f"... and {rest:,} more")
    raise KnowledgeError("\n".join([f"{_count(len(problems), 'problem', 'problems')} in the sources:", *listed]))


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
