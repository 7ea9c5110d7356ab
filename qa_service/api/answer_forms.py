"""Every answer in the form its caller wishes: XML, other member names, another charset, times in another zone.

Routes and errors write JSON and know nothing of it; who wishes nothing gets their bytes untouched. What has a shape of
its own (tokens, keys, the description) keeps it, and so does what is no JSON: a stream of events, a page.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from qa_service.api.charsets import BODY_CHARSET, UTF8
from qa_service.api.errors import PROBLEM, Told
from qa_service.api.member_names import rewritten
from qa_service.api.openai_errors import openai_error
from qa_service.api.wish import PLAIN, VARY, Wish, wish_of, zone_applied
from qa_service.api.xml_form import to_xml

COMPAT = "/compat/xml"
OPENAI = "/v1/"
_OWN_SHAPES = ("/oauth/", "/.well-known/", "/schema")
_JSON = ("application/json", PROBLEM)
_ABOUT_THE_BODY = {b"content-type", b"content-length", b"vary"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """A body in its form."""

    status: int
    body: bytes
    content_type: str


def shaped(told: Told, wish: Wish, *, path: str = "", charset: str = "") -> Shaped:
    """Give what is told in JSON in the form that a caller of `path` wishes; `charset` is its own body's."""
    if path.startswith(OPENAI):
        return _as_openai_has_it(told)
    media_type, document = told.media_type, msgspec.json.decode(told.body)
    if wish.camel or wish.zone:
        document = rewritten(document, camels=wish.camel, zone=wish.zone)
    if media_type != PROBLEM and path.startswith(COMPAT):
        root = "error" if "errors" in document else "answer"
        flat = _flat(document["errors"][0]) if root == "error" else document
        xml, xml_charset = wish.xml or "application/xml", wish.charset or charset or UTF8
        return _shaped(told, to_xml(flat, root=root, charset=xml_charset), xml, xml_charset)
    if media_type != PROBLEM and wish.xml:
        xml_charset = wish.charset or UTF8
        return _shaped(told, to_xml(document, root="document", charset=xml_charset), wish.xml, xml_charset)
    text = msgspec.json.encode(document)
    if wish.charset in {"", UTF8}:
        return Shaped(status=told.status, body=text, content_type=media_type)
    return _shaped(told, _escaped(text.decode(), wish.charset), media_type, wish.charset)


class AnswerForms:
    """ASGI middleware around everything that answers in JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, and shape what comes back."""
        if scope["type"] != ScopeType.HTTP or scope["path"].startswith(_OWN_SHAPES):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        wish = PLAIN if path.startswith(OPENAI) else wish_of(scope["headers"])
        if wish is PLAIN and not path.startswith((COMPAT, OPENAI)):
            await self._app(scope, receive, _varied(send))
            return

        def shape(told: Told) -> Shaped:
            return shaped(told, wish, path=path, charset=str(scope.get(BODY_CHARSET, "")))

        applied = [(b"preference-applied", zone_applied(wish.zone))] if wish.zone else []
        await self._app(scope, receive, _Shaping(send, shape, [(b"vary", VARY), *applied]).send)


class _Shaping:
    """Holds a JSON answer back until it is whole, and sends it in its form; whatever else passes."""

    def __init__(
        self, send: Send, shape: Callable[[Told], Shaped], headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        self._send = send
        self._shape = shape
        self._headers = headers
        self._start: HTTPResponseStartEvent | None = None
        self._media_type = ""
        self._body: list[bytes] = []

    async def send(self, message: Message) -> None:
        """Take what the application sends."""
        if message["type"] == "http.response.start" and (media_type := _json_type(message["headers"])):
            self._start, self._media_type = message, media_type
        elif message["type"] == "http.response.body" and self._start:
            self._body.append(message["body"])
            if not message["more_body"]:
                await self._send_shaped(self._start)
        else:
            await self._send(message)

    async def _send_shaped(self, start: HTTPResponseStartEvent) -> None:
        self._start = None
        told = Told(status=start["status"], body=b"".join(self._body), media_type=self._media_type)
        formed = self._shape(told)
        others = [(name, value) for name, value in start["headers"] if name.lower() not in _ABOUT_THE_BODY]
        about = [
            (b"content-type", formed.content_type.encode()),
            (b"content-length", str(len(formed.body)).encode()),
        ]
        start["headers"] = [*others, *about, *self._headers]
        start["status"] = formed.status
        await self._send(start)
        await self._send({"type": "http.response.body", "body": formed.body, "more_body": False})


def _varied(send: Send) -> Send:
    """Say of JSON that another caller may get it in another form."""

    async def send_varied(message: Message) -> None:
        if message["type"] == "http.response.start" and _json_type(message["headers"]):
            message["headers"] = [*message["headers"], (b"vary", VARY)]
        await send(message)

    return send_varied


def _json_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Give the media type of an answer in JSON, "" for any other."""
    for name, value in headers:
        if name == b"content-type" and value.startswith(b"application/"):
            media_type = value.partition(b";")[0].decode("latin-1")
            return media_type if media_type in _JSON else ""
    return ""


def _shaped(told: Told, body: bytes, media_type: str, charset: str) -> Shaped:
    return Shaped(status=told.status, body=body, content_type=f"{media_type}; charset={charset}")


def _as_openai_has_it(told: Told) -> Shaped:
    body = openai_error(told.body) if told.status >= 400 else told.body
    status = 400 if told.status == 422 else told.status  # whatever is wrong with a request is 400 there
    return Shaped(status=status, body=body, content_type="application/json")


def _flat(error: dict[str, Any]) -> dict[str, Any]:
    """Give an error without the depths of a document: who speaks XML only reads it by hand."""
    meta: dict[str, Any] = error.pop("meta", {})
    return {**error, **meta}


def _escaped(text: str, charset: str) -> bytes:
    r"""Write JSON; what the charset cannot hold stands within texts alone, and goes out as \uXXXX."""
    try:
        return text.encode(charset)
    except UnicodeEncodeError:
        return b"".join(_escaped_char(char, charset) for char in text)


def _escaped_char(char: str, charset: str) -> bytes:
    try:
        return char.encode(charset)
    except UnicodeEncodeError:
        return json.dumps(char)[1:-1].encode()
