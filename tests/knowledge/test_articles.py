from datetime import UTC, datetime
from pathlib import Path

import pytest

from qa_service.domain.entry import Entry, EntryKind
from qa_service.knowledge.read import read_sources
from qa_service.knowledge.report import Reading

RETURNS = """---
id: help-returns
title: 退货说明
locale: zh-CN
tags: [退货, 运费]
valid_until: 2030-01-01T00:00:00Z
owner: '客服部'
---
# 退货说明

签收后 7 天内可以退货。

## 运费

质量问题由商家承担运费。
"""


def read_article_text(folder: Path, text: str | bytes, name: str = "returns.md") -> Reading:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_sources([folder])


def test_an_article_becomes_passages_with_their_path_and_front_matter(tmp_path: Path) -> None:
    reading = read_article_text(tmp_path, RETURNS, "help/returns.md")
    assert not reading.problems
    first, second = reading.entries
    assert first == Entry(
        id="help-returns#1",
        question="退货说明",
        answer="签收后 7 天内可以退货。",
        kind=EntryKind.PASSAGE,
        tags=("退货", "运费"),
        locale="zh-CN",
        valid_until=datetime(2030, 1, 1, tzinfo=UTC),
        metadata={"title": "退货说明", "heading": "", "file": "help/returns.md", "owner": "客服部"},
    )
    assert (second.id, second.question, second.metadata["heading"]) == ("help-returns#2", "退货说明 > 运费", "运费")


def test_without_front_matter_the_file_names_the_article_and_its_first_heading_titles_it(tmp_path: Path) -> None:
    reading = read_article_text(tmp_path, "\ufeff引言。\r\n\r\n## 小节\r\n\r\n甲。\r\n\r\n# 标题\r\n\r\n乙。\r\n")
    assert [(entry.id, entry.question, entry.answer) for entry in reading.entries] == [
        ("returns#1", "标题", "引言。"),
        ("returns#2", "标题 > 小节", "甲。"),
        ("returns#3", "标题", "乙。"),
    ]


def test_an_article_without_a_heading_is_titled_by_its_id(tmp_path: Path) -> None:
    [entry] = read_article_text(tmp_path, "---\n\n只有一段。").entries
    assert (entry.id, entry.question, entry.answer) == ("returns#1", "returns", "只有一段。")


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    assert read_article_text(tmp_path, RETURNS) == read_sources([tmp_path])


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        pytest.param("---\nid: a\n", 1, "the front matter has no closing `---`", id="never closed"),
        pytest.param("---\nid: a\n- b\n---\nx", 3, "the front matter takes lines of `key: value`", id="a list"),
        pytest.param("---\nvalid_until: soon\n---\nx", 4, "valid_until 'soon' is neither", id="bad date"),
        pytest.param("# 标题\n", 0, "the article has no text", id="no text"),
        pytest.param("", 0, "the article has no text", id="empty"),
        pytest.param("# 甲\n文。\n## 乙\n", 3, "the section '甲 > 乙' has no text", id="empty section"),
        pytest.param(b"a\nb\n\xff\n", 3, "invalid UTF-8; the article is skipped", id="bad byte"),
        pytest.param(b"\xef\xbb\xbfa\n\xff\n", 2, "invalid UTF-8; the article is skipped", id="bad byte after mark"),
        pytest.param(b"\xff\xfea\0", 1, "the file is UTF-16", id="UTF-16"),
        pytest.param(b"x" * (4 << 20) + b"y", 0, "the article is larger than 4,194,304 bytes", id="huge"),
    ],
)
def test_a_fault_is_reported_with_its_line(tmp_path: Path, text: str | bytes, line: int, reason: str) -> None:
    [problem] = read_article_text(tmp_path, text).problems
    assert problem.line == line
    assert reason in problem.reason


def test_a_second_article_with_the_same_id_is_skipped_as_a_whole(tmp_path: Path) -> None:
    read_article_text(tmp_path, "# 甲\n\n一。", "a/returns.md")
    reading = read_article_text(tmp_path, "# 乙\n\n二。\n\n## 丙\n\n三。", "b/returns.md")
    assert [entry.answer for entry in reading.entries] == ["一。"]
    [problem] = reading.problems
    assert problem.reason == (
        f"id 'returns#1' is already used at {tmp_path / 'a/returns.md'}:3; the article is skipped from here on"
    )
