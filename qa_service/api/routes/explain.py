"""Why this answer: the same question through the same code, with every number that led to it."""

from typing import Any

import msgspec
from litestar import Request, Response, post

from qa_service.access.caller import Scope
from qa_service.api.bodies import DEFAULT_WAIT_S, IN_HAND_S, AskQuestion, read_body
from qa_service.api.caller import require, rooms_of
from qa_service.api.envelope import PREFIX, Document, Resource, answer_attributes, respond, source_resources
from qa_service.api.openapi import CLIENT, described
from qa_service.api.request_id import request_id_of
from qa_service.api.timing import server_timing
from qa_service.domain.explanation import Explanation

_EXPLAINED = described(
    body=AskQuestion,
    example={"text": "怎么退货"},
    errors=(400, 401, 403, 413, 415, 422, 503),
    callers=(CLIENT,),
    scope=Scope.EXPLAIN,
)


@post(f"{PREFIX}/explain", operation_class=_EXPLAINED, tags=["answers"], status_code=200)
async def explain(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer one question past the cache and explain it: candidates, scores, terms, signs, thresholds, timings."""
    require(request, Scope.EXPLAIN)
    body = await read_body(request, AskQuestion)
    request_id = request_id_of(request.scope)
    explanation = await rooms_of(request).desk.explain(
        body.text, locale=body.locale, request_id=request_id, wait_s=DEFAULT_WAIT_S - IN_HAND_S
    )
    document = Document(
        data=Resource(type="explanations", id=request_id, attributes=_attributes(explanation)),
        included=source_resources([explanation.answer]),
        meta={"request_id": request_id},
    )
    return respond(document, headers={"Server-Timing": server_timing(explanation.answer.timings_ms)})


def _attributes(explanation: Explanation) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.to_builtins(explanation)
    return {
        **members,
        "answer": answer_attributes(explanation.answer),
        "timings_ms": {stage: round(ms, 3) for stage, ms in explanation.answer.timings_ms.items()},
    }
