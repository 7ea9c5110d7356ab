"""Stateless questions: no session, no log; the same queue, the same answer, and an end to waiting.

A caller that keeps the conversation itself brings it along; it is forgotten with the question.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from qa_service.conversation.ports import ActiveIndex, Bells, Inquiries
from qa_service.conversation.replies import reply_to
from qa_service.domain.answer import Answer
from qa_service.domain.context import is_cacheable
from qa_service.domain.errors import IndexUnavailable
from qa_service.domain.explanation import Explanation
from qa_service.domain.question import Turn
from qa_service.domain.saying import Inquiry
from qa_service.domain.session import CONTEXT_TURNS
from qa_service.domain.snowflake import wall_clock_ms
from qa_service.domain.text import MAX_QUESTION_CHARS, check_question, normalise

_MOST_CHOICES = 9  # that a caller says were asked back; ours are three
Reply = TypeVar("Reply", Answer, Explanation)


class InquiryDesk:
    """Takes one question, gives one answer, remembers nothing."""

    def __init__(self, *, inquiries: Inquiries, bells: Bells, index: ActiveIndex, next_id: Callable[[], str]) -> None:
        self._inquiries = inquiries
        self._bells = bells
        self._index = index
        self._next_id = next_id

    async def ask(
        self, text: object, *, locale: str, request_id: str, wait_s: float, history: Sequence[Turn] = ()
    ) -> Answer:
        """Answer a question within `wait_s` seconds; `history` is what was said before it, oldest first.

        Raises:
            InvalidInput: the text is no question.
            IndexUnavailable: no worker has an index.
            AnswerLate: nobody answered in time; the question is forgotten.
        """
        checked = self._checked(text)
        normalised = normalise(checked)
        cache_key = self._index.cache_key(locale, normalised) if is_cacheable(checked) else ""
        if cache_key and (cached := await self._inquiries.cached(cache_key, normalised)):
            return cached
        inquiry = Inquiry(
            job_id=self._next_id(),
            text=checked,
            locale=locale,
            request_id=request_id,
            expires_at_ms=wall_clock_ms() + int(wait_s * 1000),
            cache_key=cache_key,
            normalised=normalised,
            history=_bounded(history),
        )
        return await self._await_reply(inquiry, self._inquiries.reply, wait_s)

    async def explain(self, text: object, *, locale: str, request_id: str, wait_s: float) -> Explanation:
        """Answer a question past the cache, and tell every number that led to the answer; raises as `ask` does."""
        checked = self._checked(text)
        inquiry = Inquiry(
            job_id=self._next_id(),
            explain=True,
            text=checked,
            locale=locale,
            request_id=request_id,
            expires_at_ms=wall_clock_ms() + int(wait_s * 1000),
            normalised=normalise(checked),  # decides whether a canary version answers
        )
        return await self._await_reply(inquiry, self._inquiries.explanation, wait_s)

    def _checked(self, text: object) -> str:
        checked = check_question(text)
        if not self._index.version:
            raise IndexUnavailable("no worker has loaded an index yet", retry_after_s=5)
        return checked

    async def _await_reply(
        self, inquiry: Inquiry, read: Callable[[str], Awaitable[Reply | None]], wait_s: float
    ) -> Reply:
        return await reply_to(
            inquiry.job_id,
            bells=self._bells,
            submit=lambda: self._inquiries.submit(inquiry),
            read=read,
            wait_s=wait_s,
        )


def _bounded(history: Sequence[Turn]) -> tuple[Turn, ...]:
    """Give as much of a caller's history as a session would keep in mind: it travels through the queue."""
    return tuple(
        replace(
            turn,
            question=turn.question[:MAX_QUESTION_CHARS],
            choices=tuple(choice[:MAX_QUESTION_CHARS] for choice in turn.choices[:_MOST_CHOICES]),
        )
        for turn in history[-CONTEXT_TURNS:]
    )
