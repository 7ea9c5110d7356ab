"""After a version has come into force, what is asked most is asked again, so that the cache is warm for it."""

from collections.abc import Sequence

import structlog

from qa_service.answering.ask import Ask
from qa_service.domain.question import Question
from qa_service.store.connection import Redis
from qa_service.store.hot_questions import hottest
from qa_service.store.keys import Keys

_WARMED = 200  # questions asked again after an activation
_AT_ONCE = 16  # few, so that waiting customers get the door between two batches

log = structlog.get_logger(__name__)


async def warm_hottest(client: Redis, keys: Keys, ask: Ask, *, generator: str) -> None:
    """Ask a tenant's hottest questions again, for every partition whose sessions may ask them; it never raises."""
    try:
        questions = [
            Question(
                text=one.normalised,
                locale=one.locale,
                normalised=one.normalised,
                cache_key=keys.faq(partition, keys.faq_name(one.locale, ask.version, generator, one.normalised)),
            )
            for one in await hottest(client, keys, _WARMED)
            for partition in range(keys.partitions)
        ]
        await warm(ask, questions)
    except Exception:  # the edge of a job that nobody waits for: it must not end the worker
        log.exception("cache not warmed", tenant=keys.tenant, version=ask.version)


async def warm(ask: Ask, questions: Sequence[Question]) -> None:
    """Answer questions whose cache keys belong to the version of `ask`."""
    for place in range(0, len(questions), _AT_ONCE):
        await ask(questions[place : place + _AT_ONCE])
    log.info("cache warmed", version=ask.version, questions=len(questions))
