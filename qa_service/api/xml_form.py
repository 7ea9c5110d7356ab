"""A JSON document as XML and back, one rule for every document. It knows no route and no member by name.

| JSON | XML |
| --- | --- |
| an object's member | an element of its name, or `<member name="…">` where the name is no plain XML name |
| a text | the element's text |
| a number, a truth, null | the same with type="number", "boolean", "null" |
| a list | type="array", with an `<item>` for each |
| an object without members | type="object" |

Read, `type` may be left out of objects; the root may have any name; namespaces and namespaced attributes are skipped;
a DOCTYPE, and with it every entity, is refused. Of an element that comes twice the last one counts, as in JSON.
What XML 1.0 forbids (most control characters) is written as U+FFFD.
"""

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import ParseError

import msgspec
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import XMLParser

from qa_service.domain.errors import InvalidInput

_MAX_DEPTH = 32
_MAX_ELEMENTS = 2_000
# The greatest body could hold 60,000 attributes or 160,000 elements, and keep everybody waiting for half a second.
_MAX_CHARS = 128 * 1024
_MEMBER, _ITEM = "member", "item"
_PLAIN_NAME = re.compile(r"(?!xml)[A-Za-z_][A-Za-z0-9_.-]*", re.IGNORECASE)
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# A reader turns a bare CR into LF, and any white space in an attribute into blanks.
_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTE = _IN_TEXT | str.maketrans({'"': "&quot;", "\n": "&#10;", "\t": "&#9;"})
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def to_xml(value: Any, *, root: str, charset: str) -> bytes:  # noqa: ANN401  # any JSON value
    """Write a JSON value; what the charset cannot hold becomes a numeric character reference."""
    head = f'<?xml version="1.0" encoding="{charset.upper()}"?>\n'
    return (head + "".join(_written(root, "", value))).encode(charset, errors="xmlcharrefreplace")


def _written(name: str, attributes: str, value: Any) -> Iterator[str]:  # noqa: ANN401  # any JSON value
    match value:
        case str():
            yield f"<{name}{attributes}>{_FORBIDDEN.sub('�', value).translate(_IN_TEXT)}</{name}>"
        case None:
            yield f'<{name}{attributes} type="null"/>'
        case bool():
            yield f'<{name}{attributes} type="boolean">{"true" if value else "false"}</{name}>'
        case int() | float():
            yield f'<{name}{attributes} type="number">{msgspec.json.encode(value).decode()}</{name}>'
        case list():
            yield f'<{name}{attributes} type="array">'
            for one in value:
                yield from _written(_ITEM, "", one)
            yield f"</{name}>"
        case _ if not value:
            yield f'<{name}{attributes} type="object"/>'
        case _:
            yield f"<{name}{attributes}>"
            for member, one in value.items():
                yield from _written(*_named(member), one)
            yield f"</{name}>"


def _named(member: str) -> tuple[str, str]:
    """Give the element, with its attributes, that stands for a member of this name."""
    if _PLAIN_NAME.fullmatch(member) and member != _MEMBER:
        return member, ""
    return _MEMBER, f' name="{_FORBIDDEN.sub("�", member).translate(_IN_ATTRIBUTE)}"'


def from_xml(text: str) -> Any:  # noqa: ANN401  # any JSON value
    """Read XML that has been decoded already; what its declaration says of a charset counts no more.

    Raises:
        InvalidInput: it is no XML, or too deep or too many elements of it (malformed-xml), or too long
            (body-too-large); it has a DOCTYPE (forbidden-xml); or it fits into no JSON value (invalid-body).
    """
    if len(text) > _MAX_CHARS:
        raise InvalidInput(f"a body in XML has at most {_MAX_CHARS} characters", code="body-too-large")
    parser = XMLParser(target=_Reader(), forbid_dtd=True)
    try:
        parser.feed(text)
        return parser.close()
    except DefusedXmlException:
        raise InvalidInput("a DOCTYPE is refused, and entities with it", code="forbidden-xml") from None
    except ParseError as error:
        raise InvalidInput(f"the body is no XML: {error}", code="malformed-xml") from None


class _Element:
    """An element that is being read."""

    __slots__ = ("kind", "name", "text", "within")

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.text: list[str] = []
        self.within: list[tuple[str, Any]] = []


class _Reader:
    """What the parser tells of a document as it goes, made into a value."""

    def __init__(self) -> None:
        self._open: list[_Element] = []
        self._elements = 0
        self._value: Any = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Begin an element."""
        self._elements += 1
        if len(self._open) >= _MAX_DEPTH or self._elements > _MAX_ELEMENTS:
            detail = f"the body has more than {_MAX_ELEMENTS} elements, or nests more than {_MAX_DEPTH} deep"
            raise InvalidInput(detail, code="malformed-xml")
        name, own = _local(tag), {key: value for key, value in attributes.items() if not key.startswith("{")}
        kind = own.pop("type", "")
        if name == _MEMBER:
            name = own.pop("name", name)
        if own:
            raise self._refused(f"<{name}> has an attribute that means nothing here; type alone does", name)
        self._open.append(_Element(name, kind))

    def data(self, text: str) -> None:
        """Take text."""
        self._open[-1].text.append(text)

    def end(self, _tag: str) -> None:
        """End an element."""
        element = self._open[-1]
        value = self._valued(element)
        self._open.pop()
        if self._open:
            self._open[-1].within.append((element.name, value))
        else:
            self._value = value

    def close(self) -> Any:  # noqa: ANN401  # any JSON value
        """Give the value of the whole."""
        return self._value

    def _valued(self, element: _Element) -> Any:  # noqa: ANN401  # any JSON value
        text, kind = "".join(element.text), element.kind
        is_root_alone = len(self._open) == 1 and not kind and not text.strip()
        if kind in {"array", "object"} or element.within or is_root_alone:
            if kind not in {"", "array", "object"} or text.strip():
                raise self._refused("an element holds either text or other elements, as its type says")
            return [value for _, value in element.within] if kind == "array" else dict(element.within)
        if kind in {"", "string"}:
            return text
        return self._scalar(kind, text.strip())

    def _scalar(self, kind: str, text: str) -> Any:  # noqa: ANN401  # any JSON value
        if kind == "null" and not text:
            return None
        if kind == "boolean" and text in _TRUTHS:
            return _TRUTHS[text]
        if kind == "number":
            try:
                return msgspec.json.decode(text, type=int | float)
            except msgspec.DecodeError:
                pass
        raise self._refused("type is one of string, number, boolean, null, array, object, and the text fits it")

    def _refused(self, detail: str, *more: str) -> InvalidInput:
        names = [*(element.name for element in self._open), *more][1:]
        pointer = "/" + "/".join(name.replace("~", "~0").replace("/", "~1") for name in names)
        return InvalidInput(detail, code="invalid-body", pointer=pointer)


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
