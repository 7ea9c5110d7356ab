"""The words of each kind of answer, and what they rest on."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from answering.small_base import FAQ, PASSAGES
from qa_service.answering.compose import clarification, fact, hand_off, quotation, unknown
from qa_service.answering.texts import TEXTS
from qa_service.domain.answer import Choice, Decision, ServedBy, Source
from qa_service.domain.hit import Hit
from qa_service.domain.passage import Draft

HIT = Hit(entry=0, entry_id="a", wording="w", keyword=0.5, vector=0.5, fused=0.5, probability=0.75)
NOON, EVENING = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 18, tzinfo=UTC)


def test_a_fact_is_the_entrys_answer_word_for_word_and_names_the_entry() -> None:
    answer = fact(replace(FAQ[0], valid_until=NOON), HIT)
    assert (answer.text, answer.decision, answer.served_by) == (FAQ[0].answer, Decision.ANSWER, ServedBy.FAQ)
    assert answer.confidence == HIT.probability
    source = Source(entry_id="return", kind="faq", title=FAQ[0].question, excerpt=FAQ[0].answer or "")
    assert answer.sources == (source,)
    assert answer.valid_until_ms == NOON.timestamp() * 1000


def test_a_long_answer_is_excerpted_as_a_source() -> None:
    [source] = fact(replace(FAQ[0], answer="长" * 500), HIT).sources
    assert (len(source.excerpt), source.excerpt[-1]) == (120, "…")


def test_a_question_back_offers_the_entries_own_questions() -> None:
    answer = clarification("发票", "zh-CN", FAQ[2:4], (HIT, HIT))
    assert answer.text == TEXTS["zh"].clarify
    assert answer.choices == tuple(Choice(entry_id=entry.id, question=entry.question) for entry in FAQ[2:4])
    assert answer.sources == ()
    assert answer.valid_until_ms is None


def test_a_quotation_names_its_sources_in_the_order_of_their_numbers_and_ends_with_the_soonest() -> None:
    passages = [replace(PASSAGES[0], valid_until=EVENING), replace(PASSAGES[1], valid_until=NOON), PASSAGES[2]]
    draft = Draft(text="甲。 [1]\n乙。 [2]", cited=("customs#1", "furniture#1"), coverage=1.5)
    answer = quotation(draft, passages, 0.7)
    assert [source.entry_id for source in answer.sources] == ["customs#1", "furniture#1"]
    assert (answer.decision, answer.served_by) == (Decision.GENERATE, ServedBy.EXTRACT)
    assert answer.confidence == 0.7
    assert answer.valid_until_ms == NOON.timestamp() * 1000


@pytest.mark.parametrize(
    ("text", "locale", "language"),
    [
        ("天气怎么样", "en-GB", "zh"),
        ("what about the weather", "zh-CN", "en"),
        ("???", "en-US", "en"),
        ("???", "zh-CN", "zh"),
        ("7", "", "zh"),
        ("我的 Apple Pencil", "en", "zh"),
    ],
)
def test_the_reply_is_in_the_language_of_the_question_and_else_of_the_locale(
    text: str, locale: str, language: str
) -> None:
    words = TEXTS["zh"] if language == "zh" else TEXTS["en"]
    assert unknown(text, locale, None).text == words.unknown
    assert hand_off(text, locale).text == words.hand_off
    assert clarification(text, locale, FAQ[:1], (HIT,)).text == words.clarify


def test_not_knowing_is_as_sure_of_itself_as_its_best_candidate() -> None:
    assert unknown("天气", "zh-CN", HIT).confidence == HIT.probability
    assert unknown("天气", "zh-CN", None).confidence == 0.0
    assert unknown("天气", "zh-CN", None).decision is Decision.NONE
    assert hand_off("转人工", "zh-CN").decision is Decision.HANDOFF
