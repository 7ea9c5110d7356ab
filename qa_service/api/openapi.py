"""The API described: OpenAPI 3.1 at /schema, with a page that loads nothing from elsewhere. It knows no handler."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, Router
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
    Tag,
)

import qa_service

_PAGE = Path(__file__).parent / "assets" / "openapi.html"
_KEYWORDS = {"maxLength": "max_length", "minLength": "min_length", "pattern": "pattern", "default": "default"}
_REASONS = {
    400: "The body is not UTF-8 JSON",
    401: "No token came with the request",
    404: "No such session or message, or it is not the caller's",
    409: "The session belongs to another uid",
    410: "The cursor is older than the log",
    413: "The body is too large",
    415: "The body is not sent as JSON",
    422: "A member breaks a rule; `source.pointer` names it",
    429: "Too many turns wait in this session; see Retry-After",
    503: "Redis, the index or the workers are away, or the queue is full; see Retry-After",
}

# Description and headers.
_SUCCESSES = {
    "200": ("Here it is", ()),
    "201": ("It is made; a question is answered already", ("Location", "Idempotent-Replayed")),
    "202": (
        "The answer is still to come; a placeholder stands for it",
        ("Location", "Retry-After", "Idempotent-Replayed"),
    ),
}

# Every `code` that an error of this status may carry.
CODES = {
    400: ("malformed-json", "malformed-text", "body-cut-short", "bad-request"),
    401: ("token-required",),
    404: ("session-not-found", "message-not-found", "route-not-found"),
    409: ("uid-conflict",),
    410: ("cursor-expired",),
    413: ("body-too-large",),
    415: ("unsupported-media-type",),
    422: (
        *("invalid-body", "invalid-parameter", "cursor-invalid", "invalid-idempotency-key", "idempotency-key-reused"),
        *("question-not-text", "question-empty", "question-too-long"),
    ),
    429: ("too-many-pending",),
    503: ("store-unavailable", "index-unavailable", "answer-late", "queue-full"),
}


def described(
    *,
    body: type[msgspec.Struct] | None = None,
    example: dict[str, Any] | None = None,
    errors: tuple[int, ...] = (),
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    accepts: bool = False,
    token: bool = True,
) -> type[Operation]:
    """Give the OpenAPI operation of a handler that reads its own body, query and headers.

    `query` and `headers` map a parameter to its description; those of the query are whole numbers. `errors` are the
    statuses it may answer, and with `accepts` it may answer 202 as well.
    """

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            if body:
                media = OpenAPIMediaType(schema=_schema(body, example))
                content = {"application/json": media, "application/vnd.api+json": media}
                self.request_body = RequestBody(content=content, required=True, description=body.__doc__)
            self.parameters = [
                *(self.parameters or []),
                *(_whole_number(name, text) for name, text in (query or {}).items()),
                *(_header(name, text) for name, text in (headers or {}).items()),
            ]
            # Litestar adds a 400 of its own to whatever has parameters.
            successes = [status for status in self.responses or {} if status < "300"] + ["202"] * accepts
            self.responses = {
                **{status: _success(status) for status in successes},
                **{str(status): _error(status) for status in errors},
            }
            self.security = [{"session": []}] if token else []

    return Described


def _schema(shape: type[msgspec.Struct], example: dict[str, Any] | None) -> Schema:
    definition = msgspec.json.schema_components([shape])[1][shape.__name__]
    properties: dict[str, Reference | Schema] = {
        name: Schema(
            type=OpenAPIType.STRING, **{_KEYWORDS[key]: value for key, value in member.items() if key in _KEYWORDS}
        )
        for name, member in definition["properties"].items()
    }
    return Schema(
        type=OpenAPIType.OBJECT,
        title=shape.__name__,
        properties=properties,
        required=definition.get("required", []),
        additional_properties=False,
        examples=[example] if example else None,
    )


def _whole_number(name: str, text: str) -> Parameter:
    schema = Schema(type=OpenAPIType.INTEGER, minimum=0)
    return Parameter(name=name, param_in="query", description=text, required=False, schema=schema)


def _header(name: str, text: str) -> Parameter:
    schema = Schema(type=OpenAPIType.STRING)
    return Parameter(name=name, param_in="header", description=text, required=False, schema=schema)


def _success(status: str) -> OpenAPIResponse:
    description, names = _SUCCESSES[status]
    anything = Schema(type=OpenAPIType.OBJECT)
    members: dict[str, Reference | Schema] = {
        "data": Schema(description="one resource, or a list of them"),
        "included": Schema(type=OpenAPIType.ARRAY, items=anything),
        "links": anything,
        "meta": anything,
    }
    schema = Schema(type=OpenAPIType.OBJECT, properties=members, required=["data", "meta"])
    headers: dict[str, Any] = {name: OpenAPIHeader(schema=Schema(type=OpenAPIType.STRING)) for name in names}
    content = {"application/json": OpenAPIMediaType(schema=schema)}
    return OpenAPIResponse(description=description, content=content, headers=headers or None)


def _error(status: int) -> OpenAPIResponse:
    member: dict[str, Reference | Schema] = {
        name: Schema(type=OpenAPIType.STRING) for name in ("status", "title", "detail")
    }
    member["code"] = Schema(type=OpenAPIType.STRING, enum=list(CODES[status]))
    error = Schema(type=OpenAPIType.OBJECT, properties=member, required=["status", "code", "title", "detail"])
    errors = Schema(type=OpenAPIType.OBJECT, properties={"errors": Schema(type=OpenAPIType.ARRAY, items=error)})
    headers: dict[str, Any] = {}
    if status in {429, 503}:
        headers = {"Retry-After": OpenAPIHeader(schema=Schema(type=OpenAPIType.INTEGER))}
    content = {"application/json": OpenAPIMediaType(schema=errors)}
    return OpenAPIResponse(description=_REASONS[status], content=content, headers=headers or None)


class ShippedPage(OpenAPIRenderPlugin):
    """One HTML file of ours that draws the schema; the stock pages load a CDN."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002  # the port's signature
        """Give the page with the schema inside it."""
        schema = msgspec.json.encode(openapi_schema).replace(b"</", b"<\\/")
        return _PAGE.read_bytes().replace(b"__SCHEMA__", schema)


def _refuse_unknown(response: Response[Any]) -> Response[Any]:
    if response.status_code == 404:
        raise NotFoundException  # Litestar answers an unknown path here with a page; ours are JSON everywhere
    return response


def openapi_config() -> OpenAPIConfig:
    """Give the description's frame."""
    return OpenAPIConfig(
        title="qa_service",
        version=qa_service.__version__,
        description="Session API of a support bot: ask, wait or come back, and never lose an answer.",
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            include_in_schema=False,
            after_request=_refuse_unknown,
            dto=None,
            return_dto=None,
        ),
        render_plugins=[JsonRenderPlugin(), ShippedPage(path="/")],
        tags=[
            Tag(name="sessions", description="Open, read, and bind to a uid"),
            Tag(name="messages", description="Ask, and read what was said"),
            Tag(name="answers", description="One stateless question"),
            Tag(name="operation", description="Is it alive, is it ready"),
        ],
        components=Components(
            security_schemes={
                "session": SecurityScheme(
                    type="http", scheme="bearer", description="The token that opening the session answered with"
                )
            }
        ),
        use_handler_docstrings=True,
    )
