"""What became of acknowledged questions, read from the session logs in Redis: the truth that every transport reads."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from faults.house import eventually
from faults.load import Asked, Customer
from qa_service.domain.session import EventType
from qa_service.store.connection import open_redis
from qa_service.store.keys import Keys

_SETTLED_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """Of the acknowledged questions: how many were answered, failed, lost (neither), and done twice.

    `twice` counts second answers to a question, and second copies of a question that its customer asked once.
    """

    acknowledged: int
    answered: int
    failed: int
    lost: int
    twice: int
    in_order: bool


async def reckon(url: str, crowd: Iterable[Customer], *, within_s: float = _SETTLED_WITHIN_S) -> Reckoning:
    """Wait until every acknowledged question has its end, or the time has passed; then count."""
    sessions = [session for customer in crowd for session in customer.sessions]
    client = open_redis(url, timeout_s=5.0)
    try:
        found: list[_Log] = []

        async def settled() -> bool:
            found[:] = [await _read(client, session) for session in sessions]
            return all(not log.lost for log in found)

        await eventually(settled, within_s)
    finally:
        await client.aclose()
    return Reckoning(
        acknowledged=sum(len(session.replies) for session in sessions),
        answered=sum(log.answered for log in found),
        failed=sum(log.failed for log in found),
        lost=sum(log.lost for log in found),
        twice=sum(log.twice for log in found),
        in_order=all(log.in_order for log in found),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    answered: int
    failed: int
    lost: int
    twice: int
    in_order: bool  # questions are answered in the order in which they were accepted


async def _read(client: Redis, session: Asked) -> _Log:
    found = cast("list[tuple[bytes, dict[bytes, bytes]]]", await client.xrange(Keys(tenant="shop").log(session.sid)))
    events = [fields for _, fields in found]
    accepted = [one[b"m"].decode() for one in events if one[b"e"] == EventType.MESSAGE_ACCEPTED.encode()]
    completed = [one[b"q"].decode() for one in events if one[b"e"] == EventType.MESSAGE_COMPLETED.encode()]
    failed = [one[b"q"].decode() for one in events if one[b"e"] == EventType.MESSAGE_FAILED.encode()]
    ended = Counter(completed) + Counter(failed)
    order = [question for question in accepted if question in ended]
    return _Log(
        answered=len(set(completed) & session.replies.keys()),
        failed=len(set(failed) & session.replies.keys()),
        lost=len(session.replies.keys() - ended.keys()),
        twice=sum(ended.values()) - len(ended) + len(set(accepted) - session.replies.keys()),
        in_order=[one[b"q"].decode() for one in events if b"q" in one] == order,
    )
