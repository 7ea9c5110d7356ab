"""One stateless question: for gateways and benchmarks."""

import time
from typing import Any

from litestar import Request, Response, post

from qa_service.access.caller import Scope
from qa_service.api.bodies import DEFAULT_WAIT_S, IN_HAND_S, AskQuestion, read_body
from qa_service.api.caller import require, rooms_of
from qa_service.api.envelope import PREFIX, Document, Resource, answer_attributes, respond, source_resources
from qa_service.api.openapi import CLIENT, described
from qa_service.api.request_id import request_id_of
from qa_service.api.timing import server_timing

_ANSWERED = described(
    body=AskQuestion,
    example={"text": "怎么退货"},
    errors=(400, 401, 403, 413, 415, 422, 503),
    callers=(CLIENT,),
    scope=Scope.ASK,
)


@post(f"{PREFIX}/answers", operation_class=_ANSWERED, tags=["answers"], status_code=200)
async def answer(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer one question without a session; nothing is kept. 503 when no answer is ready in 2.5 seconds."""
    started = time.perf_counter()
    require(request, Scope.ASK)
    body = await read_body(request, AskQuestion)
    request_id = request_id_of(request.scope)
    wait_s = DEFAULT_WAIT_S - IN_HAND_S
    given = await rooms_of(request).desk.ask(body.text, locale=body.locale, request_id=request_id, wait_s=wait_s)
    attributes = answer_attributes(given)
    total_ms = (time.perf_counter() - started) * 1000
    attributes["elapsed_ms"] = round(total_ms, 2)
    document = Document(
        data=Resource(type="answers", id=request_id, attributes=attributes),
        included=source_resources([given]),
        meta={"request_id": request_id},
    )
    return respond(document, headers={"Server-Timing": server_timing({**given.timings_ms, "total": total_ms})})
