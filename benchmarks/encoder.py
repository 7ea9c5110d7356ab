"""How well does the built-in encoder find the right entry, alone and beside BM25, and how long does a question take?

Run `python -m benchmarks.encoder --data FOLDER` with the folder of real questions; without it only the demo sets are
measured, and the result says so. Recall@1 over the whole base, best wording counts, no test splits. The fused figure
is a convex sum of BM25 (over the question's own score) and the cosine; its keyword weight is one for all sets.
"""

import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from qa_service.domain.entry import Entry, EntryKind
from qa_service.knowledge.evaluate import LabelledQuestion, read_questions
from qa_service.knowledge.read import read_sources
from qa_service.retrieval.encoder import Encoder, open_encoder
from qa_service.retrieval.keyword import KeywordIndex
from qa_service.retrieval.keyword_build import build_keyword
from qa_service.retrieval.tokens import Tokeniser

ROOT = Path(__file__).parents[1]
QUESTION = "how often does the built-in encoder find the right entry, alone and beside BM25?"
RESULT = ROOT / "benchmarks" / "results" / "encoder.json"
WEIGHTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
TEN_WORDINGS = 10

Wanted = Callable[[LabelledQuestion], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """Labelled questions and the entries they ask for; `wordings` of an entry at most (0: all)."""

    name: str
    entries: Path
    questions: Path
    wanted: Wanted = lambda _: True
    locale: str = ""
    wordings: int = 0


def demo_sets() -> list[Set]:
    shop, questions = ROOT / "data" / "shop", ROOT / "data" / "evaluation"
    return [
        Set(name=f"shop_{locale}", entries=shop, questions=questions / f"questions.{locale}.jsonl", locale=locale)
        for locale in ("zh", "en")
    ]


def real_sets(data: Path) -> list[Set]:
    def of(name: str, folder: str = "open", label: str = "", wanted: Wanted = lambda _: True, wordings: int = 0) -> Set:
        at = data / folder
        entries, questions = at / f"{name}.faq.jsonl.gz", at / f"{name}.queries.jsonl.gz"
        return Set(name=label or name, entries=entries, questions=questions, wanted=wanted, wordings=wordings)

    return [
        of("zh_alicloud", label="zh_alicloud_variants", wanted=lambda one: one.kind == "zh-variant"),
        of("zh_alicloud", label="zh_alicloud_by_english", wanted=lambda one: one.kind == "en-parallel"),
        of("zh_medical"),
        of("zh_chitchat"),
        of("en_clinc150", wordings=TEN_WORDINGS),
        of("en_banking77", wordings=TEN_WORDINGS),
        of("en_hwu64", wordings=TEN_WORDINGS),
        of("en_covidfaq"),
        of("zh_ant_atec", "evaluate"),
        of("zh_covid", "evaluate"),
        of("zh_cic", "evaluate"),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One set, read: `keyword` float32 (questions, rows); `entry_of` gives each row's entry."""

    rows: list[str]
    entry_of: NDArray[np.int64]
    questions: list[LabelledQuestion]
    ids: list[str]
    keyword: NDArray[np.float32]


def read_case(one: Set, cap: int) -> Case:
    entries = [entry for entry in read_sources([one.entries]).entries if entry.kind is EntryKind.FAQ]
    if one.locale:
        entries = [entry for entry in entries if is_chinese(entry) == (one.locale == "zh")]
    found = [q for q in read_questions(one.questions) if q.right and not q.context and one.wanted(q)]
    # Test rows are kept aside; what has no dev rows is an evaluation set, of which all may be measured.
    dev = [q for q in found if q.split == "dev"] or [q for q in found if q.split != "test"]
    random.Random(1).shuffle(dev)
    wordings = [list(entry.wordings)[: one.wordings or None] for entry in entries]
    rows = [wording for each in wordings for wording in each]
    return Case(
        rows=rows,
        entry_of=np.repeat(np.arange(len(entries)), [len(each) for each in wordings]),
        questions=dev[:cap],
        ids=[entry.id for entry in entries],
        keyword=keyword_scores(rows, [question.query for question in dev[:cap]]),
    )


def is_chinese(entry: Entry) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in entry.question)


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
    for one in [*demo_sets(), *(real_sets(data) if data is not None and present else [])]:
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
