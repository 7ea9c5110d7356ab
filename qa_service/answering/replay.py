"""What was said before, told by a caller that keeps its conversation itself, made into what a session would remember.

Such a caller knows the words and not which entries they were about, and those are what a follow-up leans on: the turns
that it may lean on are asked again, in the same way. It knows no queue.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from qa_service.answering.ask import Outcome
from qa_service.answering.follow_up import names_a_choice
from qa_service.domain.context import leans_on_context
from qa_service.domain.question import Question, Turn, turn_of

_MOST = 3  # turns asked again: each costs as much as the question itself


async def replayed(
    ask: Callable[[Sequence[Question]], Awaitable[Sequence[Outcome]]], history: Sequence[Turn], *, locale: str
) -> tuple[Turn, ...]:
    """Give the turns from the last one that stands alone, each with its topic and its choices; oldest first.

    What the caller tells of choices counts: that is what was read.
    """
    turns: list[Turn] = []
    for told in _leant_on(history):
        [outcome] = await ask([Question(text=told.question, locale=locale, history=tuple(turns))])
        found = turn_of(told.question, outcome.answer)
        turns.append(replace(found, answer=told.answer, choices=told.choices or found.choices))
    return tuple(turns)


def _leant_on(history: Sequence[Turn]) -> Sequence[Turn]:
    recent = history[-_MOST:]
    for place in reversed(range(len(recent))):
        asked = recent[place].question
        if not leans_on_context(asked) and not names_a_choice(asked):
            return recent[place:]
    return recent
