"""Raw bodies of XML: entities, depths, charsets that lie, and what only looks like XML. They know no route."""

import zlib

_QUESTION = "<ask><text>怎么退货</text></ask>"
_DECLARED = '<?xml version="1.0" encoding="{}"?>' + _QUESTION
_LAUGHS = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))


def _doctype(inside: str, text: str = "&x;") -> bytes:
    return f"<!DOCTYPE ask [{inside}]><ask><text>{text}</text></ask>".encode()


XML_BODIES: dict[str, bytes] = {
    # Entities and what else reaches outside
    "XXE by file": _doctype('<!ENTITY x SYSTEM "file:///etc/passwd">'),
    "XXE by HTTP": _doctype('<!ENTITY x SYSTEM "http://127.0.0.1:1/">'),
    "XXE by PUBLIC": _doctype('<!ENTITY x PUBLIC "a" "file:///etc/passwd">'),
    "XXE by parameter": _doctype('<!ENTITY % x SYSTEM "file:///etc/passwd">%x;', ""),
    "an external DTD": b'<!DOCTYPE ask SYSTEM "http://127.0.0.1:1/a.dtd"><ask><text>a</text></ask>',
    "a DTD by PUBLIC": b'<!DOCTYPE ask PUBLIC "a" "http://127.0.0.1:1/a.dtd"><ask><text>a</text></ask>',
    "a billion laughs": _doctype(_LAUGHS, "&a11;"),
    "quadratic blow-up": _doctype(f'<!ENTITY x "{"a" * 60_000}">', "&x;" * 15_000),
    "an entity that holds itself": _doctype('<!ENTITY x "&x;">'),
    "an entity in an attribute": _doctype('<!ENTITY x "a">').replace(b"<text>", b'<text type="&x;">'),
    "a default attribute": _doctype('<!ATTLIST text type CDATA "number">', "1"),
    "a notation": _doctype('<!NOTATION n SYSTEM "a"><!ENTITY x SYSTEM "b" NDATA n>'),
    "an empty DOCTYPE": b"<!DOCTYPE ask><ask><text>a</text></ask>",
    "a DOCTYPE in GBK": "<!DOCTYPE 退><退><text>a</text></退>".encode("gbk"),
    "an entity of nobody": b"<ask><text>&nobody;</text></ask>",
    "XInclude": b'<ask xmlns:x="http://www.w3.org/2001/XInclude"><x:include href="file:///etc/passwd"/></ask>',
    "a stylesheet": b'<?xml-stylesheet href="http://127.0.0.1:1/"?><ask><text>a</text></ask>',
    "a schema": b'<ask xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:schemaLocation="a b"><text>a</text></ask>',
    # Depth and size
    "100,000 elements deep": b"<a>" * 20_000 + b"</a>" * 20_000,
    "elements that never close": b"<a>" * 40_000,
    "40,000 elements": b"<ask>" + b"<a/>" * 30_000 + b"</ask>",
    "12,000 attributes": b"<ask " + b" ".join(b'a%d=""' % n for n in range(12_000)) + b"/>",
    "an attribute of 120,000 bytes": b'<ask a="' + b"a" * 120_000 + b'"/>',
    "a name of 60,000 bytes": b"<" + b"a" * 60_000 + b"/>",
    "5,000 namespaces": b"<ask " + b" ".join(b'xmlns:a%d="b"' % n for n in range(5_000)) + b"/>",
    "a comment that never ends": b"<ask><!--" + b"-" * 100_000,
    "a CDATA that never ends": b"<ask><![CDATA[" + b"]" * 100_000,
    "600 KiB": b"<ask><text>" + b"a" * 600 * 1024 + b"</text></ask>",
    "too many bytes": b"<ask><text>" + b"a" * 700 * 1024 + b"</text></ask>",
    # Charsets
    "GBK declared": _DECLARED.format("GBK").encode("gbk"),
    "GBK undeclared": _QUESTION.encode("gbk"),
    "GB18030 declared": _DECLARED.format("GB18030").encode("gb18030"),
    "GBK called UTF-8": _DECLARED.format("UTF-8").encode("gbk"),
    "UTF-8 called GBK": _DECLARED.format("GBK").encode(),
    "half of a GBK character": _DECLARED.format("GBK").encode("gbk").replace(b"</text>", b"\x81</text>"),
    "GBK that swallows a bracket": b'<?xml version="1.0" encoding="GBK"?><ask><text>\x81</text></ask>',
    "UTF-16": _QUESTION.encode("utf-16"),
    "UTF-16 declared, without a BOM": _DECLARED.format("UTF-16").encode("utf-16-le"),
    "UTF-16 declared in ASCII": _DECLARED.format("UTF-16").encode("ascii", "replace"),
    "UTF-32": _QUESTION.encode("utf-32"),
    "UTF-7 declared": b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQBEAE8AQwBUAFkAUABFACAAYQA+-<ask/>',
    "UTF-7 by BOM": b"+/v8-<ask><text>a</text></ask>",
    "EBCDIC": _DECLARED.format("cp037").encode("ascii", "replace").decode().encode("cp037"),
    "ISO-2022-CN declared": _DECLARED.format("ISO-2022-CN").encode("ascii", "replace"),
    "a BOM against the declaration": b"\xef\xbb\xbf" + _DECLARED.format("GBK").encode("gbk"),
    "two BOMs": b"\xef\xbb\xbf\xef\xbb\xbf" + _QUESTION.encode(),
    "a charset of 1,000 letters": _DECLARED.format("a" * 1000).encode(),
    "a charset of bytes": b'<?xml version="1.0" encoding="\xff\xfe"?><ask/>',
    "XML 1.1": b'<?xml version="1.1"?><ask><text>&#1;</text></ask>',
    "a declaration twice": b'<?xml version="1.0"?><?xml version="1.0"?><ask/>',
    # Text
    "a reference to NUL": b"<ask><text>&#0;</text></ask>",
    "a reference to a surrogate": b"<ask><text>&#xD800;</text></ask>",
    "a reference beyond Unicode": b"<ask><text>&#x110000;</text></ask>",
    "a reference to a control character": b"<ask><text>&#27;[2J</text></ask>",
    "a byte NUL": b"<ask><text>a\x00b</text></ask>",
    "a surrogate in UTF-8": b"<ask><text>\xed\xa0\x80</text></ask>",
    "a line separator": "<ask><text>a\u2028b\u202e</text></ask>".encode(),
    "]]> in text": b"<ask><text>]]></text></ask>",
    "an element within the text": b"<ask><text>a<b>c</b></text></ask>",
    "a list where a text is due": b'<ask><text type="array"><item>a</item></text></ask>',
    "a huge number": b'<ask><text type="number">' + b"9" * 10_000 + b"</text></ask>",
    "a number for a session": b'<ask><session_id type="number">1</session_id><text>a</text></ask>',
    "names of Python": b"<ask><__class__>a</__class__><member name='__proto__'>b</member><text>a</text></ask>",
    # What is no XML
    "nothing": b"",
    "white space": b" \r\n\t",
    "JSON": b'{"text": "a"}',
    "two roots": b"<ask/><ask/>",
    "text beside the root": b"a<ask/>b",
    "half of a tag": b"<ask><te",
    "HTML": b"<!doctype html><p>a<br>b",
    "SOAP": b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><text>a</text></s:Body></s:Envelope>',
    "deflated": zlib.compress(_QUESTION.encode()),
    "all bytes": bytes(range(256)) * 4,
}  # fmt: skip

XML_TYPES = ("application/xml", "text/xml; charset=gbk", "text/xml; charset=utf-8")
