"""schemathesis against our own description: every check, and sequences of calls along its links."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from api.service import Service

from security.figures import Book, count

_HERE = Path(__file__).parent
_CONFIGS = {"examples,coverage,fuzzing": "schemathesis.toml", "stateful": "schemathesis.stateful.toml"}
# Asked along the links, a session that is there answers a wrong token as one that is not: 404, which
# test_other_peoples_sessions.py checks, where this check wants 401 or 403.
_LEFT_OUT = {"stateful": ("--exclude-checks", "ignored_auth")}
_LINKS = 5  # of the description, all of which are to be followed


@pytest.mark.parametrize("phases", _CONFIGS)
def test_no_check_fails(service: Service, book: Book, tmp_path: Path, phases: str) -> None:
    examples = count(small=10, full=500)
    report = tmp_path / "report.ndjson"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", _CONFIGS[phases]),
        *("run", f"{service.url}/schema/openapi.json", "--checks", "all", "--phases", phases, "--seed", "1"),
        *("--max-examples", str(examples), "--header", f"Authorization: Bearer {service.key}"),
        *_LEFT_OUT.get(phases, ()),
        *("--continue-on-failure", "--request-timeout", "30"),
        *("--report", "ndjson", "--report-ndjson-path", str(report)),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "session_tokens"}
    done = subprocess.run(
        command, cwd=_HERE, env=environment, capture_output=True, text=True, check=False, timeout=3_000
    )
    kinds = Counter(kind for line in report.read_text(encoding="utf-8").splitlines() for kind in json.loads(line))
    book.note(
        f"schemathesis: {phases}",
        "no check fails",
        broken=int(done.returncode != 0),
        examples_an_operation=examples,
        summary=_summary(done.stdout),
    )
    assert kinds
    assert done.returncode == 0, done.stdout[-6_000:]
    if phases == "stateful":
        assert f"API Links:    {_LINKS} covered" in done.stdout, done.stdout[-3_000:]


def _summary(told: str) -> dict[str, Any]:
    """The line that counts the cases."""
    lines = [line.strip() for line in told.splitlines()]
    cases = [line for line in lines if " generated, " in line]
    return {"cases": cases[-1] if cases else "none"}
