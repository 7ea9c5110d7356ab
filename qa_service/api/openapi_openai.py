"""The OpenAI-compatible routes described; their shapes are OpenAI's, not the API's. It knows no handler."""

from dataclasses import dataclass

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

from qa_service.access.caller import Scope
from qa_service.api.openai_errors import openai_code
from qa_service.api.openapi import CLIENT, CODES, error_response

_ERRORS = (400, 401, 403, 408, 414, 421, 429, 431, 503)


def _object(required: tuple[str, ...], **members: Schema) -> Schema:
    properties: dict[str, Reference | Schema] = dict(members)
    return Schema(type=OpenAPIType.OBJECT, properties=properties, required=list(required))


def _text(*values: str) -> Schema:
    return Schema(type=OpenAPIType.STRING, enum=list(values) or None)


def _list(items: Schema) -> Schema:
    return Schema(type=OpenAPIType.ARRAY, items=items)


_WHOLE = Schema(type=OpenAPIType.INTEGER)
_ANYTHING = Schema(type=OpenAPIType.OBJECT)
_PART = _object(("type", "text"), type=_text("text"), text=_text())
_MESSAGE = _object(
    ("role", "content"),
    role=_text("user", "assistant", "system", "developer"),
    content=Schema(one_of=[_text(), _list(_PART)]),
)
_ASKED = _object(
    ("model", "messages"),
    model=Schema(type=OpenAPIType.STRING, description="the knowledge base's name, or qa"),
    messages=Schema(
        type=OpenAPIType.ARRAY,
        items=_MESSAGE,
        min_items=1,
        description="the last of a user is the question, of 1 to 500 characters",
    ),
    stream=Schema(type=OpenAPIType.BOOLEAN),
    stream_options=_object((), include_usage=Schema(type=OpenAPIType.BOOLEAN)),
)
_MODEL = _object(
    ("id", "object", "created", "owned_by"), id=_text(), object=_text("model"), created=_WHOLE, owned_by=_text()
)
_MODELS = _object(("object", "data"), object=_text("list"), data=_list(_MODEL))
_COMPLETION = _object(
    ("id", "object", "created", "model", "choices", "usage", "qa"),
    id=_text(),
    object=_text("chat.completion"),
    created=_WHOLE,
    model=_text(),
    choices=_list(_ANYTHING),
    usage=_object(("total_tokens",), prompt_tokens=_WHOLE, completion_tokens=_WHOLE, total_tokens=_WHOLE),
    qa=Schema(
        type=OpenAPIType.OBJECT,
        description="an extension: decision, served_by, confidence, choices, sources, index_version, degraded",
    ),
)


def _response(description: str, schema: Schema, *, streams: bool = False) -> OpenAPIResponse:
    content = {"application/json": OpenAPIMediaType(schema=schema)}
    if streams:
        content["text/event-stream"] = OpenAPIMediaType(schema=_text())
    return OpenAPIResponse(description=description, content=content)


def _refusal(status: int) -> OpenAPIResponse:
    described = error_response(status)
    told = (*CODES[status], *CODES[422]) if status == 400 else CODES[status]
    codes = dict.fromkeys(openai_code(code) for code in told)
    error = _object(("message", "type", "code"), message=_text(), type=_text(), code=_text(*codes))
    own = _object(("error",), error=error)
    described.content = {"application/json": OpenAPIMediaType(schema=own)}
    return described


def _refusals(*others: int) -> dict[str, OpenAPIResponse]:
    return {str(status): _refusal(status) for status in (*_ERRORS, *others)}


_CALLERS = [{CLIENT: [Scope.ASK.value]}]


@dataclass
class ChatDescribed(Operation):
    """POST /v1/chat/completions."""

    def __post_init__(self) -> None:
        """Put OpenAI's shapes in place of what Litestar reads from the handler."""
        self.request_body = RequestBody(content={"application/json": OpenAPIMediaType(schema=_ASKED)}, required=True)
        self.responses = {"200": _response("The answer", _COMPLETION, streams=True), **_refusals(404, 413, 415)}
        self.security = list(_CALLERS)


@dataclass
class ModelsDescribed(Operation):
    """GET /v1/models."""

    def __post_init__(self) -> None:
        """Put OpenAI's shapes in place of what Litestar reads from the handler."""
        self.responses = {"200": _response("The models of the caller's tenant", _MODELS), **_refusals()}
        self.security = list(_CALLERS)


@dataclass
class ModelDescribed(Operation):
    """GET /v1/models/{model}."""

    def __post_init__(self) -> None:
        """Put OpenAI's shapes in place of what Litestar reads from the handler."""
        self.responses = {"200": _response("The model", _MODEL), **_refusals(404)}
        self.security = list(_CALLERS)
