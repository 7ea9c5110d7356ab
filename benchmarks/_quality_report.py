"""The quality benchmark's result file as Markdown: one row a set. It reads the figures and measures nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks._quality_product import FUSED, LEGS, RERANKED
from benchmarks._quality_set import BETTER_LEG

Figures = Mapping[str, Any]


def as_markdown(figures: Figures) -> str:
    """Draw the tables."""
    sets, groups = figures["sets"], figures["recall_at_1_mean_differences"]
    ran = [name for name, said in figures["peers"].items() if isinstance(said, dict)]
    missing = {name: said for name, said in figures["peers"].items() if isinstance(said, str)}
    real = "real questions and the demo sets" if figures["real_questions"] else "demo sets only: no real questions"
    about = (
        f"Shipped defaults, encoder {figures['encoder']}; {real}; at most {figures['cap']} questions a set, in scope "
        "and out of it, dev rows, none with earlier turns. `+builtin`: a peer with the product's own encoder. "
        "LangChain gives no score: here it is the sum that it orders by. A near miss is the same question with its "
        "right entry hidden from the search, so that nothing answers it."
    )
    parts = [
        f"# Quality: {figures['question']}",
        about,
        *(f"{name}: {said}." for name, said in missing.items()),
        _section("Right entry first (recall@1; entries that may be equally right left out)", _recalls(sets, ran)),
        _section("Knowing when not to answer", _abstaining(sets, ran)),
        _section("Shipped thresholds, calibration and time", _shipped(sets)),
        _section("Differences of recall@1, in points, with 95 % intervals", _differences(groups)),
        _section("The same by set", _own_differences(sets, ran)),
        _section("Traps, answered with", _traps(figures["traps"])),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _recalls(sets: Figures, peers: Sequence[str]) -> list[list[str]]:
    rows = [["set", "questions", *LEGS, *peers]]
    for name, one in sets.items():
        legs = _lenient(one)
        recalls = [legs[leg]["recall_at_1"] for leg in LEGS] + [one["peers"][peer]["recall_at_1"] for peer in peers]
        rows.append([name, str(one["questions"]), *map(_share, recalls)])
    return rows


def _abstaining(sets: Figures, peers: Sequence[str]) -> list[list[str]]:
    """AUROC and coverage at 95 % precision, the product's beside the best peer's."""
    rows = [["set", "out of scope", "AUROC", "best peer's", "coverage at 95 %", "best peer's"]]
    rows[0] += ["near-miss AUROC", "coverage at 95 % with near misses"]
    for name, one in sets.items():
        own = one["product"]["abstaining"]
        row = [name, str(one["out_of_scope_questions"])]
        for figure in ("out_of_scope_auroc", "coverage_at_95"):
            row += [_share(own[figure]), _best(one, peers, figure)]
        rows.append([*row, _share(own["near_miss_auroc"]), _share(own["coverage_at_95_with_near_misses"])])
    return rows


def _best(one: Figures, peers: Sequence[str], figure: str) -> str:
    known = [(one["peers"][peer][figure], peer) for peer in peers if one["peers"][peer][figure] is not None]
    return "{:.3f} ({})".format(*max(known)) if known else "-"


def _shipped(sets: Figures) -> list[list[str]]:
    rows = [["set", "answer precision", "coverage", "asked back", "refusal of out-of-scope", "calibration error"]]
    rows[0] += ["ms in batches", "ms alone", "MRR@10", "nDCG@10"]
    for name, one in sets.items():
        product = one["product"]
        kept, best = product["shipped_thresholds"], _lenient(one)[RERANKED]
        shares = [kept["answer_precision"], kept["coverage"], kept["clarified"], kept["refusal"]]
        times = [f"{product['time_ms'][which]:.1f}" for which in ("in_batches_ms", "alone_ms")]
        ranked = [_share(best["mrr_at_10"]), _share(best["ndcg_at_10"])]
        error = _share(product["abstaining"]["calibration_error"])
        rows.append([name, *map(_share, shares), error, *times, *ranked])
    return rows


def _differences(groups: Figures) -> list[list[str]]:
    names = [name for name in next(iter(groups.values()), {}) if name != "sets"]
    rows = [["mean over", *(f"{group} ({len(found['sets'])})" for group, found in groups.items())]]
    rows += [[name, *(_interval(found[name]) for found in groups.values())] for name in names]
    return rows


def _own_differences(sets: Figures, peers: Sequence[str]) -> list[list[str]]:
    """The comparisons within the product, and with the peer that does best on the set."""
    names = [f"{RERANKED} - {FUSED}", f"{FUSED} - {BETTER_LEG}"]
    rows = [["set", *names, *([f"{RERANKED} - best peer"] if peers else [])]]
    for name, one in sets.items():
        found = one["recall_at_1_differences"]
        row = [name, *(_interval(found[each]) for each in names)]
        if peers:
            _, best = max((one["peers"][peer]["recall_at_1"], peer) for peer in peers)
            row.append(f"{_interval(found[f'{RERANKED} - {best}'])} {best}")
        rows.append(row)
    return rows


def _traps(traps: Figures | None) -> list[list[str]]:
    ends = ("right", "sibling", "another", "clarified", "other")
    rows = [["kind", "questions", "right entry", "sibling's", "another's", "a question back", "nothing, or a passage"]]
    for kind, one in (traps or {}).items():
        rows.append([kind, str(one["questions"]), *(_share(one[end]) for end in ends)])
    return rows


def _lenient(one: Figures) -> Figures:
    product: Figures = one["product"]
    legs: Figures = product.get("lenient", product["strict"])
    return legs


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(found: Figures) -> str:
    mean, low, high = (found[name] * 100 for name in ("mean", "low", "high"))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _section(title: str, rows: Sequence[Sequence[str]]) -> str:
    """Give a headed table, or nothing where it has no row."""
    if len(rows) < 2:
        return ""
    return "\n".join([f"## {title}", "", _line(rows[0]), _line("---" for _ in rows[0]), *map(_line, rows[1:])])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
