"""Type-ahead: what is typed goes to a worker, known questions come back; what many type is remembered for a moment."""

import time
from collections.abc import Callable
from dataclasses import replace

from qa_service.conversation.ports import ActiveIndex, Bells, Suggestions
from qa_service.conversation.replies import reply_to
from qa_service.domain.errors import IndexUnavailable
from qa_service.domain.saying import KeyPress
from qa_service.domain.snowflake import wall_clock_ms
from qa_service.domain.suggestion import Suggested, Typed
from qa_service.domain.text import check_typed

WAIT_S = 1.0  # who types has typed on by then
_KEPT_S = 5.0  # an entry that ends is offered for so long at most
_KEPT = 4096  # wishes: some 8 MB


class SuggestionDesk:
    """Gives suggestions for one tenant. What it remembers belongs to a version of the index, and goes with it."""

    def __init__(
        self,
        *,
        suggestions: Suggestions,
        bells: Bells,
        index: ActiveIndex,
        next_id: Callable[[], str],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._suggestions = suggestions
        self._bells = bells
        self._index = index
        self._next_id = next_id
        self._clock_s = clock_s
        self._kept: dict[Typed, tuple[Suggested, float]] = {}  # with the second at which it is forgotten

    async def suggest(self, typed: Typed, *, request_id: str, pointer: str, wait_s: float = WAIT_S) -> Suggested:
        """Give suggestions for what was typed, not yet checked; `pointer` names it in a refusal.

        Raises:
            InvalidInput: it has not 1 to 64 characters.
            IndexUnavailable: no worker has an index.
            AnswerLate: nobody gave any within `wait_s` seconds.
        """
        typed = replace(typed, text=check_typed(typed.text, pointer=pointer))
        version = self._index.version
        if not version:
            raise IndexUnavailable("no worker has loaded an index yet", retry_after_s=5)
        now_s = self._clock_s()
        kept, until_s = self._kept.get(typed, (Suggested(), 0.0))
        if now_s < until_s and kept.index_version == version:
            return kept
        press = KeyPress(
            job_id=self._next_id(),
            typed=typed,
            request_id=request_id,
            expires_at_ms=wall_clock_ms() + int(wait_s * 1000),
        )
        given = await reply_to(
            press.job_id,
            bells=self._bells,
            submit=lambda: self._suggestions.submit(press),
            read=self._suggestions.reply,
            wait_s=wait_s,
        )
        self._keep(typed, given, now_s)
        return given

    def _keep(self, typed: Typed, given: Suggested, now_s: float) -> None:
        self._kept.pop(typed, None)  # so that the oldest stands first
        while self._kept:
            oldest = next(iter(self._kept))
            if now_s < self._kept[oldest][1] and len(self._kept) < _KEPT:
                break
            del self._kept[oldest]  # what customers type is kept no longer than it is of use
        self._kept[typed] = (given, now_s + _KEPT_S)
