"""The client of the session API, for back ends: questions in, typed replies out, by aiohttp. It knows no server code.

    async with BotClient(url, credentials=ClientCredentials(client_id="gateway", secret=secret)) as bot:
        session = await bot.open_session(uid="user-7")
        reply = await bot.ask(session.id, "怎么退货")

It needs aiohttp and msgspec, and nothing else of this package's dependencies.
"""

from qa_service.client.client import BotClient
from qa_service.client.credentials import ClientCredentials, FixedKey
from qa_service.client.errors import (
    BotError,
    BreakerOpen,
    Conflict,
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    Refused,
    TooManyStreams,
    Unauthenticated,
    Unavailable,
    Unreachable,
    Unreadable,
)
from qa_service.client.values import (
    Answer,
    Choice,
    Event,
    KeptSession,
    Message,
    Page,
    Reply,
    Session,
    Source,
    Suggestion,
)

__all__ = [
    "Answer",
    "BotClient",
    "BotError",
    "BreakerOpen",
    "Choice",
    "ClientCredentials",
    "Conflict",
    "DeadlineExceeded",
    "Event",
    "FixedKey",
    "Forbidden",
    "InvalidInput",
    "KeptSession",
    "Message",
    "NotFound",
    "Page",
    "RateLimited",
    "Refused",
    "Reply",
    "Session",
    "Source",
    "Suggestion",
    "TooManyStreams",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "Unreadable",
]
