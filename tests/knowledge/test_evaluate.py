"""Labelled questions are read strictly, asked in batches, and counted."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from answering.small_base import open_small

from qa_service.answering.ask import Outcome
from qa_service.answering.no_cache import NoCache
from qa_service.domain.answer import Answer, Decision
from qa_service.domain.errors import KnowledgeError
from qa_service.domain.hit import Hit, Ranking
from qa_service.domain.question import Question
from qa_service.knowledge.evaluate import (
    BATCH,
    LabelledQuestion,
    as_json,
    check_labels,
    evaluate,
    orderings,
    read_questions,
    table,
)
from qa_service.main import make_ask

ROWS = (
    {"query": "一", "faq_id": "a", "split": "dev"},
    {"query": "二", "faq_id": None, "split": "test"},
    {"query": "三", "faq_ids": ["b", "c"], "maybe_ids": ["d"], "context": ["零"], "split": "test", "other": 1},
)


def written(path: Path, text: str) -> Path:
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def jsonl(rows: Sequence[object]) -> str:
    return "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"


def outcome(asked: str, *ranked: str, decision: Decision = Decision.ANSWER) -> Outcome:
    """An outcome whose legs order the candidates as the reranker does."""
    hits = (
        Hit(entry=0, entry_id=entry_id, wording="", keyword=score, vector=score, fused=score, reranked=score)
        for place, entry_id in enumerate(ranked)
        for score in (1.0 - place / 100,)
    )
    answer = Answer(text="", decision=decision)
    return Outcome(answer=answer, asked=asked, reason="", decision=decision, ranking=Ranking(hits=tuple(hits)))


class Script:
    """Answers as it was told, and remembers the batches."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = {one.asked: one for one in outcomes}
        self.batches: list[list[Question]] = []

    async def __call__(self, questions: Sequence[Question]) -> list[Outcome]:
        self.batches.append(list(questions))
        return [self._outcomes[question.text] for question in questions]


@pytest.mark.parametrize("name", ["questions.jsonl", "questions.jsonl.gz"])
def test_questions_are_read_plain_and_packed(tmp_path: Path, name: str) -> None:
    one, two, three = read_questions(written(tmp_path / name, jsonl(ROWS)))
    assert [sorted(question.right) for question in (one, two, three)] == [["a"], [], ["b", "c"]]
    assert (three.maybe_ids, three.context) == (("d",), ("零",))


@pytest.mark.parametrize(
    ("split", "limit", "expected"),
    [("", 0, "一二三"), ("test", 0, "二三"), ("", 2, "一二"), ("test", 1, "二"), ("dev", 9, "一")],
)
def test_a_split_and_so_many_are_taken(tmp_path: Path, split: str, limit: int, expected: str) -> None:
    path = written(tmp_path / "q.jsonl", jsonl(ROWS))
    assert "".join(question.query for question in read_questions(path, split=split, limit=limit)) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (jsonl(ROWS) + "{}\n", r"q\.jsonl:6: no labelled question"),
        ('{"query": 1}\n', r"q\.jsonl:1"),
        ("no json\n", r"q\.jsonl:1"),
        ("", "holds no question"),
        ("\n\n", "holds no question"),
    ],
)
def test_a_row_that_is_no_question_is_named_by_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(KnowledgeError, match=complaint):
        read_questions(written(tmp_path / "q.jsonl", text))


def test_a_split_that_nobody_is_in_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="split 'none'"):
        read_questions(written(tmp_path / "q.jsonl", jsonl(ROWS)), split="none")


@pytest.mark.parametrize("damage", ["cut", "flipped", "plain", "latin", "missing"])
def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / ("q.jsonl" if damage == "latin" else "q.jsonl.gz")
    packed = gzip.compress(jsonl(ROWS).encode() * 50)
    contents = {
        "cut": packed[: len(packed) // 2],
        "flipped": packed[:20] + b"\xff\xff\xff\xff" + packed[24:],
        "plain": jsonl(ROWS).encode(),
        "latin": b'{"query": "caf\xe9"}',
    }
    if damage in contents:
        path.write_bytes(contents[damage])
    with pytest.raises(KnowledgeError, match="cannot be read"):
        read_questions(path)


def test_a_label_that_names_no_entry_is_refused_and_one_right_entry_is_enough() -> None:
    ids = frozenset({"a", "b"})
    check_labels([LabelledQuestion(query="q", faq_id="a"), LabelledQuestion(query="q", faq_ids=("x", "b"))], ids)
    check_labels([LabelledQuestion(query="out of scope")], ids)
    with pytest.raises(KnowledgeError, match="'怎么飞' is labelled 'fly'"):
        check_labels([LabelledQuestion(query="怎么飞", faq_id="fly")], ids)


async def test_questions_are_asked_in_batches_with_what_was_asked_before() -> None:
    labelled = [LabelledQuestion(query=str(n), faq_id="a", context=("零", "半")) for n in range(BATCH + 1)]
    script = Script(*(outcome(question.query, "a") for question in labelled))
    evaluation = await evaluate(labelled, script)
    assert [len(batch) for batch in script.batches] == [BATCH, 1]
    assert [turn.question for turn in script.batches[0][0].history] == ["零", "半"]
    assert evaluation.questions == BATCH + 1


async def test_recall_and_reciprocal_rank_follow_the_place_of_the_first_right_entry() -> None:
    others = [f"x{n}" for n in range(20)]
    places = {"first": 0, "third": 2, "tenth": 9, "eleventh": 10}
    outcomes = [outcome(name, *others[:place], "right", *others[place:]) for name, place in places.items()]
    evaluation = await evaluate([LabelledQuestion(query=name, faq_id="right") for name in places], Script(*outcomes))
    for figures in evaluation.strict.values():
        assert (figures.recall_at_1, figures.recall_at_5, figures.recall_at_10) == (0.25, 0.5, 0.75)
        assert figures.mrr_at_10 == pytest.approx((1 + 1 / 3 + 1 / 10) / 4)


async def test_what_may_be_right_is_left_out_for_the_lenient_figures_alone() -> None:
    labelled = [LabelledQuestion(query="q", faq_id="right", maybe_ids=("maybe", "right"))]
    evaluation = await evaluate(labelled, Script(outcome("q", "maybe", "right")))
    assert evaluation.strict["reranked"].recall_at_1 == 0.0
    assert evaluation.lenient["reranked"].recall_at_1 == 1.0


async def test_questions_out_of_scope_count_in_no_ordering() -> None:
    labelled = [LabelledQuestion(query="in", faq_id="a"), LabelledQuestion(query="out")]
    script = Script(outcome("in", "a"), outcome("out", "a", decision=Decision.NONE))
    evaluation = await evaluate(labelled, script)
    assert (evaluation.in_scope, evaluation.out_of_scope) == (1, 1)
    assert evaluation.strict["fused"].recall_at_1 == 1.0


async def test_without_questions_in_scope_or_out_of_it_there_is_no_figure_rather_than_a_zero() -> None:
    inside = await evaluate([LabelledQuestion(query="q", faq_id="a")], Script(outcome("q", "a")))
    outside = await evaluate([LabelledQuestion(query="q")], Script(outcome("q", decision=Decision.NONE)))
    assert inside.refusal is None
    assert (outside.coverage, outside.strict) == (None, {})
    assert "-" in table(outside)


def test_a_leg_orders_only_what_it_found() -> None:
    hits = (
        Hit(entry=0, entry_id="a", wording="", keyword=0.0, vector=0.9, fused=0.4, reranked=2.0),
        Hit(entry=1, entry_id="b", wording="", keyword=0.5, vector=0.1, fused=0.5, reranked=1.0),
    )
    answered = Outcome(
        answer=Answer(text="", decision=Decision.NONE),
        asked="q",
        reason="",
        decision=Decision.NONE,
        ranking=Ranking(hits=hits),
    )
    assert orderings(answered) == {"keyword": ["b"], "vector": ["a", "b"], "fused": ["b", "a"], "reranked": ["a", "b"]}


async def test_a_real_base_finds_its_own_wordings_and_its_figures_are_plain_json(tmp_path: Path) -> None:
    async def at_once(work: object) -> object:
        assert callable(work)
        return work()

    ask = make_ask(open_small(tmp_path), NoCache(), at_once)
    wordings = {"怎么开发票": "invoice", "积分会过期吗": "points", "对公付款": "silent"}  # "silent" has no answer text
    labelled = [LabelledQuestion(query=text, faq_id=entry_id) for text, entry_id in wordings.items()]
    evaluation = await evaluate(labelled, ask)
    assert evaluation.strict["reranked"].recall_at_1 == 1.0
    figures = json.loads(json.dumps(as_json(evaluation)))
    assert figures["questions"] == 3
    assert figures["strict"]["keyword"]["recall_at_10"] == 1.0
    assert figures["ms_per_question"] > 0
    assert len(table(evaluation).splitlines()) == 6
