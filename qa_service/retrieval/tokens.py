"""The tokens under which keyword search knows a text; the same at build and at query time.

Synonyms come first: whatever holds a term of them, wording or question, is cut as if it held the own word instead.

It knows nothing of indexes and scores. What is emitted, and how often, was chosen by recall@1 on open question sets:
- Chinese: dictionary words, characters, and bigrams twice (a token that is given twice weighs twice in BM25).
- English and other spaced scripts: the stem twice, and once the first letters of a longer word ("paym*"), which find
  it in its other forms. Stop words stay: short FAQ questions live on them ("what is", "how long").
- Codes, numbers and model names (`TH01`, `Pro+`, `C++`, `3.5`, `500-1002`) stay whole, twice like any word; those with
  letters also give their parts once, so that "iPhone15" still meets "iPhone 15".
"""

import hashlib
import re
import unicodedata
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock

import opencc
import rjieba
import Stemmer

from qa_service.domain.errors import KnowledgeError
from qa_service.retrieval.synonyms import Synonyms, Words, read_synonyms

_RULES = 1  # raise it whenever this module begins to emit other tokens
_PACKAGES = ("rjieba", "OpenCC", "PyStemmer")  # those whose data decides what a token is
_PREFIX_LETTERS = 4
_STEMS_KEPT = 65_536

# Han with its extensions, kana and Hangul: scripts that put no spaces between words, or (Hangul) inflect within them.
_UNSPACED = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
_SPACED = rf"[^\W_{_UNSPACED}]"
# A joiner belongs to a code only beside a digit: "500-1002", "3.5", "covid-19", but not "check-in" or "help.I".
_PIECE = re.compile(
    rf"(?P<unspaced>[{_UNSPACED}]+)"
    rf"|{_SPACED}+(?:(?:(?<=\d)[-._/^]|[-._/^](?=\d)|'){_SPACED}+)*(?:\+\+|[+#]+(?!{_SPACED}))?"
)
_PART = re.compile(r"[^\W\d_]+|\d+")
_POWER = re.compile("(?<=[0-9])(?=[\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089])")
_FIGURE = re.compile("(?<=[0-9\u00bc-\u00be\u2150-\u215e\u2460-\u249b])(?=[\u00bc-\u00be\u2150-\u215e\u2460-\u249b])")


class Tokeniser:
    """Cuts texts into tokens. It is costly to open (the dictionary: 0.2 s), then safe to share between threads.

    `custom_words` names a UTF-8 file with one word a line, optionally followed by its frequency; `#` opens a comment.
    Chinese words join the dictionary; any other ("5G套餐", "Apple Care") is emitted beside the tokens it is made of.
    `synonyms` names a file as `retrieval/synonyms.py` describes it.

    Raises:
        KnowledgeError: a file cannot be read as UTF-8 text, or a line of the synonyms is no group of terms.
    """

    def __init__(self, custom_words: Path | None = None, synonyms: Path | None = None) -> None:
        self._simplify = opencc.OpenCC("t2s").convert
        self._dictionary = rjieba.Jieba()
        self._stemmer = Stemmer.Stemmer("english", 0)
        self._stemmer_lock = Lock()  # one stemmer must not be entered by two threads
        self.stem = lru_cache(_STEMS_KEPT)(self._stem_once)
        words = _read_words(custom_words) if custom_words else {}
        self._custom = self._learn(words)
        own_words = read_synonyms(synonyms, self.folded) if synonyms else {}
        self._synonyms = Synonyms(own_words) if own_words else None
        self._fingerprint = _fingerprint(words, own_words)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change whenever the tokens of some text could: packages, rules, words, synonyms."""
        return self._fingerprint

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text, repeated by weight, in no order that matters; empty when it holds no word."""
        folded = self.folded(text)
        if self._synonyms:
            folded = self._synonyms.rewrite(folded, self._words)
        found: list[str] = []
        for piece in _PIECE.finditer(folded):
            if piece["unspaced"]:
                found += self._unspaced(piece[0])
            else:
                found += self._spaced(piece[0])
        if self._custom:
            found += self._custom.findall(folded)
        return found

    @property
    def knows_synonyms(self) -> bool:
        """Whether some text may be read as another."""
        return self._synonyms is not None

    def read_as(self, text: str) -> str:
        """What a text is taken for: folded, with own words for their synonyms; the text itself if it holds none."""
        if self._synonyms is None:
            return text
        folded = self.folded(text)
        read = self._synonyms.rewrite(folded, self._words)
        return text if read is folded else read

    def _words(self, folded: str) -> Words:
        """Where the words are, by each place strictly inside of one."""
        inside: dict[int, tuple[int, int]] = {}
        for piece in _PIECE.finditer(folded):
            begin = piece.start()
            for word in self.cut(piece[0]) if piece["unspaced"] else [piece[0]]:
                end = begin + len(word)
                inside.update(dict.fromkeys(range(begin + 1, end), (begin, end)))
                begin = end
        return inside

    def folded(self, text: str) -> str:
        """One spelling for all: compatibility forms, traditional characters and case are folded, 10² stays apart."""
        if text.isascii():
            return text.lower()
        # NFKC turns 10² into 102 and 1½ into 11⁄2: what is raised, or a figure of its own, is set off first.
        apart = _FIGURE.sub(" ", _POWER.sub("^", text))
        folded = unicodedata.normalize("NFKC", apart).replace("’", "'")
        whole = folded.encode(errors="replace").decode()  # OpenCC refuses half of a surrogate pair
        simplified: str = self._simplify(whole)
        return simplified.casefold()

    def _unspaced(self, run: str) -> list[str]:
        bigrams = [run[start : start + 2] for start in range(len(run) - 1)]
        return [*self.cut(run), *run, *bigrams, *bigrams]

    def cut(self, run: str) -> list[str]:
        """Cut a run of ideographs, without spaces between them, into dictionary words."""
        # The dictionary's guesses at new words (HMM) cost recall on every set measured.
        words: list[str] = self._dictionary.cut(run, False)  # noqa: FBT003 - the binding takes it by position only
        return words

    def _spaced(self, piece: str) -> list[str]:
        if not piece.replace("'", "").isalpha():
            return [piece, piece, *self._parts(piece)]
        stem = self.stem(piece)
        if len(piece) <= _PREFIX_LETTERS or not piece.isalpha():
            return [stem, stem]
        return [stem, stem, piece[:_PREFIX_LETTERS] + "*"]

    def _parts(self, code: str) -> list[str]:
        parts = _PART.findall(code)
        return [] if parts == [code] or all(part.isdecimal() for part in parts) else [self.stem(part) for part in parts]

    def _stem_once(self, word: str) -> str:
        with self._stemmer_lock:
            stem: str = self._stemmer.stemWord(word)
        return stem

    def _learn(self, words: dict[str, int | None]) -> re.Pattern[str] | None:
        """Put Chinese words into the dictionary; give a pattern for the others."""
        others = set()
        for word, frequency in words.items():
            folded = self.folded(word)
            piece = _PIECE.fullmatch(folded)
            if piece is None:
                others.add(folded)
            elif piece["unspaced"]:
                self._dictionary.add_word(folded, frequency, None)
        if not others:
            return None
        longest_first = sorted(others, key=lambda word: (-len(word), word))
        choices = "|".join(re.escape(word) for word in longest_first)
        return re.compile(rf"(?<![a-z0-9])(?:{choices})(?![a-z0-9])")


def _read_words(path: Path) -> dict[str, int | None]:
    """Custom words with their frequencies (None: high enough that the word is never cut)."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"the custom dictionary {path.name} cannot be read as UTF-8 text: {error}"
        raise KnowledgeError(message) from error
    words: dict[str, int | None] = {}
    for line in lines:
        fields = line.partition("#")[0].split()
        # "word 300" carries a frequency; a lone number is a word.
        has_frequency = len(fields) > 1 and fields[-1].isdecimal()
        word = " ".join(fields[:-1] if has_frequency else fields)
        if word:
            words[word] = int(fields[-1]) if has_frequency else None
    return words


def _fingerprint(words: dict[str, int | None], own_words: dict[str, str]) -> str:
    parts = [f"rules={_RULES}", f"unicode={unicodedata.unidata_version}"]
    parts += [f"{package}={version(package)}" for package in _PACKAGES]
    parts += [f"{word}\t{frequency}" for word, frequency in sorted(words.items())]
    parts += [f"{form}={own}" for form, own in sorted(own_words.items())]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()
