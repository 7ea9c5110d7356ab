"""What a customer may do about an answer: cancel it while it is to come, judge it once it is there."""

from typing import Any

from litestar import Request, Response, post, put

from qa_service.api.bodies import GiveFeedback, read_body
from qa_service.api.caller import proof_of, rooms_of
from qa_service.api.envelope import PREFIX, Document, message_resource, respond, source_resources
from qa_service.api.event_objects import feedback_resource
from qa_service.api.openapi import described
from qa_service.api.request_id import request_id_of
from qa_service.domain.event import Feedback, FeedbackValue

_MESSAGE = f"{PREFIX}/sessions/{{sid:str}}/messages/{{mid:str}}"
_CANCELLED = described(errors=(401, 403, 404, 503))
_JUDGED = described(
    body=GiveFeedback,
    example={"value": "up"},
    errors=(400, 401, 403, 404, 409, 413, 415, 422, 503),
)


@post(f"{_MESSAGE}/cancel", operation_class=_CANCELLED, tags=["messages"], status_code=200)
async def cancel_message(request: Request[Any, Any, Any], sid: str, mid: str) -> Response[bytes]:
    """Cancel an answer that is still to come; it keeps what was written. Any other message is given as it stands."""
    message = await rooms_of(request).streams.cancel(sid, proof_of(request), mid)
    document = Document(
        data=message_resource(sid, message),
        included=source_resources([message.answer]),
        meta={"request_id": request_id_of(request.scope)},
    )
    return respond(document)


@put(f"{_MESSAGE}/feedback", operation_class=_JUDGED, tags=["messages"])
async def judge_message(request: Request[Any, Any, Any], sid: str, mid: str) -> Response[bytes]:
    """Say what an answer is worth; the same said again changes nothing, another word replaces it."""
    proof = proof_of(request)
    body = await read_body(request, GiveFeedback)
    feedback = Feedback(message_id=mid, value=FeedbackValue(body.value), reason=body.reason)
    await rooms_of(request).streams.judge(sid, proof, feedback)
    return respond(Document(data=feedback_resource(feedback), meta={"request_id": request_id_of(request.scope)}))
