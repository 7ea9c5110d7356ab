"""One table from the error tree to HTTP, and the bodies that errors are sent in. It knows no route.

A body is JSON:API's, or, where Accept names application/problem+json, that of RFC 9457 with the same members.
`answer_forms.py` makes XML of them.
"""

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap, Scope

from qa_service.api.bodies import MAX_BODY_BYTES
from qa_service.api.request_id import request_id_of
from qa_service.domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Overloaded,
    QaError,
    Unauthenticated,
    Unavailable,
)

_STATUS: dict[type[QaError], int] = {
    InvalidInput: 422,
    NotFound: 404,
    Unauthenticated: 401,
    Forbidden: 403,
    Conflict: 409,
    Overloaded: 429,
    Unavailable: 503,
    QaError: 500,
}
# Codes whose status differs from that of their branch.
_STATUS_BY_CODE = {
    "malformed-json": 400,
    "malformed-text": 400,
    "malformed-xml": 400,
    "forbidden-xml": 400,
    "charset-mismatch": 400,
    "body-cut-short": 400,
    "body-too-large": 413,
    "unsupported-media-type": 415,
    "unsupported-encoding": 415,
    "idempotency-key-reused": 422,
    "cursor-expired": 410,
    "queue-full": 503,
}
# What the framework refuses: code, title, detail.
_BY_STATUS = {
    404: ("route-not-found", "No such route", "nothing lies at this path; /schema shows what there is"),
    405: ("method-not-allowed", "Method not allowed", "the Allow header names the methods of this path"),
    413: ("body-too-large", "Body too large", f"a body has at most {MAX_BODY_BYTES} bytes"),
}
_MEDIA_TYPE = "application/json"
PROBLEM = "application/problem+json"

log = structlog.get_logger(__name__)


def status_of(error: QaError) -> int:
    """Give the HTTP status of an error: its code's own, else that of its nearest branch."""
    by_branch = next(_STATUS[branch] for branch in type(error).__mro__ if branch in _STATUS)
    return _STATUS_BY_CODE.get(error.code, by_branch)


def retry_after_s(error: QaError) -> int:
    """Give when to come again (whole seconds, 1 at least)."""
    return max(1, math.ceil(error.retry_after_s)) if isinstance(error, Overloaded | Unavailable) else 1


def answer_known(request: Request[Any, Any, Any], error: QaError) -> Response[bytes]:
    """Answer an error that was raised on purpose."""
    status = status_of(error)
    headers: dict[str, str] = {}
    if isinstance(error, Overloaded | Unavailable):
        headers["Retry-After"] = str(retry_after_s(error))
    if challenge := _challenge(error):
        headers["WWW-Authenticate"] = challenge
    if error.code == "unsupported-encoding":
        headers["Accept-Encoding"] = "identity"  # RFC 9110, 15.5.16
    if status >= 500:
        log.warning("request failed", code=error.code, detail=error.detail)
    shown = error.detail if status != 500 else "the error has been logged under this request id"
    refusal = Refusal(status=status, code=error.code, title=error.title, detail=shown, pointer=error.pointer)
    return _response(request, refusal, headers=headers)


def _challenge(error: QaError) -> str:
    """Say which token would do (RFC 6750, 3); what was wrong with the one that came stands in the body."""
    if isinstance(error, Forbidden) and error.scope:
        return f'Bearer error="insufficient_scope", scope="{error.scope}"'
    if not isinstance(error, Unauthenticated):
        return ""
    return 'Bearer error="invalid_token"' if error.code == "invalid-token" else "Bearer"


def answer_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses: unknown routes, wrong methods, too large bodies."""
    status = error.status_code
    if status >= 500:
        return answer_unknown(request, error)
    code, title, detail = _BY_STATUS.get(status, ("bad-request", "Bad request", error.detail))
    refusal = Refusal(status=status, code=code, title=title, detail=detail)
    return _response(request, refusal, headers=dict(error.headers or {}))


def answer_unknown(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer a bug: logged whole, shown as little as possible."""
    log.error("unexpected error", exc_info=error)
    detail = "the error has been logged under this request id"
    return _response(request, Refusal(status=500, code="internal-error", title="Internal error", detail=detail))


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    QaError: answer_known,
    HTTPException: answer_http,
    500: answer_unknown,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is told in JSON, before `answer_forms.py` gives it another form."""

    status: int
    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What an error says. `pointer` names the part of the request at fault, `retry_after_s` when to come again."""

    status: int
    code: str
    title: str
    detail: str
    pointer: str = ""
    retry_after_s: int = 0

    def told(self, request_id: str, *, accept: bytes = b"") -> Told:
        """Write it for who sends this Accept."""
        if wants_problem(accept):
            body = msgspec.json.encode(self._problem(request_id))
            return Told(status=self.status, body=body, media_type=PROBLEM)
        members: dict[str, Any] = {
            "status": str(self.status),
            "code": self.code,
            "title": self.title,
            "detail": self.detail,
            **self._source(),
            "meta": {"request_id": request_id},
        }
        body = msgspec.json.encode({"errors": [members]})
        return Told(status=self.status, body=body, media_type=_MEDIA_TYPE)

    def _problem(self, request_id: str) -> dict[str, Any]:
        return {
            "type": f"urn:qa-service:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:qa-service:request:{request_id}",
            "code": self.code,
            **self._source(),
            "request_id": request_id,
        }

    def _source(self) -> dict[str, Any]:
        if not self.pointer:
            return {}
        kind, _, name = self.pointer.partition(":")
        return {"source": {kind: name} if kind in {"header", "parameter"} else {"pointer": self.pointer}}


def wants_problem(accept: bytes) -> bool:
    """Whether an Accept header asks for RFC 9457 by its name, with a weight above nothing."""
    for wish in accept.decode("latin-1").lower().split(","):
        name, *parameters = (part.strip() for part in wish.split(";"))
        if name == PROBLEM:
            return not any(one.startswith("q=") and not one[2:].strip("0.") for one in parameters)
    return False


def accept_of(scope: Scope) -> bytes:
    """Give the Accept header of a connection, b"" where there is none."""
    return b",".join(value for name, value in scope["headers"] if name == b"accept")


def _response(
    request: Request[Any, Any, Any], refusal: Refusal, *, headers: dict[str, str] | None = None
) -> Response[bytes]:
    told = refusal.told(request_id_of(request.scope), accept=accept_of(request.scope))
    return Response(told.body, status_code=refusal.status, media_type=told.media_type, headers=headers or {})
