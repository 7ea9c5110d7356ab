"""One table from the error tree to HTTP, and the bodies that errors are sent in. It knows no route."""

import math
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from qa_service.api.bodies import MAX_BODY_BYTES
from qa_service.api.request_id import request_id_of
from qa_service.domain.errors import (
    Conflict,
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
    Conflict: 409,
    Overloaded: 429,
    Unavailable: 503,
    QaError: 500,
}
# Codes whose status differs from that of their branch.
_STATUS_BY_CODE = {
    "malformed-json": 400,
    "malformed-text": 400,
    "body-cut-short": 400,
    "body-too-large": 413,
    "unsupported-media-type": 415,
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

log = structlog.get_logger(__name__)


def status_of(error: QaError) -> int:
    """Give the HTTP status of an error: its code's own, else that of its nearest branch."""
    by_branch = next(_STATUS[branch] for branch in type(error).__mro__ if branch in _STATUS)
    return _STATUS_BY_CODE.get(error.code, by_branch)


def answer_known(request: Request[Any, Any, Any], error: QaError) -> Response[bytes]:
    """Answer an error that was raised on purpose."""
    status = status_of(error)
    headers: dict[str, str] = {}
    if isinstance(error, Overloaded | Unavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if status >= 500:
        log.warning("request failed", code=error.code, detail=error.detail)
    shown = error.detail if status != 500 else "the error has been logged under this request id"
    return _response(request, status, error.code, error.title, shown, pointer=error.pointer, headers=headers)


def answer_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses: unknown routes, wrong methods, too large bodies."""
    status = error.status_code
    if status >= 500:
        return answer_unknown(request, error)
    code, title, detail = _BY_STATUS.get(status, ("bad-request", "Bad request", error.detail))
    return _response(request, status, code, title, detail, headers=dict(error.headers or {}))


def answer_unknown(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer a bug: logged whole, shown as little as possible."""
    log.error("unexpected error", exc_info=error)
    detail = "the error has been logged under this request id"
    return _response(request, 500, "internal-error", "Internal error", detail)


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    QaError: answer_known,
    HTTPException: answer_http,
    500: answer_unknown,
}


def _response(
    request: Request[Any, Any, Any],
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    pointer: str = "",
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    error: dict[str, Any] = {"status": str(status), "code": code, "title": title, "detail": detail}
    if pointer:
        kind, _, name = pointer.partition(":")
        error["source"] = {kind: name} if kind in {"header", "parameter"} else {"pointer": pointer}
    error["meta"] = {"request_id": request_id_of(request.scope)}
    body = msgspec.json.encode({"errors": [error]})
    return Response(body, status_code=status, media_type=_MEDIA_TYPE, headers=headers or {})


def body_of_no_http(request_id: str) -> bytes:
    """Give the body of a 400 for bytes that no request can be read from; the server answers them before any route."""
    detail = "this is no HTTP/1.1 request: its path is percent-encoded, its header fields hold no control characters"
    error = {"status": "400", "code": "bad-request", "title": "Bad request", "detail": detail}
    return msgspec.json.encode({"errors": [{**error, "meta": {"request_id": request_id}}]})
