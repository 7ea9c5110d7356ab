"""What was said before, told by a caller that keeps its conversation itself, made into what a session would remember.

Such a caller knows the words and not which entries they were about, and those are what a follow-up leans on: the turns
that it may lean on are asked again, in the same way, those of a batch together. It knows no queue.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from qa_service.answering.ask import Outcome
from qa_service.answering.follow_up import names_a_choice
from qa_service.domain.context import leans_on_context
from qa_service.domain.question import Question, Turn, turn_of

_MOST = 3  # turns of a question that are asked again, one after the other


async def remembered(
    ask: Callable[[Sequence[Question]], Awaitable[Sequence[Outcome]]], questions: Sequence[Question]
) -> list[Question]:
    """Give the questions, in their order, with the turns from the last one that stands alone: its topic, its choices.

    What the caller tells of choices counts: that is what was read.
    """
    told = [_leant_on(question.history) for question in questions]
    found: list[tuple[Turn, ...]] = [() for _ in questions]
    for step in range(max(map(len, told), default=0)):
        places = [place for place, turns in enumerate(told) if step < len(turns)]
        outcomes = await ask(
            [
                replace(questions[place], text=told[place][step].question, history=found[place], cache_key="")
                for place in places
            ]
        )
        for place, outcome in zip(places, outcomes, strict=True):
            found[place] += (_recalled(told[place][step], outcome),)
    return [replace(question, history=turns) for question, turns in zip(questions, found, strict=True)]


def _recalled(told: Turn, outcome: Outcome) -> Turn:
    turn = turn_of(told.question, outcome.answer, said=told.answer)
    return replace(turn, choices=told.choices or turn.choices)


def _leant_on(history: Sequence[Turn]) -> Sequence[Turn]:
    recent = history[-_MOST:]
    for place in reversed(range(len(recent))):
        asked = recent[place].question
        if not leans_on_context(asked) and not names_a_choice(asked):
            return recent[place:]
    return recent
