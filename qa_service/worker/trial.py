"""Trying another index version on real questions: a share of them is answered from it, or it answers in the shadow.

It knows no file: whoever makes it opens the version.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from qa_service.answering.ask import Ask, Outcome
from qa_service.domain.question import Question
from qa_service.domain.share import Share

_COMPARED = 8  # of a batch: customers wait behind these at the door, some ten milliseconds

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A version that answers a share of the questions."""

    share: Share
    ask: Ask

    def ask_for(self, normalised: str, otherwise: Ask) -> Ask:
        """Give the Ask that answers a question."""
        return self.ask if self.share.version_for(normalised, otherwise.version) == self.ask.version else otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A version that answers questions too, unheard; `count` adds up what it would have done.

    Of a large batch it answers the first few only, and nothing that goes wrong with it leaves it.
    """

    ask: Ask
    count: Callable[[Sequence[str]], Awaitable[None]]

    async def compare(self, questions: Sequence[Question], outcomes: Sequence[Outcome]) -> None:
        """Answer questions again and count both decisions, and whether they rest on the same entry."""
        try:
            unheard = await self.ask([replace(question, cache_key="") for question in questions[:_COMPARED]])
            pairs = [_pair(real, shadow) for real, shadow in zip(outcomes[:_COMPARED], unheard, strict=True)]
            log.info("shadow", version=self.ask.version, decisions=pairs)
            await self.count(pairs)
        except Exception:  # the edge of a job that nobody waits for
            log.exception("shadow failed", version=self.ask.version)


def _pair(real: Outcome, shadow: Outcome) -> str:
    first, second = (outcome.answer.sources[:1] for outcome in (real, shadow))
    same = [one.entry_id for one in first] == [one.entry_id for one in second]
    return f"{real.decision.value}>{shadow.decision.value}:{'same' if same else 'differs'}"
