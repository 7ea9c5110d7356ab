"""A question on its way through the house."""

from dataclasses import dataclass

from qa_service.domain.answer import Answer, Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One earlier exchange with the same person: what was asked, what the bot said, which entry it used."""

    question: str
    answer: str = ""
    entry_id: str | None = None
    topic: str = ""  # the question of that entry, as the knowledge base words it
    choices: tuple[str, ...] = ()  # the questions of a "did you mean"


def turn_of(question: str, answer: Answer | None, *, said: str = "") -> Turn:
    """Give the turn that a question and its answer were; `said` is the text that was told, where there is one."""
    source = answer.sources[0] if answer and answer.sources else None
    return Turn(
        question=question,
        answer=said,
        entry_id=source.entry_id if source else None,
        topic=source.title if source and answer and answer.decision is Decision.ANSWER else "",
        choices=tuple(choice.question for choice in answer.choices) if answer else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A checked question (1 to 500 characters, trimmed) and what is needed to answer it.

    `history` holds the turns before it, oldest first; those of a stateless question are its caller's. `cache_key` is
    empty when its answer must be neither kept for others nor taken from them; `normalised` is then compared in full.
    Where it was asked in a session, `sid` and `reply_id` (the bot's message) name where its answer will stand.
    """

    text: str
    locale: str = "zh-CN"
    history: tuple[Turn, ...] = ()
    normalised: str = ""
    cache_key: str = ""
    sid: str = ""
    reply_id: str = ""
