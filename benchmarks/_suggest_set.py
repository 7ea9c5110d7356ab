"""A large base of made-up questions, and what people might type to find them. It measures nothing.

A question is the first half of one known text and the second half of another of its language, cut between words: the
words, and how often they come, are those of data/shop and data/training.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from pypinyin import Style, lazy_pinyin

from benchmarks._service import ROOT
from qa_service.domain.entry import Entry
from qa_service.retrieval.entries import is_chinese
from qa_service.retrieval.tokens import Tokeniser

WORDINGS = 3  # of an entry
_SPACED_WORD = re.compile(r"\S+\s*")
_LONGEST = 64
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def synthetic_entries(count: int, seed: int = 20_261_123) -> list[Entry]:
    """Make entries, Chinese and English as often as the texts that they are made of."""
    chance = random.Random(seed)
    cut = [_cut(text) for text in _texts()]
    in_chinese = [words for words in cut if len(words) > 1 and is_chinese("".join(words))]
    in_english = [words for words in cut if len(words) > 1 and not is_chinese("".join(words))]
    share = len(in_chinese) / (len(in_chinese) + len(in_english))

    def wording(pool: Sequence[list[str]]) -> str:
        first, second = chance.choice(pool), chance.choice(pool)
        return "".join(first[: (len(first) + 1) // 2]) + "".join(second[len(second) // 2 :])

    entries = []
    for number in range(count):
        pool = in_chinese if chance.random() < share else in_english
        question, *similar = (wording(pool) for _ in range(WORDINGS))
        entries.append(Entry(id=f"e{number}", question=question, answer="a", similar=tuple(similar)))
    return entries


def typed(entries: Sequence[Entry], count: int, seed: int = 7) -> dict[str, list[str]]:
    """Give what is typed, by its kind: `count` beginnings of wordings each, as far as somebody had come with them."""
    chance = random.Random(seed)
    wordings = [chance.choice(chance.choice(entries).wordings) for _ in range(40 * count)]
    chinese = (text for text in wordings if is_chinese(text))
    english = (text for text in wordings if not is_chinese(text))

    def some(texts: Iterator[str], most: int, act: Callable[[str], str]) -> list[str]:
        return [act(next(texts)[: chance.randint(1, most)])[:_LONGEST] for _ in range(count)]

    return {
        "Chinese, its beginning": some(chinese, 12, str),
        "Chinese, from within": some(chinese, 12, lambda text: text[len(text) // 2 :] or text),
        "Chinese, with a slip": some(chinese, 12, lambda text: slip(text, chance)),
        "pinyin, whole": some(chinese, 8, lambda text: "".join(_names(text))),
        "pinyin, broken off": some(
            chinese, 8, lambda text: (joined := "".join(_names(text)))[: len(joined) - 1] or "a"
        ),
        "pinyin, initials": some(chinese, 10, initials),
        "pinyin, mixed": some(chinese, 8, lambda text: mixed(text, chance)),
        "English, its beginning": some(english, 30, str),
        "English, with a slip": some(english, 30, lambda text: slip(text, chance)),
        "letters at random": some(chinese, 12, lambda text: "".join(chance.choice(_LETTERS) for _ in text)),
        "ideographs at random": some(chinese, 8, lambda text: "".join(chance.sample(text, len(text)))),
    }


def initials(text: str) -> str:
    """Give the first letters of a text's pinyin."""
    return "".join(name[0] for name in _names(text))


def mixed(text: str, chance: random.Random) -> str:
    """Spell a text, each character as it is, whole, or by its initial."""
    return "".join(chance.choice((one, name, name[0])) for one, name in zip(text, _names(text), strict=True))


def slip(text: str, chance: random.Random) -> str:
    """Type one character wrong, leave it out, type it twice, or swap it with the next."""
    at = chance.randrange(len(text))
    other = chance.choice("的了怎么退货" if is_chinese(text) else _LETTERS)
    return chance.choice(
        (
            text[:at] + other + text[at + 1 :],
            text[:at] + text[at + 1 :] or text,
            text[:at] + text[at] + text[at:],
            text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :],
        )
    )


def _names(text: str) -> list[str]:
    return lazy_pinyin(text, style=Style.NORMAL, errors=lambda rest: [*rest])  # type: ignore[arg-type,return-value]  # documented, not typed


def _texts() -> Iterator[str]:
    for path in sorted((ROOT / "data" / "shop").glob("faq.*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            members = json.loads(line)
            yield from (members["question"], *members["similar"])
    for path in sorted((ROOT / "data" / "training").glob("groups.*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield from json.loads(line)["texts"]


def _cut(text: str) -> list[str]:
    return _tokeniser().cut(text) if is_chinese(text) else _SPACED_WORD.findall(text)


@cache
def _tokeniser() -> Tokeniser:
    return Tokeniser()
