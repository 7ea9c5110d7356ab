"""What does one answer cost, stage by stage, and what does the cache save over HTTP?

Stages are timed inside one process; HTTP figures come from a real service (Redis, API process, worker process) under
a load generator on the same machine. The routes that are compared take turns within one run, and medians count.
"""

import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks._load import Load, request_bytes, run_load
from benchmarks._results import write
from benchmarks._service import ROOT, Service, running
from qa_service.api.envelope import PREFIX
from qa_service.domain.passage import Passage
from qa_service.generation.extractive import ExtractiveGenerator
from qa_service.knowledge.build import Recipe, build
from qa_service.knowledge.evaluate import read_questions
from qa_service.knowledge.read import read_sources
from qa_service.knowledge.versions import Versions
from qa_service.main import encoder_named
from qa_service.retrieval.snapshot import Snapshot, open_snapshot

QUESTION = "what does one answer cost, stage by stage?"
_SOURCES = [ROOT / "data" / "shop"]
_QUESTIONS = ROOT / "data" / "evaluation" / "questions.zh.jsonl"
_ROUNDS = 7
_SECONDS_A_TURN = 1.5
_CONNECTIONS = 32
_CACHED_QUESTION = "电子发票在哪里下载"


@click.command()
def main() -> None:
    """Measure and write benchmarks/results/answer_cost.json."""
    with tempfile.TemporaryDirectory(prefix="qa-bench-") as scratch:
        folder = Path(scratch)
        versions = Versions(folder / "indexes", "shop")
        started = time.perf_counter()
        built = build(read_sources(_SOURCES), _SOURCES, versions, Recipe(encoder=encoder_named("builtin")))
        versions.activate(built.version)
        build_s = time.perf_counter() - started
        snapshot = open_snapshot(versions.path(built.version), encoder_named("builtin"))
        stages = stage_costs(snapshot, [question.query for question in read_questions(_QUESTIONS)])
        (folder / "state").mkdir()
        over_http = asyncio.run(http_figures(folder))
    figures = {"question": QUESTION, "index_build_s": round(build_s, 2), "stages_ms": stages, "http": over_http}
    print(json.dumps(figures, ensure_ascii=False, indent=1))
    print(f"written to {write('answer_cost', figures)}", file=sys.stderr)


def stage_costs(snapshot: Snapshot, questions: list[str]) -> dict[str, Any]:
    """Time each stage for single questions: median and 95th percentile, in milliseconds; and the way in batches."""
    shelf = snapshot.faq
    generator = ExtractiveGenerator(terms=shelf.tokeniser.tokens, weight=snapshot.passages.keyword.weight)
    vectors = {text: snapshot.encoder.encode([text]) for text in questions}
    tokens = {text: shelf.tokeniser.tokens(text) for text in questions}
    snapshot.rank_faq(questions)  # fills what is kept between questions, as in a service that has run for a while

    def extract(text: str) -> None:
        hits = snapshot.rank_passages([text])[0].hits[:4]
        entries = [snapshot.passage(hit.entry) for hit in hits]
        generator.generate(text, [Passage(entry_id=e.id, title=e.question, text=e.answer or "") for e in entries])

    stages: dict[str, Callable[[str], object]] = {
        "tokens": shelf.tokeniser.tokens,
        "encode": lambda text: snapshot.encoder.encode([text]),
        "keyword": lambda text: shelf.keyword.top(tokens[text], 64),
        "vectors": lambda text: shelf.vectors.search(vectors[text], 64),
        "whole ranking": lambda text: snapshot.rank_faq([text]),
        "passages and extract": extract,
    }
    figures: dict[str, Any] = {
        name: _spread([_time(stage, text) for text in questions]) for name, stage in stages.items()
    }
    batch = questions[:64]
    in_batches = [_time(snapshot.rank_faq, batch) / len(batch) for _ in range(_ROUNDS)]
    figures["whole ranking, in batches of 64"] = {"p50": round(statistics.median(in_batches), 3)}
    return figures


def _time(work: Callable[[Any], object], argument: object) -> float:
    started = time.perf_counter()
    work(argument)
    return (time.perf_counter() - started) * 1000


def _spread(values: list[float]) -> dict[str, float]:
    return {"p50": round(statistics.median(values), 3), "p95": round(statistics.quantiles(values, n=20)[-1], 3)}


async def http_figures(folder: Path) -> dict[str, Any]:
    """Compare a bare pipeline route with cached answers, then time uncached ones one after the other."""
    async with running(folder / "state", folder / "indexes") as service:
        routes = await asyncio.to_thread(_routes, service)
        turns: dict[str, list[Load]] = {name: [] for name in routes}
        for _ in range(_ROUNDS):
            for name, next_request in routes.items():
                turns[name].append(await _turn(service, next_request))
        rates = {
            name: statistics.median(len(t.elapsed_s) / _SECONDS_A_TURN for t in loads) for name, loads in turns.items()
        }
        bare = rates["one Redis pipeline"]
        uncached = await run_load(
            service.host, service.port, _uncached_requests(service), connections=1, seconds=_SECONDS_A_TURN * 4
        )
        return {
            "connections": _CONNECTIONS,
            "rounds": _ROUNDS,
            "requests_per_second": {name: round(rate) for name, rate in rates.items()},
            "share_of_one_pipeline": {name: round(rate / bare, 3) for name, rate in rates.items()},
            "refused": sum(load.refused for loads in turns.values() for load in loads) + uncached.refused,
            "uncached_answer_ms": _spread([elapsed_s * 1000 for elapsed_s in uncached.elapsed_s]),
            "uncached_answers": len(uncached.elapsed_s),
        }


async def _turn(service: Service, next_request: Callable[[], bytes]) -> Load:
    return await run_load(service.host, service.port, next_request, connections=_CONNECTIONS, seconds=_SECONDS_A_TURN)


def _routes(service: Service) -> dict[str, Callable[[], bytes]]:
    body = json.dumps({"text": _CACHED_QUESTION}).encode()
    opened = _post(service, f"{PREFIX}/sessions", b"{}", {})["data"]
    messages, bearer = (
        f"{PREFIX}/sessions/{opened['id']}/messages",
        {"Authorization": f"Bearer {opened['attributes']['token']}"},
    )
    _post(service, messages, body, bearer)  # the first answer fills the cache
    in_session = request_bytes(messages, body, bearer)
    stateless, bare = request_bytes(f"{PREFIX}/answers", body, service.bearer), request_bytes("/bench/pipeline", body)
    return {
        "one Redis pipeline": lambda: bare,
        "cached answer, stateless": lambda: stateless,
        "cached answer, in a session": lambda: in_session,
    }


def _uncached_requests(service: Service) -> Callable[[], bytes]:
    """Give questions that were never asked before: real ones, each with a number at its end."""
    questions = itertools.cycle(read_questions(_QUESTIONS))
    numbers = itertools.count(1)

    def following() -> bytes:
        body = json.dumps({"text": f"{next(questions).query[:100]} {next(numbers)}"}).encode()
        return request_bytes(f"{PREFIX}/answers", body, service.bearer)

    return following


def _post(service: Service, path: str, body: bytes, headers: dict[str, str]) -> Any:
    request = urllib.request.Request(
        f"http://{service.host}:{service.port}{path}", body, {"Content-Type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


if __name__ == "__main__":
    main()
