"""The charsets that a body may come and go in: UTF-8, GBK, GB18030. It knows neither JSON nor XML.

A body that calls itself GBK or GB2312 is read as GB18030, which holds both and is what such senders mean.
"""

import re
from collections.abc import Iterable

from qa_service.domain.errors import InvalidInput

UTF8 = "utf-8"
GBK = "gbk"
GB18030 = "gb18030"
BODY_CHARSET = "qa_body_charset"  # the member of a connection's scope that holds the charset of its body

_BY_LABEL = {
    **dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii"), UTF8),
    **dict.fromkeys(("gbk", "gb2312", "gb_2312-80", "x-gbk", "cp936", "ms936"), GBK),
    "gb18030": GB18030,
}
_BOMS = (("a UTF-8", b"\xef\xbb\xbf", UTF8), ("a GB18030", b"\x84\x31\x95\x33", GB18030))
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")  # UTF-16 and UTF-32
_DECLARED = re.compile(rb"<\?xml[^>]{0,200}?\bencoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]{0,40})[\"']")
EXPECTED = "utf-8, gbk or gb18030"


def charset_named(label: str) -> str:
    """Give the charset that a label names, "" for one that is not known here."""
    return _BY_LABEL.get(label.strip().lower(), "")


def text_of(raw: bytes, *, label: str = "", declares: bool = False, malformed: str) -> tuple[str, str]:
    """Read a body: its text without a BOM, and its charset.

    `label` is what Content-Type calls the charset, "" where it says nothing; with `declares`, an XML declaration and a
    BOM are asked too.

    Raises:
        InvalidInput: a charset that is not known here (unsupported-media-type), two that contradict each other
            (charset-mismatch), or bytes that are not of it (the code `malformed`).
    """
    told = [("Content-Type", label)] if label else []
    if declares:
        told += _told_within(raw)
    charset = _agreed(told) if told else UTF8
    try:
        text = raw.decode(UTF8 if charset == UTF8 else GB18030)
    except UnicodeDecodeError as error:
        detail = f"the body is not {charset.upper()} (byte {error.start})"
        raise InvalidInput(detail, code=malformed) from None
    return text.removeprefix("\ufeff") if declares else text, charset


def _told_within(raw: bytes) -> list[tuple[str, str]]:
    """Give what an XML body says of its own charset, and where."""
    if raw.startswith(_OTHER_BOMS):
        raise _unknown("UTF-16 or UTF-32", "the byte order mark")
    bom, marked = b"", list[tuple[str, str]]()
    for name, mark, charset in _BOMS:
        if raw.startswith(mark):
            bom, marked = mark, [(f"{name} byte order mark", charset)]
    declared = _DECLARED.match(raw, len(bom))
    return [*marked, ("the XML declaration", declared.group(1).decode())] if declared else marked


def _agreed(told: Iterable[tuple[str, str]]) -> str:
    agreed, by = "", ""
    for place, label in told:
        charset = charset_named(label)
        if not charset:
            raise _unknown(label, place)
        if agreed and (charset == UTF8) != (agreed == UTF8):  # the other two are read alike
            detail = f"{by} says {agreed}, {place} says {charset}"
            raise InvalidInput(detail, code="charset-mismatch")
        if not agreed:
            agreed, by = charset, place
    return agreed


def _unknown(label: str, place: str) -> InvalidInput:
    return InvalidInput(
        f"the charset of a body is {EXPECTED}; {place} says {label}",
        code="unsupported-media-type",
        pointer="header:Content-Type",
    )
