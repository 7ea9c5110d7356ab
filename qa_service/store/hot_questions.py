"""What is asked most: counted where answers are cached, read when a new index version should be warm.

Only questions that may be cached are counted: nothing personal is among them. It knows no answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from qa_service.domain.saying import Asked
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
    member = _member(question.locale, question.normalised)
    # By its text: a pipeline cannot ask again when Redis has forgotten a digest.
    pipe.eval(load("count_hot").source, 1, keys.hot(), member, str(_KEPT), str(_TTL_S))


def forgetting(keys: Keys, asked: Asked) -> list[Sequence[str]]:
    """Give the commands that forget a question: its answer in every partition's cache, and how often it came."""
    unlinks = [("UNLINK", key) for key in keys.faq_everywhere(asked.cache_name)] if asked.cache_name else []
    return [*unlinks, ("ZREM", keys.hot(), _member(asked.locale, asked.normalised))]


def asked_under(faq_key: str, normalised: str) -> Asked:
    """Give what is to be forgotten of a question that was cached under a whole Redis key."""
    _, locale = Keys.tenant_and_locale(faq_key)
    return Asked(cache_name=Keys.name_in(faq_key), locale=locale, normalised=normalised)


def _member(locale: str, normalised: str) -> str:
    return f"{locale}\n{normalised}"


async def hottest(client: Redis, keys: Keys, count: int) -> Sequence[HotQuestion]:
    """Give the questions computed most often lately, hottest first.

    Raises:
        StoreUnavailable: Redis cannot serve.
    """
    with translated():
        found = cast("list[bytes]", await client.zrevrange(keys.hot(), 0, count - 1))
    pairs = (member.decode().partition("\n") for member in found)
    return [HotQuestion(locale=locale, normalised=normalised) for locale, _, normalised in pairs]
