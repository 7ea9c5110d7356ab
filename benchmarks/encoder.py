"""How well does the built-in encoder find the right entry, alone and beside BM25, and how long does a question take?

Run `python -m benchmarks.encoder --data FOLDER` with the folder of real questions; without it only the demo sets are
measured, and the result says so. Recall@1 over the whole base, best wording counts, no test splits. The fused figure
is a convex sum of BM25 (over the question's own score) and the cosine; its keyword weight is one for all sets.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks._sets import Set, demo_sets, read_set, real_sets
from qa_service.knowledge.evaluate import LabelledQuestion
from qa_service.retrieval.encoder import Encoder, open_encoder
from qa_service.retrieval.keyword import KeywordIndex
from qa_service.retrieval.keyword_build import build_keyword
from qa_service.retrieval.tokens import Tokeniser

QUESTION = "how often does the built-in encoder find the right entry, alone and beside BM25?"
RESULT = Path(__file__).parent / "results" / "encoder.json"
WEIGHTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

# Sets that ask for more than an encoder, or for the same with another base: quality.py measures them.
ELSEWHERE = {"en_banking77_held_out", "en_banking77_all", "en_clinc150_all"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One set, read: `keyword` float32 (questions, rows); `entry_of` gives each row's entry."""

    rows: list[str]
    entry_of: NDArray[np.int64]
    questions: list[LabelledQuestion]
    ids: list[str]
    keyword: NDArray[np.float32]


def read_case(one: Set, cap: int) -> Case:
    read = read_set(one, cap)
    rows = [wording for entry in read.entries for wording in entry.wordings]
    return Case(
        rows=rows,
        entry_of=np.repeat(np.arange(len(read.entries)), [len(entry.wordings) for entry in read.entries]),
        questions=list(read.questions),
        ids=[entry.id for entry in read.entries],
        keyword=keyword_scores(rows, [question.query for question in read.questions]),
    )


def keyword_scores(rows: Sequence[str], questions: Sequence[str]) -> NDArray[np.float32]:
    tokeniser = Tokeniser(None)
    every = np.arange(len(rows), dtype=np.int32)
    with tempfile.TemporaryDirectory() as folder:
        build_keyword([tokeniser.tokens(row) for row in rows], Path(folder))
        index = KeywordIndex.open(Path(folder))
        scores = np.zeros((len(questions), len(rows)), np.float32)
        for place, question in enumerate(questions):
            tokens = tokeniser.tokens(question)
            scores[place] = index.score_rows(tokens, every) / max(index.self_score(tokens), 1e-9)
    return scores


def recall(case: Case, scores: NDArray[np.float32]) -> float:
    """Give recall@1; entries that may be equally right are no candidates."""
    starts = np.flatnonzero(np.r_[True, np.diff(case.entry_of) > 0])
    of_entries = np.maximum.reduceat(scores, starts, axis=1)
    place = {entry_id: number for number, entry_id in enumerate(case.ids)}
    hits = 0
    for row, question in zip(of_entries, case.questions, strict=True):
        row[[place[entry_id] for entry_id in set(question.maybe_ids) - question.right if entry_id in place]] = -9
        hits += case.ids[int(row.argmax())] in question.right
    return hits / len(case.questions)


def measure(case: Case, encoder: Encoder) -> dict[str, float]:
    cosines = encoder.encode([question.query for question in case.questions]) @ encoder.encode(case.rows).T
    fused = {f"fused_{w}": recall(case, w * case.keyword + (1 - w) * cosines) for w in WEIGHTS}
    return {"bm25": recall(case, case.keyword), "vector": recall(case, cosines), **fused}


def time_one(encoder: Encoder, questions: Sequence[str]) -> dict[str, float]:
    """Give milliseconds for one short question, least and median, and short questions a second in batches."""
    times_ms = []
    for question in questions:
        begun_s = time.perf_counter()
        encoder.encode([question])
        times_ms.append((time.perf_counter() - begun_s) * 1000)
    best_s = np.inf
    for _ in range(5):
        begun_s = time.perf_counter()
        encoder.encode(questions)
        best_s = min(best_s, time.perf_counter() - begun_s)
    return {
        "one_ms_least": min(times_ms),
        "one_ms_median": float(np.median(times_ms)),
        "batched_a_second": len(questions) / best_s,
    }


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=None, help="the folder of real questions")
@click.option("--out", type=click.Path(path_type=Path), default=RESULT)
@click.option("--cap", default=600, show_default=True, help="questions of a set at most")
@click.option("--encoder", "names", multiple=True, default=("builtin",), help="builtin, a folder or a name")
def main(data: Path | None, out: Path, cap: int, names: tuple[str, ...]) -> None:
    """Measure, print and write."""
    present = data is not None and data.is_dir()
    if not present:
        print(f"the real questions are absent ({data}): only the demo sets are measured")
    encoders = [open_encoder(name) for name in names]
    figures: dict[str, dict[str, object]] = {}
    cases: dict[str, Case] = {}
    real = [one for one in real_sets(data) if one.name not in ELSEWHERE] if data is not None and present else []
    for one in [*demo_sets(), *real]:
        cases[one.name] = case = read_case(one, cap)
        found = {encoder.name: measure(case, encoder) for encoder in encoders}
        figures[one.name] = {"entries": len(case.ids), "questions": len(case.questions), **found}
        for name, figure in found.items():
            print(f"{one.name:24}{len(case.questions):4} {name[-20:]:20}", *(f"{k} {v:.3f}" for k, v in figure.items()))
    short = [question.query for question in cases["shop_zh"].questions if len(question.query) <= 20]
    times = {encoder.name: time_one(encoder, short) for encoder in encoders}
    print(json.dumps(times))
    result = {"real_questions": present, "cap": cap, "sets": figures, "times": times}
    out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
