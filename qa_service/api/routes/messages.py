"""Messages: ask, read what came since, read one."""

from typing import Any

from litestar import Request, Response, get, post

from qa_service.api.bodies import (
    MAX_KEY_CHARS,
    ON_ONE_LINE,
    AskQuestion,
    idempotency_key,
    read_body,
    wait_s,
    whole_number,
)
from qa_service.api.caller import proof_of, rooms_of
from qa_service.api.envelope import (
    PREFIX,
    Document,
    message_resource,
    messages_document,
    respond,
    source_resources,
)
from qa_service.api.openapi import described
from qa_service.api.openapi_parameters import Line, Whole
from qa_service.api.request_id import request_id_of
from qa_service.conversation.conversation import Utterance, is_replay
from qa_service.domain.session import MessageState

_MAX_LIMIT = 100
_MAX_CURSOR = 2**53
_LONGEST_POLL_S = 30  # shorter than the idle time-out of the proxies in common use
_RETRY_AFTER_S = "1"

_ASKED = described(
    body=AskQuestion,
    example={"text": "怎么退货"},
    errors=(400, 401, 403, 404, 413, 415, 422, 429, 503),
    headers={
        "Prefer": Line(
            text="`wait=N`: seconds to wait for the answer, 3 by default and at most; `respond-async`: none"
        ),
        "Idempotency-Key": Line(
            text="the same key and body give the same message for 24 hours; so does the body's `lid`",
            most_chars=MAX_KEY_CHARS,
            pattern=f"^{ON_ONE_LINE}$",
        ),
    },
    accepts=True,
)
_PULLED = described(
    errors=(401, 403, 404, 410, 422, 503),
    query={
        "last_message_id": Whole(
            text="the `seq` that the caller has read up to (0: from the beginning)", most=_MAX_CURSOR
        ),
        "limit": Whole(text="how many messages at most, 50 by default", least=1, most=_MAX_LIMIT),
        "wait": Whole(text="long poll: wait up to this many seconds for a message", most=_LONGEST_POLL_S),
    },
)


@post(f"{PREFIX}/sessions/{{sid:str}}/messages", operation_class=_ASKED, tags=["messages"])
async def ask(request: Request[Any, Any, Any], sid: str) -> Response[bytes]:
    """Ask a question.

    201 with the answer when it is ready within `Prefer: wait=N` (3 seconds, the default and the most), else 202 with a
    placeholder; the answer is then back-filled into the session. `Prefer: respond-async` answers 202 at once.
    """
    proof = proof_of(request)
    body = await read_body(request, AskQuestion)
    utterance = Utterance(
        sid=sid,
        proof=proof,
        text=body.text,
        request_id=request_id_of(request.scope),
        wait_s=wait_s(request),
        locale=body.locale,
        idempotency_key=idempotency_key(request, body.lid),
    )
    accepted = await rooms_of(request).conversation.say(utterance)
    resource = message_resource(sid, accepted.reply, question=accepted.question.text)
    pending = accepted.reply.state is MessageState.PENDING
    headers = {"Location": resource.links["self"]}
    if pending:
        headers["Retry-After"] = _RETRY_AFTER_S
    if is_replay(accepted):
        headers["Idempotent-Replayed"] = "true"
    document = Document(
        data=resource,
        included=[message_resource(sid, accepted.question), *source_resources([accepted.reply.answer])],
        meta={"request_id": utterance.request_id},
    )
    return respond(document, status=202 if pending else 201, headers=headers)


@get(f"{PREFIX}/sessions/{{sid:str}}/messages", operation_class=_PULLED, tags=["messages"])
async def pull(request: Request[Any, Any, Any], sid: str) -> Response[bytes]:
    """Read the messages after a cursor, oldest first; with `wait`, wait for the first one."""
    proof = proof_of(request)
    cursor = whole_number(request, "last_message_id", default=0, least=0, most=_MAX_CURSOR)
    limit = whole_number(request, "limit", default=50, least=1, most=_MAX_LIMIT)
    seconds = whole_number(request, "wait", default=0, least=0, most=_LONGEST_POLL_S)
    page = await rooms_of(request).conversation.replies_after(sid, proof, cursor=cursor, limit=limit, wait_s=seconds)
    meta = {
        "request_id": request_id_of(request.scope),
        "last_message_id": page.last_message_id,
        "has_more": page.has_more,
    }
    document = messages_document(sid, page.messages, meta=meta)
    document.links["next"] = f"{PREFIX}/sessions/{sid}/messages?last_message_id={page.last_message_id}&limit={limit}"
    return respond(document)


@get(
    f"{PREFIX}/sessions/{{sid:str}}/messages/{{mid:str}}",
    operation_class=described(errors=(401, 403, 404, 503)),
    tags=["messages"],
)
async def read_message(request: Request[Any, Any, Any], sid: str, mid: str) -> Response[bytes]:
    """Read one message in its present state."""
    message = await rooms_of(request).conversation.message(sid, proof_of(request), mid)
    headers = {"Retry-After": _RETRY_AFTER_S} if message.state is MessageState.PENDING else {}
    document = Document(
        data=message_resource(sid, message),
        included=source_resources([message.answer]),
        meta={"request_id": request_id_of(request.scope)},
    )
    return respond(document, headers=headers)
