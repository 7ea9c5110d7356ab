"""One set, measured: the product and its peers over the same texts and questions, as figures for the result file."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks._quality_metrics import (
    Asked,
    Difference,
    Floats,
    Judged,
    RiskPoint,
    auroc,
    calibration_error,
    coverage_at,
    firsts,
    judge,
    paired_bootstrap,
    ranking_figures,
    risk_curve,
)
from benchmarks._quality_peers import BIGRAMS, PEERS, Encoders, Wording
from benchmarks._quality_product import (
    FUSED,
    KEYWORD,
    LEGS,
    RERANKED,
    VECTOR,
    build_base,
    decisions,
    near_misses,
    orderings,
    rank_timed,
    shipped,
)
from benchmarks._sets import Read, Set, read_set
from qa_service.knowledge.evaluate import LabelledQuestion
from qa_service.retrieval.encoder import Encoder

BETTER_LEG = "better leg"
Pairs = Mapping[str, tuple[Floats, Floats]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One set's figures, and what is needed of it across sets and in plots.

    `firsts` holds for each system 1 or 0 a question; `curves` what each of its thresholds would give.
    """

    one: Set
    figures: dict[str, Any]
    firsts: dict[str, Floats]
    curves: dict[str, list[RiskPoint]]

    @property
    def pairs(self) -> Pairs:
        """What is compared: the figures of the same questions under two systems, by the comparison's name."""
        return compared(self.firsts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _System:
    """What one system found for the questions in scope and for those that are not."""

    inside: list[Asked]
    outside: list[Asked]

    @property
    def judged(self) -> list[Judged]:
        return judge([*self.inside, *self.outside])


def measure(one: Set, cap: int, encoder: Encoder, peers: Sequence[str], encoders: Encoders, scratch: Path) -> Measured:
    """Read a set, build a base of it and ask everybody."""
    read = read_set(one, cap)
    product, systems = _measure_product(read, one, encoder, scratch)
    peer_figures, found = _measure_peers(read, peers, encoders)
    systems |= found
    of_systems = {name: firsts(system.inside) for name, system in systems.items()}
    figures = {
        "language": one.language,
        "measure_only": one.measure_only,
        "entries": len(read.entries),
        "wordings": sum(len(entry.wordings) for entry in read.entries),
        "questions": len(read.questions),
        "out_of_scope_questions": len(read.strangers),
        "product": product,
        "peers": peer_figures,
        "recall_at_1_differences": {
            name: as_figures(paired_bootstrap([pair])) for name, pair in compared(of_systems).items()
        },
    }
    curves = {name: risk_curve(system.judged) for name, system in systems.items() if name == RERANKED or name in PEERS}
    return Measured(one=one, figures=figures, firsts=of_systems, curves=curves)


def _measure_product(
    read: Read, one: Set, encoder: Encoder, scratch: Path
) -> tuple[dict[str, Any], dict[str, _System]]:
    base = build_base(read, [one.entries], scratch, encoder)
    questions = [*read.questions, *read.strangers]
    rankings, times = rank_timed(base.snapshot, questions)
    by_leg = [orderings(question, ranking) for question, ranking in zip(questions, rankings, strict=True)]
    inside = len(read.questions)
    systems = {
        leg: _System(inside=[one[leg] for one in by_leg[:inside]], outside=[one[leg] for one in by_leg[inside:]])
        for leg in LEGS
    }
    missed = near_misses(base, read.questions)
    figures: dict[str, Any] = {
        "strict": {leg: _rounded(ranking_figures(system.inside, strict=True)) for leg, system in systems.items()},
        "lenient": {leg: _rounded(ranking_figures(system.inside)) for leg, system in systems.items()},
        "abstaining": _rounded(_abstaining(systems[RERANKED], read.strangers, missed)),
        "shipped_thresholds": _rounded(shipped(questions, decisions(base.snapshot, questions))),
        "time_ms": _rounded(asdict(times)),
    }
    if not any(question.maybe_ids for question in read.questions):
        del figures["lenient"]  # it would say the same
    return figures, systems


def _abstaining(system: _System, strangers: Sequence[LabelledQuestion], missed: Sequence[Asked]) -> dict[str, Any]:
    sure, unsure, near = ([one.sureness for one in asked] for asked in (system.inside, system.outside, missed))
    kinds = [stranger.kind for stranger in strangers]
    by_kind = {
        kind: auroc(sure, [score for score, own in zip(unsure, kinds, strict=True) if own == kind])
        for kind in sorted(set(kinds))
    }
    with_near_misses = replace(system, outside=list(missed)).judged
    return {
        "out_of_scope_auroc": auroc(sure, unsure),
        "out_of_scope_auroc_by_kind": by_kind if len(by_kind) > 1 else {},
        "near_miss_auroc": auroc(sure, near),
        "coverage_at_95": coverage_at(system.judged),
        "coverage_at_95_with_near_misses": coverage_at(with_near_misses),
        "calibration_error": calibration_error(system.judged),
    }


def _measure_peers(read: Read, names: Sequence[str], encoders: Encoders) -> tuple[dict[str, Any], dict[str, _System]]:
    wordings = [Wording(text=text, entry_id=entry.id) for entry in read.entries for text in entry.wordings]
    figures: dict[str, Any] = {}
    systems: dict[str, _System] = {}
    for name in names:
        problem = PEERS[name].problem()
        if problem:
            figures[name] = {"problem": problem}
            continue
        begun_s = time.perf_counter()
        peer = PEERS[name].open(wordings, encoders)
        build_s = time.perf_counter() - begun_s
        asked, taken_ms = [], []
        for question in (*read.questions, *read.strangers):
            begun_s = time.perf_counter()
            found = peer.rank(question.query)
            taken_ms.append((time.perf_counter() - begun_s) * 1000)
            asked.append(Asked(right=question.right, maybe=frozenset(question.maybe_ids), found=found))
        systems[name] = _System(inside=asked[: len(read.questions)], outside=asked[len(read.questions) :])
        own = {**_peer_figures(systems[name]), "time_ms": statistics.median(taken_ms), "build_s": build_s}
        figures[name] = _rounded(own)
    encoders.forget()
    return figures, systems


def _peer_figures(system: _System) -> dict[str, Any]:
    ranked = ranking_figures(system.inside)
    sure, unsure = ([one.sureness for one in asked] for asked in (system.inside, system.outside))
    return {
        "recall_at_1": ranked["recall_at_1"],
        "mrr_at_10": ranked["mrr_at_10"],
        "out_of_scope_auroc": auroc(sure, unsure),
        "coverage_at_95": coverage_at(system.judged),
    }


def compared(of_systems: Mapping[str, Floats]) -> dict[str, tuple[Floats, Floats]]:
    """Pair the systems that are compared, (first, second), by name."""
    better = max((of_systems[KEYWORD], of_systems[VECTOR]), key=lambda one: float(one.mean()))
    pairs = {
        f"{RERANKED} - {FUSED}": (of_systems[RERANKED], of_systems[FUSED]),
        f"{FUSED} - {BETTER_LEG}": (of_systems[FUSED], better),
    }
    if BIGRAMS in of_systems:
        pairs[f"{FUSED} - {BIGRAMS}"] = (of_systems[FUSED], of_systems[BIGRAMS])
    peers = [name for name in of_systems if name in PEERS]
    return pairs | {f"{RERANKED} - {name}": (of_systems[RERANKED], of_systems[name]) for name in peers}


def as_figures(difference: Difference) -> dict[str, float]:
    """Give a difference as plain values, rounded."""
    return {name: round(value, 4) for name, value in asdict(difference).items()}


def _rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _rounded(value) if isinstance(value, dict) else round(value, 4) if isinstance(value, float) else value
        for name, value in figures.items()
    }
