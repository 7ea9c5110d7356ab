"""The product as the quality benchmark asks it: a real snapshot with shipped defaults, asked in batches.

It knows no peer and no metric: it gives rankings, decisions and times.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks._quality_metrics import Asked, Found
from benchmarks._sets import EVALUATION, SHOP, Read
from qa_service.answering.ask import Ask, Outcome
from qa_service.answering.no_cache import NoCache
from qa_service.cli.group import at_once
from qa_service.domain.answer import Decision
from qa_service.domain.entry import Entry
from qa_service.domain.hit import Hit, Ranking
from qa_service.domain.question import Question
from qa_service.knowledge.build import Recipe, build
from qa_service.knowledge.evaluate import BATCH, LabelledQuestion
from qa_service.knowledge.read import read_sources
from qa_service.knowledge.report import Reading
from qa_service.knowledge.versions import Versions
from qa_service.main import make_ask
from qa_service.retrieval.encoder import Encoder
from qa_service.retrieval.entries import EntryTable
from qa_service.retrieval.snapshot import FAQ, Snapshot, open_snapshot

KEYWORD, VECTOR, FUSED, RERANKED = "keyword", "vector", "fused", "reranked"
LEGS = (KEYWORD, VECTOR, FUSED, RERANKED)
_ASKED_ALONE = 50  # questions timed one at a time
_KB = "quality"
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class TrapQuestion(msgspec.Struct, kw_only=True, frozen=True):
    """A question with the entry that answers it and the sibling that looks like it."""

    query: str
    faq_id: str
    sibling: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Milliseconds a question, medians."""

    in_batches_ms: float
    alone_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A snapshot and the folder it lies in."""

    snapshot: Snapshot
    folder: Path


class _HidingEntries(EntryTable):
    """Entries of which those named have expired, so that they cannot be found: as if the base did not have them."""

    hidden: frozenset[str] = frozenset()

    def __getitem__(self, position: int) -> Entry:
        entry = super().__getitem__(position)
        return replace(entry, valid_until=_LONG_AGO) if entry.id in self.hidden else entry


def build_base(read: Read, sources: Sequence[Path], scratch: Path, encoder: Encoder) -> Base:
    """Build what was read as a user's base would be built, with shipped defaults, and open it."""
    versions = Versions(scratch, _KB)
    reading = Reading(entries=(*read.entries, *read.passages), problems=())
    built = build(reading, sources, versions, Recipe(encoder=encoder))
    folder = versions.path(built.version)
    return Base(snapshot=open_snapshot(folder, encoder), folder=folder)


def rank_timed(snapshot: Snapshot, questions: Sequence[LabelledQuestion]) -> tuple[list[Ranking], Times]:
    """Rank all questions in batches, then some of them alone."""
    texts = [question.query for question in questions]
    rankings, batches_ms, alone_ms = [], [], []
    for start in range(0, len(texts), BATCH):
        block = texts[start : start + BATCH]
        begun_s = time.perf_counter()
        rankings += snapshot.rank_faq(block)
        batches_ms.append((time.perf_counter() - begun_s) * 1000 / len(block))
    for text in texts[:_ASKED_ALONE]:
        begun_s = time.perf_counter()
        snapshot.rank_faq([text])
        alone_ms.append((time.perf_counter() - begun_s) * 1000)
    return rankings, Times(in_batches_ms=statistics.median(batches_ms), alone_ms=statistics.median(alone_ms))


def orderings(question: LabelledQuestion, ranking: Ranking) -> dict[str, Asked]:
    """Give the candidates as each leg, their fusion and the reranker order them; the last is scored by probability."""
    hits = ranking.hits
    by_score = {
        KEYWORD: _ordered([(hit, hit.keyword) for hit in hits if hit.keyword > 0]),
        VECTOR: _ordered([(hit, hit.vector) for hit in hits if hit.vector > 0]),
        FUSED: _ordered([(hit, hit.fused) for hit in hits]),
        RERANKED: tuple(Found(entry_id=hit.entry_id, score=hit.probability) for hit in hits),
    }
    maybe = frozenset(question.maybe_ids)
    asked = {leg: Asked(right=question.right, maybe=maybe, found=found) for leg, found in by_score.items()}
    return asked | {RERANKED: replace(asked[RERANKED], scope=ranking.in_scope)}


def _ordered(scored: Sequence[tuple[Hit, float]]) -> tuple[Found, ...]:
    best_first = sorted(scored, key=lambda one: -one[1])
    return tuple(Found(entry_id=hit.entry_id, score=score) for hit, score in best_first)


def near_misses(base: Base, questions: Sequence[LabelledQuestion]) -> list[Asked]:
    """Ask each question with its right entries, and those that may be, taken away: now nothing is right."""
    entries = _HidingEntries(base.folder / FAQ)
    snapshot = replace(base.snapshot, faq=replace(base.snapshot.faq, entries=entries))
    asked = []
    for question in questions:
        entries.hidden = question.right | frozenset(question.maybe_ids)
        [ranking] = snapshot.rank_faq([question.query])
        asked.append(replace(orderings(question, ranking)[RERANKED], right=frozenset(), maybe=frozenset()))
    return asked


def decisions(snapshot: Snapshot, questions: Sequence[LabelledQuestion]) -> list[Outcome]:
    """Answer all questions with the shipped thresholds, through the real way of answering."""
    ask = make_ask(snapshot, NoCache(), at_once)
    return asyncio.run(_answered(ask, [question.query for question in questions]))


async def _answered(ask: Ask, texts: Sequence[str]) -> list[Outcome]:
    outcomes = []
    for start in range(0, len(texts), BATCH):
        outcomes += await ask([Question(text=text) for text in texts[start : start + BATCH]])
    return outcomes


def shipped(questions: Sequence[LabelledQuestion], outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    """Give what the shipped thresholds make of questions in and out of scope, as `qa-service eval` counts it."""
    pairs = list(zip(questions, outcomes, strict=True))
    answered = [(q, o) for q, o in pairs if o.decision is Decision.ANSWER]
    in_scope = [o for q, o in pairs if q.right]
    strangers = [o for q, o in pairs if not q.right]
    refused = [o for o in strangers if o.decision not in {Decision.ANSWER, Decision.GENERATE}]
    right = [q for q, o in answered if o.ranking.best and o.ranking.best.entry_id in q.right | set(q.maybe_ids)]
    return {
        "answer_precision": _share(len(right), len(answered)),
        "coverage": _share(sum(o.decision is Decision.ANSWER for o in in_scope), len(in_scope)),
        "clarified": _share(sum(o.decision is Decision.CLARIFY for o in in_scope), len(in_scope)),
        "refusal": _share(len(refused), len(strangers)),
    }


def trap_questions() -> list[TrapQuestion]:
    """Read the demo's trap pairs; there may be none yet."""
    lines = [
        line
        for path in sorted(EVALUATION.glob("traps.*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return [msgspec.json.decode(line, type=TrapQuestion) for line in lines if line.strip()]


def trap_figures(traps: Sequence[TrapQuestion], scratch: Path, encoder: Encoder) -> dict[str, dict[str, float]]:
    """Ask traps of the whole demo base; give shares by kind, and of all: right, sibling, another, clarified, not."""
    reading = read_sources([SHOP])
    read = Read(entries=reading.entries, passages=(), questions=(), strangers=())
    snapshot = build_base(read, [SHOP], scratch, encoder).snapshot
    ask = make_ask(snapshot, NoCache(), at_once)
    outcomes = asyncio.run(_answered(ask, [trap.query for trap in traps]))
    ends = [(trap.kind, _end(trap, outcome)) for trap, outcome in zip(traps, outcomes, strict=True)]
    figures = {}
    for kind in ("all", *sorted({kind for kind, _ in ends})):
        own = [end for one, end in ends if kind in {"all", one}]
        shares = {end: own.count(end) / len(own) for end in ("right", "sibling", "another", "clarified", "other")}
        figures[kind] = {"questions": len(own), **shares}
    return figures


def _end(trap: TrapQuestion, outcome: Outcome) -> str:
    if outcome.decision is Decision.CLARIFY:
        return "clarified"
    if outcome.decision is not Decision.ANSWER or outcome.ranking.best is None:
        return "other"  # nothing is known, or a passage is quoted
    return {trap.faq_id: "right", trap.sibling: "sibling"}.get(outcome.ranking.best.entry_id, "another")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
