"""What type-ahead offers: known questions that fit what has been typed so far."""

from dataclasses import dataclass
from enum import StrEnum


class Match(StrEnum):
    """How a question fits, best first."""

    PREFIX = "prefix"  # the question, or a word of it, begins with what was typed
    PINYIN = "pinyin"  # its pinyin does, whole or by initials
    SUBSTRING = "substring"  # it holds what was typed, within a word
    FUZZY = "fuzzy"  # it would, but for a slip


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A known question. `highlight` says which of its characters match: (begin, end) pairs, the end not among them."""

    entry_id: str
    text: str
    match: Match
    highlight: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What has been typed, and how many suggestions are wanted for it at most; a locale prefers its language."""

    text: str
    limit: int
    locale: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggested:
    """Suggestions, best first, and the version of the index that they come from."""

    suggestions: tuple[Suggestion, ...] = ()
    index_version: str = ""
