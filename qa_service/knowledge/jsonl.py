"""JSON lines, plain or gzipped, read one line at a time. It knows no entry: a row is any object."""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

from qa_service.domain.errors import KnowledgeError
from qa_service.knowledge.report import Problem
from qa_service.knowledge.rows import Row, shown

UTF8_BOM = b"\xef\xbb\xbf"
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
NOT_UTF16 = "the file is UTF-16; save it as UTF-8"
MAX_LINE_BYTES = 8 << 20  # an entry with 100,000 wordings fits; a file without line ends does not fill the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    number: int
    text: str


def read_jsonl(path: Path) -> Iterator[Row | Problem]:
    """Give the rows of a .jsonl or .jsonl.gz file, and a problem for each line that is none. Blank lines are skipped.

    Raises:
        KnowledgeError: the file cannot be opened or read.
    """
    for line in _lines(path):
        if isinstance(line, Problem):
            yield line
        elif line.text.strip():
            try:
                yield Row(line=line.number, fields=_object(line.text))
            except KnowledgeError as error:
                yield Problem(file=str(path), line=line.number, reason=error.detail)


def _lines(path: Path) -> Iterator[_Line | Problem]:
    number = 0
    try:
        with _open(path) as file:
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if number == 1 and raw.startswith(UTF16_BOMS):
                    yield Problem(file=str(path), line=1, reason=NOT_UTF16)
                    return
                if len(raw) > MAX_LINE_BYTES:
                    _skip_line(file, raw)
                    reason = f"the line is longer than {MAX_LINE_BYTES:,} bytes"
                    yield Problem(file=str(path), line=number, reason=reason)
                    continue
                yield _decoded(path, number, raw.removeprefix(UTF8_BOM) if number == 1 else raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = f"the gzip data is damaged or cut short, what follows is lost: {error}"
        yield Problem(file=str(path), line=number + 1, reason=reason)
    except OSError as error:
        raise KnowledgeError(f"{path} cannot be read: {error.strerror or error}") from error


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if path.suffix.casefold() == ".gz" else path.open("rb")


def _skip_line(file: BinaryIO, raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(MAX_LINE_BYTES)


def _decoded(path: Path, number: int, raw: bytes) -> _Line | Problem:
    try:
        return _Line(number=number, text=raw.decode())
    except UnicodeDecodeError as error:
        reason = f"invalid UTF-8 at byte {error.start + 1} of the line (0x{raw[error.start]:02x})"
        return Problem(file=str(path), line=number, reason=reason)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise KnowledgeError(f"not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise KnowledgeError("not JSON that can be read: nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise KnowledgeError(f"not JSON that can be read: {error}") from error
    if not isinstance(value, dict):
        raise KnowledgeError(f"a row must be a JSON object, not {shown(text.strip())}")
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise KnowledgeError(f"not JSON: {name} is no JSON number")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise KnowledgeError(f"the key {shown(twice)} stands twice in one object")
    return members


def _check_surrogates(value: dict[str, Any]) -> None:
    # Half of a pair parses, and would fail only when the entry is written.
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise KnowledgeError("the row holds half of a surrogate pair (\\ud800 to \\udfff)") from error
