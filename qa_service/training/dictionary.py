"""A Chinese-English dictionary: words and their glosses, from files that the user names. It knows no model.

Two formats, each plain or as .gz: JSON lines `{"word": ..., "gloss": ...}` (.jsonl), and any other file as CC-CEDICT's
own text, `傳統 传统 [chuan2 tong3] /tradition/traditional/`. The product ships no dictionary: CC-CEDICT's licence,
CC BY-SA, asks for attribution from who uses it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
from opencc import OpenCC

from qa_service.domain.errors import KnowledgeError
from qa_service.retrieval.builtin_encoder import fold
from qa_service.training.lines import is_json_lines, numbered_lines

_MOST_SENSES = 3  # the first are the commonest, and the mean of many means nothing
_MOST_GLOSS_CHARS = 60
_CEDICT = re.compile(r"(?P<traditional>\S+) (?P<simplified>\S+) \[[^\]]*\] /(?P<senses>.+)/")
_NOT_PROSE = re.compile(r"\([^)]*\)|\[[^\]]*\]|[\u3400-\u9fff|]+")  # remarks, pinyin, and words of Chinese
_NO_MEANING = re.compile(
    r"(CL:|surname |(old |erhua |archaic )?variant of|see |see also |abbr\. |used in |Taiwan pr\.)"
)
_EXPECTED = '{"word": ..., "gloss": ...}'


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    word: str
    gloss: str


def read_dictionary(path: Path) -> dict[str, str]:
    """Give the gloss of each word, folded as the encoder reads texts; a word that stands twice has the senses of both.

    Raises:
        KnowledgeError: the file cannot be read, a line is of neither format, or no word has a gloss.
    """
    simplify = OpenCC("t2s").convert
    senses: dict[str, list[str]] = {}
    for word, meanings in _json_rows(path) if is_json_lines(path) else _cedict_rows(path):
        if meanings:
            senses.setdefault(fold(word, simplify), []).extend(meanings)
    if not senses:
        raise KnowledgeError(f"no word with a gloss in {path}: expected {_EXPECTED} a line, or CC-CEDICT's text")
    return {word: _gloss(meanings) for word, meanings in senses.items()}


def _json_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    for number, line in numbered_lines(path):
        try:
            row = msgspec.json.decode(line, type=_Row)
        except msgspec.MsgspecError as error:
            raise KnowledgeError(f"{path}:{number}: {error}: expected {_EXPECTED}") from None
        if not (row.word.strip() and row.gloss.strip()):
            raise KnowledgeError(f"{path}:{number}: a word or its gloss is empty: expected {_EXPECTED}")
        yield row.word.strip(), [row.gloss.strip()]


def _cedict_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    for number, line in numbered_lines(path):
        if line.startswith("#"):
            continue
        found = _CEDICT.fullmatch(line.strip())
        if not found:
            raise KnowledgeError(
                f"{path}:{number}: expected CC-CEDICT's `傳統 传统 [chuan2 tong3] /tradition/traditional/`, "
                f"or a .jsonl file with {_EXPECTED}"
            )
        yield found["simplified"], list(_prose(found["senses"].split("/")))


def _prose(senses: list[str]) -> Iterator[str]:
    """Give the senses as plain English, without those that only point to another word."""
    for sense in senses:
        if _NO_MEANING.match(sense):
            continue
        prose = " ".join(_NOT_PROSE.sub(" ", sense).split()).strip(" ,;:")
        if prose:
            yield prose


def _gloss(senses: list[str]) -> str:
    return "; ".join(dict.fromkeys(senses[:_MOST_SENSES]))[:_MOST_GLOSS_CHARS]
