"""Following a session by server-sent events, and the ticket with which a browser does so."""

import re
from typing import Any

from litestar import Request, Response, get, post

from qa_service.api.bodies import whole_number
from qa_service.api.caller import proof_of, rooms_of
from qa_service.api.entering import enter_with_ticket
from qa_service.api.envelope import PREFIX, Document, Resource, respond
from qa_service.api.event_stream import EventStream
from qa_service.api.openapi import described
from qa_service.api.openapi_parameters import Line, Whole
from qa_service.api.request_id import request_id_of
from qa_service.domain.errors import InvalidInput
from qa_service.domain.session import TICKET_LIVES_S

_MAX_CURSOR = 2**53
_NO_STORE = {"Cache-Control": "no-store"}
_LAST = "last-event-id"
_FOLLOWED = described(
    errors=(401, 403, 404, 410, 422, 503),
    query={
        "after": Whole(text="the `seq` that the caller has (0: from the beginning)", most=_MAX_CURSOR),
        "ticket": Line(text="a ticket, for callers that can send no headers", most_chars=255),
    },
    headers={"Last-Event-ID": Line(text="as `after`, which it replaces; a browser sends it", pattern="^[0-9]{1,16}$")},
    streams=True,
)
_TICKETED = described(errors=(401, 403, 404, 503))


@get(f"{PREFIX}/sessions/{{sid:str}}/events", operation_class=_FOLLOWED, tags=["events"])
async def follow(request: Request[Any, Any, Any], sid: str) -> Response[bytes]:
    """Follow a session by server-sent events: what has happened since `after`, then what happens.

    `id` is the `seq` of an event that the log keeps; deltas of a text, typing and pings have none. `message.completed`
    always carries the whole text. Leaving cancels nothing.
    """
    rooms, proof = await enter_with_ticket(request, sid)
    return EventStream(await rooms.streams.follow(sid, proof, after=_cursor(request)))


@post(f"{PREFIX}/sessions/{{sid:str}}/tickets", operation_class=_TICKETED, tags=["events"], raises=None)
async def give_ticket(request: Request[Any, Any, Any], sid: str) -> Response[bytes]:
    """Give a ticket for one minute and one use: a browser's EventSource cannot send a token in a header.

    It goes into `?ticket=` of the events, or into the first frame of a WebSocket.
    """
    ticket = await rooms_of(request).streams.ticket(sid, proof_of(request))
    attributes = {"ticket": ticket, "expires_in": TICKET_LIVES_S}
    resource = Resource(type="tickets", id=request_id_of(request.scope), attributes=attributes)
    document = Document(data=resource, meta={"request_id": request_id_of(request.scope)})
    return respond(document, status=201, headers=_NO_STORE)


def _cursor(request: Request[Any, Any, Any]) -> int:
    after = whole_number(request, "after", default=0, least=0, most=_MAX_CURSOR)
    last = request.headers.get(_LAST, "")
    if not last:
        return after
    if not re.fullmatch(r"[0-9]{1,16}", last):
        raise InvalidInput("Last-Event-ID is the seq of an event", code="invalid-parameter", pointer=f"header:{_LAST}")
    return int(last)
