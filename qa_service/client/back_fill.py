"""Waits for an answer that was not ready in time. It knows the client's operations, and no HTTP.

A service that is away is waited for: the question is in its log, or is asked again with its key.
"""

import asyncio
import time
from dataclasses import replace
from typing import Protocol

from qa_service.client.errors import Conflict, RateLimited, Unavailable
from qa_service.client.values import Page, Reply

_READ_AGAIN_S = 0.5
_LONGEST_POLL_S = 20.0
_LONGEST_ASK_S = 3.0


class Bot(Protocol):
    """What is needed of the client."""

    async def ask(
        self, sid: str, text: str, *, key: str | None = None, locale: str = "", deadline_s: float | None = None
    ) -> Reply:
        """Ask."""

    async def reply(self, sid: str, message_id: str) -> Reply:
        """Read a message."""

    async def replies_after(self, sid: str, cursor: int = 0, *, wait_s: float = 0.0) -> Page:
        """Poll."""


async def back_filled(bot: Bot, reply: Reply, within_s: float) -> Reply:
    """Give a reply once it is no longer pending, or as it stands after `within_s`."""
    ends, cursor = time.monotonic() + within_s, reply.seq
    while reply.is_pending and (left_s := ends - time.monotonic()) > 0:
        try:
            if not reply.id:
                reply = await _asked_again(bot, reply, left_s)
                cursor = reply.seq
                continue
            page = await bot.replies_after(reply.sid, cursor, wait_s=min(left_s, _LONGEST_POLL_S))
            cursor = page.last_message_id
            if any(one.id == reply.id and not one.is_pending for one in page.messages):
                reply = await _read_again(bot, reply)
            elif not page.messages:
                await asyncio.sleep(min(_READ_AGAIN_S, left_s))  # a poll that ended early: the service is stopping
        except (Unavailable, RateLimited) as error:
            await asyncio.sleep(min(error.retry_after_s or _READ_AGAIN_S, left_s))
        except Conflict:  # a cursor that the log no longer has
            reply = await _read_again(bot, reply)
            cursor = max(cursor, reply.seq)
            await asyncio.sleep(min(_READ_AGAIN_S, left_s))
    return reply


async def _asked_again(bot: Bot, reply: Reply, left_s: float) -> Reply:
    deadline_s = min(left_s, _LONGEST_ASK_S)
    return await bot.ask(reply.sid, reply.question, key=reply.key, locale=reply.locale, deadline_s=deadline_s)


async def _read_again(bot: Bot, reply: Reply) -> Reply:
    """Read a message by itself: a page does not say which of its sources belong to it."""
    fresh = await bot.reply(reply.sid, reply.id)
    return replace(fresh, question=reply.question, key=reply.key, locale=reply.locale)
