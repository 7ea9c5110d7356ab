"""The whole way from questions to answers, over a real snapshot, and a real Redis where answers are kept."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from answering.small_base import FAQ, PASSAGES, open_small
from qa_service.answering.ask import Ask, Outcome
from qa_service.answering.decide import Policy
from qa_service.answering.no_cache import NoCache
from qa_service.answering.ports import AnswerCache
from qa_service.answering.texts import TEXTS
from qa_service.domain.answer import Answer, Decision, ServedBy
from qa_service.domain.hit import Ranking
from qa_service.domain.question import Question, Turn
from qa_service.domain.stopwatch import Stopwatch
from qa_service.generation.extractive import ExtractiveGenerator
from qa_service.retrieval.snapshot import Snapshot
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.connection import open_redis
from qa_service.store.keys import Keys

# Thresholds that leave one thing to do, whatever the chances: what is tested is the way, not the calibration.
ALWAYS_ANSWER = Policy(answer=0.0, clarify=0.0, passage=9.0)
ALWAYS_CLARIFY = Policy(answer=9.0, clarify=0.0, passage=9.0)
ALWAYS_QUOTE = Policy(answer=9.0, clarify=9.0, passage=0.05)
NEVER = Policy(answer=9.0, clarify=9.0, passage=9.0)
KEYS = Keys(tenant="shop")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Snapshot):
    """A snapshot that remembers what was looked for in it."""

    ranked: list[list[str]] = field(default_factory=list)

    def rank_faq(self, texts: Sequence[str], watch: Stopwatch | None = None) -> list[Ranking]:
        self.ranked.append(list(texts))
        return Snapshot.rank_faq(self, texts, watch)


def watch(snapshot: Snapshot) -> Watched:
    return Watched(**{member.name: getattr(snapshot, member.name) for member in fields(Snapshot)})


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return open_small(tmp_path_factory.mktemp("ask"))


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = open_redis(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def cache(client: Redis) -> RedisAnswerCache:
    return RedisAnswerCache(client, KEYS)


async def door(work: Callable[[], Any]) -> Any:
    return work()


def ask_of(snapshot: Snapshot, policy: Policy, cache: AnswerCache | None = None) -> Ask:
    shelf = snapshot.passages
    return Ask(
        knowledge=snapshot,
        generator=ExtractiveGenerator(terms=shelf.tokeniser.tokens, weight=lambda _term: 1.0),
        cache=cache or NoCache(),
        policy=policy,
        door=door,
    )


def question(text: str, *, key: str = "") -> Question:
    name = KEYS.faq(0, KEYS.faq_name("zh-CN", "v", "g", key)) if key else ""
    return Question(text=text, normalised=text, cache_key=name)


async def one(ask: Ask, text: str, **more: str) -> Outcome:
    [outcome] = await ask([replace(question(text), **more)])  # type: ignore[arg-type]  # the fields that are texts
    return outcome


async def test_an_entry_answers_in_its_own_words_and_names_itself_and_its_index(snapshot: Snapshot) -> None:
    outcome = await one(ask_of(snapshot, ALWAYS_ANSWER), "怎么开发票")
    answer = outcome.answer
    assert (answer.text, answer.decision, answer.served_by) == (
        "在订单详情页申请电子发票。",
        Decision.ANSWER,
        ServedBy.FAQ,
    )
    assert [source.entry_id for source in answer.sources] == ["invoice"]
    assert answer.index_version == snapshot.version
    assert answer.elapsed_ms > 0
    assert "cache" in answer.timings_ms
    assert 0 <= sum(answer.timings_ms.values()) <= answer.elapsed_ms
    assert outcome.ranking.best is not None
    assert outcome.ranking.best.probability == answer.confidence


async def test_a_batch_is_answered_in_its_order(snapshot: Snapshot) -> None:
    texts = [entry.question for entry in FAQ if entry.answer]
    outcomes = await ask_of(snapshot, ALWAYS_ANSWER)([question(text) for text in texts])
    assert [outcome.asked for outcome in outcomes] == texts
    assert [outcome.answer.text for outcome in outcomes] == [entry.answer for entry in FAQ if entry.answer]


async def test_no_questions_get_no_outcomes(snapshot: Snapshot) -> None:
    assert await ask_of(snapshot, ALWAYS_ANSWER)([]) == []


async def test_an_answer_given_a_moment_ago_is_not_computed_again(snapshot: Snapshot, cache: RedisAnswerCache) -> None:
    watched = watch(snapshot)
    ask = ask_of(watched, ALWAYS_ANSWER, cache)
    [first] = await ask([question("怎么开发票", key="a")])
    [second] = await ask([question("怎么开发票", key="a")])
    assert watched.ranked == [["怎么开发票"]]
    assert (first.answer.served_by, second.answer.served_by) == (ServedBy.FAQ, ServedBy.CACHE)
    assert second.answer.text == first.answer.text
    assert second.decision is Decision.ANSWER


async def test_in_a_batch_only_what_was_not_kept_is_computed(snapshot: Snapshot, cache: RedisAnswerCache) -> None:
    watched = watch(snapshot)
    ask = ask_of(watched, ALWAYS_ANSWER, cache)
    await ask([question("怎么开发票", key="a")])
    texts = ["积分会过期吗", "怎么开发票", "地址填错了"]
    outcomes = await ask([question(text, key=key) for text, key in zip(texts, "bac", strict=True)])
    assert watched.ranked == [["怎么开发票"], ["积分会过期吗", "地址填错了"]]
    assert [outcome.answer.served_by for outcome in outcomes] == [ServedBy.FAQ, ServedBy.CACHE, ServedBy.FAQ]


async def test_identical_questions_in_one_batch_are_computed_once(snapshot: Snapshot) -> None:
    watched = watch(snapshot)
    ask = ask_of(watched, ALWAYS_ANSWER)
    outcomes = await ask([question(text) for text in ("怎么开发票", "积分会过期吗", "怎么开发票", "怎么开发票")])
    assert watched.ranked == [["怎么开发票", "积分会过期吗"]]
    assert len({outcome.answer.text for outcome in outcomes}) == 2


async def test_what_may_not_be_cached_is_neither_looked_up_nor_kept(
    snapshot: Snapshot, cache: RedisAnswerCache, client: Redis
) -> None:
    watched = watch(snapshot)
    ask = ask_of(watched, ALWAYS_ANSWER, cache)
    await client.config_resetstat()
    for _ in range(2):
        await ask([question("怎么开发票")])
    stats = await client.info("commandstats")
    assert watched.ranked == [["怎么开发票"]] * 2
    assert not {"cmdstat_mget", "cmdstat_get", "cmdstat_set"} & stats.keys()
    assert await client.dbsize() == 0


async def test_a_kept_answer_of_another_index_is_ignored_and_replaced(
    snapshot: Snapshot, cache: RedisAnswerCache
) -> None:
    asked = question("怎么开发票", key="a")
    old = Answer(text="旧的", decision=Decision.ANSWER, index_version="another")
    await cache.put(asked.cache_key, asked.normalised, old)
    ask = ask_of(snapshot, ALWAYS_ANSWER, cache)
    [outcome] = await ask([asked])
    assert (outcome.answer.text, outcome.answer.served_by) == ("在订单详情页申请电子发票。", ServedBy.FAQ)
    [kept] = await cache.get_many([(asked.cache_key, asked.normalised)])
    assert kept is not None
    assert kept.index_version == snapshot.version


async def test_an_entry_without_an_answer_never_answers_and_is_still_what_was_decided(snapshot: Snapshot) -> None:
    outcome = await one(ask_of(snapshot, ALWAYS_ANSWER), "企业采购对公转账的流程")
    assert outcome.decision is Decision.ANSWER
    assert outcome.ranking.best is not None
    assert outcome.ranking.best.entry_id == "silent"
    assert (outcome.answer.decision, outcome.answer.text) == (Decision.NONE, TEXTS["zh"].unknown)
    assert outcome.answer.sources == ()


@pytest.mark.parametrize("validity", [{"valid_until": NOW - DAY}, {"valid_from": NOW + DAY}])
@pytest.mark.parametrize("policy", [ALWAYS_ANSWER, ALWAYS_CLARIFY])
async def test_an_entry_outside_its_validity_neither_answers_nor_is_offered(
    tmp_path: Path, validity: dict[str, datetime], policy: Policy
) -> None:
    dated = replace(FAQ[2], **validity)  # type: ignore[arg-type]  # the fields that are dates
    opened = open_small(tmp_path, (*(entry for entry in FAQ if entry.id != dated.id), dated))
    now = replace(opened, faq=replace(opened.faq, clock=lambda: NOW))
    outcome = await one(ask_of(now, policy), dated.question)
    assert dated.id not in {source.entry_id for source in outcome.answer.sources}
    assert dated.id not in {choice.entry_id for choice in outcome.answer.choices}
    assert outcome.answer.text != dated.answer


async def test_a_passage_outside_its_validity_is_not_quoted(tmp_path: Path) -> None:
    over = replace(PASSAGES[1], valid_until=NOW - DAY)
    opened = open_small(tmp_path, (*FAQ, PASSAGES[0], over, PASSAGES[2]))
    before = replace(opened, passages=replace(opened.passages, clock=lambda: NOW - 2 * DAY))
    after = replace(opened, passages=replace(opened.passages, clock=lambda: NOW))
    asked = "跨境包裹的关税由谁代缴"
    quoted, silent = await one(ask_of(before, ALWAYS_QUOTE), asked), await one(ask_of(after, ALWAYS_QUOTE), asked)
    assert over.id in {source.entry_id for source in quoted.answer.sources}
    assert over.id not in {source.entry_id for source in silent.answer.sources}


async def test_an_answer_is_kept_no_longer_than_its_entry_is_valid(
    tmp_path: Path, cache: RedisAnswerCache, client: Redis
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=20)
    opened = open_small(tmp_path, (replace(FAQ[2], valid_until=soon), *FAQ[3:]))
    asked = question(FAQ[2].question, key="a")
    [outcome] = await ask_of(opened, ALWAYS_ANSWER, cache)([asked])
    assert outcome.answer.text == FAQ[2].answer
    assert 0 < await client.pttl(asked.cache_key) <= 20_000


async def test_a_question_back_offers_up_to_three_entries(snapshot: Snapshot) -> None:
    outcome = await one(ask_of(snapshot, ALWAYS_CLARIFY), "发票")
    answer = outcome.answer
    assert (answer.decision, answer.text) == (Decision.CLARIFY, TEXTS["zh"].clarify)
    assert 1 <= len(answer.choices) <= 3
    assert answer.choices[0].entry_id in {"invoice", "invoice-title"}
    assert answer.sources == ()


async def test_a_picked_choice_and_a_follow_up_are_searched_for_as_what_they_mean(snapshot: Snapshot) -> None:
    watched = watch(snapshot)
    ask = ask_of(watched, ALWAYS_ANSWER)
    choices = Turn(question="发票", choices=("怎么开发票", "发票抬头写错了怎么改"))
    outcomes = await ask(
        [
            replace(question("第二个"), history=(choices,)),
            replace(question("那多久到账呢"), history=(Turn(question="怎么申请退款"),)),
        ]
    )
    assert watched.ranked == [["发票抬头写错了怎么改", "多久到账 申请退款"]]
    assert outcomes[0].answer.sources[0].entry_id == "invoice-title"
    assert outcomes[1].answer.sources[0].entry_id == "refund-time"


async def test_a_text_made_from_passages_cites_them(snapshot: Snapshot) -> None:
    outcome = await one(ask_of(snapshot, ALWAYS_QUOTE), "退货以后关税在几天内退还")
    answer = outcome.answer
    assert (outcome.decision, answer.decision, answer.served_by) == (
        Decision.GENERATE,
        Decision.GENERATE,
        ServedBy.EXTRACT,
    )
    assert answer.sources[0].entry_id == "customs#1"
    assert answer.sources[0].kind == "passage"
    assert "退货以后关税在三十天内退还。" in answer.text
    assert {f"[{number}]" for number in range(1, len(answer.sources) + 1)} == {
        line[-3:] for line in answer.text.split("\n") if line.endswith("]")
    }


async def test_passages_are_quoted_before_a_question_is_asked_back(snapshot: Snapshot) -> None:
    policy = replace(ALWAYS_CLARIFY, passage=0.05)
    assert (await one(ask_of(snapshot, policy), "退货以后关税在几天内退还")).decision is Decision.GENERATE


async def test_what_passages_hardly_cover_is_not_quoted(snapshot: Snapshot) -> None:
    outcome = await one(ask_of(snapshot, NEVER), "退货以后关税在几天内退还")
    assert (outcome.decision, outcome.answer.text) == (Decision.NONE, TEXTS["zh"].unknown)


async def test_what_says_nothing_at_all_gets_an_apology_in_the_language_of_the_locale(snapshot: Snapshot) -> None:
    outcome = await one(ask_of(snapshot, ALWAYS_ANSWER), "？！", locale="en-GB")
    assert (outcome.decision, outcome.answer.text) == (Decision.NONE, TEXTS["en"].unknown)
    assert outcome.answer.confidence == 0.0
    assert outcome.ranking == Ranking()


@pytest.mark.parametrize(("text", "language"), [("转人工", "zh"), ("talk to a human", "en")])
async def test_who_asks_for_a_person_is_handed_off_whatever_was_found(
    snapshot: Snapshot, text: str, language: str
) -> None:
    outcome = await one(ask_of(snapshot, ALWAYS_ANSWER), text)
    words = TEXTS["zh"] if language == "zh" else TEXTS["en"]
    assert (outcome.decision, outcome.answer.decision) == (Decision.HANDOFF, Decision.HANDOFF)
    assert outcome.answer.text == words.hand_off
    assert outcome.answer.sources == ()
