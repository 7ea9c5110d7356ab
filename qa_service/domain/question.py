"""A question on its way through the house."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One earlier exchange of the same session: what was asked, what the bot said, which entry it used."""

    question: str
    answer: str = ""
    entry_id: str | None = None
    topic: str = ""  # the question of that entry, as the knowledge base words it
    choices: tuple[str, ...] = ()  # the questions of a "did you mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A checked question (1 to 500 characters, trimmed) and what is needed to answer it.

    `history` holds the last turns of its session, oldest first; empty for a stateless question. `cache_key` is empty
    when its answer must be neither kept for others nor taken from them; `normalised` is then compared in full. Where
    it was asked in a session, `sid` and `reply_id` (the bot's message) name where its answer will stand.
    """

    text: str
    locale: str = "zh-CN"
    history: tuple[Turn, ...] = ()
    normalised: str = ""
    cache_key: str = ""
    sid: str = ""
    reply_id: str = ""
