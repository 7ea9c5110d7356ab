"""From the bytes of a body to a JSON value, whatever it came in: JSON or XML, in UTF-8, GBK or GB18030.

It knows no shape: which members a body has, its reader says.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from qa_service.api.charsets import EXPECTED, text_of
from qa_service.api.xml_form import from_xml
from qa_service.domain.errors import InvalidInput

Form = Literal["json", "xml"]
JSON: Form = "json"
XML: Form = "xml"
BOTH: Sequence[Form] = (JSON, XML)
_EXPECTED: Mapping[Form, str] = {
    JSON: "application/json (or application/vnd.api+json)",
    XML: "application/xml (or text/xml)",
}
_JSON_TYPES = {"application/json", "application/vnd.api+json"}
_XML_TYPES = {"application/xml", "text/xml"}
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.-]+)", re.IGNORECASE)
_LONE_SURROGATE = re.compile(  # as a JSON escape
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a body says; in XML a number may come as a text (`is_loose`)."""

    value: Any
    charset: str
    is_loose: bool


def read_text(raw: bytes, content_type: str, *, forms: Sequence[Form] = BOTH) -> Heard:
    """Read a body of this Content-Type, in one of the forms.

    Raises:
        InvalidInput: a type or charset that is not known here (unsupported-media-type), or a body that is not of it
            (malformed-json, malformed-text, malformed-xml, forbidden-xml, charset-mismatch).
    """
    media_type, _, parameters = content_type.partition(";")
    named = _CHARSET.search(parameters) if parameters else None
    label = named.group(1) if named else ""
    media_type = media_type.strip().lower()
    if media_type in _XML_TYPES and XML in forms:
        text, charset = text_of(raw, label=label, declares=True, malformed="malformed-xml")
        return Heard(value=from_xml(text), charset=charset, is_loose=True)
    if media_type in _JSON_TYPES and JSON in forms:
        text, charset = text_of(raw, label=label, malformed="malformed-json")
        return Heard(value=_from_json(text), charset=charset, is_loose=False)
    expected = " or as ".join(_EXPECTED[form] for form in forms)
    raise InvalidInput(
        f"a body is sent as {expected}, in {EXPECTED}",
        code="unsupported-media-type",
        pointer="header:Content-Type",
    )


def _from_json(text: str) -> object:
    try:
        decoded = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        if _LONE_SURROGATE.search(text):
            raise InvalidInput("the body holds half of a surrogate pair", code="malformed-text") from None
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInput(f"the body is no JSON: {detail}", code="malformed-json") from None
    return decoded
