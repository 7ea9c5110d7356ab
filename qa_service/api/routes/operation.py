"""Is the service alive, is it ready."""

from typing import Any

from litestar import Request, Response, get

from qa_service.api.envelope import Document, Resource, respond
from qa_service.api.house import house_of
from qa_service.api.openapi import described
from qa_service.api.request_id import request_id_of


@get("/healthz", operation_class=described(callers=()), tags=["operation"])
async def healthz(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Tell that this process answers; no dependency is asked."""
    resource = Resource(type="health", id="api", attributes={"status": "ok"})
    return respond(Document(data=resource, meta={"request_id": request_id_of(request.scope)}))


@get("/readyz", operation_class=described(callers=(), errors=(503,)), tags=["operation"])
async def readyz(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Tell whether questions can be answered, and name what is missing and, in `meta`, which promise is not kept."""
    readiness = await house_of(request).readiness()
    attributes = {"status": "ready" if readiness.ready else "not ready", "checks": readiness.checks}
    resource = Resource(type="readiness", id="api", attributes=attributes)
    meta: dict[str, Any] = {"request_id": request_id_of(request.scope)}
    if readiness.not_kept:
        meta["not_kept"] = readiness.not_kept
    document = Document(data=resource, meta=meta)
    return respond(
        document, status=200 if readiness.ready else 503, headers={} if readiness.ready else {"Retry-After": "1"}
    )
