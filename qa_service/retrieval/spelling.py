"""Slips in a question, mended by the words of the base. It knows no index, and decides nothing.

A slip is what neither the base nor the language knows: an English word a letter or two beside one of the base's, or a
Chinese one of the same sound (法票 for 发票, as input by pinyin gives it). Whoever asks here ranks both readings.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

import msgspec
from rapidfuzz import process
from rapidfuzz.distance import OSA

from qa_service.domain.errors import SnapshotError
from qa_service.retrieval.builtin_encoder import BUILTIN_FOLDER, TOKENIZER_FILE

SPELLING = "spelling.json"
LONGEST = 4  # characters of a Chinese word
_LEAST_LETTERS = 4  # of an English word in which a letter may be wrong; in three, two may have changed places
_TWO_WRONG_FROM = 7  # letters
_LEAST_USES = 2  # in the base, of a Chinese word that replaces another spelling
_NEAR = 8  # English words that are looked at
_MOST_SLIPS = 8  # English words that are looked up for one text; in a text of more nobody's slips are mended
_READINGS = 8  # of a word whose characters have several
_WORD = re.compile(r"(?<![\w'’])[a-z]{3,}(?![\w'’])", re.IGNORECASE)
_RUN = re.compile("[\u4e00-\u9fff]{2,}")
# Written without its apostrophe it is no other word.
_CONTRACTION = re.compile("(?:do|does|did|has|have|had|is|are|was|were|ca|wo|would|could|should|need|must)nt")


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What `spelling.json` holds: words with how often the base uses them, and the sounds of Chinese characters."""

    english: dict[str, int]
    chinese: dict[str, int]
    sounds: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """What else is known: how Chinese is cut into words, the stem of an English word, which pairs the base uses."""

    cut: Callable[[str], Sequence[str]]
    stem: Callable[[str], str]
    uses: Callable[[str], bool]


class Spelling:
    """The words of one base. Nothing in it changes but what it remembers, and threads may share it."""

    def __init__(self, words: Words, language: Language) -> None:
        self._words = words
        self._language = language
        self._english = [word for word in words.english if len(word) >= _LEAST_LETTERS]
        self._short = [word for word in words.english if len(word) < _LEAST_LETTERS]
        self._by_sound: dict[str, list[str]] = defaultdict(list)
        for word, uses in words.chinese.items():
            if uses >= _LEAST_USES:
                for sound in self._sounds(word):
                    self._by_sound[sound].append(word)
        self._mended = lru_cache(65_536)(self._mended_word)

    @classmethod
    def open(cls, folder: Path, language: Language) -> "Spelling":
        """Read a snapshot's words; SnapshotError when they cannot be read."""
        try:
            words = msgspec.json.decode((folder / SPELLING).read_bytes(), type=Words)
        except (OSError, msgspec.MsgspecError) as error:
            raise SnapshotError(f"{folder / SPELLING} cannot be read: {error}") from error
        return cls(words, language)

    def mend(self, text: str) -> str:
        """Give the text as it was probably meant; the very same where no slip is seen."""
        strange = {word for word in map(str.lower, _WORD.findall(text)) if not self._is_known(word)}
        # Each costs a look at all words of the base.
        mended = _WORD.sub(lambda found: self._mended(found[0]), text) if 0 < len(strange) <= _MOST_SLIPS else text
        return _RUN.sub(lambda found: self._mended_run(found[0]), mended)

    def _is_known(self, low: str) -> bool:
        return bool(low in self._words.english or low in _common_english() or _CONTRACTION.fullmatch(low))

    def _mended_word(self, word: str) -> str:
        low = word.lower()
        if self._is_known(low):
            return word
        if len(low) < _LEAST_LETTERS:
            near = [(one, 1) for one in self._short if sorted(one) == sorted(low) and OSA.distance(one, low) == 1]
        else:
            most = 1 if len(low) < _TWO_WRONG_FROM else 2
            found = process.extract(low, self._english, scorer=OSA.distance, score_cutoff=most, limit=_NEAR)
            near = [(one, int(wrong)) for one, wrong, _ in found if one[0] == low[0] or sorted(one) == sorted(low)]
        stem = self._language.stem(low)
        if not near or any(self._language.stem(one) == stem for one, _ in near):  # another form of a known word
            return word
        return min(near, key=lambda one: (one[1], -self._words.english[one[0]], one[0]))[0]

    def _mended_run(self, run: str) -> str:
        alone = [is_alone for word in self._language.cut(run) for is_alone in [len(word) == 1] * len(word)]
        characters, place = list(run), 0
        while place < len(run) - 1:
            length, meant = self._meant(run, place, alone)
            characters[place : place + len(meant)] = meant
            place += length
        return "".join(characters)

    def _meant(self, run: str, place: int, alone: Sequence[bool]) -> tuple[int, str]:
        """Give how far to go on from a place, and what should stand there (nothing: what does stand there)."""
        for length in range(min(LONGEST, len(run) - place), 1, -1):
            span = run[place : place + length]
            if span in self._words.chinese:
                return length, ""
            # Only what the dictionary cannot cut into words is a slip.
            if sum(alone[place : place + length]) < 2:
                continue
            if meant := self._sounding_like(span):
                return (length, meant) if self._is_strange(run, place, meant) else (1, "")
        return 1, ""

    def _sounding_like(self, span: str) -> str:
        """Give the base's commonest word of the same sound that shares a character with it; "" where there is none."""
        found = {word for sound in self._sounds(span) for word in self._by_sound.get(sound, ())}
        sharing = [word for word in found if any(one == other for one, other in zip(word, span, strict=True))]
        return max(sharing, key=lambda word: (self._words.chinese[word], word), default="")

    def _is_strange(self, run: str, place: int, meant: str) -> bool:
        """Whether the base nowhere has one of the characters to be changed beside a neighbour that it has here."""
        changed = [at for at, one in enumerate(meant, place) if run[at] != one]
        pairs = (run[at : at + 2] for one in changed for at in (one - 1, one) if 0 <= at < len(run) - 1)
        return not any(map(self._language.uses, pairs))

    def _sounds(self, word: str) -> Iterator[str]:
        of_characters = [self._words.sounds.get(character, ()) for character in word]
        for place, sounds in enumerate(product(*of_characters)):
            if place == _READINGS:
                return
            yield " ".join(sounds)


@lru_cache(1)
def _common_english() -> frozenset[str]:
    """Give the English words that the built-in encoder knows whole: about the 20,000 commonest."""
    pieces = json.loads((BUILTIN_FOLDER / TOKENIZER_FILE).read_text(encoding="utf-8"))["model"]["vocab"]
    return frozenset(piece for piece in pieces if re.fullmatch("[a-z]{3,}", piece))


def count_words(texts: Iterable[str], cut: Callable[[str], Sequence[str]]) -> tuple[Counter[str], Counter[str]]:
    """Count the English and the Chinese words of some folded texts."""
    english: Counter[str] = Counter()
    chinese: Counter[str] = Counter()
    for text in texts:
        english.update(word.lower() for word in _WORD.findall(text))
        for run in _RUN.findall(text):
            chinese.update(word for word in cut(run) if 2 <= len(word) <= LONGEST)
    return english, chinese


def common(words: Mapping[str, int], most: int) -> dict[str, int]:
    """Give the words that are used most, by their spelling."""
    return dict(sorted(Counter(words).most_common(most)))
