"""Writes the words that a base is spelt with, and how Chinese characters sound. It mends nothing.

pypinyin is read here, at the build, and never while serving.
"""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import msgspec

from qa_service.domain.entry import Entry
from qa_service.retrieval.spelling import SPELLING, Words, common, count_words
from qa_service.retrieval.tokens import Tokeniser

_MOST_WORDS = 50_000  # of either language
_GB2312 = (range(0xB0, 0xF8), range(0xA1, 0xFF))  # the bytes of its 6,763 characters: what people write with


def write_spelling(entries: Iterable[Entry], folder: Path, tokeniser: Tokeniser) -> None:
    """Write `spelling.json` for some entries (FAQ and passages): wordings and answers count alike."""
    texts = (text for entry in entries for text in (*entry.wordings, entry.answer or ""))
    english, chinese = count_words(map(tokeniser.folded, texts), tokeniser.cut)
    characters = {*_gb2312(), *"".join(chinese)}
    words = Words(
        english=common(english, _MOST_WORDS),
        chinese=common(chinese, _MOST_WORDS),
        sounds={character: sounds for character in sorted(characters) if (sounds := _sounds(character))},
    )
    (folder / SPELLING).write_bytes(msgspec.json.encode(words))


def _gb2312() -> Iterable[str]:
    for high in _GB2312[0]:
        for low in _GB2312[1]:
            yield bytes((high, low)).decode("gb2312", errors="ignore")


@lru_cache(32_768)
def _sounds(character: str) -> tuple[str, ...]:
    """Give how a character may sound, without tones."""
    from pypinyin.pinyin_dict import pinyin_dict  # noqa: PLC0415  # 40,000 characters: only a build needs them

    given = pinyin_dict.get(ord(character), "") if len(character) == 1 else ""
    return tuple(dict.fromkeys(_toneless(sound) for sound in given.split(",") if sound))


def _toneless(sound: str) -> str:
    parts = unicodedata.normalize("NFD", sound)
    kept = "".join(one for one in parts if not unicodedata.combining(one) or one == "\u0308")
    return unicodedata.normalize("NFC", kept).replace("ü", "v")
