"""The XML call described: its bodies are XML alone, and flat. It knows no handler."""

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, Schema

from qa_service.access.caller import Scope
from qa_service.api.openapi import CODES, XML_TYPES, described

_ANSWER = (
    *("session_id", "session_token", "message_id", "lid", "role", "text", "state", "in_reply_to", "created_at"),
    *("decision", "served_by", "confidence", "choices", "degraded", "index_version", "elapsed_ms"),
    *("sources", "last_message_id", "request_id"),
)
_ERROR = ("status", "code", "title", "detail", "source", "request_id")


def described_in_xml(
    *, body: type[msgspec.Struct], example: str, errors: tuple[int, ...], callers: tuple[str, ...]
) -> type[Operation]:
    """Give the OpenAPI operation of a handler that reads and answers XML; otherwise as `described` does."""
    own = described(body=body, errors=errors, accepts=True, callers=callers, scope=Scope.ASK)

    @dataclass
    class DescribedInXml(own):  # type: ignore[misc, valid-type]  # a class made a line before
        def __post_init__(self) -> None:
            super().__post_init__()
            self.request_body.content = {
                media_type: OpenAPIMediaType(schema=media.schema, example=example)
                for media_type in XML_TYPES
                for media in list(self.request_body.content.values())[:1]
            }
            for status, response in self.responses.items():
                response.content = {"application/xml": OpenAPIMediaType(schema=_schema(status))}

    return DescribedInXml


def _schema(status: str) -> Schema:
    names = _ANSWER if status < "300" else _ERROR
    members: dict[str, Any] = {name: Schema() for name in names}
    if status >= "400":
        members["code"] = Schema(type=OpenAPIType.STRING, enum=list(CODES[int(status)]))
    return Schema(type=OpenAPIType.OBJECT, properties=members)
