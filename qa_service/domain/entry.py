"""What the bot knows: FAQ entries and passages of articles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class EntryKind(StrEnum):
    """Where an entry comes from, which decides how it may answer."""

    FAQ = "faq"  # its answer is given as it stands
    PASSAGE = "passage"  # its text is quoted, or handed to a generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing the bot knows.

    For a passage, `question` is its heading path and `answer` its text. An entry without an answer may rank
    (evaluation sets have them) but never answers. `not_for` holds wordings that look alike and mean something else.
    Unknown keys of the source are kept in `metadata`.
    """

    id: str
    question: str
    answer: str | None = None
    kind: EntryKind = EntryKind.FAQ
    similar: tuple[str, ...] = ()
    not_for: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    locale: str | None = None
    valid_from: datetime | None = None  # aware; None: always has been
    valid_until: datetime | None = None  # aware; None: for ever
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wordings(self) -> tuple[str, ...]:
        """The texts under which the entry is found: its question first, then the similar ones."""
        return (self.question, *self.similar)

    def is_valid_at(self, moment: datetime) -> bool:
        """Whether `moment` (aware) lies within the entry's validity; the end is not part of it."""
        begun = self.valid_from is None or self.valid_from <= moment
        return begun and (self.valid_until is None or moment < self.valid_until)
