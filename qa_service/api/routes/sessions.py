"""Sessions: open, read, bind, erase."""

from typing import Any

from litestar import Request, Response, delete, get, patch, post

from qa_service.api.bodies import BindSession, OpenSession, read_body
from qa_service.api.caller import caller_of, proof_of, rooms_of, rooms_to_open_in, uid_to_bind, uid_to_open_for
from qa_service.api.envelope import PREFIX, Document, respond, session_resource
from qa_service.api.openapi import CLIENT, NOBODY, USER, described
from qa_service.api.request_id import request_id_of

_OF_A_SESSION = (
    "ApiV1BotSessionsSidReadSession",
    "ApiV1BotSessionsSidBindSession",
    "ApiV1BotSessionsSidEraseSession",
    "ApiV1BotSessionsSidMessagesAsk",
    "ApiV1BotSessionsSidMessagesPull",
)
_OPENED = described(
    body=OpenSession,
    may_lack_body=True,
    leads_to={operation: {"sid": "$response.body#/data/id"} for operation in _OF_A_SESSION},
    example={"device_id": "phone-7", "locale": "zh-CN"},
    errors=(400, 401, 403, 413, 415, 422, 503),
    callers=(NOBODY, USER, CLIENT),
)
_BOUND = described(
    body=BindSession, example={"user_token": "eyJhbGci…"}, errors=(400, 401, 403, 404, 409, 413, 415, 422, 503)
)


@post(f"{PREFIX}/sessions", operation_class=_OPENED, tags=["sessions"], raises=None)
async def open_session(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Open a session for an anonymous device, or for a uid; the token that opens it is told once, here.

    A uid needs a user token, as `user_token` or as the bearer token, or a client with the scope ask. Where several bots
    are served, a token says whose session it is; a device without one names its `bot`.
    """
    caller_of(request)  # a token that is not accepted is refused before anything is read
    body = await read_body(request, OpenSession, when_empty=OpenSession())
    uid = uid_to_open_for(request, uid=body.uid, user_token=body.user_token)
    rooms = rooms_to_open_in(request, bot=body.bot, user_token=body.user_token)
    opened = await rooms.conversation.open(device_id=body.device_id, uid=uid, locale=body.locale)
    resource = session_resource(opened.session, token=opened.token)
    document = Document(data=resource, meta={"request_id": request_id_of(request.scope)})
    return respond(document, status=201, headers={"Location": resource.links["self"]})


@get(f"{PREFIX}/sessions/{{sid:str}}", operation_class=described(errors=(401, 403, 404, 503)), tags=["sessions"])
async def read_session(request: Request[Any, Any, Any], sid: str) -> Response[bytes]:
    """Read a session; this keeps it for another 24 hours."""
    session = await rooms_of(request).conversation.read(sid, proof_of(request))
    return respond(Document(data=session_resource(session), meta={"request_id": request_id_of(request.scope)}))


@patch(f"{PREFIX}/sessions/{{sid:str}}", operation_class=_BOUND, tags=["sessions"])
async def bind_session(request: Request[Any, Any, Any], sid: str) -> Response[bytes]:
    """Bind an anonymous session to the uid of a user token. History is kept; the old token is void, a new one is told.

    The session's token goes into Authorization, the user token into the body.
    """
    proof = proof_of(request)
    body = await read_body(request, BindSession)
    uid = uid_to_bind(request, uid=body.uid, user_token=body.user_token)
    opened = await rooms_of(request).conversation.bind(sid, proof, uid)
    resource = session_resource(opened.session, token=opened.token)
    return respond(Document(data=resource, meta={"request_id": request_id_of(request.scope)}))


@delete(f"{PREFIX}/sessions/{{sid:str}}", operation_class=described(errors=(401, 403, 404, 503)), tags=["sessions"])
async def erase_session(request: Request[Any, Any, Any], sid: str) -> Response[None]:
    """Close a session and erase it: its messages, what waits of it, and what was cached for its questions."""
    await rooms_of(request).erasure.erase(sid, proof_of(request))
    return Response(None, status_code=204)
