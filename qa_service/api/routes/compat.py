"""One call for gateways that speak XML only: it opens or continues a session, and asks.

`answer_forms.py` writes the answers and refusals of this path in XML, in the charset that the question came in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request, Response, post

from qa_service.api.answer_forms import COMPAT
from qa_service.api.bodies import OpenSession, XmlQuestion, idempotency_key, read_body, wait_s
from qa_service.api.body_text import XML
from qa_service.api.caller import asker_of_new, caller_of, proof_of, rooms_of, rooms_to_open_in, uid_to_open_for
from qa_service.api.envelope import PREFIX, message_resource, source_resources
from qa_service.api.house import Rooms
from qa_service.api.openapi import CLIENT, NOBODY, SESSION, USER
from qa_service.api.openapi_compat import described_in_xml
from qa_service.api.rate_limits import counted_question
from qa_service.api.request_id import request_id_of
from qa_service.conversation.conversation import Utterance, is_replay
from qa_service.domain.saying import Accepted
from qa_service.domain.session import MessageState, Proof
from qa_service.domain.text import check_question

_RETRY_AFTER_S = "1"
_NEW = "-"  # no session's id
_ASKED = described_in_xml(
    body=XmlQuestion,
    example="<ask><device_id>phone-7</device_id><text>怎么退货</text><lid>gw-1</lid></ask>",
    errors=(400, 401, 403, 404, 413, 415, 422, 429, 503),
    callers=(NOBODY, SESSION, USER, CLIENT),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entered:
    """A session that the question goes into; `token` is "" unless it has just been opened."""

    rooms: Rooms
    sid: str
    proof: Proof
    token: str = ""


@post(f"{COMPAT}/messages", operation_class=_ASKED, tags=["compat"], status_code=200)
async def ask_in_xml(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Ask in XML, in UTF-8, GBK or GB18030; 200 with the answer, or 202 with a placeholder after 2.5 seconds.

    With `session_id` the question goes into that session, with its token in Authorization, or its user's, or a
    client's; without, one is opened as `POST /sessions` does, and its token told. The same `session_id` and `lid` give
    the same message in its present state, which is also how to ask again for an answer that was not ready.
    """
    caller_of(request)  # a token that is not accepted is refused before anything is read
    body = await read_body(request, XmlQuestion, forms=(XML,))
    check_question(body.text)  # before a session is opened for it
    key = idempotency_key(request, body.lid)
    uid, asker = "", None
    if not body.session_id:
        uid = uid_to_open_for(request, uid=body.uid, user_token=body.user_token)
        asker = asker_of_new(request, uid=uid, user_token=body.user_token)
    async with counted_question(request, sid=body.session_id or _NEW, asker=asker):
        entered = await _enter(request, body, uid)
        accepted = await entered.rooms.conversation.say(
            Utterance(
                sid=entered.sid,
                proof=entered.proof,
                text=body.text,
                request_id=request_id_of(request.scope),
                wait_s=wait_s(request),
                locale=body.locale,
                idempotency_key=key,
            )
        )
    pending = accepted.reply.state is MessageState.PENDING
    headers = {"Location": f"{PREFIX}/sessions/{entered.sid}/messages/{accepted.reply.id}"}
    if pending:
        headers["Retry-After"] = _RETRY_AFTER_S
    if is_replay(accepted):
        headers["Idempotent-Replayed"] = "true"
    told = msgspec.json.encode(_told(entered, accepted, lid=key, request_id=request_id_of(request.scope)))
    return Response(told, status_code=202 if pending else 200, media_type="application/json", headers=headers)


async def _enter(request: Request[Any, Any, Any], body: XmlQuestion, uid: str) -> _Entered:
    if body.session_id:
        return _Entered(rooms=rooms_of(request), sid=body.session_id, proof=proof_of(request))
    rooms = rooms_to_open_in(request, bot=body.bot, user_token=body.user_token)
    opened = await rooms.conversation.open(
        device_id=body.device_id, uid=uid, locale=body.locale or OpenSession().locale
    )
    return _Entered(rooms=rooms, sid=opened.session.sid, proof=opened.token, token=opened.token)


def _told(entered: _Entered, accepted: Accepted, *, lid: str, request_id: str) -> dict[str, Any]:
    """Put a message and what belongs to it side by side: who reads XML by hand reads one level."""
    attributes = message_resource(entered.sid, accepted.reply, question=accepted.question.text).attributes
    seq = attributes.pop("seq")
    token = {"session_token": entered.token} if entered.token else {}
    return {
        "session_id": entered.sid,
        **token,
        "message_id": accepted.reply.id,
        **({"lid": lid} if lid else {}),
        **attributes,
        "sources": _sources(accepted),
        "last_message_id": max(seq, accepted.question.seq),
        "request_id": request_id,
    }


def _sources(accepted: Accepted) -> Sequence[dict[str, Any]]:
    return [
        {"type": source.type, "id": source.id, **source.attributes}
        for source in source_resources([accepted.reply.answer])
    ]
