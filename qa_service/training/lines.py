"""Text files a line at a time, packed or not. It knows nothing of what a line means."""

import gzip
from collections.abc import Iterator
from pathlib import Path

from qa_service.domain.errors import KnowledgeError


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Give the lines of a UTF-8 file (.gz: unpacked) that are not blank, with their numbers from 1.

    Raises:
        KnowledgeError: the file cannot be read.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise KnowledgeError(f"{path} cannot be read: {error}") from error


def is_json_lines(path: Path) -> bool:
    """Tell by its name whether a file holds one JSON value a line."""
    return path.name.removesuffix(".gz").endswith(".jsonl")
