"""Users: what is kept of one, shown and erased; for the user, or for a client with the scope admin."""

from typing import Any
from urllib.parse import quote

import structlog
from litestar import Request, Response, delete, get

from qa_service.access.caller import Scope
from qa_service.api.bodies import whole_number
from qa_service.api.caller import caller_of, rooms_of, uid_of_records
from qa_service.api.envelope import PREFIX, Document, Resource, message_resource, respond, session_resource
from qa_service.api.openapi import CLIENT, USER, described
from qa_service.api.openapi_parameters import Whole
from qa_service.api.request_id import request_id_of
from qa_service.domain.saying import Exported

_MOST_SESSIONS = 100
_NO_STORE = {"Cache-Control": "no-store"}

_EXPORTED = described(
    errors=(401, 403, 422, 503),
    query={
        "after": Whole(text="the sid of the last session that the caller has (0: from the beginning)", most=2**63 - 1),
        "limit": Whole(text="how many sessions at most, 20 by default", least=1, most=_MOST_SESSIONS),
    },
    callers=(USER, CLIENT),
    scope=Scope.ADMIN,
)
_ERASED = described(errors=(401, 403, 503), callers=(USER, CLIENT), scope=Scope.ADMIN)

log = structlog.get_logger(__name__)


@get(f"{PREFIX}/users/{{uid:str}}/export", operation_class=_EXPORTED, tags=["users"])
async def export_user(request: Request[Any, Any, Any], uid: str) -> Response[bytes]:
    """Read all that is kept of a user: each session with its messages, oldest first; `links.next` leads on.

    Nothing is kept longer for it. A uid with a slash is named by the query's `uid` instead of the path's.
    """
    own = uid_of_records(request, request.query_params.get("uid", uid))
    after = whole_number(request, "after", default=0, least=0, most=2**63 - 1)
    limit = whole_number(request, "limit", default=20, least=1, most=_MOST_SESSIONS)
    exported, has_more = await rooms_of(request).erasure.export_user(own, after=after, limit=limit)
    resource = Resource(type="users", id=own, attributes={"sessions": [_kept(one) for one in exported]})
    document = Document(data=resource, meta={"request_id": request_id_of(request.scope), "has_more": has_more})
    if has_more:
        named = f"-/export?uid={quote(own, safe='')}&" if "/" in own else f"{quote(own, safe='')}/export?"
        document.links["next"] = f"{PREFIX}/users/{named}after={exported[-1].session.sid}&limit={limit}"
    return respond(document, headers=_NO_STORE)


@delete(f"{PREFIX}/users/{{uid:str}}", operation_class=_ERASED, tags=["users"], status_code=200)
async def erase_user(request: Request[Any, Any, Any], uid: str) -> Response[bytes]:
    """Erase all that is kept of a user, and tell how many sessions that were; none of a user whom nobody knows.

    A uid with a slash is named by the query's `uid` instead of the path's.
    """
    own = uid_of_records(request, request.query_params.get("uid", uid))
    sessions = await rooms_of(request).erasure.erase_user(own)
    caller = caller_of(request)
    log.info("user erased", tenant=caller.tenant, by=caller.client_id or "the user", sessions=sessions)
    resource = Resource(type="erasures", id=request_id_of(request.scope), attributes={"sessions": sessions})
    return respond(Document(data=resource, meta={"request_id": request_id_of(request.scope)}), headers=_NO_STORE)


def _kept(exported: Exported) -> dict[str, Any]:
    session = exported.session
    messages = [
        {"id": one.id, **message_resource(session.sid, one).attributes, "request_id": one.request_id}
        for one in exported.messages
    ]
    feedback = [
        {"message_id": one.message_id, "value": one.value.value, "reason": one.reason or None}
        for one in exported.feedback
    ]
    return {"id": session.sid, **session_resource(session).attributes, "messages": messages, "feedback": feedback}
