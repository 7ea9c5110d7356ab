"""A share of the questions that another index version answers, so that a change is tried on a few customers first."""

import re
from dataclasses import dataclass

from qa_service.domain.errors import SettingsError
from qa_service.domain.text import question_hash

_SHARE = re.compile(r"(?P<version>[\w][\w.-]*):(?P<percent>\d{1,3})%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`percent` (1 to 100) of all questions go to `version`; the same question always goes the same way."""

    version: str
    percent: int

    def version_for(self, normalised: str, otherwise: str) -> str:
        """Give the version that answers a question."""
        return self.version if int(question_hash(normalised)[:8], 16) % 100 < self.percent else otherwise


def parse_share(text: str) -> Share | None:
    """Read `VERSION:N%`; an empty text means no share.

    Raises:
        SettingsError: it is anything else.
    """
    if not text:
        return None
    match = _SHARE.fullmatch(text.strip())
    if not match or not 1 <= int(match["percent"]) <= 100:
        raise SettingsError(f"a share is VERSION:N% with N from 1 to 100, not {text!r}")
    return Share(version=match["version"], percent=int(match["percent"]))
