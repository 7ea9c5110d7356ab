"""A knowledge base's equal terms: a text is read with its own word in the place of each. It knows no index.

The file is UTF-8 with a group a line, `PLUS 会员 = 超级会员 = 金卡`: the first term is the word of the entries, the
others are what else people call it. `#` opens a comment at the beginning of a line or after a space.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from unicodedata import east_asian_width

import numpy as np
from numpy.typing import NDArray

from qa_service.domain.errors import KnowledgeError
from qa_service.retrieval.encoder import Encoder

MAX_TERM_CHARS = 64  # what a term may have: it bounds the work at each place of a text
_LONG_ENOUGH = 3  # Chinese characters that hardly ever stand side by side by chance

_BOM = b"\xef\xbb\xbf"
_NEWLINE = re.compile(r"\r\n|\r|\n")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_SEPARATOR = re.compile("[=＝]")
_SPACES = re.compile(r"\s+")
_EXAMPLE = "`PLUS 会员 = 超级会员 = 金卡`"

Words = Mapping[int, tuple[int, int]]
"""Each place strictly inside a word of a text, with where that word begins and ends."""


class Synonyms:
    """Replaces terms by their group's own word, the longest first. `own_words` is what `read_synonyms` gives.

    A term fires only as words of the text: an English one, or a Chinese one of one or two characters, must begin and
    end where a word does; a longer Chinese one must not be a part of one word. An English term also fires with a
    plural -s. Threads may share it.
    """

    def __init__(self, own_words: Mapping[str, str]) -> None:
        plurals = {_plural(form): _plural(own) for form, own in own_words.items()}
        self._own_words = {**plurals, **own_words}
        self._lengths: dict[str, list[int]] = {}
        for length in sorted({len(form) for form in self._own_words}, reverse=True):
            for first in {form[0] for form in self._own_words if len(form) == length}:
                self._lengths.setdefault(first, []).append(length)
        firsts = "".join(map(re.escape, sorted(self._lengths)))
        # Inside an English word nothing begins: it is not even looked at.
        self._openings = re.compile(rf"(?:(?<![a-z0-9])|(?![a-z0-9]))[{firsts}]" if firsts else "(?!)")

    def rewrite(self, text: str, words: Callable[[str], Words]) -> str:
        """Give a folded text with own words, or the very same text where none takes another's place.

        `words` cuts the text into words; it is only called for a text that holds the letters of a term.
        """
        shaped = _shape(text)
        parts, done = [], 0
        for start, end, own in self._fired(shaped, words):
            if shaped[start:end] != own:
                parts += [shaped[done:start], _set_off(own, shaped[start - 1 : start], shaped[end : end + 1])]
                done = end
        return _shape("".join([*parts, shaped[done:]])) if parts else text

    def _fired(self, text: str, words: Callable[[str], Words]) -> Iterator[tuple[int, int, str]]:
        """Give begin, end and own word of each term that is meant, from left to right."""
        done = 0
        found: Words | None = None
        for opening in self._openings.finditer(text):
            start = opening.start()
            if start < done:
                continue
            for length in self._lengths[text[start]]:
                end = start + length
                own = self._own_words.get(text[start:end])
                if own is None or end > len(text):
                    continue
                found = words(text) if found is None else found
                if _stands(text, start, end, found):
                    yield start, end, own
                    done = end
                    break


class ReadingEncoder:
    """Another encoder that is given texts as they are read: it need not know the jargon."""

    def __init__(self, encoder: Encoder, read_as: Callable[[str], str]) -> None:
        self.name = encoder.name
        self.dimension = encoder.dimension
        self.fingerprint = encoder.fingerprint  # how texts are read is the tokeniser's to vouch for
        self._encoder = encoder
        self._read_as = read_as

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give one row a text, as the other encoder would for what it is read as: float32 (texts, dimension)."""
        return self._encoder.encode([self._read_as(text) for text in texts])


def read_synonyms(path: Path, fold: Callable[[str], str]) -> dict[str, str]:
    """Read a file: each term under which a text is looked through, with its group's own word, both folded.

    Raises:
        KnowledgeError: the file cannot be read, or a line is no group; it names the file and the line.
    """
    own_words: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(_lines(path), 1):
        written = _COMMENT.sub("", line).strip()
        if not written:
            continue
        place = f"{path}:{number}"
        forms = [_form(term, place, fold) for term in _SEPARATOR.split(written)]
        if len(forms) == 1:
            raise KnowledgeError(f"{place}: a group of one: at least two equal terms are expected, as in {_EXAMPLE}")
        if len(set(forms)) == 1:
            raise KnowledgeError(
                f"{place}: its terms differ only in case, width, spaces or script, which count as equal anyway: "
                "another word is expected, or no line"
            )
        for form in dict.fromkeys(forms):
            if form in lines:
                raise KnowledgeError(
                    f"{place}: {form!r} stands in the group of line {lines[form]}, too: a term is expected in one "
                    "group only"
                )
            own_words[form], lines[form] = forms[0], number
    return own_words


def _lines(path: Path) -> list[str]:
    try:
        raw = path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise KnowledgeError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return _NEWLINE.split(raw.decode())
    except UnicodeDecodeError as error:
        number = len(_NEWLINE.split(raw[: error.start].decode()))
        raise KnowledgeError(f"{path}:{number}: UTF-8 text is expected: save the file in that encoding") from error


def _form(term: str, place: str, fold: Callable[[str], str]) -> str:
    """Give the spelling that a term is recognised by."""
    form = _shape(fold(term))
    if not any(char.isalnum() for char in form):
        raise KnowledgeError(f"{place}: {term.strip()!r} is an empty term: a word is expected on each side of every =")
    if len(form) > MAX_TERM_CHARS:
        raise KnowledgeError(f"{place}: a term of {len(form)} characters: at most {MAX_TERM_CHARS} are expected")
    return form


def _shape(text: str) -> str:
    """Make white space of one kind: "PLUS 会员" is "PLUS会员", and "gold  card" is "gold card"."""
    return " ".join(text.split()) if text.isascii() else _SPACES.sub(_space, text).strip()


def _space(match: re.Match[str]) -> str:
    left, right = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return "" if left.isalnum() and right.isalnum() and _is_wide(left) != _is_wide(right) else " "


def _is_wide(char: str) -> bool:
    """Whether a folded character belongs to a script that puts no spaces between words."""
    return east_asian_width(char) == "W"


def _plural(form: str) -> str:
    """Give an English term with -s; any other as it is."""
    return re.sub("(?<=[a-rt-z])$", "s", form)


def _set_off(own: str, before: str, behind: str) -> str:
    """Give an own word so that it does not grow together with the English word or number beside it."""
    left = " " if before.isalnum() and not _is_wide(own[0]) else ""
    right = " " if behind.isalnum() and not _is_wide(own[-1]) else ""
    return f"{left}{own}{right}"


def _stands(text: str, start: int, end: int, words: Words) -> bool:
    """Whether a term stands for itself there, and is no part of something else."""
    crossed = [words[place] for place in (start, end) if place in words]
    if not crossed:
        return True
    if end - start < _LONG_ENOUGH or any(begin <= start and end <= stop for begin, stop in crossed):
        return False
    # The dictionary knows no jargon, and may tear it: 开通红人卡 is cut as 开, 通红, 人, 卡.
    return all(map(_is_wide, text[start:end]))
