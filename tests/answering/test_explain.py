"""An explanation never differs from the answer: it is the same way, and its numbers are those that were decided on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from answering.small_base import encoder
from qa_service.answering.ask import Ask
from qa_service.answering.no_cache import NoCache
from qa_service.domain.answer import Answer, Decision
from qa_service.domain.question import Question, Turn
from qa_service.knowledge.versions import Versions
from qa_service.main import make_ask
from qa_service.retrieval.entries import row_texts
from qa_service.retrieval.shelf import RERANKED, Shelf
from qa_service.retrieval.snapshot import Snapshot, open_snapshot

DATA = Path(__file__).parents[2] / "data"
EVALUATION = [
    json.loads(line)["query"]
    for path in sorted(DATA.glob("evaluation/*.jsonl"))
    for line in path.read_text(encoding="utf-8").splitlines()
]
# Of each kind, evenly spread, and what has no candidates or goes to a person.
QUESTIONS = [*EVALUATION[::15], *EVALUATION[:6], "？！", "转人工", "talk to a human", "asdfghjkl", "7" * 500]
STAGES = {"cache", "encode", "vectors", "keyword", "fuse", "rerank"}


@pytest.fixture(scope="module")
def snapshot(demo_index: Path) -> Snapshot:
    versions = Versions(demo_index, "shop")
    return open_snapshot(versions.path(versions.active() or ""), encoder())


async def door(work: Callable[[], Any]) -> Any:
    return work()


@pytest.fixture
def ask(snapshot: Snapshot) -> Ask:
    return make_ask(snapshot, NoCache(), door)


def untimed(answer: Answer) -> Answer:
    return replace(answer, elapsed_ms=0.0, timings_ms={})


def keyword_score(shelf: Shelf, text: str, entry: int, wording: str) -> float:
    """What ranking gives one wording of an entry: its BM25 score over the question's self-score."""
    tokens = shelf.tokeniser.tokens(text)
    row = int(shelf.entries.first_rows[entry]) + row_texts(shelf.entries[entry]).index(wording)
    rows = np.array([row], np.int32)
    score = float((shelf.keyword.score_rows(tokens, rows) * shelf.spelling_counts(text, rows))[0])
    return score / shelf.keyword.self_score(tokens)


def test_there_are_questions_enough() -> None:
    assert len(set(QUESTIONS)) >= 60


async def test_explaining_never_differs_from_answering(ask: Ask) -> None:
    decisions = set()
    for text in QUESTIONS:
        for locale in ("zh-CN", "en"):
            question = Question(text=text, locale=locale)
            [outcome] = await ask([question])
            explained = await ask.explain(question)
            assert untimed(explained.answer) == untimed(outcome.answer)
            assert (explained.asked, explained.reason) == (outcome.asked, outcome.reason)
            assert tuple(one.hit for one in explained.faq) == outcome.ranking.hits
            assert tuple(one.hit for one in explained.passages) == outcome.passages.hits
            decisions.add(outcome.decision)
    assert decisions == {Decision.ANSWER, Decision.CLARIFY, Decision.GENERATE, Decision.HANDOFF, Decision.NONE}


async def test_terms_add_up_to_the_wordings_keyword_score_and_signs_to_the_reranked_score(
    ask: Ask, snapshot: Snapshot
) -> None:
    hits = 0
    for text in QUESTIONS:
        explained = await ask.explain(Question(text=text))
        for shelf, found in ((snapshot.faq, explained.faq), (snapshot.passages, explained.passages)):
            best = shelf.keyword.self_score(shelf.tokeniser.tokens(explained.asked))
            for place, one in enumerate(found):
                share = sum(one.terms.values()) / best
                whole = keyword_score(shelf, explained.asked, one.hit.entry, one.hit.wording)
                assert share == pytest.approx(whole, abs=1e-5)
                assert share <= one.hit.keyword + 1e-5  # which is that of the entry's best wording by keywords
                assert set(one.terms) <= set(explained.tokens)
                if place < RERANKED:
                    assert sum(one.signs.values()) == pytest.approx(one.hit.reranked, abs=1e-5)
                hits += 1
    assert hits > 60 * RERANKED


async def test_the_reason_and_the_thresholds_are_those_that_were_decided_on(ask: Ask, snapshot: Snapshot) -> None:
    for text in QUESTIONS[:40]:
        explained = await ask.explain(Question(text=text))
        [ranking] = snapshot.rank_faq([explained.asked])
        thresholds, best = explained.thresholds, explained.faq[0].hit.probability
        assert thresholds == {
            name: getattr(snapshot.calibration.thresholds, name) for name in ("answer", "clarify", "passage")
        }
        assert explained.calibration == snapshot.calibration.name
        assert (best >= thresholds["answer"]) == (explained.answer.decision is Decision.ANSWER)
        if explained.answer.decision is Decision.CLARIFY:
            assert thresholds["clarify"] <= ranking.in_scope
        if explained.answer.decision is Decision.ANSWER:
            assert f"{best:.2f}" in explained.reason
        elif explained.answer.decision is not Decision.GENERATE:
            assert f"{ranking.in_scope:.2f}" in explained.reason


async def test_every_stage_has_its_time_and_together_they_are_no_longer_than_the_whole(ask: Ask) -> None:
    for text in QUESTIONS[:10]:
        answer = (await ask.explain(Question(text=text))).answer
        assert set(answer.timings_ms) >= STAGES
        assert all(elapsed_ms >= 0 for elapsed_ms in answer.timings_ms.values())
        assert sum(answer.timings_ms.values()) <= answer.elapsed_ms


async def test_a_follow_up_is_explained_as_what_it_means(ask: Ask) -> None:
    asked = Question(text="那多久到账呢", history=(Turn(question="怎么申请退款"),))
    explained = await ask.explain(asked)
    [outcome] = await ask([asked])
    assert explained.asked == outcome.asked == "多久到账 申请退款"
    assert untimed(explained.answer) == untimed(outcome.answer)
    assert "退款" in explained.tokens


class Remembering(NoCache):
    """A cache that says that it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    async def get_many(self, asked: Any) -> list[Answer | None]:
        self.calls += 1
        return await super().get_many(asked)

    async def put_many(self, kept: Any) -> None:
        self.calls += 1


async def test_explaining_neither_reads_nor_fills_the_cache(snapshot: Snapshot) -> None:
    cache = Remembering()
    ask = make_ask(snapshot, cache, door)
    asked = Question(text="怎么退货", normalised="怎么退货", cache_key="qa:{p0}:shop:faq:zh-CN:v:g:0")
    await ask.explain(asked)
    assert cache.calls == 0
    await ask([asked])
    assert cache.calls == 2
