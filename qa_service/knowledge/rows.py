"""One row of a source becomes one entry, or is refused with a reason. It knows no file and no format.

Dates are RFC 3339 times or plain days (YYYY-MM-DD). A time that names no offset is taken as UTC. A plain day counts
whole, in UTC: `valid_from` begins with it and `valid_until` ends with it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from qa_service.domain.entry import Entry, EntryKind
from qa_service.domain.errors import KnowledgeError
from qa_service.domain.text import normalise

MAX_ID_CHARS = 200
MAX_QUESTION_CHARS = 2_000  # also of each other wording
MAX_ANSWER_CHARS = 20_000

KNOWN_KEYS = frozenset(
    {"id", "question", "answer", "similar", "not_for", "tags", "locale", "valid_from", "valid_until"}
)
_TYPE_NAMES = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?P<time>[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as a source holds it: not yet checked. `line` (from 1) is where it begins."""

    line: int
    fields: Mapping[str, Any]
    kind: EntryKind = EntryKind.FAQ


def entry_of(row: Row) -> Entry:
    """Check a row and make its entry. Repeated wordings are folded; an empty answer counts as none.

    Raises:
        KnowledgeError: the row breaks a rule; the detail is the reason, without a place.
    """
    fields = row.fields
    question = _required(fields, "question", MAX_QUESTION_CHARS)
    similar, not_for = _wordings(fields, "similar"), _wordings(fields, "not_for")
    _check_apart((question, *similar), not_for)
    valid_from = _moment(fields, "valid_from", of_day=time.min)
    valid_until = _moment(fields, "valid_until", of_day=time.max)
    if valid_from and valid_until and valid_from >= valid_until:
        raise KnowledgeError(f"valid_from ({valid_from}) is not before valid_until ({valid_until})")
    return Entry(
        id=_id(fields),
        question=question,
        answer=_text(fields, "answer", MAX_ANSWER_CHARS) or None,
        kind=row.kind,
        similar=_folded(similar, seen={normalise(question)}),
        not_for=_folded(not_for, seen=set()),
        tags=tuple(dict.fromkeys(_texts(fields, "tags"))),
        locale=_locale(fields),
        valid_from=valid_from,
        valid_until=valid_until,
        metadata={key: value for key, value in fields.items() if key not in KNOWN_KEYS},
    )


def shown(value: str) -> str:
    """Quote a value of the source within a reason: on one line, and short."""
    return repr(value if len(value) <= 60 else value[:57] + "...")


def _id(fields: Mapping[str, Any]) -> str:
    entry_id = _required(fields, "id", MAX_ID_CHARS)
    strange = next((char for char in entry_id if not char.isprintable()), None)
    if strange is not None:
        raise KnowledgeError(f"id {shown(entry_id)} holds the control character U+{ord(strange):04X}")
    return entry_id


def _required(fields: Mapping[str, Any], name: str, most_chars: int) -> str:
    if name not in fields:
        raise KnowledgeError(f"{name} is missing")
    text = _checked(fields[name], name, most_chars)
    if not normalise(text):
        raise KnowledgeError(f"{name} is empty")
    return text


def _text(fields: Mapping[str, Any], name: str, most_chars: int) -> str:
    value = fields.get(name)
    return "" if value is None else _checked(value, name, most_chars)


def _texts(fields: Mapping[str, Any], name: str) -> list[str]:
    values = fields.get(name)
    if values is None:
        return []
    if not isinstance(values, list):
        raise KnowledgeError(f"{name} must be a list of texts, not {_type_name(values)}")
    texts = [_checked(value, f"{name}[{i}]", MAX_QUESTION_CHARS) for i, value in enumerate(values)]
    return [text for text in texts if text]


def _checked(value: object, name: str, most_chars: int) -> str:
    if not isinstance(value, str):
        raise KnowledgeError(f"{name} must be a text, not {_type_name(value)}")
    text = value.strip()
    if len(text) > most_chars:
        raise KnowledgeError(f"{name} has {len(text):,} characters; at most {most_chars:,} are taken")
    return text


def _type_name(value: object) -> str:
    return _TYPE_NAMES.get(type(value), type(value).__name__)


def _wordings(fields: Mapping[str, Any], name: str) -> list[str]:
    return [text for text in _texts(fields, name) if normalise(text)]


def _folded(wordings: list[str], *, seen: set[str]) -> tuple[str, ...]:
    kept = []
    for wording in wordings:
        folded = normalise(wording)
        if folded not in seen:
            seen.add(folded)
            kept.append(wording)
    return tuple(kept)


def _check_apart(wordings: tuple[str, ...], not_for: list[str]) -> None:
    if not not_for:
        return
    meant = {normalise(wording) for wording in wordings}
    both = next((wording for wording in not_for if normalise(wording) in meant), None)
    if both is not None:
        raise KnowledgeError(f"{shown(both)} is among the entry's wordings and in not_for")


def _locale(fields: Mapping[str, Any]) -> str | None:
    locale = _text(fields, "locale", MAX_ID_CHARS)
    if locale and not _LOCALE.fullmatch(locale):
        raise KnowledgeError(f"locale {shown(locale)} is no language tag such as zh-CN or en")
    return locale or None


def _moment(fields: Mapping[str, Any], name: str, *, of_day: time) -> datetime | None:
    """Read a date as an aware time in UTC; `of_day` is what a plain day stands for."""
    text = _text(fields, name, MAX_ID_CHARS)
    if not text:
        return None
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise KnowledgeError(f"{name} {shown(text)} is neither YYYY-MM-DD nor an RFC 3339 time")
    try:
        moment = datetime.fromisoformat(text.upper())
        if not match["time"]:
            moment = datetime.combine(moment, of_day)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise KnowledgeError(f"{name} {shown(text)} is no date of the calendar: {error}") from error
