"""What a caller tells of a conversation becomes what a session would remember of it."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from answering.small_base import open_small
from qa_service.answering.ask import Ask, Outcome
from qa_service.answering.decide import Policy
from qa_service.answering.no_cache import NoCache
from qa_service.answering.replay import remembered
from qa_service.domain.question import Question, Turn
from qa_service.generation.extractive import ExtractiveGenerator
from qa_service.retrieval.snapshot import Snapshot

ANSWERS = Policy(answer=0.0, clarify=0.0, passage=9.0)
ASKS_BACK = Policy(answer=9.0, clarify=0.0, passage=9.0)


async def door(work: Callable[[], Any]) -> Any:
    return work()


class Replay:
    """Replays conversations, and remembers what was asked on the way."""

    def __init__(self, snapshot: Snapshot, policy: Policy) -> None:
        generator = ExtractiveGenerator(terms=list, weight=lambda _term: 1.0)
        self._ask = Ask(knowledge=snapshot, generator=generator, cache=NoCache(), policy=policy, door=door)
        self.asked: list[Question] = []

    async def ask(self, questions: Sequence[Question]) -> Sequence[Outcome]:
        self.asked += questions
        return await self._ask(questions)

    async def of(self, *said: str | Turn) -> tuple[Turn, ...]:
        turns = [one if isinstance(one, Turn) else Turn(question=one) for one in said]
        [question] = await remembered(self.ask, [Question(text="那呢", history=tuple(turns))])
        return question.history


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return open_small(tmp_path_factory.mktemp("replay"))


async def test_a_turn_gets_the_topic_that_the_knowledge_base_has_for_it(snapshot: Snapshot) -> None:
    [turn] = await Replay(snapshot, ANSWERS).of("收到的东西不想要了")
    assert (turn.question, turn.entry_id, turn.topic) == ("收到的东西不想要了", "return", "怎么申请退货")


async def test_only_the_turns_that_may_be_leant_on_are_asked_again(snapshot: Snapshot) -> None:
    replay = Replay(snapshot, ANSWERS)
    turns = await replay.of("怎么开发票", "积分会过期吗", "怎么申请退货", "那多久到账呢")
    assert [one.text for one in replay.asked] == ["怎么申请退货", "那多久到账呢"]
    assert [turn.question for turn in replay.asked[1].history] == ["怎么申请退货"]
    assert turns[-1].entry_id == "refund-time"


async def test_a_chain_without_a_beginning_ends_soon(snapshot: Snapshot) -> None:
    replay = Replay(snapshot, ANSWERS)
    assert len(await replay.of(*["那多久呢"] * 10)) == len(replay.asked) == 3


async def test_choices_are_those_that_were_read_or_else_those_that_are_found(snapshot: Snapshot) -> None:
    [found] = await Replay(snapshot, ASKS_BACK).of("发票")
    assert len(found.choices) >= 2
    [told] = await Replay(snapshot, ASKS_BACK).of(Turn(question="发票", choices=("怎么开发票",)))
    assert told.choices == ("怎么开发票",)


async def test_what_waits_together_is_asked_again_together(snapshot: Snapshot) -> None:
    replay, batches = Replay(snapshot, ANSWERS), list[list[str]]()

    async def ask(questions: Sequence[Question]) -> Sequence[Outcome]:
        batches.append([question.text for question in questions])
        return await replay.ask(questions)

    said = (("怎么申请退货", "那多久到账呢"), ("怎么开发票",), ())
    histories = [tuple(Turn(question=one) for one in turns) for turns in said]
    told = [Question(text=f"那{number}呢", history=turns) for number, turns in enumerate(histories)]
    questions = await remembered(ask, told)
    assert batches == [["怎么申请退货", "怎么开发票"], ["那多久到账呢"]]
    assert [question.text for question in questions] == ["那0呢", "那1呢", "那2呢"]
    assert [[turn.entry_id for turn in one.history] for one in questions] == [
        ["return", "refund-time"], ["invoice"], []
    ]  # fmt: skip


async def test_nothing_said_is_nothing_asked(snapshot: Snapshot) -> None:
    replay = Replay(snapshot, ANSWERS)
    assert await replay.of() == ()
    assert replay.asked == []
