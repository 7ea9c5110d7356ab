"""Passages as a generator reads them, and the text it makes of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of an article that may hold the answer; `title` is its heading path."""

    entry_id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A text made from passages.

    Its citations [1], [2] … count `cited`, the entry ids it rests on. `coverage` (0 to 1) is the share of the
    question's meaning-bearing terms, by weight, that the cited sentences and their headings hold.
    """

    text: str
    cited: tuple[str, ...]
    coverage: float
