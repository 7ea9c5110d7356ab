import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
COUNT = """
import time
from qa_service.knowledge.progress import progress, steps
assert list(progress(range(3), "encoding")) == [0, 1, 2]
with steps(10, "indexing") as advance:
    for _ in range(2):
        time.sleep(0.15)
        advance(4)
"""


def test_progress_is_quiet_where_standard_error_is_no_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", COUNT], cwd=REPOSITORY, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_progress_shows_rate_and_time_left_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    try:
        termios.tcsetwinsize(theirs, (24, 100))
        subprocess.run([sys.executable, "-c", COUNT], cwd=REPOSITORY, stderr=theirs, check=True)
        shown = os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "encoding: 100%" in shown
    assert "indexing:  80%" in shown
    assert "it/s]" in shown
    assert "8.00/10.0 [00:00<00:00" in shown
