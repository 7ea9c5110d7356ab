"""`make demo` as a newcomer runs it: a service of its own, ten questions, a table, exit code 0."""

import os
import subprocess
import sys
from pathlib import Path

from api.service import ROOT


def test_the_demo_prints_ten_answers_as_expected_and_exits_with_0(demo_index: Path) -> None:
    environment = {**os.environ, "QA_INDEXES_DIR": str(demo_index)}
    command = [sys.executable, "examples/demo.py"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
    )
    head, *rows = done.stdout.splitlines()
    assert head.split()[:4] == ["question", "why", "asked", "decision"]
    assert len(rows) == 10, done.stderr
    assert sum("cache" in row for row in rows) == 1
    assert "(!)" not in done.stdout, done.stdout
    assert done.returncode == 0, done.stderr
