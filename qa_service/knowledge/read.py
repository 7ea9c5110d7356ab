"""Files and folders of knowledge become entries, each id once. It knows the formats by name only."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qa_service.domain.entry import Entry, EntryKind
from qa_service.domain.errors import KnowledgeError
from qa_service.knowledge.articles import read_article
from qa_service.knowledge.jsonl import read_jsonl
from qa_service.knowledge.report import Problem, Reading
from qa_service.knowledge.rows import Row, entry_of, shown
from qa_service.knowledge.table import read_csv


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file to read. `name` is its path below the folder that was named, and no other file's.

    It is the same on every machine, but for a file that shares its name with an earlier one: that takes its whole path.
    """

    path: Path
    name: str


def read_sources(paths: Sequence[Path]) -> Reading:
    """Read files and folders, in the order given; what cannot be taken in is among the problems.

    Raises:
        KnowledgeError: a path does not exist, cannot be read, or is of no known kind.
    """
    entries: list[Entry] = []
    problems: list[Problem] = []
    places: dict[str, str] = {}  # id -> where it was first seen
    for source in source_files(paths):
        for outcome in _outcomes(source, places):
            if isinstance(outcome, Problem):
                problems.append(outcome)
            else:
                entries.append(outcome)
    return Reading(entries=tuple(entries), problems=tuple(problems))


def source_files(paths: Sequence[Path]) -> tuple[SourceFile, ...]:
    """Name the files that `read_sources` reads, each once.

    Of a folder these are all .jsonl, .jsonl.gz, .csv and .md files below it in name order, without hidden ones and
    README files.

    Raises:
        KnowledgeError: a path does not exist, a folder cannot be listed, or a named file is of no known kind.
    """
    found: dict[Path, SourceFile] = {}
    names: set[str] = set()
    for path in paths:
        for source in _files_of(path):
            place = source.path.resolve()
            if place not in found:
                name = str(place) if source.name in names else source.name
                found[place] = replace(source, name=name)
                names.add(name)
    return tuple(found.values())


def _files_of(path: Path) -> Iterator[SourceFile]:
    if path.is_dir():
        yield from (
            SourceFile(path=file, name=file.relative_to(path).as_posix()) for file in sorted(_files_below(path))
        )
    elif not path.exists():
        raise KnowledgeError(f"{path} does not exist")
    elif not path.is_file() or _reader(path) is None:
        raise KnowledgeError(f"{path} is no folder and no .jsonl, .jsonl.gz, .csv or .md file")
    else:
        yield SourceFile(path=path, name=path.name)


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, onerror=_refuse_unlisted):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            file = Path(parent, name)
            if not name.startswith(".") and not _is_readme(name) and _reader(file) and file.is_file():
                yield file


def _is_readme(name: str) -> bool:
    return name.casefold().startswith("readme.") and name.casefold().endswith(".md")  # README.zh-CN.md too


def _refuse_unlisted(error: OSError) -> None:
    raise KnowledgeError(f"{error.filename} cannot be listed: {error.strerror}") from error


def _reader(path: Path) -> Callable[[Path, str], Iterator[Row | Problem]] | None:
    name = path.name.casefold()
    if name.endswith((".jsonl", ".jsonl.gz")):
        return lambda file, _: read_jsonl(file)
    if name.endswith(".csv"):
        return lambda file, _: read_csv(file)
    return read_article if name.endswith(".md") else None


def _outcomes(source: SourceFile, places: dict[str, str]) -> Iterator[Entry | Problem]:
    reader = _reader(source.path)
    assert reader is not None  # source_files names no other file
    for row in reader(source.path, source.name):
        if isinstance(row, Problem):
            yield row
            continue
        try:
            entry = entry_of(row)
        except KnowledgeError as error:
            yield Problem(file=str(source.path), line=row.line, reason=error.detail)
            continue
        if first := places.get(entry.id):
            skipped = "; the article is skipped from here on" if row.kind is EntryKind.PASSAGE else ""
            reason = f"id {shown(entry.id)} is already used at {first}{skipped}"
            yield Problem(file=str(source.path), line=row.line, reason=reason)
            if row.kind is EntryKind.PASSAGE:
                return
        else:
            places[entry.id] = f"{source.path}:{row.line}"
            yield entry
