"""Help articles in Markdown become rows, one a passage. It knows no index.

Simple `key: value` lines between two `---` lines may open an article: `id` (else the file's name), `title` (else the
first heading of level 1, else the id), `locale`, `tags`, `valid_from`, `valid_until`; others are kept as metadata.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qa_service.domain.entry import EntryKind
from qa_service.domain.errors import KnowledgeError
from qa_service.knowledge.jsonl import NOT_UTF16, UTF8_BOM, UTF16_BOMS
from qa_service.knowledge.passages import cut_article
from qa_service.knowledge.report import Problem
from qa_service.knowledge.rows import Row

MAX_ARTICLE_BYTES = 4 << 20
_FENCE = "---"
_KEY_VALUE = re.compile(r"([A-Za-z_][\w-]*)[ \t]*[:：](.*)")
_TAG_SEPARATORS = re.compile(r"[,，、|｜]")
_RESERVED = frozenset({"question", "answer", "similar", "not_for"})  # a passage has its own


@dataclass(frozen=True, slots=True, kw_only=True)
class _Article:
    """`front` holds the front matter; `first_line` (from 1) is where the body begins in the file."""

    front: dict[str, str]
    body: str
    first_line: int


def read_article(path: Path, name: str) -> Iterator[Row | Problem]:
    """Give the passages of an article; `name` goes into their metadata as `file`.

    Raises:
        KnowledgeError: the file cannot be opened or read.
    """
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAX_ARTICLE_BYTES else None
    except OSError as error:
        raise KnowledgeError(f"{path} cannot be read: {error.strerror or error}") from error
    if raw is None:
        yield Problem(file=str(path), line=0, reason=f"the article is larger than {MAX_ARTICLE_BYTES:,} bytes")
        return
    text, fault = _decoded(path, raw)
    article = fault or _opened(path, text)
    if isinstance(article, Problem):
        yield article
        return
    yield from _rows(path, name, article)


def _decoded(path: Path, raw: bytes) -> tuple[str, Problem | None]:
    if raw.startswith(UTF16_BOMS):
        return "", Problem(file=str(path), line=1, reason=NOT_UTF16)
    try:
        text = raw.removeprefix(UTF8_BOM).decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start + raw.startswith(UTF8_BOM) * len(UTF8_BOM)) + 1
        return "", Problem(file=str(path), line=line, reason="invalid UTF-8; the article is skipped")
    return text.replace("\r\n", "\n").replace("\r", "\n"), None


def _opened(path: Path, text: str) -> _Article | Problem:
    lines = text.split("\n")
    if lines[0].rstrip() != _FENCE or len(lines) < 2 or not _KEY_VALUE.match(lines[1]):
        return _Article(front={}, body=text, first_line=1)
    front: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        if line.rstrip() == _FENCE:
            return _Article(front=front, body="\n".join(lines[number:]), first_line=number + 1)
        match = _KEY_VALUE.fullmatch(line.rstrip())
        if match is None and line.strip() and not line.startswith("#"):
            reason = "the front matter takes lines of `key: value` up to a line `---`; the article is skipped"
            return Problem(file=str(path), line=number, reason=reason)
        if match:
            front[match[1].casefold()] = _unquoted(match[2].strip())
    return Problem(file=str(path), line=1, reason="the front matter has no closing `---`; the article is skipped")


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _rows(path: Path, name: str, article: _Article) -> Iterator[Row | Problem]:
    cut = cut_article(article.body)
    if not any(passage.text for passage in cut.passages):
        yield Problem(file=str(path), line=0, reason="the article has no text")
        return
    article_id = article.front.get("id") or path.stem
    title = article.front.get("title") or cut.title or article_id
    shared = {key: value for key, value in article.front.items() if value and key not in _RESERVED}
    number = 0
    for passage in cut.passages:
        line = article.first_line + passage.line
        if not passage.text:
            reason = f"the section {' > '.join(passage.headings)!r} has no text"
            yield Problem(file=str(path), line=line, reason=reason)
            continue
        number += 1
        headings = passage.headings[passage.headings[:1] == (title,) :]
        fields = {
            **shared,
            "id": f"{article_id}#{number}",
            "question": " > ".join((title, *headings)),
            "answer": passage.text,
            "tags": [tag for tag in map(str.strip, _TAG_SEPARATORS.split(shared.get("tags", "").strip("[]"))) if tag],
            "title": title,
            "heading": headings[-1] if headings else "",
            "file": name,
        }
        yield Row(line=line, fields=fields, kind=EntryKind.PASSAGE)
