"""What is asked most: counted where answers are cached, read when a new index version should be warm.

Only questions that may be cached are counted: nothing personal is among them. It knows no answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from qa_service.store.connection import translated
from qa_service.store.keys import Keys
from qa_service.store.scripts import load

_KEPT = 1000
_TTL_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class HotQuestion:
    """A normalised question and the locale it was cached under."""

    locale: str
    normalised: str


def count_hot(pipe: Pipeline, keys: Keys, question: HotQuestion) -> None:
    """Add one to a question, within a pipeline; where there are too many, it takes the place of the rarest."""
    member = f"{question.locale}\n{question.normalised}"
    # By its text: a pipeline cannot ask again when Redis has forgotten a digest.
    pipe.eval(load("count_hot").source, 1, keys.hot(), member, str(_KEPT), str(_TTL_S))


async def hottest(client: Redis, keys: Keys, count: int) -> Sequence[HotQuestion]:
    """Give the questions computed most often lately, hottest first.

    Raises:
        StoreUnavailable: Redis cannot serve.
    """
    with translated():
        found = cast("list[bytes]", await client.zrevrange(keys.hot(), 0, count - 1))
    pairs = (member.decode().partition("\n") for member in found)
    return [HotQuestion(locale=locale, normalised=normalised) for locale, _, normalised in pairs]
