"""JSON:API-style documents: what sessions, messages and answers look like from outside. It knows no route."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from litestar import Response

from qa_service.answering.texts import texts_for
from qa_service.domain.answer import Answer, Source
from qa_service.domain.session import SESSION_TTL_S, Message, MessageState, Role, Session

PREFIX = "/api/v1/bot"
_PLURAL = {"faq": "entries", "passage": "passages"}


class Resource(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing: its type, its id, its attributes."""

    type: str
    id: str
    attributes: dict[str, Any]
    links: dict[str, str] = {}


class Document(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A response: one thing or a list, what belongs to it, and the request's id in `meta`."""

    data: Resource | list[Resource]
    included: list[Resource] = []
    links: dict[str, str] = {}
    meta: dict[str, Any]


def respond(document: Document, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Send a document."""
    return Response(
        msgspec.json.encode(document), status_code=status, media_type="application/json", headers=headers or {}
    )


def session_resource(session: Session, *, token: str = "") -> Resource:
    """Show a session; `token` only once, when it is new."""
    attributes: dict[str, Any] = {
        "uid": session.uid or None,
        "device_id": session.device_id or None,
        "locale": session.locale,
        "owner": session.owner.value,
        "last_message_id": session.last_message_id,
        "ttl_s": SESSION_TTL_S,
        "created_at": rfc3339(session.created_at_ms),
    }
    if token:
        attributes["token"] = token
    return Resource(
        type="sessions", id=session.sid, attributes=attributes, links={"self": f"{PREFIX}/sessions/{session.sid}"}
    )


def message_resource(sid: str, message: Message, *, question: str = "") -> Resource:
    """Show a message. A pending one says that the bot is thinking, in the language of `question`; no log keeps that."""
    attributes: dict[str, Any] = {
        "seq": message.seq,
        "role": message.role.value,
        "text": message.text,
        "state": message.state.value,
        "in_reply_to": message.in_reply_to,
        "created_at": rfc3339(message.created_at_ms),
    }
    if message.answer:
        attributes.update(answer_attributes(message.answer))
    elif message.role is Role.BOT and message.state is MessageState.PENDING:
        attributes["text"] = texts_for(question, "").thinking
    link = f"{PREFIX}/sessions/{sid}/messages/{message.id}"
    return Resource(type="messages", id=message.id, attributes=attributes, links={"self": link})


def answer_attributes(answer: Answer) -> dict[str, Any]:
    """Show how an answer came about."""
    return {
        "text": answer.text,
        "decision": answer.decision.value,
        "served_by": answer.served_by.value if answer.served_by else None,
        "confidence": round(answer.confidence, 4),
        "choices": [{"entry_id": choice.entry_id, "question": choice.question} for choice in answer.choices],
        "degraded": answer.degraded,
        "index_version": answer.index_version,
        "elapsed_ms": round(answer.elapsed_ms, 2),
    }


def source_resources(answers: Iterable[Answer | None]) -> list[Resource]:
    """Show each source that some answers rest on, once."""
    sources: dict[str, Source] = {source.entry_id: source for a in answers if a for source in a.sources}
    return [
        Resource(
            type=_PLURAL.get(source.kind, source.kind),
            id=source.entry_id,
            attributes={"title": source.title, "excerpt": source.excerpt},
        )
        for source in sources.values()
    ]


def messages_document(sid: str, messages: Sequence[Message], *, meta: dict[str, Any]) -> Document:
    """Show a page of messages with their sources."""
    return Document(
        data=[message_resource(sid, message) for message in messages],
        included=source_resources(message.answer for message in messages),
        meta=meta,
    )


@lru_cache(maxsize=1024)
def rfc3339(moment_ms: int) -> str:
    """Show Unix milliseconds as RFC 3339 in UTC."""
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
