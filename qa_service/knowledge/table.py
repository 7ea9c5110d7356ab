"""CSV tables as spreadsheets save them: UTF-8 with or without a mark, or GB18030. It knows no entry.

The first row names the columns, in English or Chinese. Lists are separated by `|` (also full-width) or line ends.
"""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from qa_service.domain.errors import KnowledgeError
from qa_service.knowledge.jsonl import NOT_UTF16, UTF8_BOM, UTF16_BOMS
from qa_service.knowledge.report import Problem
from qa_service.knowledge.rows import Row

_COLUMNS = {
    "编号": "id",
    "问题": "question",
    "答案": "answer",
    "相似问": "similar",
    "不适用": "not_for",
    "标签": "tags",
    "语言": "locale",
    "生效时间": "valid_from",
    "失效时间": "valid_until",
}
_LISTS = frozenset({"similar", "not_for", "tags"})
_LIST_SEPARATORS = re.compile(r"[|｜\r\n]")
_BLOCK_BYTES = 1 << 20
_SURROGATE = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of an undecodable byte
_THREE_BYTE_CHARS = re.compile("[\u0800-\ufffc\U00010000-\U0010ffff]")


def read_csv(path: Path) -> Iterator[Row | Problem]:
    """Give the rows of a CSV file, and a problem for each row that is none. Empty cells and rows are skipped.

    Raises:
        KnowledgeError: the file cannot be opened or read.
    """
    try:
        encoding = _encoding(path)
        if encoding is None:
            yield Problem(file=str(path), line=1, reason=NOT_UTF16)
            return
        with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
            yield from _rows(path, encoding, file)
    except OSError as error:
        raise KnowledgeError(f"{path} cannot be read: {error.strerror or error}") from error


def _encoding(path: Path) -> str | None:
    """Find how the file is encoded; None for UTF-16.

    GB18030 decodes nearly anything, so it is believed only where UTF-8 fails more often than it yields a Chinese
    character: a UTF-8 file with one bad byte stays UTF-8, and the row with that byte is reported.
    """
    broken = chinese = 0
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with path.open("rb") as file:
        start = file.read(3)
        if start.startswith(UTF16_BOMS):
            return None
        if start == UTF8_BOM:
            return "utf-8-sig"
        block = start
        while block:
            text = decoder.decode(block)
            if not text.isascii():
                broken += text.count("\ufffd")
                chinese += len(_THREE_BYTE_CHARS.findall(text))
            block = file.read(_BLOCK_BYTES)
    broken += decoder.decode(b"", final=True).count("\ufffd")
    return "gb18030" if broken > chinese else "utf-8"


def _rows(path: Path, encoding: str, lines: Iterable[str]) -> Iterator[Row | Problem]:
    records = _records(lines)
    header = next(records, None)
    columns = _columns(header[1]) if header and isinstance(header[1], list) else []
    if reason := _header_fault(columns):
        yield Problem(file=str(path), line=header[0] if header else 1, reason=reason)
        return
    for line, cells in records:
        fault = cells if isinstance(cells, str) else _row_fault(cells, columns, encoding)
        if fault or isinstance(cells, str):
            yield Problem(file=str(path), line=line, reason=fault)
        elif fields := _fields(columns, cells):
            yield Row(line=line, fields=fields)


def _records(lines: Iterable[str]) -> Iterator[tuple[int, list[str] | str]]:
    """Give each record's first line with its cells, or with the reason why it has none."""
    reader = csv.reader(lines, strict=True)  # or an unclosed quote would swallow the rows after it in silence
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            upto = f" (read up to line {reader.line_num})" if reader.line_num > line else ""
            yield line, f"not CSV, is a quote missing?{upto}: {error}"
        else:
            if cells:
                yield line, cells


def _columns(header: Sequence[str]) -> list[str]:
    names = [name.strip().casefold() or f"column {i}" for i, name in enumerate(header, start=1)]
    return [_COLUMNS.get(name, name) for name in names]


def _header_fault(columns: Sequence[str]) -> str:
    missing = [name for name in ("id (编号)", "question (问题)") if name.split()[0] not in columns]
    if missing:
        return f"the header row lacks the column {' and '.join(missing)}; the file is skipped"
    twice = next((name for name in columns if columns.count(name) > 1), "")
    return f"the header row names the column {twice!r} twice; the file is skipped" if twice else ""


def _row_fault(cells: Sequence[str], columns: Sequence[str], encoding: str) -> str:
    if any(_SURROGATE.search(cell) for cell in cells):
        return f"the row holds bytes that are no {'GB18030' if encoding == 'gb18030' else 'UTF-8'}"
    if any(cells[len(columns) :]):
        return f"the row has {len(cells)} cells under {len(columns)} columns"
    return ""


def _fields(columns: Sequence[str], cells: Sequence[str]) -> dict[str, object]:
    # a short row lacks its last cells, which is how some programs save empty ones
    filled = {name: cell for name, cell in zip(columns, cells, strict=False) if cell.strip()}
    return {name: _LIST_SEPARATORS.split(cell) if name in _LISTS else cell for name, cell in filled.items()}
