"""Which charset a body is in: what is said of it must agree, and its bytes must fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.api.charsets import text_of
from qa_service.domain.errors import InvalidInput

TEXT = "<a>怎么退货</a>"


def declared(encoding: str, charset: str, *, bom: bytes = b"") -> bytes:
    return bom + f'<?xml version="1.0" encoding="{encoding}"?>{TEXT}'.encode(charset)


READ = {
    "nothing said": (TEXT.encode(), "", "utf-8"),
    "Content-Type": (TEXT.encode("gbk"), "GBK", "gbk"),
    "the declaration": (declared("GB2312", "gbk"), "", "gbk"),
    "single quotes": (declared("GB18030", "gb18030").replace(b'"', b"'"), "", "gb18030"),
    "both agree": (declared("gbk", "gbk"), "x-gbk", "gbk"),
    "both are read alike": (declared("gb2312", "gbk"), "gb18030", "gb18030"),
    "a BOM": (declared("utf-8", "utf-8", bom=b"\xef\xbb\xbf"), "utf-8", "utf-8"),
    "a BOM alone": (b"\xef\xbb\xbf" + TEXT.encode(), "", "utf-8"),
    "a GB18030 BOM": (b"\x84\x31\x95\x33" + TEXT.encode("gb18030"), "", "gb18030"),
    "ASCII": (b"<a/>", "us-ascii", "utf-8"),
}
REFUSED = {
    "GBK as UTF-8": (TEXT.encode("gbk"), "", "malformed-xml"),
    "UTF-8 declared as GBK, cut": (declared("gbk", "gbk")[:-4] + b"\x81", "", "malformed-xml"),
    "a header against the declaration": (declared("utf-8", "utf-8"), "gbk", "charset-mismatch"),
    "a BOM against the declaration": (declared("gbk", "gbk", bom=b"\xef\xbb\xbf"), "", "charset-mismatch"),
    "a BOM against the header": (b"\xef\xbb\xbf" + TEXT.encode(), "gbk", "charset-mismatch"),
    "a GB18030 BOM against the header": (b"\x84\x31\x95\x33<a/>", "utf-8", "charset-mismatch"),
    "UTF-16": (TEXT.encode("utf-16"), "", "unsupported-media-type"),
    "UTF-16, big end first": (b"\xfe\xff" + TEXT.encode("utf-16-be"), "", "unsupported-media-type"),
    "UTF-16 called UTF-8": (TEXT.encode("utf-16"), "utf-8", "unsupported-media-type"),
    "UTF-32": (TEXT.encode("utf-32"), "", "unsupported-media-type"),
    "UTF-7 declared": (b'<?xml version="1.0" encoding="UTF-7"?>+ADw-a/+AD4-', "", "unsupported-media-type"),
    "UTF-7 in the header": (b"+ADw-a/+AD4-", "utf-7", "unsupported-media-type"),
    "EBCDIC": (TEXT.replace("怎么退货", "a").encode("cp500"), "cp500", "unsupported-media-type"),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_charset_is_found_wherever_it_is_said(name: str) -> None:
    raw, label, charset = READ[name]
    text, found = text_of(raw, label=label, declares=True, malformed="malformed-xml")
    assert found == charset
    assert text.endswith(TEXT) or text == "<a/>"


@pytest.mark.parametrize("name", REFUSED)
def test_what_contradicts_itself_or_is_not_known_is_refused(name: str) -> None:
    raw, label, code = REFUSED[name]
    with pytest.raises(InvalidInput) as refused:
        text_of(raw, label=label, declares=True, malformed="malformed-xml")
    assert refused.value.code == code


def test_json_declares_nothing_within_itself() -> None:
    raw = declared("gbk", "utf-8")
    assert text_of(raw, malformed="malformed-json") == (raw.decode(), "utf-8")


def test_gb18030_reads_whatever_gbk_can_write() -> None:
    for first in range(0x81, 0xFF):
        for second in range(0x40, 0xFF):
            raw = bytes([first, second])
            try:
                text = raw.decode("gbk")
            except UnicodeDecodeError:
                continue
            assert raw.decode("gb18030") == text


@given(st.binary(max_size=80), st.sampled_from(["", "gbk", "utf-8", "utf-16", "\x00"]))
def test_no_bytes_whatever_are_a_failure(raw: bytes, label: str) -> None:
    try:
        text_of(raw, label=label, declares=True, malformed="malformed-xml")
    except InvalidInput as error:
        assert error.code in {"malformed-xml", "charset-mismatch", "unsupported-media-type"}  # noqa: PT017
