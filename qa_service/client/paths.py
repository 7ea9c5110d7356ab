"""The API's paths. It knows no call."""

import re

from qa_service.client.errors import InvalidInput

_BOT = "/api/v1/bot"
SESSIONS = f"{_BOT}/sessions"
ANSWERS = f"{_BOT}/answers"
SUGGEST = f"{_BOT}/suggest"
USER = f"{_BOT}/users/-"  # named in the query, as a uid may hold a slash
TOKEN = "/oauth/token"  # noqa: S105  # a path
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # in a path, dots and slashes would lead elsewhere


def session_path(sid: str) -> str:
    """Give a session's path; InvalidInput when this can be no sid."""
    return f"{SESSIONS}/{_checked(sid)}"


def messages_path(sid: str) -> str:
    """Give the path of a session's messages."""
    return f"{session_path(sid)}/messages"


def message_path(sid: str, message_id: str) -> str:
    """Give a message's path."""
    return f"{messages_path(sid)}/{_checked(message_id)}"


def _checked(name: str) -> str:
    if not _ID.fullmatch(name):
        raise InvalidInput(f"no id of a session or message: {name[:64]!r}", code="invalid-id")
    return name
