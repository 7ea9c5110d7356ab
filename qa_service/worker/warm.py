"""After a version has come into force, what is asked most is asked again, so that the cache is warm for it."""

from collections.abc import Sequence

import structlog

from qa_service.answering.ask import Ask
from qa_service.domain.question import Question

_AT_ONCE = 16  # few, so that waiting customers get the door between two batches

log = structlog.get_logger(__name__)


async def warm(ask: Ask, questions: Sequence[Question]) -> None:
    """Answer questions whose cache keys belong to the version of `ask`."""
    for place in range(0, len(questions), _AT_ONCE):
        await ask(questions[place : place + _AT_ONCE])
    log.info("cache warmed", version=ask.version, questions=len(questions))
