"""Where results go, and what they say of the machine."""

import json
import os
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def write(name: str, figures: dict[str, Any]) -> Path:
    """Write benchmarks/results/NAME.json with the figures and the kind of machine they were taken on."""
    RESULTS.mkdir(exist_ok=True)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "processor": platform.machine()}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, **figures}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path
