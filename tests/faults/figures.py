"""Where the figures of fault tests go: one line on the terminal, one record in benchmarks/results/faults.json.

`FAULTS=full` asks for the counts that may be published; without it a test runs a few of each.
"""

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from faults.ledger import Reckoning

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "faults.json"
RUN = "full" if os.environ.get("FAULTS") == "full" else "small"


def count(*, small: int, full: int) -> int:
    """How many of something this run is to do."""
    return full if RUN == "full" else small


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What a fault test found. `counts` says how much was tried and seen; `lost` and `duplicates` are to be 0."""

    name: str
    promise: str
    counts: dict[str, Any]
    lost: int = 0
    duplicates: int = 0
    seconds: float = 0.0
    run: str = RUN


@dataclass(slots=True)
class Book:
    """Writes figures down as they come, and keeps the lines for the end of the run."""

    lines: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def open(self) -> None:
        """Begin a test: the seconds of its figure count from here."""
        self.started = time.monotonic()

    def note(self, name: str, promise: str, told: Reckoning | None = None, **counts: Any) -> None:
        """Write a figure down before anything is asserted about it: failures are figures too."""
        lost, twice = (told.lost, told.twice) if told else (0, 0)
        if told:
            counts |= {"acknowledged": told.acknowledged, "answered": told.answered}
        seconds = round(time.monotonic() - self.started, 1)
        _merge(Figure(name=name, promise=promise, counts=counts, lost=lost, duplicates=twice, seconds=seconds))
        listed = ", ".join(f"{key} {value}" for key, value in counts.items())
        self.lines.append(f"{name}: {lost} lost, {twice} twice; {listed} ({seconds} s)")


def _merge(figure: Figure) -> None:
    """Replace this figure of this run; a small run leaves the figures of a full one alone."""
    figures = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "processor": platform.machine()}
    of_run = figures.get(figure.run, {}) | {figure.name: asdict(figure)}
    figures |= {"machine": machine, figure.run: dict(sorted(of_run.items()))}
    text = json.dumps(figures, ensure_ascii=False, indent=1, sort_keys=False)
    draft = RESULTS.with_suffix(".new")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(RESULTS)
