from datetime import UTC, datetime
from typing import Any

import pytest

from qa_service.domain.entry import Entry
from qa_service.domain.errors import KnowledgeError
from qa_service.knowledge.rows import Row, entry_of


def entry(**fields: Any) -> Entry:
    return entry_of(Row(line=1, fields={"id": "ship-1", "question": "多久发货？", **fields}))


def test_a_row_needs_an_id_and_a_question_only() -> None:
    assert entry() == Entry(id="ship-1", question="多久发货？")


def test_unknown_keys_are_kept_as_metadata() -> None:
    assert entry(product="oss", size=3, split=None).metadata == {"product": "oss", "size": 3, "split": None}


def test_wordings_that_count_as_the_same_question_are_folded_in_silence() -> None:
    made = entry(similar=["多久发货", " 几天发货 ", "几天发货。", "", "ＡＢＣ", "abc"], not_for=["退货", "退货!"])
    assert made.wordings == ("多久发货？", "几天发货", "ＡＢＣ")
    assert made.not_for == ("退货",)


def test_an_empty_answer_counts_as_none() -> None:
    assert entry(answer=" \n").answer is None
    assert entry(answer=" 两天。\n").answer == "两天。"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"id": None}, "id must be a text, not null", id="null id"),
        pytest.param({"id": "  "}, "id is empty", id="empty id"),
        pytest.param({"id": 7}, "id must be a text, not a number", id="number as id"),
        pytest.param({"id": "a\x1bb"}, "id 'a\\x1bb' holds the control character U+001B", id="control in id"),
        pytest.param({"id": "a\u200bb"}, "id 'a\\u200bb' holds the control character U+200B", id="invisible in id"),
        pytest.param({"id": "x" * 201}, "id has 201 characters; at most 200 are taken", id="long id"),
        pytest.param({"question": "\u200b"}, "question is empty", id="invisible question"),
        pytest.param({"question": ["a"]}, "question must be a text, not a list", id="list as question"),
        pytest.param({"question": "问" * 2001}, "question has 2,001 characters; at most 2,000 are taken", id="long"),
        pytest.param({"answer": "答" * 20_001}, "answer has 20,001 characters; at most 20,000 are taken", id="answer"),
        pytest.param({"answer": {}}, "answer must be a text, not an object", id="object as answer"),
        pytest.param({"similar": "a|b"}, "similar must be a list of texts, not a text", id="text as list"),
        pytest.param({"similar": ["a", True]}, "similar[1] must be a text, not true or false", id="flag in list"),
        pytest.param({"not_for": ["多久发货"]}, "'多久发货' is among the entry's wordings and in not_for", id="both"),
        pytest.param({"locale": "zh_CN"}, "locale 'zh_CN' is no language tag such as zh-CN or en", id="locale"),
        pytest.param({"valid_from": "下周"}, "valid_from '下周' is neither YYYY-MM-DD nor an RFC 3339 time", id="date"),
        pytest.param({"valid_from": "20250101"}, "valid_from '20250101' is neither YYYY", id="date without dashes"),
        pytest.param({"valid_until": "2025-02-30"}, "valid_until '2025-02-30' is no date of the calendar", id="30 Feb"),
        pytest.param({"valid_until": "0001-01-01T00:00:00+09:00"}, "is no date of the calendar", id="before year 1"),
        pytest.param({"valid_until": 1}, "valid_until must be a text, not a number", id="number as date"),
        pytest.param(
            {"valid_from": "2025-02-02", "valid_until": "2025-02-01"}, "is not before valid_until", id="backwards"
        ),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_with_the_reason(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(KnowledgeError) as refusal:
        entry(**fields)
    assert reason in refusal.value.detail


@pytest.mark.parametrize("key", ["id", "question"])
def test_a_missing_key_is_named(key: str) -> None:
    fields = {"id": "a", "question": "b"}
    del fields[key]
    with pytest.raises(KnowledgeError, match=f"^{key} is missing$"):
        entry_of(Row(line=1, fields=fields))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2025-03-01T08:00:00+08:00", datetime(2025, 3, 1, tzinfo=UTC), id="with an offset"),
        pytest.param("2025-03-01t00:00:00z", datetime(2025, 3, 1, tzinfo=UTC), id="small letters"),
        pytest.param("2025-03-01 00:00", datetime(2025, 3, 1, tzinfo=UTC), id="naive is UTC"),
        pytest.param("2025-03-01", datetime(2025, 3, 1, tzinfo=UTC), id="a day"),
    ],
)
def test_dates_are_read_as_aware_times_in_utc(text: str, moment: datetime) -> None:
    assert entry(valid_from=text).valid_from == moment


def test_a_plain_day_counts_whole() -> None:
    made = entry(valid_from="2025-03-01", valid_until="2025-03-01")
    assert made.is_valid_at(datetime(2025, 3, 1, tzinfo=UTC))
    assert made.is_valid_at(datetime(2025, 3, 1, 23, 59, 59, tzinfo=UTC))
    assert not made.is_valid_at(datetime(2025, 3, 2, tzinfo=UTC))


def test_the_last_day_of_the_calendar_stands_for_without_end() -> None:
    assert entry(valid_until="9999-12-31").is_valid_at(datetime(9999, 12, 31, 12, tzinfo=UTC))
