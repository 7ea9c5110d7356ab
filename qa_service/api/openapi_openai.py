"""The OpenAI-compatible routes described; their shapes are OpenAI's, not the API's. It knows no handler."""

from dataclasses import dataclass

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)

from qa_service.access.caller import Scope
from qa_service.api.openai_errors import openai_code
from qa_service.api.openapi import CLIENT, CODES, error_response
from qa_service.api.openapi_bodies import object_of, text_of

_ERRORS = (400, 401, 403, 408, 414, 421, 429, 431, 503)


def _list(items: Schema) -> Schema:
    return Schema(type=OpenAPIType.ARRAY, items=items)


_WHOLE = Schema(type=OpenAPIType.INTEGER)
_ANYTHING = Schema(type=OpenAPIType.OBJECT)
_PART = object_of(("type", "text"), type=text_of("text"), text=text_of())
_MESSAGE = object_of(
    ("role", "content"),
    role=text_of("user", "assistant", "system", "developer"),
    content=Schema(one_of=[text_of(), _list(_PART)]),
)
_ASKED = object_of(
    ("model", "messages"),
    model=Schema(type=OpenAPIType.STRING, description="the knowledge base's name, or qa"),
    messages=Schema(
        type=OpenAPIType.ARRAY,
        items=_MESSAGE,
        min_items=1,
        description="the last of a user is the question, of 1 to 500 characters",
    ),
    stream=Schema(type=OpenAPIType.BOOLEAN),
    stream_options=object_of((), include_usage=Schema(type=OpenAPIType.BOOLEAN)),
)
_MODEL = object_of(
    ("id", "object", "created", "owned_by"), id=text_of(), object=text_of("model"), created=_WHOLE, owned_by=text_of()
)
_MODELS = object_of(("object", "data"), object=text_of("list"), data=_list(_MODEL))
_COMPLETION = object_of(
    ("id", "object", "created", "model", "choices", "usage", "qa"),
    id=text_of(),
    object=text_of("chat.completion"),
    created=_WHOLE,
    model=text_of(),
    choices=_list(_ANYTHING),
    usage=object_of(("total_tokens",), prompt_tokens=_WHOLE, completion_tokens=_WHOLE, total_tokens=_WHOLE),
    qa=Schema(
        type=OpenAPIType.OBJECT,
        description="an extension: decision, served_by, confidence, choices, sources, index_version, degraded",
    ),
)


def _response(description: str, schema: Schema, *, streams: bool = False) -> OpenAPIResponse:
    content = {"application/json": OpenAPIMediaType(schema=schema)}
    if streams:
        content["text/event-stream"] = OpenAPIMediaType(schema=text_of())
    return OpenAPIResponse(description=description, content=content)


def _refusal(status: int) -> OpenAPIResponse:
    described = error_response(status)
    told = (*CODES[status], *CODES[422]) if status == 400 else CODES[status]
    codes = dict.fromkeys(openai_code(code) for code in told)
    error = object_of(("message", "type", "code"), message=text_of(), type=text_of(), code=text_of(*codes))
    own = object_of(("error",), error=error)
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
