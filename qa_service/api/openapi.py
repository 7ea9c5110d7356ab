"""The API described: OpenAPI 3.1 at /schema, with a page that loads nothing from elsewhere. It knows no handler."""

from collections.abc import Mapping
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
    Link,
    OAuthFlow,
    OAuthFlows,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
    Tag,
)

import qa_service
from qa_service.access.caller import Scope
from qa_service.api.errors import PROBLEM
from qa_service.api.openapi_bodies import body_schema
from qa_service.api.openapi_parameters import Line, Whole, in_query, written

_PAGE = Path(__file__).parent / "assets" / "openapi.html"
_REASONS = {
    400: "What came is no HTTP/1.1 request, or its body is not the JSON or XML that it says",
    401: "No token came with the request, or one that is not accepted",
    403: "The token is good, and not for this",
    404: "No such session, message or webhook, or it is not the caller's",
    408: "The request came too slowly",
    409: "Another uid's session, or no complete answer; or others change the webhook at the same time",
    410: "The cursor is older than the log",
    413: "The body is too large",
    414: "Path and query are too long",
    415: "The body is sent as neither JSON nor XML, in another charset, or packed",
    421: "Without keys, the Host header names this machine: localhost, 127.0.0.1 or [::1]",
    422: "A member breaks a rule; `source.pointer` names it",
    429: "The caller's share of a minute is used up, or too many turns or requests wait here; see Retry-After",
    431: "The header fields are too many or too large",
    503: "Redis, the index or the workers are away, or the queue is full; see Retry-After",
}

# Description and headers.
_SUCCESSES = {
    "200": ("Here it is", ()),
    "201": ("It is made; a question is answered already", ("Location", "Idempotent-Replayed")),
    "204": ("It is gone", ()),
    "202": (
        "It is under way; a placeholder stands for an answer that is still to come",
        ("Location", "Retry-After", "Idempotent-Replayed"),
    ),
}

# Every `code` that an error of this status may carry.
CODES = {
    400: (
        *("malformed-json", "malformed-text", "malformed-xml", "forbidden-xml", "charset-mismatch"),
        *("body-cut-short", "bad-request"),
    ),
    401: ("token-required", "invalid-token", "user-token-required"),
    403: ("insufficient-scope", "uid-mismatch", "tenant-mismatch"),
    404: (
        *("session-not-found", "message-not-found", "webhook-not-found", "delivery-not-found", "route-not-found"),
        "model-not-found",
    ),
    408: ("request-timeout",),
    409: ("uid-conflict", "not-an-answer", "webhook-busy"),
    410: ("cursor-expired",),
    413: ("body-too-large",),
    414: ("uri-too-long",),
    415: ("unsupported-media-type", "unsupported-encoding"),
    421: ("unknown-host",),
    422: (
        *("invalid-body", "invalid-parameter", "cursor-invalid", "invalid-idempotency-key", "idempotency-key-reused"),
        *("question-not-text", "question-empty", "question-too-long", "unknown-bot"),
        *("webhook-url-invalid", "webhook-url-forbidden", "unknown-event", "too-many-webhooks", "webhook-disabled"),
        *("unsupported-parameter", "unsupported-content", "unsupported-role"),
    ),
    429: ("rate-limited", "too-many-pending", "too-many-pipelined", "too-many-connections"),
    431: ("headers-too-large",),
    503: ("store-unavailable", "index-unavailable", "answer-late", "queue-full", "restarting"),
}


NOBODY, SESSION, USER, CLIENT = "", "session", "user", "client"  # whose token a route takes; the first takes none
CREDENTIALS = "credentials"
XML_TYPES = ("application/xml", "text/xml")
TOKEN_PATH = "/oauth/token"  # noqa: S105  # a path
_ANYWHERE = (400, 408, 414, 421, 429, 431)
_COUNTED = (503,)  # nobody can count
_ROOM_HEADERS = ("RateLimit-Policy", "RateLimit")
_SCOPES = {
    Scope.ASK.value: "ask without a session, open sessions for users, enter users' sessions",
    Scope.EXPLAIN.value: "see every number behind an answer",
    Scope.WEBHOOKS.value: "manage the tenant's webhooks",
    Scope.ADMIN.value: "operate; export and erase users",
}


def described(  # noqa: PLR0913  # each names one part of a description, by keyword
    *,
    body: type[msgspec.Struct] | None = None,
    may_lack_body: bool = False,
    example: dict[str, Any] | None = None,
    errors: tuple[int, ...] = (),
    query: Mapping[str, Whole | Line] | None = None,
    headers: dict[str, Line] | None = None,
    accepts: bool = False,
    streams: bool = False,
    callers: tuple[str, ...] = (SESSION, USER, CLIENT),
    scope: Scope = Scope.ASK,
    leads_to: dict[str, dict[str, str]] | None = None,
) -> type[Operation]:
    """Give the OpenAPI operation of a handler that reads its own body, query and headers.

    `query` and `headers` map a parameter to what it may hold. `errors` are the statuses it
    may answer, and with `accepts` it may answer 202 as well; with `streams` it answers with server-sent events.
    `callers` says whose tokens it takes, none for a route that looks at none; `scope` is what a client's needs.
    `leads_to` names operations by id, each with where its parameters stand here.
    """

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            if body:
                media = OpenAPIMediaType(schema=body_schema(body, example))
                content = dict.fromkeys(("application/json", "application/vnd.api+json", *XML_TYPES), media)
                self.request_body = RequestBody(content=content, required=not may_lack_body, description=body.__doc__)
            self.parameters = [
                *(self.parameters or []),
                *(in_query(name, about) for name, about in (query or {}).items()),
                *(written(name, line, place="header") for name, line in (headers or {}).items()),
            ]
            # Litestar adds a 400 of its own to whatever has parameters.
            successes = [status for status in self.responses or {} if status < "300"] + ["202"] * accepts
            self.responses = {
                **{status: _stream() if streams else _success(status, leads_to or {}) for status in successes},
                **{
                    str(status): error_response(status)
                    for status in (*errors, *_ANYWHERE, *(_COUNTED if callers else ()))
                },
            }
            self.security = [_requirement(caller, scope) for caller in callers]

    return Described


def _requirement(caller: str, scope: Scope) -> dict[str, list[str]]:
    return {caller: [scope.value] if caller == CLIENT else []} if caller else {}


def _success(status: str, leads_to: dict[str, dict[str, str]]) -> OpenAPIResponse:
    description, names = _SUCCESSES[status]
    if status == "204":
        return OpenAPIResponse(description=description)
    anything = Schema(type=OpenAPIType.OBJECT)
    members: dict[str, Reference | Schema] = {
        "data": Schema(description="one resource, or a list of them"),
        "included": Schema(type=OpenAPIType.ARRAY, items=anything),
        "links": anything,
        "meta": anything,
    }
    schema = Schema(type=OpenAPIType.OBJECT, properties=members, required=["data", "meta"])
    headers: dict[str, Any] = {name: OpenAPIHeader(schema=Schema(type=OpenAPIType.STRING)) for name in names}
    content = dict.fromkeys(("application/json", XML_TYPES[0]), OpenAPIMediaType(schema=schema))
    links: dict[str, Link | Reference] = {
        operation: Link(operation_id=operation, parameters=dict(parameters))
        for operation, parameters in leads_to.items()
    }
    return OpenAPIResponse(description=description, content=content, headers=headers or None, links=links or None)


def _stream() -> OpenAPIResponse:
    content = {"text/event-stream": OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))}
    return OpenAPIResponse(description="Events as they happen; `id` is an event's `seq`", content=content)


def error_response(status: int) -> OpenAPIResponse:
    """Describe an error of one status, with every code that it may carry."""
    member: dict[str, Reference | Schema] = {
        name: Schema(type=OpenAPIType.STRING) for name in ("status", "title", "detail")
    }
    member["code"] = Schema(type=OpenAPIType.STRING, enum=list(CODES[status]))
    error = Schema(type=OpenAPIType.OBJECT, properties=member, required=["status", "code", "title", "detail"])
    errors = Schema(type=OpenAPIType.OBJECT, properties={"errors": Schema(type=OpenAPIType.ARRAY, items=error)})
    headers: dict[str, Any] = {}
    if status in {429, 503}:
        headers = {"Retry-After": OpenAPIHeader(schema=Schema(type=OpenAPIType.INTEGER))}
    if status == 429:
        headers |= {name: OpenAPIHeader(schema=Schema(type=OpenAPIType.STRING)) for name in _ROOM_HEADERS}
    content = {
        **dict.fromkeys(("application/json", XML_TYPES[0]), OpenAPIMediaType(schema=errors)),
        PROBLEM: OpenAPIMediaType(schema=_problem(status)),
    }
    return OpenAPIResponse(description=_REASONS[status], content=content, headers=headers or None)


def _problem(status: int) -> Schema:
    """Describe the same error as RFC 9457 has it; it is sent where Accept names it."""
    members: dict[str, Reference | Schema] = {
        name: Schema(type=OpenAPIType.STRING) for name in ("type", "title", "detail", "instance", "request_id")
    }
    members["status"] = Schema(type=OpenAPIType.INTEGER, enum=[status])
    members["code"] = Schema(type=OpenAPIType.STRING, enum=list(CODES[status]))
    return Schema(type=OpenAPIType.OBJECT, properties=members, required=list(members))


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
            Tag(name="sessions", description="Open, read, bind to a uid, and erase"),
            Tag(name="users", description="All that is kept of a user: export and erase it"),
            Tag(name="messages", description="Ask, and read what was said"),
            Tag(name="events", description="Follow a session as it goes on"),
            Tag(name="answers", description="One stateless question, and what it may become while it is typed"),
            Tag(name="webhooks", description="Signed events for your back end, and what became of their delivery"),
            Tag(name="compat", description="For callers that speak XML only"),
            Tag(name="openai", description="What an OpenAI client needs"),
            Tag(name="access", description="Access tokens for clients, and the keys that verify them"),
            Tag(name="operation", description="Is it alive, is it ready"),
        ],
        components=Components(
            security_schemes={
                SESSION: SecurityScheme(
                    type="http", scheme="bearer", description="The token that opening the session answered with"
                ),
                USER: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="A user token, signed by the host's back end",
                ),
                CLIENT: SecurityScheme(
                    type="oauth2",
                    description="An access token of client credentials, or the key of a service without keys",
                    flows=OAuthFlows(client_credentials=OAuthFlow(token_url=TOKEN_PATH, scopes=_SCOPES)),
                ),
                CREDENTIALS: SecurityScheme(type="http", scheme="basic", description="A client's id and secret"),
            }
        ),
        use_handler_docstrings=True,
    )
