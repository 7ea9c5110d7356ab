"""Sessions: open, read, bind."""

from typing import Any

from litestar import Request, Response, get, patch, post

from qa_service.api.bodies import BindSession, OpenSession, bearer_token, read_body
from qa_service.api.envelope import PREFIX, Document, respond, session_resource
from qa_service.api.house import house_of
from qa_service.api.openapi import described
from qa_service.api.request_id import request_id_of

_OPENED = described(
    body=OpenSession, example={"device_id": "phone-7", "locale": "zh-CN"}, errors=(400, 413, 415, 422, 503), token=False
)
_BOUND = described(body=BindSession, example={"uid": "u-1024"}, errors=(400, 401, 404, 409, 413, 415, 422, 503))


@post(f"{PREFIX}/sessions", operation_class=_OPENED, tags=["sessions"], raises=None)
async def open_session(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Open a session for an anonymous device or a uid; the token that opens it is told once, here."""
    body = await read_body(request, OpenSession, when_empty=OpenSession())
    opened = await house_of(request).conversation.open(device_id=body.device_id, uid=body.uid, locale=body.locale)
    resource = session_resource(opened.session, token=opened.token)
    document = Document(data=resource, meta={"request_id": request_id_of(request.scope)})
    return respond(document, status=201, headers={"Location": resource.links["self"]})


@get(f"{PREFIX}/sessions/{{sid:str}}", operation_class=described(errors=(401, 404, 503)), tags=["sessions"])
async def read_session(request: Request[Any, Any, Any], sid: str) -> Response[bytes]:
    """Read a session; this keeps it for another 24 hours."""
    session = await house_of(request).conversation.read(sid, bearer_token(request))
    return respond(Document(data=session_resource(session), meta={"request_id": request_id_of(request.scope)}))


@patch(f"{PREFIX}/sessions/{{sid:str}}", operation_class=_BOUND, tags=["sessions"])
async def bind_session(request: Request[Any, Any, Any], sid: str) -> Response[bytes]:
    """Bind an anonymous session to a uid. History is kept; the old token is void, a new one is told here."""
    token = bearer_token(request)
    body = await read_body(request, BindSession)
    opened = await house_of(request).conversation.bind(sid, token, body.uid)
    resource = session_resource(opened.session, token=opened.token)
    return respond(Document(data=resource, meta={"request_id": request_id_of(request.scope)}))
