"""From the API's documents to values. It knows the shapes of JSON:API and OAuth, and no connection.

Members that are unknown are passed over, so that an older client reads a newer service.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import msgspec

from qa_service.client.errors import BotError, Unreadable, error_type
from qa_service.client.values import Answer, Event, KeptSession, Message, Page, Reply, Session, Source, Suggestion

Value = TypeVar("Value")


class Resource(msgspec.Struct, kw_only=True):
    """One thing: its type, its id, its attributes."""

    type: str
    id: str
    attributes: dict[str, Any] = {}


class _One(msgspec.Struct, kw_only=True):
    data: Resource
    included: list[Resource] = []
    meta: dict[str, Any] = {}


class _Many(msgspec.Struct, kw_only=True):
    data: list[Resource]
    included: list[Resource] = []
    meta: dict[str, Any] = {}


class _EventObject(msgspec.Struct, kw_only=True):
    type: str
    seq: int | None = None
    created_at: datetime | None = None
    data: dict[str, Any] = {}
    included: list[Resource] = []


class Token(msgspec.Struct, kw_only=True):
    """An access token and how long it holds (seconds)."""

    access_token: str
    expires_in: float = 300.0


class _Failure(msgspec.Struct, kw_only=True):
    code: str = ""
    title: str = ""
    detail: str = ""
    source: dict[str, str] = {}
    meta: dict[str, Any] = {}


class _Failures(msgspec.Struct, kw_only=True):
    """The API's errors, or OAuth's one."""

    errors: list[_Failure] = []
    error: str = ""
    error_description: str = ""


def read(body: bytes, shape: type[Value]) -> Value:
    """Decode a body of one shape.

    Raises:
        Unreadable: it is no JSON, or of another shape.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"not an answer of the API: {error}") from None


def session_of(body: bytes) -> Session:
    """Read a session."""
    return _converted(read(body, _One).data, Session)


def reply_of(body: bytes, *, sid: str) -> Reply:
    """Read the bot's message of a document about one message of this session."""
    document = read(body, _One)
    request_id = str(document.meta.get("request_id", ""))
    return _converted(document.data, Reply, sid=sid, sources=_sources(document.included), request_id=request_id)


def page_of(body: bytes) -> Page:
    """Read a page of messages."""
    document = read(body, _Many)
    return _convert(
        {
            "messages": [_members(one) for one in document.data],
            "sources": _sources(document.included),
            "last_message_id": document.meta.get("last_message_id"),
            "has_more": document.meta.get("has_more"),
        },
        Page,
    )


def answer_of(body: bytes) -> Answer:
    """Read the answer to a stateless question."""
    document = read(body, _One)
    return _converted(document.data, Answer, sources=_sources(document.included), request_id=document.data.id)


def suggestions_of(body: bytes) -> tuple[Suggestion, ...]:
    """Read suggestions."""
    return tuple(_converted(one, Suggestion) for one in read(body, _Many).data)


def erased_of(body: bytes) -> int:
    """Read how many sessions were erased."""
    return _convert(read(body, _One).data.attributes.get("sessions"), int)


def kept_of(body: bytes) -> tuple[tuple[KeptSession, ...], bool]:
    """Read a page of what is kept of a user, and whether there is more."""
    document = read(body, _One)
    sessions = _convert(document.data.attributes.get("sessions"), list[dict[str, Any]])
    kept = [
        {"session": members, "messages": members.get("messages", [])}  # a session's own members lie beside its messages
        for members in sessions
    ]
    return _convert(kept, tuple[KeptSession, ...]), bool(document.meta.get("has_more"))


def event_of(body: bytes) -> Event:
    """Read an event object."""
    told = read(body, _EventObject)
    named = told.data.get("type")
    return Event(
        type=told.type,
        seq=told.seq,
        created_at=told.created_at,
        message=_converted(_convert(told.data, Resource), Message) if named == "messages" else None,
        session=_converted(_convert(told.data, Resource), Session) if named == "sessions" else None,
        sources=_sources(told.included),
        data=told.data,
    )


def error_of(status: int, body: bytes, headers: Mapping[str, str]) -> BotError:
    """Read an error, whatever its body is."""
    try:
        told = msgspec.json.decode(body, type=_Failures)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = _Failures()  # a proxy's page
    failure = told.errors[0] if told.errors else _Failure(code=told.error, detail=told.error_description)
    detail = failure.detail or failure.title or f"HTTP {status} without a reason that could be read"
    return error_type(status, failure.code)(
        detail,
        code=failure.code,
        status=status,
        pointer=next(iter(failure.source.values()), ""),
        request_id=str(failure.meta.get("request_id") or headers.get("X-Request-ID", "")),
        retry_after_s=_retry_after_s(headers.get("Retry-After", "")),
    )


def _retry_after_s(header: str) -> float | None:
    """Read Retry-After: seconds, or a date (RFC 9110, 10.2.3), which proxies send."""
    if re.fullmatch(r"[0-9]{1,9}", header):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(moment.tzinfo)).total_seconds())


def _sources(included: list[Resource]) -> tuple[Source, ...]:
    """Give the sources among what belongs to a document; the user's message lies there too."""
    return tuple(_converted(one, Source, type=one.type) for one in included if one.type in {"entries", "passages"})


def _members(resource: Resource) -> dict[str, Any]:
    return {**resource.attributes, "id": resource.id}


def _converted(resource: Resource, shape: type[Value], **more: object) -> Value:
    return _convert({**_members(resource), **more}, shape)


def _convert(members: object, shape: type[Value]) -> Value:
    try:
        return msgspec.convert(members, shape)
    except msgspec.ValidationError as error:
        raise Unreadable(f"not an answer of the API: {error}") from None
