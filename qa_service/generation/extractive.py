"""Answers without a model: the sentences of the best passages that cover the question, in reading order, cited.

It never writes a word of its own, so that it cannot be wrong about more than relevance.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qa_service.domain.passage import Draft, Passage
from qa_service.domain.text import normalise

_CLOSING = "[\"'”’」』）)】》]*"
# A question mark within an address ("?id=1") ends nothing, nor does the point of "3.5".
_SENTENCE_END = re.compile(rf"(?:[。！？；]|[!?](?![A-Za-z0-9=&/]))+{_CLOSING}\s*|(?<=[.;]){_CLOSING}\s+")
_MARKUP = re.compile(r"^\s*(?:[-*+]|\d+[.)、])\s+|^#+\s+|\*\*|`")
_MAX_SENTENCES = 3
_MAX_CHARS = 400  # of the whole text: a chat bubble, not a page
_CITATION_CHARS = 5  # " [4]" and a line break
_NEW_COVERAGE = 0.08  # a further sentence must cover this share of the question that no earlier one does
_LIKE_ENOUGH = 0.4  # cosine from which a sentence may answer without sharing a word with the question


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sentence:
    text: str
    passage: int
    place: int  # within its passage
    covers: frozenset[str]
    likeness: float  # to the question, in meaning (cosine)


class ExtractiveGenerator:
    """Chooses the sentence most like the question, then those that cover more of its terms.

    `terms` splits a text, `weight` tells what a term is worth (an idf, say), `likeness` gives each text's cosine to the
    question: all come from whoever indexed the passages, so that they mean the same in both places.
    """

    fingerprint = "extractive-2"

    def __init__(
        self,
        *,
        terms: Callable[[str], Sequence[str]],
        weight: Callable[[str], float],
        likeness: Callable[[str, Sequence[str]], Sequence[float]] = lambda _, texts: [0.0] * len(texts),
    ) -> None:
        self._terms = terms
        self._weight = weight
        self._likeness = likeness

    def generate(self, question: str, passages: Sequence[Passage]) -> Draft | None:
        """Write up to three cited sentences, or nothing when no sentence has to do with the question."""
        asked = frozenset(self._terms(question))
        weights = {term: self._weight(term) for term in asked}
        total = sum(weights.values())
        chosen = self._choose(self._sentences(question, asked, passages), weights, total)
        if not chosen:
            return None
        cited = list(dict.fromkeys(sentence.passage for sentence in chosen))
        titles = frozenset().union(*(asked & set(self._terms(passages[i].title)) for i in cited))
        covered = titles.union(*(sentence.covers for sentence in chosen))
        text = _join([(s.text, cited.index(s.passage) + 1) for s in chosen])
        coverage = sum(weights[term] for term in covered) / total
        return Draft(text=text, cited=tuple(passages[i].entry_id for i in cited), coverage=coverage)

    def _sentences(self, question: str, asked: frozenset[str], passages: Sequence[Passage]) -> list[_Sentence]:
        placed = [
            (number, place, text)
            for number, passage in enumerate(passages)
            for place, text in enumerate(split_sentences(passage.text))
        ]
        likeness = self._likeness(question, [text for _, _, text in placed]) if placed else []
        return [
            _Sentence(text=text, passage=number, place=place, covers=asked & set(self._terms(text)), likeness=like)
            for (number, place, text), like in zip(placed, likeness, strict=True)
        ]

    def _choose(self, sentences: list[_Sentence], weights: dict[str, float], total: float) -> list[_Sentence]:
        chosen: list[_Sentence] = []
        covered: frozenset[str] = frozenset()
        while len(chosen) < _MAX_SENTENCES and total > 0:
            room = _MAX_CHARS - sum(len(sentence.text) + _CITATION_CHARS for sentence in chosen) - _CITATION_CHARS
            fitting = [sentence for sentence in sentences if len(sentence.text) <= room and sentence not in chosen]
            gains = [sum(weights[term] for term in s.covers - covered) / total for s in fitting]
            # Who comes first must be like the question; who follows must add to it.
            worth = [(gain + s.likeness, -s.passage, -s.place) for gain, s in zip(gains, fitting, strict=True)]
            best = max(range(len(fitting)), key=worth.__getitem__, default=-1)
            if best < 0 or (gains[best] < _NEW_COVERAGE and (chosen or fitting[best].likeness < _LIKE_ENOUGH)):
                break
            chosen.append(fitting[best])
            covered |= fitting[best].covers
        return sorted(chosen, key=lambda sentence: (sentence.passage, sentence.place))


def split_sentences(text: str) -> list[str]:
    """Split a passage into its sentences (list items count as such), without Markdown marks; none is empty."""
    pieces = (piece.strip() for line in text.splitlines() for piece in _pieces(_MARKUP.sub("", line)))
    return [piece for piece in pieces if normalise(piece)]


def _pieces(line: str) -> list[str]:
    ends = [0, *(match.end() for match in _SENTENCE_END.finditer(line)), len(line)]
    return [line[begin:end] for begin, end in itertools.pairwise(ends)]


def _join(sentences: Sequence[tuple[str, int]]) -> str:
    """Join sentences with their citation numbers, naming a source once where its sentences follow each other."""
    parts = []
    for place, (text, number) in enumerate(sentences):
        last_of_source = place + 1 == len(sentences) or sentences[place + 1][1] != number
        parts.append(f"{text} [{number}]" if last_of_source else text)
    return "\n".join(parts)
