"""What one check found, and how all of them are told. It knows no check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # it serves, but some promise is weaker than it could be, or nobody can tell
    ERROR = "error"  # it cannot serve, or breaks a promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check: what was looked at, what was found, what to do about it (empty: nothing)."""

    name: str
    level: Level = Level.OK
    found: str
    advice: str = ""


def count(findings: Sequence[Finding], level: Level) -> int:
    """How many findings are of one level."""
    return sum(finding.level is level for finding in findings)


def told(findings: Sequence[Finding], settings: Mapping[str, str]) -> list[str]:
    """One line a finding, its advice on a line below, a line that sums up, then the settings that are to be shown."""
    width = max((len(finding.name) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{finding.level.value:8} {finding.name:{width}}  {finding.found}")
        if finding.advice:
            lines.append(f"{'':8} {'':{width}}  -> {finding.advice}")
    errors, warnings = count(findings, Level.ERROR), count(findings, Level.WARNING)
    lines.append(f"{errors} {_plural(errors, 'error')}, {warnings} {_plural(warnings, 'warning')}")
    return lines + [f"QA_{name.upper()}={value}" for name, value in settings.items()]


def told_as_json(findings: Sequence[Finding], settings: Mapping[str, str]) -> str:
    """Give the findings, the number of errors among them, and the settings if any are to be shown, as a JSON object."""
    document: dict[str, object] = {"errors": count(findings, Level.ERROR), "findings": findings}
    return msgspec.json.encode(document | ({"settings": settings} if settings else {})).decode()


def _plural(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"
