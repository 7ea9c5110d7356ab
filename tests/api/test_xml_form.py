"""A JSON document as XML and back: nothing is lost, and nothing hostile is read."""

import contextlib
import re
import time
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.api.charsets import GB18030, GBK, UTF8, text_of
from qa_service.api.xml_form import from_xml, to_xml
from qa_service.domain.errors import InvalidInput

HELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff", min_codepoint=32)) | (
    st.text(st.sampled_from("\t\n\r <>&\"'退€𠮷]"), max_size=12)
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | HELD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(HELD | st.just("member"), inner, max_size=4),
    max_leaves=20,
)
PIECES = r"(<a( type=\"(array|null|number)\")?>|</a>|<b/>|1|&#\d;|\]\]>)*"
CHARSETS = [UTF8, GBK, GB18030]


def read_back(raw: bytes) -> Any:
    text, _ = text_of(raw, declares=True, malformed="malformed-xml")
    return from_xml(text)


@given(value=st.dictionaries(HELD, VALUES, max_size=4), charset=st.sampled_from(CHARSETS))
def test_what_is_written_is_read_back_whatever_the_charset(value: dict[str, Any], charset: str) -> None:
    assert read_back(to_xml(value, root="document", charset=charset)) == value


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_no_text_whatever_breaks_the_document(name: str, text: str) -> None:
    raw = to_xml({name: text}, root="document", charset=UTF8)
    [element] = ET.fromstring(raw)
    assert (element.text or "").replace("�", "") == re.sub(
        "[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff�]", "", text
    )


def test_every_kind_of_value_has_its_form() -> None:
    value: dict[str, Any] = {
        "text": "a<b&c", "none": None, "yes": True, "number": 1.5, "list": ["a", {"b": 2}], "empty": {}, "index:x": "y"
    }  # fmt: skip
    assert to_xml(value, root="document", charset=UTF8).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<document><text>a&lt;b&amp;c</text><none type="null"/><yes type="boolean">true</yes>'
        '<number type="number">1.5</number>'
        '<list type="array"><item>a</item><item><b type="number">2</b></item></list>'
        '<empty type="object"/><member name="index:x">y</member></document>'
    )


def test_what_gbk_cannot_hold_goes_out_as_a_numeric_reference() -> None:
    raw = to_xml({"text": "退€𠮷"}, root="document", charset=GBK)
    assert raw.endswith("<document><text>退".encode("gbk") + b"&#8364;&#134071;</text></document>")
    assert read_back(raw) == {"text": "退€𠮷"}


def test_gb18030_holds_every_text() -> None:
    assert "退€𠮷".encode("gb18030") in to_xml({"text": "退€𠮷"}, root="document", charset=GB18030)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<ask/>", {}),
        ("<ask> <text> a </text>\n</ask>", {"text": " a "}),
        ("<ask><text>1</text><text>2</text></ask>", {"text": "2"}),
        ("<ask><text><![CDATA[<b>]]></text><!-- c --><?pi d?></ask>", {"text": "<b>"}),
        ('<q:ask xmlns:q="urn:q"><q:text q:lang="zh">a</q:text></q:ask>', {"text": "a"}),
        ('<ask xmlns:x="urn:x" x:schemaLocation="nowhere"><text type="string">1</text></ask>', {"text": "1"}),
        ('<ask type="array"><item>1</item><other type="number">2</other></ask>', ["1", 2]),
        ('<ask><n type="boolean">1</n><member name="a b">c</member></ask>', {"n": True, "a b": "c"}),
    ],
)
def test_what_a_gateway_may_write_is_read(text: str, value: Any) -> None:
    assert from_xml(text) == value


LAUGHS = (
    '<!DOCTYPE a [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><ask><text>&i;</text></ask>"
)
REFUSED = {
    "XXE": ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><ask><text>&x;</text></ask>', "forbidden-xml"),
    "an external DTD": ('<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd"><ask/>', "forbidden-xml"),
    "a DOCTYPE alone": ("<!DOCTYPE ask><ask/>", "forbidden-xml"),
    "a parameter entity": ('<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/passwd">%p;]><ask/>', "forbidden-xml"),
    "a billion laughs": (LAUGHS, "forbidden-xml"),
    "quadratic blow-up": (f'<!DOCTYPE a [<!ENTITY a "{"a" * 20_000}">]><a>{"&a;" * 20_000}</a>', "forbidden-xml"),
    "an entity of nobody": ("<ask><text>&x;</text></ask>", "malformed-xml"),
    "a reference to NUL": ("<ask><text>&#0;</text></ask>", "malformed-xml"),
    "a reference to a surrogate": ("<ask><text>&#xD800;</text></ask>", "malformed-xml"),
    "a control character": ("<ask><text>\x01</text></ask>", "malformed-xml"),
    "an inclusion": ('<ask xmlns:x="http://www.w3.org/2001/XInclude"><x:i href="/etc/passwd"/></ask>', "invalid-body"),
    "nothing": ("", "malformed-xml"),
    "half of it": ("<ask><text>a", "malformed-xml"),
    "two roots": ("<a/><b/>", "malformed-xml"),
    "JSON": ('{"text": "a"}', "malformed-xml"),
    "too deep": ("<a>" * 33 + "</a>" * 33, "malformed-xml"),
    "very deep": ("<a>" * 40_000, "malformed-xml"),
    "too many": ("<a>" + "<b/>" * 2_000 + "</a>", "malformed-xml"),
    "an attribute twice": ('<a type="array" type="object"/>', "malformed-xml"),
    "an unknown attribute": ('<a><text lang="zh">a</text></a>', "invalid-body"),
    "an unknown type": ('<a><text type="date">1</text></a>', "invalid-body"),
    "a number that is none": ('<a><text type="number">0x1</text></a>', "invalid-body"),
    "an endless number": ('<a><text type="number">1e999</text></a>', "invalid-body"),
    "a null that is something": ('<a><text type="null">a</text></a>', "invalid-body"),
    "text beside elements": ("<a>b<text>c</text></a>", "invalid-body"),
    "an element in a number": ('<a><text type="number"><b/></text></a>', "invalid-body"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_hostile_or_makes_no_sense_is_refused(name: str) -> None:
    text, code = REFUSED[name]
    with pytest.raises(InvalidInput) as refused:
        from_xml(text)
    assert refused.value.code == code


def test_a_refusal_points_to_the_element() -> None:
    with pytest.raises(InvalidInput) as refused:
        from_xml('<a><data><text type="date">1</text></data></a>')
    assert refused.value.pointer == "/data/text"


_MOST = 128 * 1024


@pytest.mark.parametrize(
    "text",
    [
        "<a " + " ".join(f'b{n}="c"' for n in range(12_000)) + "/>",
        f'<a b="{"c" * (_MOST - 20)}"/>',
        f"<{'a' * (_MOST // 2 - 10)}></{'a' * (_MOST // 2 - 10)}>",
        "<a " + " ".join(f'xmlns:n{n}="urn:{n}"' for n in range(5_500)) + "/>",
        "<a>" + "&lt;" * (_MOST // 4 - 10) + "</a>",
        "<a>" + "<!---->" * (_MOST // 7 - 10) + "</a>",
    ],
    ids=["attributes", "an attribute", "a name", "namespaces", "references", "comments"],
)
def test_the_longest_body_keeps_nobody_waiting(text: str) -> None:
    assert len(text) <= _MOST
    started = time.perf_counter()
    with contextlib.suppress(InvalidInput):
        from_xml(text)
    assert time.perf_counter() - started < 0.5  # at most 0.05 s on an idle machine


def test_a_longer_body_is_not_parsed() -> None:
    with pytest.raises(InvalidInput) as refused:
        from_xml("<a>" + "b" * _MOST + "</a>")
    assert refused.value.code == "body-too-large"


@given(st.text(max_size=60) | st.from_regex(PIECES, fullmatch=True))
def test_no_text_whatever_is_a_failure_to_read(text: str) -> None:
    try:
        from_xml(text)
    except InvalidInput as error:
        assert error.code in {"malformed-xml", "forbidden-xml", "invalid-body"}  # noqa: PT017
