"""How often does the product put the right entry first, beside its peers, and does it know when not to answer?

    python -m benchmarks.quality --data FOLDER [--cap N] [--sets a,b] [--peers a,b|none] [--out FILE]

Every set is built into a real snapshot with shipped defaults and asked in batches. Peers (benchmarks/peers.txt) get
the same wordings and the same questions in the same run; one whose packages are missing is named as not run. Without
the folder of real questions only the demo sets are measured, and the result, in a file of its own, says so.
Differences are paired over the questions, with 95 % intervals of 1,000 resamples.
"""

import json
import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks._quality_metrics import RESAMPLES, SEED, paired_bootstrap
from benchmarks._quality_peers import MINILM, NOT_INSTALLED, PEERS, Encoders, installed, open_minilm
from benchmarks._quality_plots import draw_recalls, draw_risk
from benchmarks._quality_product import FUSED, KEYWORD, RERANKED, VECTOR, trap_figures, trap_questions
from benchmarks._quality_report import as_markdown
from benchmarks._quality_set import Measured, as_figures, measure
from benchmarks._sets import CROSS, EN, ZH, Set, demo_sets, real_sets
from qa_service.retrieval.encoder import Encoder, open_encoder

QUESTION = "how often is the right entry first, beside the peers, and does the product know when not to answer?"
RESULTS = Path(__file__).parent / "results"
TRAPS = "traps"
_PLOTTED = "shop_zh"
_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--data", type=_PATH, default=None, help="the folder of real questions")
@click.option("--cap", default=300, show_default=True, help="questions of a set at most, in scope and out of it")
@click.option("--sets", "set_names", default="", help="only these, with commas between; `traps` are one too")
@click.option("--peers", "peer_names", default=",".join(PEERS), help="only these, or none")
@click.option("--encoder", "encoder_name", default="builtin", help=f"of the product: builtin, {MINILM}, or a folder")
@click.option("--out", type=_PATH, default=None, help="the JSON file; the table and the plots go beside it")
def main(data: Path | None, cap: int, set_names: str, peer_names: str, encoder_name: str, out: Path | None) -> None:
    """Measure, print and write."""
    present = data is not None and data.is_dir()
    if not present:
        print(f"the real questions are absent ({data}): only the demo sets are measured")
    out = out or RESULTS / ("quality.json" if present else "quality_demo.json")
    every = [*demo_sets(), *(real_sets(data) if data is not None and present else [])]
    wanted = _chosen(set_names, [*(one.name for one in every), TRAPS])
    peers = [] if peer_names == "none" else _chosen(peer_names, list(PEERS))
    encoder = open_minilm() if encoder_name == MINILM else open_encoder(encoder_name)
    about = {
        "question": QUESTION,
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "processor": platform.machine()},
        "real_questions": present,
        "cap": cap,
        "seed": SEED,
        "resamples": RESAMPLES,
        "encoder": Path(encoder_name).name,
        "peers": _said_of_peers(peers),
    }
    measured = _measure_sets([one for one in every if one.name in wanted], cap, encoder, peers)
    traps = _measure_traps(encoder) if TRAPS in wanted else None
    figures = {
        **about,
        "sets": {one.one.name: one.figures for one in measured},
        TRAPS: traps,
        "recall_at_1_mean_differences": _means(measured),
    }
    _write(out, figures, measured)


def _chosen(names: str, known: Sequence[str]) -> list[str]:
    chosen = [name.strip() for name in names.split(",") if name.strip()] or list(known)
    unknown = set(chosen) - set(known)
    if unknown:
        raise click.ClickException(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    return chosen


def _said_of_peers(names: Sequence[str]) -> dict[str, str | dict[str, str]]:
    """Name the versions of each peer's packages, or why it is not run."""
    said: dict[str, str | dict[str, str]] = {}
    for name in names:
        packages = PEERS[name].packages
        said[name] = PEERS[name].problem() or {package: installed(package) for package in packages}
        if said[name] == NOT_INSTALLED:
            print(f"{name}: {NOT_INSTALLED}")
    return said


def _measure_sets(sets: Sequence[Set], cap: int, encoder: Encoder, peers: Sequence[str]) -> list[Measured]:
    measured, encoders = [], Encoders()
    for one in sets:
        with tempfile.TemporaryDirectory(prefix="qa-quality-") as scratch:
            measured.append(measure(one, cap, encoder, peers, encoders, Path(scratch)))
        recalls = {name: float(found.mean()) for name, found in measured[-1].firsts.items()}
        print(f"{one.name:24}", *(f"{name} {recall:.3f}" for name, recall in recalls.items()), flush=True)
    return measured


def _measure_traps(encoder: Encoder) -> dict[str, dict[str, float]] | None:
    traps = trap_questions()
    if not traps:
        print("data/evaluation holds no traps: not measured")
        return None
    with tempfile.TemporaryDirectory(prefix="qa-quality-") as scratch:
        return trap_figures(traps, Path(scratch), encoder)


def _means(measured: Sequence[Measured]) -> dict[str, Any]:
    """Compare over groups of sets; each set counts once, and only where both systems ran on all of its group."""
    groups = {
        "Chinese sets": [one for one in measured if one.one.language == ZH],
        "Chinese sets, measured only": [one for one in measured if one.one.language == ZH and one.one.measure_only],
        "English sets": [one for one in measured if one.one.language == EN],
        "across languages": [one for one in measured if one.one.language == CROSS],
    }
    return {
        group: {
            "sets": [one.one.name for one in own],
            **{name: as_figures(paired_bootstrap([one.pairs[name] for one in own])) for name in own[0].pairs},
        }
        for group, own in groups.items()
        if own
    }


def _write(out: Path, figures: dict[str, Any], measured: Sequence[Measured]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    table = as_markdown(figures)
    out.with_suffix(".md").write_text(table, encoding="utf-8")
    recalls = {one.one.name: {name: float(v.mean()) for name, v in one.firsts.items()} for one in measured}
    shown = [KEYWORD, VECTOR, FUSED, RERANKED, *(name for name in PEERS if "+" not in name)]
    _beside(out, "recall").write_text(draw_recalls(recalls, shown), encoding="utf-8")
    for one in measured:
        if one.one.name == _PLOTTED:
            curves = {name: one.curves[name] for name in shown if name in one.curves}
            _beside(out, "risk").write_text(draw_risk(curves, shown, _PLOTTED), encoding="utf-8")
    print(table)


def _beside(out: Path, what: str) -> Path:
    return out.with_name(f"{out.stem}_{what}.svg")


if __name__ == "__main__":
    main()
