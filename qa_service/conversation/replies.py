"""Waiting for the reply to what was put on the queue without a session. It knows neither questions nor answers."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from qa_service.conversation.ports import Bells
from qa_service.domain.errors import AnswerLate

_READ_AGAIN_S = 1.0
Reply = TypeVar("Reply")


async def reply_to(
    job_id: str,
    *,
    bells: Bells,
    submit: Callable[[], Awaitable[None]],
    read: Callable[[str], Awaitable[Reply | None]],
    wait_s: float,
) -> Reply:
    """Submit a job and give its reply; AnswerLate when nobody gave one within `wait_s` seconds."""
    ends = time.monotonic() + wait_s
    async with bells.listen(job_id) as bell:
        await submit()
        while (left_s := ends - time.monotonic()) > 0:
            await bell.wait(min(_READ_AGAIN_S, left_s))
            if reply := await read(job_id):
                return reply
    raise AnswerLate(f"no worker answered within {wait_s:g} s")
