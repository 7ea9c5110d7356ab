"""Words that exclude each other: who asks about "before" is not answered with "after". It knows no index.

Each line of `contrasts.txt` is one contrast; `|` parts its sides, a space the words of a side. Encoders hardly tell
such words apart, because they stand in the same sentences.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

Sides = dict[int, frozenset[int]]


def sides(text: str) -> Sides:
    """Give which sides (numbers) of which contrasts (numbers) a normalised text names."""
    pattern, meaning = _contrasts()
    found: dict[int, set[int]] = {}
    for match in pattern.finditer(text):
        for contrast, side in meaning[match.group()]:
            found.setdefault(contrast, set()).add(side)
    return {contrast: frozenset(named) for contrast, named in found.items()}


@cache
def _contrasts() -> tuple[re.Pattern[str], dict[str, list[tuple[int, int]]]]:
    meaning: dict[str, list[tuple[int, int]]] = {}
    for contrast, line in enumerate(_lines()):
        for side, words in enumerate(line.split("|")):
            for word in words.split():
                meaning.setdefault(word.replace("_", " "), []).append((contrast, side))
    # Longest first, so that "not yet" is not read as "not"; a spaced word only as a whole one.
    longest = sorted(meaning, key=len, reverse=True)
    alternatives = [rf"\b{re.escape(word)}\b" if word.isascii() else re.escape(word) for word in longest]
    return re.compile("|".join(alternatives)), meaning


def _lines() -> Iterator[str]:
    text = files("qa_service.retrieval").joinpath("contrasts.txt").read_text(encoding="utf-8")
    return (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
