"""Where the figures of security tests go: one line on the terminal; a full run's in benchmarks/results/security.json.

`SECURITY=full` asks for the counts that may be published; without it a test does a few of each and keeps no figure.
"""

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "security.json"
RUN = "full" if os.environ.get("SECURITY") == "full" else "small"


def count(*, small: int, full: int) -> int:
    """How many of something this run is to do."""
    return full if RUN == "full" else small


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What a security test found. `counts` says how much was tried and seen; `broken` promises are to be 0."""

    name: str
    promise: str
    counts: dict[str, Any]
    broken: int
    seconds: float


@dataclass(slots=True)
class Book:
    """Writes figures down as they come, and keeps the lines for the end of the run."""

    lines: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def open(self) -> None:
        """Begin a test: the seconds of its figure count from here."""
        self.started = time.monotonic()

    def note(self, name: str, promise: str, *, broken: int, **counts: Any) -> None:
        """Write a figure down before anything is asserted about it: failures are figures too."""
        seconds = round(time.monotonic() - self.started, 1)
        if RUN == "full":
            _merge(Figure(name=name, promise=promise, counts=counts, broken=broken, seconds=seconds))
        listed = ", ".join(f"{key} {value}" for key, value in counts.items())
        self.lines.append(f"{name}: {broken} broken; {listed} ({seconds} s)")


def _merge(figure: Figure) -> None:
    """Replace this figure; those of tests that did not run stay."""
    figures = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "processor": platform.machine()}
    known = figures.get(RUN, {}) | {figure.name: asdict(figure)}
    text = json.dumps({"machine": machine, RUN: dict(sorted(known.items()))}, ensure_ascii=False, indent=1)
    draft = RESULTS.with_suffix(".new")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(RESULTS)
