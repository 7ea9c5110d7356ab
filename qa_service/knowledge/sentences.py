"""Where a text of prose may be cut: after sentences, else after clauses, never inside a link, URL or code span.

It knows no Markdown blocks. Pieces joined again, in order, give the text that was cut.
"""

import itertools
import re
from collections.abc import Iterator

_LINK = (
    r"!?\[(?:[^\[\]]|\[[^\[\]]{0,200}\]){0,400}\]"  # its text, an image within it too
    r"(?:\((?:[^()]|\([^()]{0,500}\)){0,1000}\)|\[[^\[\]]{0,200}\])?"  # its address, or the name of one
)
_URL = r"<?https?://[!-;=?-~]+>?"
_CODE = r"(?P<ticks>`+)(?!`).{0,400}?(?<!`)(?P=ticks)(?!`)"
_WHOLE = re.compile(f"{_LINK}|{_URL}|{_CODE}", re.DOTALL)
_CLOSING = "[\"'”’」』）)】》*_~]*"
_SENTENCE_END = re.compile(rf"[。！？；…!?]+{_CLOSING}\s*|(?<!\.)\.{_CLOSING}(?:\s+|$)|\n[ \t]*\n\s*")
_NO_SENTENCE_END = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|No|Nos|Mr|Mrs|Ms|Dr|St|Inc|Ltd|Co|[A-Z])|(?:^|\n)\s*\d+)\.$"
)
_ASCII_MARK_WITHIN = re.compile(r"[!?](?=[A-Za-z0-9=&/])")  # "?x=1", "a!b"
_CLAUSE_END = re.compile(r"[，,、;:：](?!\d)\s*|\s+")
_LONGEST_SPAN_CHARS = 4_000
_LOOK_BACK_CHARS = 24  # enough for an abbreviation


def sentences(text: str) -> list[str]:
    """Cut a text after its sentences, Chinese and English; the space after a sentence stays with it."""
    return list(_pieces(text, _sentence_ends(text)))


def clauses(text: str, most_chars: int) -> list[str]:
    """Cut a text that is too long into pieces of at most `most_chars`, after clauses where there are any.

    A link, URL or code span longer than that stays whole (up to 4,000 characters).
    """
    pieces = []
    begin = 0
    while len(text) - begin > most_chars:
        end = _last_cut(text, begin, begin + most_chars)
        pieces.append(text[begin:end])
        begin = end
    return [*pieces, text[begin:]] if begin < len(text) else pieces


def _pieces(text: str, ends: Iterator[int]) -> Iterator[str]:
    begin = 0
    for end in ends:
        yield text[begin:end]
        begin = end
    if begin < len(text):
        yield text[begin:]


def _sentence_ends(text: str) -> Iterator[int]:
    spans = itertools.chain((match.span() for match in _WHOLE.finditer(text)), itertools.repeat((len(text), len(text))))
    start, stop = next(spans)
    for match in _SENTENCE_END.finditer(text):
        mark, end = match.start(), match.end()
        while stop <= mark:
            start, stop = next(spans)
        before = text[max(0, mark - _LOOK_BACK_CHARS) : mark + 1]
        ends_nothing = _ASCII_MARK_WITHIN.match(text, end - 1) or _NO_SENTENCE_END.search(before)
        if not start < end < stop and not ends_nothing:
            yield end


def _last_cut(text: str, begin: int, limit: int) -> int:
    """Give the best end at or before `limit` for a piece from `begin`; beyond it only where a span must stay whole."""
    spans = [match.span() for match in _WHOLE.finditer(text, begin, limit + _LONGEST_SPAN_CHARS)]
    across = next(((start, end) for start, end in spans if start < limit < end), None)
    if across:
        limit = across[0] if across[0] > begin else across[1]
    ends = [match.end() for match in _CLAUSE_END.finditer(text, begin, limit)]
    allowed = [end for end in ends if not any(start < end < stop for start, stop in spans)]
    return allowed[-1] if allowed and (allowed[-1] - begin) * 2 >= limit - begin else limit
