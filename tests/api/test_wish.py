"""What a caller wishes: read from its headers as they are written in the wild."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.api.member_names import camel, rewritten, snake
from qa_service.api.wish import PLAIN, wish_of


@pytest.mark.parametrize(
    "accept",
    [
        *("", "*/*", "application/json", "text/html", "application/xml;q=0", "application/json, application/xml;q=0.9"),
        *("application/json, application/xml", "text/html, application/json;q=0.9, application/xml;q=0.8"),
        *("application/xhtml+xml", "application/problem+json", ";;,=", 'application/json; profile="camels"'),
    ],
)
def test_json_is_what_nearly_everybody_gets(accept: str) -> None:
    assert wish_of([(b"accept", accept.encode())]) is PLAIN


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/xml", "application/xml"),
        ("text/xml", "text/xml"),
        ("APPLICATION/XML; charset=GBK", "application/xml"),
        ("application/xml, */*", "application/xml"),
        ("*/*, application/xml", "application/xml"),
        ("application/xml, application/json", "application/xml"),
        ("application/json;q=0.5, text/xml;q=0.7", "text/xml"),
        ("application/problem+json, application/xml", "application/xml"),
    ],
)
def test_xml_is_for_whom_names_it_first(accept: str, media_type: str) -> None:
    assert wish_of([(b"accept", accept.encode())]).xml == media_type


@pytest.mark.parametrize(
    ("accept", "accept_charset", "charset"),
    [
        ("*/*", "GBK", "gbk"),
        ("*/*", "gb2312", "gbk"),
        ("*/*", "utf-8;q=0.7, gb18030;q=0.8", "gb18030"),
        ("*/*", "iso-8859-1, big5;q=0.9", ""),
        ("*/*", "gbk;q=0", ""),
        ("*/*", "*", ""),
        ("application/xml; charset=gbk", "utf-8", "gbk"),
        ('application/xml; charset="GB18030"', "", "gb18030"),
        ("application/xml; charset=utf-16", "gbk", "gbk"),
        ("application/xml;charset=gbk;q=0.1, application/json", "", ""),
    ],
)
def test_a_charset_is_named_by_either_header(accept: str, accept_charset: str, charset: str) -> None:
    headers = [(b"accept", accept.encode()), (b"accept-charset", accept_charset.encode())]
    assert wish_of(headers).charset == charset


@pytest.mark.parametrize(
    ("prefer", "zone"),
    [
        (b"timezone=Asia/Shanghai", "Asia/Shanghai"),
        (b'wait=1, timezone="America/Argentina/Ushuaia"', "America/Argentina/Ushuaia"),
        (b"respond-async; TimeZone = Etc/GMT+8", "Etc/GMT+8"),
        (b"timezone=Mars/Olympus", None),
        (b"timezone=Asia", None),
        (b"timezone=../../etc/passwd", None),
        (b"timezone=/etc/localtime", None),
        (b"timezone=", None),
        (b"timezone=\xff", None),
    ],
)
def test_a_zone_that_is_known_is_met_and_another_passed_over(prefer: bytes, zone: str | None) -> None:
    found = wish_of([(b"prefer", prefer)]).zone
    assert (found.key if found else None) == zone


@given(st.lists(st.tuples(st.sampled_from([b"accept", b"accept-charset", b"prefer"]), st.binary(max_size=60))))
def test_no_headers_whatever_are_a_failure(headers: list[tuple[bytes, bytes]]) -> None:
    assert wish_of(headers).xml in {"", "application/xml", "text/xml"}


def test_a_header_without_end_wishes_nothing() -> None:
    assert wish_of([(b"accept", b"application/xml," + b"a" * 2000)]) is PLAIN


@given(st.lists(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), min_size=1, max_size=5).map("_".join))
def test_a_name_comes_back_from_its_other_spelling(name: str) -> None:
    assert snake(camel(name)) == name


def test_names_change_and_values_do_not() -> None:
    value = {
        "device_id": "device_id",
        "terms": {"new_arrival": 1},
        "a": [{"last_message_id": None}],
        "index:my_shop": 1,
        "_x": 2,
        "A_b": 3,
    }
    assert rewritten(value, camels=True, zone=None) == {
        "deviceId": "device_id", "terms": {"new_arrival": 1},
        "a": [{"lastMessageId": None}], "index:my_shop": 1, "_x": 2, "A_b": 3
    }  # fmt: skip


def test_times_alone_are_told_in_a_zone() -> None:
    zone = wish_of([(b"prefer", b"timezone=Asia/Shanghai")]).zone
    value = {"created_at": "2026-11-28T17:00:00.123Z", "text": "2026-11-28T17:00:00.123Z", "read_at": "never"}
    assert rewritten(value, camels=False, zone=zone) == {
        **value, "created_at": "2026-11-29T01:00:00.123+08:00"
    }  # fmt: skip
