"""Checks the demo data: the shop's entries and articles, and the labelled questions that measure answers on them.

`python data/check.py [FOLDER]` prints the counts and, on standard error, one `file:line: reason` for each fault; it
exits with 1 when there is one. It knows nothing of indexes: data that pass here may still be answered badly.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

from qa_service.domain.entry import Entry
from qa_service.domain.errors import InvalidInput, KnowledgeError
from qa_service.domain.text import check_question, normalise

DATA = Path(__file__).parent
LOCALE = "zh-CN"  # of an entry that names none: the shop speaks Chinese first
ARTICLE_FIELDS = ("id", "title", "locale", "tags")
TRAP = "trap-"  # begins the kind of a trap question
FENCE = "---"  # stands above and below an article's front matter

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """An entry and the place (`file:line`) where it is written."""

    place: str
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """A help article, by the id in its front matter, and the place where it begins."""

    place: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledQuestion:
    """A customer's question, the entry that answers it (None: no entry does), and what it tries.

    `article` is the id of the article that answers where no entry does; None when no article does either. `context`
    holds what was asked before in the same session, oldest first. A question of a trap pair names the pair's number
    and the entry of the other one, its `sibling`.
    """

    place: str
    query: str
    faq_id: str | None
    kind: str
    article: str | None
    context: tuple[str, ...]
    sibling: str | None
    pair: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoData:
    """Everything that could be read, in file order, and the faults of what could not."""

    entries: tuple[EntryRow, ...]
    articles: tuple[Article, ...]
    questions: tuple[LabelledQuestion, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many there are of something, and the fewest that will do (0: any number)."""

    what: str
    number: int
    at_least: int = 0


def key(text: str) -> str:
    """The form under which two texts count as the same wording: normalised, without any white space."""
    return "".join(normalise(text).split())


def read(folder: Path) -> DemoData:
    """Read `shop/*.jsonl`, `shop/articles/*.md` and `evaluation/*.jsonl` below `folder`."""
    unreadable: list[str] = []
    entry_lines = chain.from_iterable(_lines(path, folder) for path in sorted(folder.glob("shop/*.jsonl")))
    question_lines = chain.from_iterable(_lines(path, folder) for path in sorted(folder.glob("evaluation/*.jsonl")))
    article_texts = (
        (f"{path.relative_to(folder).as_posix()}:1", path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("shop/articles/*.md"))
    )
    return DemoData(
        entries=tuple(_readable(_entry, entry_lines, unreadable)),
        articles=tuple(_readable(_article, article_texts, unreadable)),
        questions=tuple(_readable(_question, question_lines, unreadable)),
        unreadable=tuple(unreadable),
    )


def check(folder: Path) -> list[str]:
    """Every fault of the data below `folder`, as `file:line: reason`; empty when there is none."""
    data = read(folder)
    return [
        *data.unreadable,
        *_repeated_ids(data),
        *_repeated_wordings(data),
        *_contradictory_siblings(data),
        *_unresolved_labels(data),
        *_broken_pairs(data),
        *_leaked_questions(data),
        *_missed_minimums(data),
    ]


def count(data: DemoData) -> list[Count]:
    """The numbers that matter, with their minimums, then the questions by kind."""
    languages = Counter((row.entry.locale or LOCALE)[:2] for row in data.entries)
    kinds = Counter(question.kind for question in data.questions)
    asked = Counter(_group(question) for question in data.questions)
    return [
        Count(what="Chinese entries", number=languages["zh"], at_least=300),
        Count(what="English entries", number=languages["en"], at_least=150),
        Count(what="entries with not_for", number=sum(bool(row.entry.not_for) for row in data.entries), at_least=60),
        Count(what="articles", number=len(data.articles), at_least=20),
        *(
            Count(what=f"questions in {name}", number=asked[key], at_least=at_least)
            for key, name, at_least in (("zh", "Chinese", 600), ("en", "English", 300))
        ),
        Count(what="trap questions", number=asked["trap"], at_least=400),
        Count(
            what="questions without entry",
            number=sum(question.faq_id is None for question in data.questions),
            at_least=150,
        ),
        *(Count(what=f"questions: {kind}", number=number) for kind, number in sorted(kinds.items())),
    ]


def _group(question: LabelledQuestion) -> str:
    if question.kind.startswith(TRAP):
        return "trap"
    return "zh" if any("\u4e00" <= character <= "\u9fff" for character in question.query) else "en"


def _lines(path: Path, folder: Path) -> Iterator[tuple[str, str]]:
    # Not splitlines(): a JSON text may hold U+2028, which would cut its row in two.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            yield f"{path.relative_to(folder).as_posix()}:{number}", line


def _readable(
    parse: Callable[[str, str], Row], texts: Iterable[tuple[str, str]], unreadable: list[str]
) -> Iterator[Row]:
    for place, text in texts:
        try:
            yield parse(place, text)
        except (KnowledgeError, InvalidInput) as error:
            unreadable.append(f"{place}: {error.detail}")


def _members(text: str) -> dict[str, object]:
    try:
        row = json.loads(text)
    except ValueError as error:
        raise KnowledgeError(f"the row is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise KnowledgeError("the row is not a JSON object")
    return row


def _text(row: dict[str, object], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise KnowledgeError(f"{name} is missing, or is no text")
    return value


def _optional_text(row: dict[str, object], name: str) -> str | None:
    return None if row.get(name) is None else _text(row, name)


def _optional_number(row: dict[str, object], name: str) -> int | None:
    value = row.get(name)
    if value is not None and not isinstance(value, int):
        raise KnowledgeError(f"{name} is no whole number")
    return value


def _texts(row: dict[str, object], name: str) -> tuple[str, ...]:
    value = row.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise KnowledgeError(f"{name} is missing, or is no list of texts")
    return tuple(value)


def _entry(place: str, text: str) -> EntryRow:
    row = _members(text)
    entry = Entry(
        id=_text(row, "id"),
        question=_text(row, "question"),
        answer=_text(row, "answer"),
        similar=_texts(row, "similar"),
        not_for=_texts(row, "not_for") if "not_for" in row else (),
        tags=_texts(row, "tags"),
        locale=_optional_text(row, "locale"),
    )
    return EntryRow(place=place, entry=entry)


def _question(place: str, text: str) -> LabelledQuestion:
    row = _members(text)
    if "faq_id" not in row:
        raise KnowledgeError("faq_id is missing; write null where no entry answers")
    return LabelledQuestion(
        place=place,
        query=check_question(_text(row, "query")),
        faq_id=_optional_text(row, "faq_id"),
        kind=_text(row, "kind"),
        article=_optional_text(row, "article"),
        context=_texts(row, "context") if "context" in row else (),
        sibling=_optional_text(row, "sibling"),
        pair=_optional_number(row, "pair"),
    )


def _article(place: str, text: str) -> Article:
    opening, _, rest = text.partition("\n")
    front, closing, body = rest.partition(f"\n{FENCE}\n")
    if opening != FENCE or not closing:
        raise KnowledgeError(f"the article does not begin with front matter between two lines of {FENCE}")
    pairs = (line.partition(":") for line in front.split("\n"))
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    for name in ARTICLE_FIELDS:
        if not fields.get(name):
            raise KnowledgeError(f"{name} is missing in the front matter")
    if not body.strip():
        raise KnowledgeError("the article has no text below its front matter")
    return Article(place=place, id=fields["id"])


def _repeated_ids(data: DemoData) -> Iterator[str]:
    first: dict[str, str] = {}
    named = ((row.place, row.entry.id) for row in data.entries)
    for place, name in chain(named, ((article.place, article.id) for article in data.articles)):
        if name in first:
            yield f"{place}: the id {name} is already used at {first[name]}"
        first.setdefault(name, place)


def _repeated_wordings(data: DemoData) -> Iterator[str]:
    owner: dict[str, EntryRow] = {}
    for row in data.entries:
        for wording in row.entry.wordings:
            other = owner.setdefault(key(wording), row)
            if other is not row:
                yield f"{row.place}: the wording {wording!r} is also one of {other.entry.id} at {other.place}"


def _contradictory_siblings(data: DemoData) -> Iterator[str]:
    for row in data.entries:
        own = {key(wording) for wording in row.entry.wordings}
        for wording in row.entry.not_for:
            if key(wording) in own:
                yield f"{row.place}: {wording!r} is both a wording and in not_for of {row.entry.id}"


def _unresolved_labels(data: DemoData) -> Iterator[str]:
    entry_ids = {row.entry.id for row in data.entries}
    article_ids = {article.id for article in data.articles}
    for question in data.questions:
        if question.faq_id is not None and question.faq_id not in entry_ids:
            yield f"{question.place}: there is no entry {question.faq_id}"
        if question.article is not None and question.article not in article_ids:
            yield f"{question.place}: there is no article {question.article}"


def _broken_pairs(data: DemoData) -> Iterator[str]:
    """Of a trap pair, both questions are there, and each names the other's entry as its sibling."""
    pairs: dict[tuple[str, int], list[LabelledQuestion]] = {}
    for question in data.questions:
        if question.pair is not None:
            pairs.setdefault((question.place.partition(":")[0], question.pair), []).append(question)
    for (_, number), pair in pairs.items():
        if len(pair) != 2 or {(one.faq_id, one.sibling) for one in pair} != {(one.sibling, one.faq_id) for one in pair}:
            yield f"{pair[0].place}: pair {number} is not two questions that name each other's entry as sibling"


def _leaked_questions(data: DemoData) -> Iterator[str]:
    owner = {key(wording): row.entry.id for row in data.entries for wording in row.entry.wordings}
    first: dict[str, str] = {}
    for question in data.questions:
        asked = key(question.query)
        if asked in owner:
            yield f"{question.place}: the question {question.query!r} is a wording of {owner[asked]}"
        if asked in first:
            yield f"{question.place}: the question {question.query!r} is already asked at {first[asked]}"
        first.setdefault(asked, question.place)


def _missed_minimums(data: DemoData) -> Iterator[str]:
    for line in count(data):
        if line.number < line.at_least:
            yield f"data: {line.number} {line.what}; at least {line.at_least} are expected"


def main(arguments: list[str]) -> int:
    """Print the counts of the folder named (this file's own by default) and its faults; 1 when there is a fault."""
    folder = Path(arguments[0]) if arguments else DATA
    for line in count(read(folder)):
        floor = f"at least {line.at_least}" if line.at_least else ""
        sys.stdout.write(f"{line.what:<30}{line.number:>5}  {floor}".rstrip() + "\n")
    faults = check(folder)
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
