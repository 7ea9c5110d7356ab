"""Which language to reply in. It knows no text of a reply."""

import re
from typing import Literal

Language = Literal["zh", "en"]

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")


def language_of(text: str, locale: str = "") -> Language:
    """Give the question's own language where its script tells, else the locale's; Chinese when nothing tells."""
    if _HAN.search(text):
        return "zh"
    if _LATIN_WORD.search(text):
        return "en"
    return "en" if locale.lower().startswith("en") else "zh"
