"""How well a knowledge base is found and answered: labelled questions through the real `answering.ask`.

It builds in a scratch folder and asks in batches. It knows no server and no cache.
"""

import gzip
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from qa_service.answering.ask import Outcome
from qa_service.domain.answer import Decision
from qa_service.domain.errors import KnowledgeError
from qa_service.domain.hit import Hit
from qa_service.domain.question import Question, Turn
from qa_service.knowledge.progress import progress

BATCH = 64  # as a worker takes them
_LEGS: dict[str, Callable[[Hit], float]] = {
    "keyword": lambda hit: hit.keyword,
    "vector": lambda hit: hit.vector,
    "fused": lambda hit: hit.fused,
}
RERANKED = "reranked"
_CUTS = (1, 5, 10)


class LabelledQuestion(msgspec.Struct, kw_only=True, frozen=True):
    """A question and the entry that answers it: `faq_id` null means that none does (out of scope).

    `faq_ids` names further entries that are right; `maybe_ids` those that may be, and are left out of the candidates
    for the lenient figures. `context` holds earlier questions of the same session.
    """

    query: str
    faq_id: str | None = None
    faq_ids: tuple[str, ...] = ()
    maybe_ids: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    split: str = ""
    kind: str = ""

    @property
    def right(self) -> frozenset[str]:
        """The ids that answer it; empty when out of scope."""
        return frozenset(self.faq_ids) | ({self.faq_id} if self.faq_id else set())


@dataclass(frozen=True, slots=True, kw_only=True)
class LegFigures:
    """How often one ordering of the candidates has a right entry among its first 1, 5, 10 (0 to 1), and MRR@10."""

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    mrr_at_10: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All figures of one run; shares are 0 to 1, None where nothing was there to measure.

    `coverage`: in-scope questions that got an answer (a "did you mean" is none). `answer_precision`: answers, to
    questions in or out of scope, that are right. `refusal`: out-of-scope questions that got no answer.
    """

    questions: int
    in_scope: int
    out_of_scope: int
    strict: dict[str, LegFigures]
    lenient: dict[str, LegFigures]
    coverage: float | None
    answer_precision: float | None
    refusal: float | None
    ms_per_question: float


def read_questions(path: Path, *, split: str = "", limit: int = 0) -> list[LabelledQuestion]:
    """Read labelled questions (.jsonl or .jsonl.gz); only those of `split` if given, the first `limit` if not 0.

    Raises:
        KnowledgeError: the file cannot be read, a row is none, or nothing is left.
    """
    found: list[LabelledQuestion] = []
    for line, text in _lines(path):
        try:
            question = msgspec.json.decode(text, type=LabelledQuestion)
        except msgspec.MsgspecError as error:
            raise KnowledgeError(f"{path}:{line}: no labelled question: {error}") from None
        if not split or question.split == split:
            found.append(question)
    if not found:
        raise KnowledgeError(f"{path} holds no question" + (f" of the split {split!r}" if split else ""))
    return found[: limit or None]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for line, text in enumerate(file, 1):
                if text.strip():
                    yield line, text
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise KnowledgeError(f"{path} cannot be read: {error}") from error


def check_labels(questions: Sequence[LabelledQuestion], ids: frozenset[str]) -> None:
    """Refuse labels that name no entry: such a question could never be answered right.

    Raises:
        KnowledgeError: the first such label.
    """
    for question in questions:
        if question.right and not question.right & ids:
            raise KnowledgeError(f"{question.query!r} is labelled {question.faq_id!r}, which no entry is called")


async def evaluate(
    questions: Sequence[LabelledQuestion], ask: Callable[[Sequence[Question]], Awaitable[list[Outcome]]]
) -> Evaluation:
    """Ask all questions in batches and count."""
    started = time.perf_counter()
    outcomes: list[Outcome] = []
    blocks = [questions[i : i + BATCH] for i in range(0, len(questions), BATCH)]
    for block in progress(blocks, "questions"):
        outcomes += await ask([as_question(question) for question in block])
    elapsed_ms = (time.perf_counter() - started) * 1000
    pairs = list(zip(questions, outcomes, strict=True))
    in_scope = [(question, outcome) for question, outcome in pairs if question.right]
    answered = [(q, o) for q, o in pairs if o.decision is Decision.ANSWER]
    refused = sum(o.decision not in {Decision.ANSWER, Decision.GENERATE} for q, o in pairs if not q.right)
    return Evaluation(
        questions=len(pairs),
        in_scope=len(in_scope),
        out_of_scope=len(pairs) - len(in_scope),
        strict=_figures(in_scope, lenient=False),
        lenient=_figures(in_scope, lenient=True),
        coverage=_share(sum(o.decision is Decision.ANSWER for _, o in in_scope), len(in_scope)),
        answer_precision=_share(sum(_first_is_right(q, o) for q, o in answered), len(answered)),
        refusal=_share(refused, len(pairs) - len(in_scope)),
        ms_per_question=elapsed_ms / len(pairs),
    )


def orderings(outcome: Outcome) -> dict[str, list[str]]:
    """Give the candidates' entry ids, best first, as each leg, their fusion and the reranker order them."""
    hits = outcome.ranking.hits
    by_leg = {
        leg: [hit.entry_id for hit in sorted(hits, key=score, reverse=True) if score(hit) > 0]
        for leg, score in _LEGS.items()
    }
    return {**by_leg, RERANKED: [hit.entry_id for hit in hits]}


def as_question(question: LabelledQuestion) -> Question:
    """Give the question as a session would ask it, with its context as earlier turns."""
    return Question(text=question.query, history=tuple(Turn(question=text) for text in question.context))


def _first_is_right(question: LabelledQuestion, outcome: Outcome) -> bool:
    best = outcome.ranking.best
    return best is not None and best.entry_id in question.right


def _figures(pairs: Sequence[tuple[LabelledQuestion, Outcome]], *, lenient: bool) -> dict[str, LegFigures]:
    ranks: dict[str, list[int]] = {leg: [] for leg in (*_LEGS, RERANKED)}
    for question, outcome in pairs:
        left_out = set(question.maybe_ids) - question.right if lenient else set()
        for leg, ids in orderings(outcome).items():
            candidates = [entry_id for entry_id in ids if entry_id not in left_out]
            ranks[leg].append(next((i for i, one in enumerate(candidates, 1) if one in question.right), 0))
    return {leg: _leg_figures(found) for leg, found in ranks.items()} if pairs else {}


def _leg_figures(ranks: Sequence[int]) -> LegFigures:
    """Turn the ranks of the right entries (from 1; 0: not found) into figures."""
    recalls = [sum(1 <= rank <= cut for rank in ranks) / len(ranks) for cut in _CUTS]
    mrr = sum(1 / rank for rank in ranks if 1 <= rank <= _CUTS[-1]) / len(ranks)
    return LegFigures(recall_at_1=recalls[0], recall_at_5=recalls[1], recall_at_10=recalls[2], mrr_at_10=mrr)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def table(evaluation: Evaluation) -> str:
    """Draw the figures as a plain-text table."""
    rows = ["ordering   recall@1  recall@5  recall@10  MRR@10   (lenient recall@1)"]
    rows += [
        f"{leg:<10} {f.recall_at_1:8.3f}  {f.recall_at_5:8.3f}  {f.recall_at_10:9.3f}  {f.mrr_at_10:6.3f}   "
        f"{evaluation.lenient[leg].recall_at_1:18.3f}"
        for leg, f in evaluation.strict.items()
    ]
    rows.append(
        f"{evaluation.questions} questions ({evaluation.out_of_scope} out of scope), "
        f"{evaluation.ms_per_question:.2f} ms each: answer precision {_shown(evaluation.answer_precision)}, "
        f"coverage {_shown(evaluation.coverage)}, out-of-scope refusal {_shown(evaluation.refusal)}"
    )
    return "\n".join(rows)


def _shown(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"


def as_json(evaluation: Evaluation) -> Any:  # noqa: ANN401  # plain JSON values
    """Give the figures as plain values, rounded to six places."""
    return _rounded(msgspec.to_builtins(evaluation))


def _rounded(value: Any) -> Any:  # noqa: ANN401  # plain JSON values
    if isinstance(value, dict):
        return {name: _rounded(member) for name, member in value.items()}
    return round(value, 6) if isinstance(value, float) else value
