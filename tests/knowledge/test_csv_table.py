from pathlib import Path

import pytest

from qa_service.knowledge.read import read_sources
from qa_service.knowledge.report import Reading

CHINESE = "编号,问题,答案,相似问,标签,备注\nship-1,多久发货？,一般两天内发货。,几天发货|什么时候发货,物流|时效,内部\n"


def read_csv_bytes(folder: Path, raw: bytes) -> Reading:
    path = folder / "faq.csv"
    path.write_bytes(raw)
    return read_sources([path])


def reasons(reading: Reading) -> list[tuple[int, str]]:
    return [(problem.line, problem.reason) for problem in reading.problems]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_table_with_chinese_headers_is_read_in_each_encoding(tmp_path: Path, encoding: str) -> None:
    reading = read_csv_bytes(tmp_path, CHINESE.encode(encoding))
    [entry] = reading.entries
    assert not reading.problems
    assert (entry.id, entry.question, entry.answer) == ("ship-1", "多久发货？", "一般两天内发货。")
    assert entry.similar == ("几天发货", "什么时候发货")
    assert entry.tags == ("物流", "时效")
    assert entry.metadata == {"备注": "内部"}


def test_lists_are_separated_by_bars_and_by_line_ends(tmp_path: Path) -> None:
    raw = 'ID , Question,similar,valid_until\n\n x ,q,"a|b\n c ｜d",2030-01-01\n,,,\ny,r\n'
    reading = read_csv_bytes(tmp_path, raw.encode())
    assert [(entry.id, entry.similar) for entry in reading.entries] == [("x", ("a", "b", "c", "d")), ("y", ())]
    assert not reading.problems


def test_a_utf8_table_with_one_bad_byte_stays_utf8_and_the_row_is_named(tmp_path: Path) -> None:
    good = "".join(f"id-{i},第{i}个问题怎么处理\n" for i in range(20))
    raw = b"id,question\n" + good.encode() + b"bad,\xe9\x80 question\n" + "z,最后\n".encode()
    reading = read_csv_bytes(tmp_path, raw)
    assert len(reading.entries) == 21
    assert reading.entries[0].question == "第0个问题怎么处理"
    assert reasons(reading) == [(22, "the row holds bytes that are no UTF-8")]


def test_a_gb18030_table_with_a_bad_byte_names_the_row(tmp_path: Path) -> None:
    raw = "编号,问题\na,如何退货\nb,".encode("gb18030") + b"\xff\xff\n" + "c,运费多少\n".encode("gb18030")
    reading = read_csv_bytes(tmp_path, raw)
    assert [entry.question for entry in reading.entries] == ["如何退货", "运费多少"]
    assert reasons(reading) == [(3, "the row holds bytes that are no GB18030")]


def test_rows_that_do_not_fit_their_header_are_reported_where_they_begin(tmp_path: Path) -> None:
    raw = 'id,question,answer\na,"two\nlines",x\nb,q,r,s\n,q,r\nc,q,"r" s\nd,q,r\n'
    reading = read_csv_bytes(tmp_path, raw.encode())
    assert [entry.id for entry in reading.entries] == ["a", "d"]
    assert reasons(reading) == [
        (4, "the row has 4 cells under 3 columns"),
        (5, "id is missing"),
        (6, "not CSV, is a quote missing?: ',' expected after '\"'"),
    ]


def test_a_quote_that_is_never_closed_swallows_no_row_in_silence(tmp_path: Path) -> None:
    raw = 'id,question\na,q\nb,"open\nc,r\nd,s\n'
    assert reasons(read_csv_bytes(tmp_path, raw.encode())) == [
        (3, "not CSV, is a quote missing? (read up to line 5): unexpected end of data")
    ]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        pytest.param("", "lacks the column id (编号) and question (问题)", id="empty file"),
        pytest.param("编号;问题\n1;a\n", "lacks the column id (编号) and question (问题)", id="semicolons"),
        pytest.param("id,answer\n1,a\n", "lacks the column question (问题)", id="no question"),
        pytest.param("id,question,问题\n1,a,b\n", "names the column 'question' twice", id="column twice"),
        pytest.param('"id\n', "lacks the column id", id="open quote"),
    ],
)
def test_a_table_without_a_usable_header_is_reported_once(tmp_path: Path, header: str, reason: str) -> None:
    reading = read_csv_bytes(tmp_path, header.encode())
    [problem] = reading.problems
    assert reason in problem.reason
    assert problem.line == 1
