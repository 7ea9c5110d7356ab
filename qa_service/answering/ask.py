"""One question, one way through the house: cache, retrieve, fuse, rerank, decide, answer. It knows no server.

Questions come in batches, because the queue is the batcher: they are encoded, searched and ranked together.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from qa_service.answering.compose import clarification, fact, hand_off, quotation, unknown
from qa_service.answering.decide import Policy, Verdict, asks_for_human, decide
from qa_service.answering.follow_up import resolve
from qa_service.answering.ports import AnswerCache, Door, Generator, Knowledge
from qa_service.domain.answer import Answer, Decision
from qa_service.domain.entry import Entry
from qa_service.domain.explanation import Explanation
from qa_service.domain.hit import Ranking
from qa_service.domain.passage import Draft, Passage
from qa_service.domain.question import Question
from qa_service.domain.stopwatch import Stopwatch
from qa_service.domain.suggestion import Suggested, Typed

_PASSAGES_READ = 3  # by the generator, and only those that score nearly as high as the best
_CLOSE = 0.85
_NO_RANKING = Ranking()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An answer and how it came about. `asked` is the text that was searched for; a cached answer has no rankings."""

    answer: Answer
    asked: str
    reason: str
    decision: Decision  # what was decided, also where an entry without an answer text could not speak
    ranking: Ranking = _NO_RANKING
    passages: Ranking = _NO_RANKING


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the CPU work gave for one text: the FAQ's ranking and verdict, and a draft from passages where needed.

    `read` is the text as it was meant, where it seemed to hold a slip of spelling.
    """

    read: str
    ranking: Ranking
    verdict: Verdict
    passages: Ranking
    quote: "_Quote | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quote:
    """A draft, and the passages it was made from."""

    draft: Draft
    passages: tuple[Entry, ...]
    probability: float  # that the best passage holds the answer


class Ask:
    """Answers from one snapshot; a new snapshot gets a new Ask, so that no answer mixes two."""

    def __init__(
        self, *, knowledge: Knowledge, generator: Generator, cache: AnswerCache, policy: Policy, door: Door
    ) -> None:
        self.version = knowledge.version
        self._knowledge = knowledge
        self._generator = generator
        self._cache = cache
        self._policy = policy
        self._door = door

    async def __call__(self, questions: Sequence[Question]) -> list[Outcome]:
        """Answer a batch; the outcomes stand in its order."""
        started, watch = time.perf_counter(), Stopwatch()
        with watch("cache"):
            cached = await self._look_up(questions)
        asked = [resolve(question) for question in questions]
        missing = list(dict.fromkeys(text for text, hit in zip(asked, cached, strict=True) if hit is None))
        found = await self._door(lambda: self._find(missing, watch)) if missing else {}
        outcomes = [
            Outcome(answer=hit, asked=text, reason="asked a moment ago", decision=hit.decision)
            if hit
            else self._compose(question, found[text])
            for question, text, hit in zip(questions, asked, cached, strict=True)
        ]
        await self._keep(questions, outcomes, cached)
        elapsed_ms = (time.perf_counter() - started) * 1000.0
        return [replace(o, answer=replace(o.answer, elapsed_ms=elapsed_ms, timings_ms=watch.ms)) for o in outcomes]

    async def explain(self, question: Question) -> Explanation:
        """Answer one question the same way, past the cache, and tell every number that led to the answer."""
        [outcome] = await self([replace(question, cache_key="")])
        explained: Explanation = await self._door(lambda: self._explained(outcome))
        return explained

    def suggest(self, all_typed: Sequence[Typed]) -> list[Suggested]:
        """Give known questions for what each of several askers has typed; CPU work of a millisecond each."""
        found = {typed: self._suggested(typed) for typed in set(all_typed)}  # the same is looked up once
        return [found[typed] for typed in all_typed]

    def _suggested(self, typed: Typed) -> Suggested:
        suggestions = self._knowledge.suggest(typed.text, typed.limit, locale=typed.locale)
        return Suggested(suggestions=suggestions, index_version=self.version)

    async def _look_up(self, questions: Sequence[Question]) -> list[Answer | None]:
        keyed = [(place, q) for place, q in enumerate(questions) if q.cache_key]
        cached: list[Answer | None] = [None] * len(questions)
        if keyed:
            answers = await self._cache.get_many([(q.cache_key, q.normalised) for _, q in keyed])
            for (place, _), answer in zip(keyed, answers, strict=True):
                # another worker may already answer from another snapshot
                cached[place] = answer if answer and answer.index_version == self.version else None
        return cached

    def _find(self, texts: Sequence[str], watch: Stopwatch) -> dict[str, _Found]:
        """Do the CPU work for a batch: rank and decide; where the FAQ does not answer, read the passages."""
        rankings = dict(zip(texts, self._knowledge.rank_faq(texts, watch), strict=True))
        verdicts = {text: decide(ranking, self._policy) for text, ranking in rankings.items()}
        unanswered = [text for text in texts if verdicts[text].decision is not Decision.ANSWER]
        read = {text: ranking.read_as or text for text, ranking in rankings.items()}
        ranked = self._knowledge.rank_passages([read[text] for text in unanswered], watch)
        passages = dict(zip(unanswered, ranked, strict=True))
        with watch("generate"):
            quotes = {text: self._quote(read[text], ranking) for text, ranking in passages.items()}
        return {
            text: _Found(
                read=read[text],
                ranking=rankings[text],
                verdict=verdicts[text],
                passages=passages.get(text, _NO_RANKING),
                quote=quotes.get(text),
            )
            for text in texts
        }

    def _quote(self, text: str, ranking: Ranking) -> _Quote | None:
        best = ranking.best
        if best is None or best.probability < self._policy.passage:
            return None
        close = [hit for hit in ranking.hits[:_PASSAGES_READ] if hit.reranked >= _CLOSE * best.reranked]
        entries = tuple(self._knowledge.passage(hit.entry) for hit in close)
        passages = [Passage(entry_id=e.id, title=e.question, text=e.answer or "") for e in entries]
        draft = self._generator.generate(text, passages)
        return _Quote(draft=draft, passages=entries, probability=best.probability) if draft else None

    def _compose(self, question: Question, found: _Found) -> Outcome:
        """Choose the words: a person, an entry, cited sentences, a question back, or an apology."""
        verdict, decision = found.verdict, found.verdict.decision
        entries = [self._knowledge.faq_entry(hit.entry) for hit in verdict.hits]
        reason, best = verdict.reason, found.ranking.best
        if asks_for_human(question.text):
            decision, reason = Decision.HANDOFF, "the customer asks for a person"
            answer = hand_off(question.text, question.locale)
        elif decision is Decision.ANSWER and entries[0].answer:
            answer = fact(entries[0], verdict.hits[0])
        elif found.quote and (best is None or decision is Decision.NONE or found.quote.probability > best.probability):
            decision, reason = Decision.GENERATE, f"a passage answers with probability {found.quote.probability:.2f}"
            answer = quotation(found.quote.draft, found.quote.passages, found.quote.probability)
        elif decision is Decision.CLARIFY:
            answer = clarification(question.text, question.locale, entries, verdict.hits)
        else:
            answer = unknown(question.text, question.locale, found.ranking.best)
        return Outcome(
            answer=replace(answer, index_version=self.version),
            asked=found.read,
            reason=reason,
            decision=decision,
            ranking=found.ranking,
            passages=found.passages,
        )

    def _explained(self, outcome: Outcome) -> Explanation:
        knowledge, text = self._knowledge, outcome.asked
        return Explanation(
            answer=outcome.answer,
            asked=text,
            tokens=knowledge.tokens(text),
            reason=outcome.reason,
            thresholds={
                "answer": self._policy.answer,
                "clarify": self._policy.clarify,
                "passage": self._policy.passage,
            },
            calibration=knowledge.calibration_name,
            faq=knowledge.explain_faq(text, outcome.ranking),
            passages=knowledge.explain_passages(text, outcome.passages),
            in_scope=outcome.ranking.in_scope,
            quick=outcome.ranking.quick,
        )

    async def _keep(
        self, questions: Sequence[Question], outcomes: Sequence[Outcome], cached: Sequence[Answer | None]
    ) -> None:
        kept = {
            question.cache_key: (question.cache_key, question.normalised, outcome.answer)
            for question, outcome, hit in zip(questions, outcomes, cached, strict=True)
            if hit is None and question.cache_key and not outcome.answer.degraded
        }
        if kept:
            await self._cache.put_many(list(kept.values()))
