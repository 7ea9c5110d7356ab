"""Type-ahead: known questions for what has been typed so far."""

from typing import Any

from litestar import Request, Response, get

from qa_service.api.bodies import LOCALE, MAX_LOCALE_CHARS, VISIBLE, locale_of, whole_number
from qa_service.api.caller import proof_of, rooms_of
from qa_service.api.envelope import PREFIX, Document, Resource, respond
from qa_service.api.openapi import described
from qa_service.api.openapi_parameters import Line, Whole
from qa_service.api.request_id import request_id_of
from qa_service.domain.errors import Unauthenticated
from qa_service.domain.suggestion import Suggestion, Typed
from qa_service.domain.text import MAX_TYPED_CHARS

_MAX_LIMIT, _LIMIT = 20, 8

_SUGGESTED = described(
    errors=(401, 403, 404, 422, 503),
    query={
        "q": Line(
            text="what has been typed so far: ideographs, letters, pinyin (whole or initials), or a mixture",
            most_chars=MAX_TYPED_CHARS,
            pattern=VISIBLE,
            required=True,
            example="退h",
        ),
        "limit": Whole(text=f"how many suggestions at most, {_LIMIT} by default", least=1, most=_MAX_LIMIT),
        "locale": Line(
            text="of questions that fit equally well, those in its language come first",
            most_chars=MAX_LOCALE_CHARS,
            pattern=f"^({LOCALE})?$",
        ),
        "sid": Line(text="the session that a session's token opens; the other tokens need none", most_chars=64),
    },
)


@get(f"{PREFIX}/suggest", operation_class=_SUGGESTED, tags=["answers"])
async def suggest(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Suggest known questions for what has been typed, best first: a question's beginning, pinyin, a part, a slip.

    `highlight` holds [begin, end) pairs of characters (code points) of `text`. A session's token comes with its `sid`.
    """
    await _check_caller(request)
    typed = Typed(
        text=request.query_params.get("q", ""),
        limit=whole_number(request, "limit", default=_LIMIT, least=1, most=_MAX_LIMIT),
        locale=locale_of(request),
    )
    request_id = request_id_of(request.scope)
    given = await rooms_of(request).suggestions.suggest(typed, request_id=request_id, pointer="parameter:q")
    document = Document(
        data=[_resource(suggestion) for suggestion in given.suggestions],
        meta={"request_id": request_id, "index_version": given.index_version},
    )
    return respond(document)


async def _check_caller(request: Request[Any, Any, Any]) -> None:
    """Let in who may ask: a client with the scope, a user, and whoever holds the token of a session that is there."""
    proof, sid = proof_of(request), request.query_params.get("sid", "")
    if sid:
        await rooms_of(request).conversation.read(sid, proof)
    elif isinstance(proof, str):  # only the store knows whether a session's token is one, and needs its name
        raise Unauthenticated("a session's token comes with its sid", code="invalid-token", pointer="parameter:sid")


def _resource(suggestion: Suggestion) -> Resource:
    attributes = {"text": suggestion.text, "match": suggestion.match.value, "highlight": suggestion.highlight}
    return Resource(type="suggestions", id=suggestion.entry_id, attributes=attributes)
