"""How a text is read for type-ahead: what is typed and what is known are folded alike. It knows no index.

Folding looks at one character at a time, so that what a beginning of a text folds to begins what the text folds to.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from functools import cache, lru_cache

import opencc

from qa_service.domain.text import fold_width

_ACCENTED_BELOW = 0x250  # Latin letters, which lose their accents
_CHARACTERS_KEPT = 65_536
# Han with its extensions and kana: scripts that put no spaces between words.
_UNSPACED = re.compile("[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


class Kind(Enum):
    """What a folded character is: letters and digits need a space where two words of them meet, ideographs do not."""

    IDEOGRAPH = 0
    LETTER = 1
    DIGIT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A folded text, and for each of its characters the place of the one that it was made from."""

    text: str
    places: tuple[int, ...]

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """Give where the folded characters `begin` to `end` (which is no part of it) stand in the text itself."""
        return self.places[begin], self.places[end - 1] + 1


def fold(text: str) -> Folded:
    """Fold width, case, accents and traditional characters; what is neither letter nor digit parts words, or is gone.

    A space stays only where two words of letters, or two numbers, would run together: "iPhone 15" is "iphone15".
    """
    folded: list[str] = []
    places: list[int] = []
    parted = False
    for place, character in enumerate(text):
        for one in _folded(character):
            if one == " ":
                parted = True
                continue
            if parted and folded and kind_of(one) is kind_of(folded[-1]) is not Kind.IDEOGRAPH:
                folded.append(" ")
                places.append(places[-1])
            parted = False
            folded.append(one)
            places.append(place)
    return Folded(text="".join(folded), places=tuple(places))


@lru_cache(_CHARACTERS_KEPT)
def kind_of(character: str) -> Kind:
    """Tell what a folded character is."""
    if character.isdecimal():
        return Kind.DIGIT
    return Kind.IDEOGRAPH if _UNSPACED.match(character) else Kind.LETTER


@lru_cache(_CHARACTERS_KEPT)
def _folded(character: str) -> str:
    """Fold one character: to nothing, to a space, or to letters and digits."""
    wide = fold_width(character)
    is_accented = ord(character) < _ACCENTED_BELOW
    plain = unicodedata.normalize("NFKD", wide) if is_accented else unicodedata.normalize("NFKC", wide)
    if plain.isprintable() and not plain.isascii():  # OpenCC refuses half of a surrogate pair
        plain = _simplifier().convert(plain)
    kept = [one for one in plain.casefold() if not unicodedata.category(one).startswith(("M", "Cf"))]
    return "".join(one if one.isalnum() else " " for one in kept)


@cache
def _simplifier() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")
