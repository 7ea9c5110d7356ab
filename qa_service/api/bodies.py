"""Reading a request: its body, what it prefers. Every refusal says what was expected. It knows no route and no token.

Bodies are plain attributes or a JSON:API document around them; both are accepted, and a refusal points to the attribute
in either case. Of a member that comes twice the last one counts, as with most readers of JSON. `body_text.py` makes one
value of JSON and XML.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from qa_service.api.body_text import BOTH, Form, read_text
from qa_service.api.charsets import BODY_CHARSET
from qa_service.api.member_names import snake
from qa_service.domain.errors import InvalidInput
from qa_service.domain.text import MAX_QUESTION_CHARS
from qa_service.domain.webhook import WEBHOOK_EVENTS

AnyRequest = Request[Any, Any, Any]
Body = TypeVar("Body", bound=msgspec.Struct)

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?", re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async(?:$|[,;\s])", re.IGNORECASE)
MAX_KEY_CHARS = 255
# A `$` alone would let a line break through at the end.
MAX_LOCALE_CHARS = 35
LOCALE = r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*"
_NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$(?!\n)"
ON_ONE_LINE = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*"
# At least one character that can be seen.
VISIBLE = r"[^\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
# 100,000 levels of nesting are read and called malformed; a megabyte is refused unread.
MAX_BODY_BYTES = 640 * 1024
DEFAULT_WAIT_S = 3.0  # the default and the most: proxies and the SDK give up at 3 s
IN_HAND_S = 0.5  # so the placeholder leaves at 2.5 s


# Described only: `check_question` decides, and says more.
_QUESTION = {"minLength": 1, "maxLength": MAX_QUESTION_CHARS, "pattern": VISIBLE}


class OpenSession(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Open a session: for an anonymous device, or at once for the uid that a user token vouches for.

    `bot` says whom a device wants to ask; without it, the default one.
    """

    device_id: Annotated[str, msgspec.Meta(pattern=_NO_CONTROLS, max_length=128)] = ""
    uid: Annotated[str, msgspec.Meta(pattern=_NO_CONTROLS, max_length=128)] = ""
    user_token: str = ""
    bot: Annotated[str, msgspec.Meta(pattern=_NO_CONTROLS, max_length=64)] = ""
    locale: Annotated[str, msgspec.Meta(pattern=rf"^{LOCALE}$(?!\n)", max_length=MAX_LOCALE_CHARS)] = "zh-CN"


class BindSession(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Give an anonymous session to the user of the host product that a user token vouches for.

    `uid`, where it is named, is the token's own.
    """

    uid: Annotated[str, msgspec.Meta(pattern=_NO_CONTROLS, max_length=128)] = ""
    user_token: str = ""


class AskQuestion(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Ask a question: 1 to 500 characters after trimming. `lid` is the client's own id, an idempotency key."""

    text: Annotated[str, msgspec.Meta(extra_json_schema=_QUESTION)]
    locale: Annotated[str, msgspec.Meta(pattern=rf"^({LOCALE})?$(?!\n)", max_length=MAX_LOCALE_CHARS)] = ""
    lid: Annotated[str, msgspec.Meta(pattern=rf"^{ON_ONE_LINE}$(?!\n)", max_length=MAX_KEY_CHARS)] = ""


class GiveFeedback(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Say what an answer is worth: `up` or `down`, and why, in at most 500 characters."""

    value: Annotated[str, msgspec.Meta(pattern=r"^(up|down)$(?!\n)")]
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


_Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, extra_json_schema={"format": "uri"})]
_Events = Annotated[
    tuple[Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["*", *WEBHOOK_EVENTS]})], ...],
    msgspec.Meta(min_length=1, max_length=32),
]
_Description = Annotated[str, msgspec.Meta(pattern=_NO_CONTROLS, max_length=200)]


class CreateWebhook(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Make a webhook: where to send, and which events; `*` stands for all that there are, and will be."""

    url: _Url
    events: _Events = ("*",)
    description: _Description = ""
    enabled: bool = True


class ChangeWebhook(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Change some members of a webhook."""

    url: _Url | msgspec.UnsetType = msgspec.UNSET
    events: _Events | msgspec.UnsetType = msgspec.UNSET
    description: _Description | msgspec.UnsetType = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET


class XmlQuestion(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Ask a question, and open a session for it where no `session_id` is named.

    `session_id` is that of an earlier answer; `device_id`, `uid`, `user_token` and `bot` open a session, and are passed
    over where there is one. `lid` is the caller's own id of its message, an idempotency key within the session.
    """

    text: Annotated[str, msgspec.Meta(extra_json_schema=_QUESTION)]
    session_id: Annotated[str, msgspec.Meta(pattern=_NO_CONTROLS, max_length=64)] = ""
    device_id: Annotated[str, msgspec.Meta(pattern=_NO_CONTROLS, max_length=128)] = ""
    uid: Annotated[str, msgspec.Meta(pattern=_NO_CONTROLS, max_length=128)] = ""
    user_token: str = ""
    bot: Annotated[str, msgspec.Meta(pattern=_NO_CONTROLS, max_length=64)] = ""
    locale: Annotated[str, msgspec.Meta(pattern=rf"^({LOCALE})?$(?!\n)", max_length=MAX_LOCALE_CHARS)] = ""
    lid: Annotated[str, msgspec.Meta(pattern=rf"^{ON_ONE_LINE}$(?!\n)", max_length=MAX_KEY_CHARS)] = ""


async def read_body(
    request: AnyRequest, shape: type[Body], *, when_empty: Body | None = None, forms: Sequence[Form] = BOTH
) -> Body:
    """Read a body of one shape, in one of the forms; no body at all gives `when_empty`, where there is one.

    Members may be named in snake_case or camelCase.

    Raises:
        InvalidInput: wrong content type or packed (415), cut short or not of its type and charset (400), or not of
            that shape (422).
    """
    raw = await raw_body(request)
    if when_empty is not None and not raw:
        return when_empty
    heard = read_text(raw, request.headers.get("content-type", ""), forms=forms)
    request.scope[BODY_CHARSET] = heard.charset  # type: ignore[literal-required]  # ASGI allows further keys
    return shaped(_attributes(heard.value), shape, is_loose=heard.is_loose)


async def raw_body(request: AnyRequest) -> bytes:
    """Give a body's bytes.

    Raises:
        InvalidInput: it is packed (unsupported-encoding), or its caller hung up (body-cut-short).
    """
    check_encoding(request)
    try:
        return await request.body()
    except InternalServerException:  # Litestar's word for a caller who hung up
        raise InvalidInput("the connection ended before the body did", code="body-cut-short") from None


def shaped(members: dict[str, Any], shape: type[Body], *, is_loose: bool = False) -> Body:
    """Give members one shape; where it is loose, texts are read as the numbers and truths that they stand for.

    Raises:
        InvalidInput: they have not that shape (invalid-body, question-not-text).
    """
    known, sent_as = _known(members, shape)
    try:
        return msgspec.convert(known, shape, strict=not is_loose)
    except msgspec.ValidationError as error:
        raise refusal_of_shape(str(error), sent_as) from None


def check_encoding(request: AnyRequest) -> None:
    """Refuse a packed body: a question has nothing to gain from it, and a few bytes unpack to gigabytes."""
    codings = ",".join(request.headers.getall("content-encoding", [])).lower()
    if any(coding.strip() not in {"", "identity"} for coding in codings.split(",")):
        raise InvalidInput(
            "a body is sent as it is, without Content-Encoding",
            code="unsupported-encoding",
            pointer="header:Content-Encoding",
        )


def _attributes(decoded: object) -> dict[str, Any]:
    """Give the attributes of a plain body or of a JSON:API document."""
    if not isinstance(decoded, dict):
        raise InvalidInput("the body is an object", code="invalid-body", pointer="/")
    if "data" not in decoded:
        return decoded
    data = decoded["data"]
    attributes = data.get("attributes") if isinstance(data, dict) else None
    if not isinstance(attributes, dict):
        raise InvalidInput("data.attributes is an object", code="invalid-body", pointer="/data/attributes")
    return {**attributes, "lid": data["lid"]} if "lid" in data else attributes


def _known(members: dict[str, Any], shape: type[msgspec.Struct]) -> tuple[dict[str, Any], dict[str, str]]:
    """Give the members by their names of ours, and under which other names some were sent."""
    known = shape.__struct_fields__
    if not members.keys() - known:
        return members, {}
    named: dict[str, Any] = {}
    sent_as: dict[str, str] = {}
    for name, value in members.items():
        own = name if name in known else snake(name)
        if own not in known:
            raise _unknown_member(name, shape)
        named[own] = value
        if own != name:
            sent_as[own] = name
    return named, sent_as


def _unknown_member(name: str, shape: type[msgspec.Struct]) -> InvalidInput:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    expected = ", ".join(shape.__struct_fields__)
    detail = f"no such member is known; expected are {expected} (or the same in camelCase)"
    return InvalidInput(detail, code="invalid-body", pointer=pointer)


def refusal_of_shape(message: str, sent_as: Mapping[str, str]) -> InvalidInput:
    """Give the refusal that msgspec words; `sent_as` says under which other names members came."""
    detail, _, path = message.partition(" - at `$.")
    missing = re.search(r"missing required field `(\w+)`", message)
    first, *others = path.rstrip("`").split(".") if path else [""]
    if missing:
        first, others = missing.group(1), []
    pointer = "/" + "/".join([sent_as.get(first, first), *others])
    code = "question-not-text" if pointer == "/text" else "invalid-body"
    return InvalidInput(detail[:1].lower() + detail[1:], code=code, pointer=pointer)


def idempotency_key(request: AnyRequest, lid: str) -> str:
    """Give the caller's key for this request: the header's, else the body's `lid`; empty when there is none."""
    key = request.headers.get("idempotency-key", "").strip().strip('"') or lid
    if len(key) > MAX_KEY_CHARS or not re.fullmatch(ON_ONE_LINE, key):
        raise InvalidInput(
            f"an idempotency key has at most {MAX_KEY_CHARS} characters, none of them a control character",
            code="invalid-idempotency-key",
            pointer="header:Idempotency-Key",
        )
    return key


def wait_s(request: AnyRequest) -> float:
    """Give how long to wait for an answer (seconds), half a second kept in hand; 0 for `respond-async`."""
    prefer = ", ".join(request.headers.getall("prefer", []))
    if _ASYNC.search(prefer):
        return 0.0
    wished = _WAIT.search(prefer)
    return max(0.0, min(float(wished.group(1)) if wished else DEFAULT_WAIT_S, DEFAULT_WAIT_S) - IN_HAND_S)


def locale_of(request: AnyRequest) -> str:
    """Give the locale that the query names, "" for none; InvalidInput when it is none."""
    given = request.query_params.get("locale", "")
    if given and (len(given) > MAX_LOCALE_CHARS or not re.fullmatch(LOCALE, given)):
        raise InvalidInput("locale is a language tag, as zh-CN", code="invalid-parameter", pointer="parameter:locale")
    return given


def whole_number(request: AnyRequest, name: str, *, default: int, least: int, most: int) -> int:
    """Give a whole number from the query string; InvalidInput when it is none or out of bounds."""
    given = request.query_params.get(name)
    if given is None:
        return default
    if not re.fullmatch(r"[0-9]{1,19}", given) or not least <= int(given) <= most:
        raise InvalidInput(
            f"{name} is a whole number from {least} to {most}", code="invalid-parameter", pointer=f"parameter:{name}"
        )
    return int(given)
