"""From a verdict to the words: the entry's answer, a question back, cited sentences, a hand-off, or an apology."""

from collections.abc import Sequence

from qa_service.answering.texts import texts_for
from qa_service.domain.answer import Answer, Choice, Decision, ServedBy, Source
from qa_service.domain.entry import Entry
from qa_service.domain.hit import Hit
from qa_service.domain.passage import Draft

_EXCERPT_CHARS = 120


def fact(entry: Entry, hit: Hit) -> Answer:
    """Give an FAQ entry's own answer."""
    assert entry.answer is not None
    return Answer(
        text=entry.answer,
        decision=Decision.ANSWER,
        served_by=ServedBy.FAQ,
        confidence=hit.probability,
        sources=(_source(entry),),
        valid_until_ms=_valid_until_ms((entry,)),
    )


def clarification(text: str, locale: str, entries: Sequence[Entry], hits: Sequence[Hit]) -> Answer:
    """Ask which of some entries is meant."""
    return Answer(
        text=texts_for(text, locale).clarify,
        decision=Decision.CLARIFY,
        confidence=hits[0].probability,
        choices=tuple(Choice(entry_id=entry.id, question=entry.question) for entry in entries),
        valid_until_ms=_valid_until_ms(entries),
    )


def quotation(draft: Draft, passages: Sequence[Entry], probability: float) -> Answer:
    """Give a text made from passages; its sources stand in the order of their citation numbers."""
    by_id = {entry.id: entry for entry in passages}
    cited = [by_id[entry_id] for entry_id in draft.cited]
    return Answer(
        text=draft.text,
        decision=Decision.GENERATE,
        served_by=ServedBy.EXTRACT,
        confidence=probability,
        sources=tuple(_source(entry) for entry in cited),
        valid_until_ms=_valid_until_ms(cited),
    )


def hand_off(text: str, locale: str) -> Answer:
    """Say that a person takes over."""
    return Answer(text=texts_for(text, locale).hand_off, decision=Decision.HANDOFF, confidence=1.0)


def unknown(text: str, locale: str, best: Hit | None) -> Answer:
    """Say that the bot does not know."""
    confidence = best.probability if best else 0.0
    return Answer(text=texts_for(text, locale).unknown, decision=Decision.NONE, confidence=confidence)


def _source(entry: Entry) -> Source:
    text = entry.answer or ""
    excerpt = text if len(text) <= _EXCERPT_CHARS else text[: _EXCERPT_CHARS - 1] + "…"
    return Source(entry_id=entry.id, kind=entry.kind.value, title=entry.question, excerpt=excerpt)


def _valid_until_ms(entries: Sequence[Entry]) -> int | None:
    ends = [int(entry.valid_until.timestamp() * 1000) for entry in entries if entry.valid_until]
    return min(ends, default=None)
