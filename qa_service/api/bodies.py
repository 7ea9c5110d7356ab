"""Reading a request: its body, what it prefers. Every refusal says what was expected. It knows no route and no token.

Bodies are plain attributes or a JSON:API document around them; both are accepted, and a refusal points to the attribute
in either case. Of a member that comes twice the last one counts, as with most readers of JSON.
"""

import re
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from qa_service.domain.errors import InvalidInput
from qa_service.domain.text import MAX_QUESTION_CHARS

AnyRequest = Request[Any, Any, Any]
Body = TypeVar("Body", bound=msgspec.Struct)

_JSON_TYPES = {"application/json", "application/vnd.api+json"}
_UTF8 = {"", "utf-8", "utf8"}
_LONE_SURROGATE = re.compile(  # as a JSON escape
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
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


async def read_body(request: AnyRequest, shape: type[Body], *, when_empty: Body | None = None) -> Body:
    """Read a JSON body of one shape; no body at all gives `when_empty`, where there is one.

    Raises:
        InvalidInput: wrong content type or packed (415), cut short or not UTF-8 JSON (400), or not of that shape (422).
    """
    check_encoding(request)
    try:
        raw = await request.body()
    except InternalServerException:  # Litestar's word for a caller who hung up
        raise InvalidInput("the connection ended before the body did", code="body-cut-short") from None
    if when_empty is not None and not raw:
        return when_empty
    _check_content_type(request.headers.get("content-type", ""))
    members = _attributes(_decode(raw))
    for name in members:
        if name not in shape.__struct_fields__:
            raise _unknown_member(name, shape)
    try:
        return msgspec.convert(members, shape)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from None


def check_encoding(request: AnyRequest) -> None:
    """Refuse a packed body: a question has nothing to gain from it, and a few bytes unpack to gigabytes."""
    codings = ",".join(request.headers.getall("content-encoding", [])).lower()
    if any(coding.strip() not in {"", "identity"} for coding in codings.split(",")):
        raise InvalidInput(
            "a body is sent as it is, without Content-Encoding",
            code="unsupported-encoding",
            pointer="header:Content-Encoding",
        )


def _check_content_type(header: str) -> None:
    media_type, _, parameters = header.partition(";")
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", parameters, re.IGNORECASE)
    known = media_type.strip().lower() in _JSON_TYPES
    if not known or (charset and charset.group(1).lower() not in _UTF8):
        raise InvalidInput(
            "a body is sent as application/json (or application/vnd.api+json) in UTF-8",
            code="unsupported-media-type",
            pointer="header:Content-Type",
        )


def _decode(raw: bytes) -> object:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        detail = f"the body is not UTF-8 (byte {error.start})"
        raise InvalidInput(detail, code="malformed-json") from None
    try:
        decoded = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        if _LONE_SURROGATE.search(text):
            raise InvalidInput("the body holds half of a surrogate pair", code="malformed-text") from None
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInput(f"the body is no JSON: {detail}", code="malformed-json") from None
    return decoded


def _attributes(decoded: object) -> dict[str, Any]:
    """Give the attributes of a plain body or of a JSON:API document."""
    if not isinstance(decoded, dict):
        raise InvalidInput("the body is a JSON object", code="invalid-body", pointer="/")
    if "data" not in decoded:
        return decoded
    data = decoded["data"]
    attributes = data.get("attributes") if isinstance(data, dict) else None
    if not isinstance(attributes, dict):
        raise InvalidInput("data.attributes is an object", code="invalid-body", pointer="/data/attributes")
    return {**attributes, "lid": data["lid"]} if "lid" in data else attributes


def _unknown_member(name: str, shape: type[msgspec.Struct]) -> InvalidInput:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    expected = ", ".join(shape.__struct_fields__)
    return InvalidInput(f"no such member is known; expected are {expected}", code="invalid-body", pointer=pointer)


def _refusal(message: str) -> InvalidInput:
    detail, _, path = message.partition(" - at `$.")
    pointer = "/" + path.rstrip("`").replace(".", "/") if path else "/"
    missing = re.search(r"missing required field `(\w+)`", message)
    if missing:
        pointer = f"/{missing.group(1)}"
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
