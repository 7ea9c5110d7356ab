"""Suggesters over a few entries, built and opened as a snapshot's are, and a tokeniser for all of them."""

import tempfile
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

from qa_service.domain.entry import Entry
from qa_service.domain.suggestion import Suggestion
from qa_service.retrieval.entries import EntryTable, write_entries
from qa_service.retrieval.suggest import Suggester
from qa_service.retrieval.suggest_build import build_suggestions
from qa_service.retrieval.suggest_index import SuggestIndex
from qa_service.retrieval.tokens import Tokeniser

ALL = 10_000


@cache
def tokeniser() -> Tokeniser:
    """One for all: its dictionary takes a moment to open."""
    return Tokeniser()


def known(*wordings: str, entry_id: str = "", answer: str | None = "答") -> Entry:
    """An entry of some wordings, its question first."""
    return Entry(id=entry_id or wordings[0], question=wordings[0], similar=wordings[1:], answer=answer)


def opened(entries: Sequence[Entry], *, now: datetime | None = None) -> Suggester:
    """Build a suggester in a folder that is gone once it is open: what is mapped stays."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        index = built(entries, folder)
        write_entries(entries, folder)
        table = EntryTable(folder)
        return Suggester(index, table, clock=lambda: now) if now else Suggester(index, table)


def built(entries: Sequence[Entry], folder: Path) -> SuggestIndex:
    """Build and open the index alone."""
    build_suggestions(entries, folder / "suggest", tokeniser())
    return SuggestIndex.open(folder / "suggest")


def texts(suggestions: Sequence[Suggestion]) -> list[str]:
    """What is offered, in its order."""
    return [suggestion.text for suggestion in suggestions]
