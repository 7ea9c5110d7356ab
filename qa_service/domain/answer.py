"""What the service says to a question, and on what grounds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Decision(StrEnum):
    """What was decided to do with a question."""

    ANSWER = "answer"  # an FAQ entry answers it
    CLARIFY = "clarify"  # several entries may: ask which is meant
    FLOW = "flow"  # a flow goes on with it
    GENERATE = "generate"  # a text made from passages answers it
    HANDOFF = "handoff"  # a human should
    NONE = "none"  # nothing the bot knows answers it


class ServedBy(StrEnum):
    """What made the text."""

    CACHE = "cache"
    FAQ = "faq"
    EXTRACT = "extract"
    GENERATOR = "generator"
    FLOW = "flow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An entry or passage that the text rests on."""

    entry_id: str
    kind: str
    title: str
    excerpt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One "did you mean": choosing it asks `question` again, whose entry is `entry_id`."""

    entry_id: str
    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A text with its decision and its grounds.

    `confidence` is the calibrated probability (0 to 1) that the text answers the question; `timings_ms` maps a stage
    of the way to its milliseconds. `degraded` says that a better way was tried and failed. `valid_until_ms` (Unix
    milliseconds, None: no end) is the soonest end of validity among the sources: no cache may keep the text longer.
    """

    text: str
    decision: Decision
    served_by: ServedBy | None = None
    confidence: float = 0.0
    sources: tuple[Source, ...] = ()
    choices: tuple[Choice, ...] = ()
    degraded: bool = False
    index_version: str = ""
    elapsed_ms: float = 0.0
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    valid_until_ms: int | None = None
