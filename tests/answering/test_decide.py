"""From chances to a decision, and who asks for a person."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.answering.decide import MAX_CHOICES, Policy, asks_for_human, decide
from qa_service.domain.answer import Decision
from qa_service.domain.hit import Hit, Ranking

POLICY = Policy(answer=0.6, clarify=0.3, passage=0.5)
HIT = Hit(entry=0, entry_id="a", wording="w", keyword=0.5, vector=0.5, fused=0.5)


def ranking(*scored: tuple[float, float], in_scope: float = 0.5) -> Ranking:
    """Hits from (reranked, probability), best first."""
    hits = (
        replace(HIT, entry=place, entry_id=f"e{place}", reranked=reranked, probability=probability)
        for place, (reranked, probability) in enumerate(scored)
    )
    return Ranking(hits=tuple(hits), in_scope=in_scope)


@pytest.mark.parametrize(
    ("probability", "in_scope", "decision"),
    [
        (1.0, 1.0, Decision.ANSWER),
        (0.6, 0.0, Decision.ANSWER),
        (0.59, 0.3, Decision.CLARIFY),
        (0.0, 0.9, Decision.CLARIFY),
        (0.59, 0.29, Decision.NONE),
        (0.0, 0.0, Decision.NONE),
    ],
)
def test_who_is_sure_of_an_entry_answers_and_who_is_sure_only_that_there_is_one_asks_back(
    probability: float, in_scope: float, decision: Decision
) -> None:
    verdict = decide(ranking((0.9, probability), (0.8, 0.2), in_scope=in_scope), POLICY)
    assert verdict.decision is decision
    assert verdict.reason


def test_an_answer_rests_on_the_best_entry_alone() -> None:
    assert [hit.entry_id for hit in decide(ranking((0.9, 0.9), (0.89, 0.3)), POLICY).hits] == ["e0"]


@pytest.mark.parametrize(
    ("best", "rival", "decision"),
    [
        pytest.param(0.9, 0.75, Decision.CLARIFY, id="both likely, close"),
        pytest.param(0.75, 0.6, Decision.CLARIFY, id="the rival just reaches the threshold"),
        pytest.param(0.95, 0.6, Decision.ANSWER, id="both likely, far apart"),
        pytest.param(0.7, 0.59, Decision.ANSWER, id="close, but the rival could not answer"),
        pytest.param(0.65, 0.65, Decision.CLARIFY, id="equally likely"),
    ],
)
def test_two_entries_that_are_likely_and_close_are_asked_back(best: float, rival: float, decision: Decision) -> None:
    verdict = decide(ranking((0.9, best), (0.85, rival), (0.1, 0.01)), POLICY)
    assert verdict.decision is decision
    asked_back = decision is Decision.CLARIFY
    assert [hit.entry_id for hit in verdict.hits] == (["e0", "e1"] if asked_back else ["e0"])
    assert verdict.reason.startswith("two entries are likely") is asked_back


def test_a_single_candidate_is_no_rival_of_its_own() -> None:
    assert decide(ranking((0.9, 0.9)), POLICY).decision is Decision.ANSWER


def test_nothing_found_is_nothing_decided() -> None:
    verdict = decide(Ranking(), POLICY)
    assert (verdict.decision, verdict.hits) == (Decision.NONE, ())


@given(scores=st.lists(st.floats(0.01, 2), min_size=1, max_size=8))
def test_a_question_back_offers_the_best_and_at_most_two_that_come_close(scores: list[float]) -> None:
    best_first = sorted(scores, reverse=True)
    verdict = decide(ranking(*((score, 0.4) for score in best_first)), POLICY)
    assert verdict.decision is Decision.CLARIFY
    offered = [hit.entry_id for hit in verdict.hits]
    assert offered == [f"e{place}" for place in range(len(offered))]
    assert 1 <= len(offered) <= MAX_CHOICES


def test_what_comes_nowhere_near_the_best_is_not_offered() -> None:
    offered = decide(ranking((1.0, 0.4), (0.95, 0.35), (0.1, 0.01)), POLICY).hits
    assert [hit.entry_id for hit in offered] == ["e0", "e1"]


@pytest.mark.parametrize(
    "text",
    [
        "转人工",
        "转人工！",
        "人工",
        "人工客服",
        "人工服务",
        "我要转人工",
        "请帮我转人工客服",
        "能不能转人工吗",
        "找真人",
        "接人工吧",
        "我想找人工客服",
        "换个人工",
        "转一下人工",
        "agent",
        "Agent please",
        "talk to a human",
        "I want to speak to a representative",
        "Can I chat with a real person?",
        "please talk to an agent",
        "human",
    ],
)
def test_who_asks_for_a_person_and_nothing_else_is_heard(text: str) -> None:
    assert asks_for_human(text)


@pytest.mark.parametrize(
    "text",
    [
        "人工客服几点上班",
        "人工智能是什么",
        "转人工要收费吗",
        "人工费怎么算",
        "找不到人工入口",
        "不要转人工",
        "我不要人工",
        "转账给别人",
        "怎么退货",
        "agent commission",
        "what does an agent do",
        "real estate agent",
        "does your agent work on sundays",
        "is a human checking my order",
        "",
    ],
)
def test_who_asks_about_persons_gets_an_answer_instead(text: str) -> None:
    assert not asks_for_human(text)
