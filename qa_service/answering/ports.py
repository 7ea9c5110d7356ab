"""What answering needs from the rooms beside it; `main.py` joins them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from qa_service.domain.answer import Answer
from qa_service.domain.entry import Entry
from qa_service.domain.explanation import ExplainedHit
from qa_service.domain.hit import Ranking
from qa_service.domain.passage import Draft, Passage
from qa_service.domain.question import Question
from qa_service.domain.stopwatch import Stopwatch
from qa_service.domain.suggestion import Suggestion

Door = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs CPU work off the event loop, a bounded number of pieces at a time, and gives its result."""


class Knowledge(Protocol):
    """One immutable index snapshot: everything the bot knows, ranked for a question."""

    @property
    def version(self) -> str:
        """The version that every answer from it names."""
        ...

    @property
    def calibration_name(self) -> str:
        """Where its weights and thresholds come from."""
        ...

    def rank_faq(self, texts: Sequence[str], watch: Stopwatch) -> list[Ranking]:
        """Rank FAQ entries for each text, as one batch; `watch` counts the stages."""
        ...

    def rank_passages(self, texts: Sequence[str], watch: Stopwatch) -> list[Ranking]:
        """Rank passages for each text, as one batch; `watch` counts the stages."""
        ...

    def suggest(self, typed: str, limit: int, *, locale: str = "") -> tuple[Suggestion, ...]:
        """Give at most `limit` FAQ entries whose question what was typed may become, best first."""
        ...

    def tokens(self, text: str) -> tuple[str, ...]:
        """Give the tokens that the keyword leg looks for."""
        ...

    def explain_faq(self, text: str, ranking: Ranking) -> tuple[ExplainedHit, ...]:
        """Give the numbers behind a ranking of the FAQ."""
        ...

    def explain_passages(self, text: str, ranking: Ranking) -> tuple[ExplainedHit, ...]:
        """Give the numbers behind a ranking of the passages."""
        ...

    def faq_entry(self, position: int) -> Entry:
        """Give the FAQ entry of a hit."""
        ...

    def passage(self, position: int) -> Entry:
        """Give the passage of a hit."""
        ...


class Generator(Protocol):
    """Makes a text from passages, or nothing when they do not answer."""

    def generate(self, question: str, passages: Sequence[Passage]) -> Draft | None:
        """Write a text that rests on the passages alone."""
        ...


class Pen(Protocol):
    """Writes one answer piece by piece, for who follows its session; the finished answer still comes as a whole.

    A generator that is slow takes one; each call costs a round trip.
    """

    async def write(self, piece: str) -> bool:
        """Add to the text; False when nobody wants it any more: it is cancelled, or another worker writes it."""
        ...

    async def restart(self) -> bool:
        """Drop what was written: this attempt has failed. False as for `write`."""
        ...


class Pens(Protocol):
    """Pens for questions that were asked in a session."""

    def pen(self, question: Question) -> Pen:
        """Give a pen for the answer to `question`, whose `sid` and `reply_id` say where it will stand."""
        ...


class AnswerCache(Protocol):
    """Exact answers to questions asked a moment ago."""

    async def get_many(self, asked: Sequence[tuple[str, str]]) -> list[Answer | None]:
        """Look up (cache key, normalised question) pairs; None for each miss."""
        ...

    async def put_many(self, kept: Sequence[tuple[str, str, Answer]]) -> None:
        """Keep answers, given as (cache key, normalised question, answer), for as long as each may be given."""
        ...
