"""Serve the demo knowledge base on a free port, ask ten questions over HTTP, print what came back as a table.

Run it with `make demo`. It needs nothing but the installed package and a built index; exit code 0 means that all ten
were answered as QUESTIONS expects.
"""

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unicodedata
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
START_WITHIN_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question of the demo, the decisions that are right for it, and what the first source's id must hold."""

    text: str
    why: str
    decisions: frozenset[str]
    source: str


def asked(text: str, why: str, decisions: str, source: str = "") -> Asked:
    """Name a question; `decisions` are separated by blanks."""
    return Asked(text=text, why=why, decisions=frozenset(decisions.split()), source=source)


QUESTIONS = (
    asked("东西不想要了怎么退", "Chinese, own words", "answer", "return-apply"),
    asked("那运费谁出呢", "follow-up", "answer clarify", "return"),
    asked("满多少钱免运费？", "Chinese", "answer", "shipping-fee-threshold"),
    asked("How can I redeem a coupon?", "English", "answer clarify", "en-coupon"),
    asked("when will my refund arrive on a bank card", "English, own words", "answer", "en-refund-arrival"),
    asked("满多少钱免运费", "asked before", "answer", "shipping-fee-threshold"),
    asked("电子发票在哪里下载", "Chinese", "answer", "invoice-download"),
    asked("手机送修要等好久，能先借一台用用吗", "an article knows", "generate", "article-warranty-repair"),
    asked("你们店里能寄存行李吗", "near miss", "none"),
    asked("明天北京会下雨吗", "out of scope", "none"),
)


class Client:
    """A session over plain HTTP, as a caller without any SDK would hold it."""

    def __init__(self, base: str) -> None:
        self._base = base
        opened = self._post("/api/v1/bot/sessions", {"device_id": "demo"}, token="")
        self._sid = opened["data"]["id"]
        self._token = opened["data"]["attributes"]["token"]

    def ask(self, text: str) -> dict[str, Any]:
        """Ask in the session; give the whole document."""
        return self._post(f"/api/v1/bot/sessions/{self._sid}/messages", {"text": text}, token=self._token)

    def _post(self, path: str, body: dict[str, Any], *, token: str) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self._base + path, json.dumps(body).encode(), headers)  # noqa: S310  # ours
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            document: dict[str, Any] = json.load(response)
        return document


def main() -> int:
    """Run the demo; 0 when every decision was one of the expected."""
    with tempfile.TemporaryDirectory(prefix="qa-demo-") as state, (Path(state) / "log").open("wb") as log:
        environment = {**os.environ, "QA_STATE_DIR": state, "QA_PORT": "0"}
        command = [sys.executable, "-m", "qa_service.cli", "serve"]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log) as server:
            try:
                return converse(base_url(server))
            finally:
                server.send_signal(signal.SIGTERM)
                server.communicate(timeout=30)


def base_url(server: "subprocess.Popen[bytes]") -> str:
    """Wait for the line in which `serve` says where it answers."""
    assert server.stdout is not None
    told = b""
    ends = time.monotonic() + START_WITHIN_S
    while (left_s := ends - time.monotonic()) > 0 and server.poll() is None:
        if select.select([server.stdout], [], [], left_s)[0]:
            told += os.read(server.stdout.fileno(), 4096)
        if match := re.search(rb"answers at (\S+)\s", told):
            return match.group(1).decode()
    message = "the service did not start; run `make serve` to see why"
    raise SystemExit(message)


def converse(base: str) -> int:
    """Ask all questions in one session and print the table."""
    client = Client(base)
    wrong = 0
    print(row("question", "why asked", "decision", "served by", "source", "ms", "answer"))
    for question in QUESTIONS:
        started = time.perf_counter()
        document = client.ask(question.text)
        elapsed_ms = (time.perf_counter() - started) * 1000
        attributes = document["data"]["attributes"]
        decision = attributes.get("decision") or attributes["state"]
        sources = [one["id"] for one in document.get("included", []) if one["type"] in {"entries", "passages"}]
        choices = [choice["entry_id"] for choice in attributes.get("choices", [])]
        ok = decision in question.decisions and question.source in (*sources, *choices, "")[0]
        wrong += not ok
        shown = decision if ok else f"{decision} (!)"
        source = ", ".join(sources or [f"{choice}?" for choice in choices])
        served = attributes.get("served_by") or "-"
        print(row(question.text, question.why, shown, served, source, f"{elapsed_ms:.1f}", attributes["text"]))
    if wrong:
        print(f"{wrong} answers were not the expected ones", file=sys.stderr)
    return 1 if wrong else 0


WIDTHS = (36, 20, 14, 10, 32, 7, 46)


def row(*cells: str) -> str:
    """Lay cells out in columns; a Chinese character takes two."""
    return "  ".join(fit(cell, width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def fit(text: str, width: int) -> str:
    """Cut or pad a text to a number of terminal columns."""
    fitted, used = "", 0
    for char in " ".join(text.split()):
        columns = 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if used + columns > width - 1:
            return fitted + "…" + " " * (width - used - 1)
        fitted, used = fitted + char, used + columns
    return fitted + " " * (width - used)


if __name__ == "__main__":
    sys.exit(main())
