"""What does type-ahead cost at 100,000 entries, what does it find, and how long does a key press wait over HTTP?

CPU is measured in one thread over a base of made-up questions (`_suggest_set.py`). Peers see the same wordings and a
sample of the same texts in the same run. Redis's own suggestions (FT.SUGGET) are no peer: they are a module that the
redis-server of this service does not have (6.2, without modules). HTTP figures: a real service on the demo base.
"""

import asyncio
import gc
import itertools
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from rapidfuzz.fuzz import partial_ratio
from rapidfuzz.process import extract

from benchmarks._load import Load, request_bytes, run_load
from benchmarks._results import write
from benchmarks._service import ROOT, Service, running
from benchmarks._suggest_set import WORDINGS, initials, slip, synthetic_entries, typed
from qa_service.api.envelope import PREFIX
from qa_service.domain.entry import Entry
from qa_service.knowledge.build import Recipe, build
from qa_service.knowledge.read import read_sources
from qa_service.knowledge.versions import Versions
from qa_service.main import encoder_named
from qa_service.retrieval.entries import EntryTable, is_chinese, write_entries
from qa_service.retrieval.suggest import Suggester
from qa_service.retrieval.suggest_build import build_suggestions
from qa_service.retrieval.suggest_fold import fold
from qa_service.retrieval.tokens import Tokeniser

QUESTION = "what does type-ahead cost at 100,000 entries, and what does it find?"
LIMIT = 8
_SAMPLE = 20  # texts that a slow peer sees of each kind
_SECONDS = 5.0
_BUSY_CONNECTIONS = 32


@click.command()
@click.option("--entries", "count", default=100_000, show_default=True, help="how many")
@click.option("--texts", default=1000, show_default=True, help="typed, of each kind")
def main(count: int, texts: int) -> None:
    """Measure and write benchmarks/results/suggest.json."""
    with tempfile.TemporaryDirectory(prefix="qa-bench-") as scratch:
        folder = Path(scratch)
        entries = synthetic_entries(count)
        figures = {"question": QUESTION, "entries": count, "wordings": count * WORDINGS}
        figures["build"] = _built(entries, folder)
        gc.collect()
        gc.freeze()  # the entries are this benchmark's own: no worker holds them, nor looks through them
        suggester, figures["open"] = _opened(folder)
        wishes = typed(entries, texts)
        figures["cpu_ms"] = _costs(wishes, lambda text: suggester.suggest(text, LIMIT))
        figures["found"] = _found(entries, suggester, texts)
        figures["memory_after_mb"] = round(_resident_mb(), 1)
        figures["peers_cpu_ms"] = _peers(entries, wishes, suggester)
        figures["http_ms"] = asyncio.run(_over_http(folder / "service"))
    print(json.dumps(figures, ensure_ascii=False, indent=1))
    print(f"written to {write('suggest', figures)}", file=sys.stderr)


def _built(entries: Sequence[Entry], folder: Path) -> dict[str, float]:
    tokeniser = Tokeniser()
    write_entries(entries, folder)
    before_mb, started = _peak_mb(), time.process_time()
    build_suggestions(entries, folder / "suggest", tokeniser)
    sizes = [file.stat().st_size for file in (folder / "suggest").iterdir()]
    return {
        "cpu_s": round(time.process_time() - started, 1),
        "peak_memory_mb": round(_peak_mb() - before_mb),
        "index_mb": round(sum(sizes) / 1e6, 1),
    }


def _opened(folder: Path) -> tuple[Suggester, dict[str, float]]:
    table = EntryTable(folder)
    Suggester.open(folder / "suggest", table)  # opens what all indexes share
    started = time.perf_counter()
    suggester = Suggester.open(folder / "suggest", table)
    return suggester, {"ms": round((time.perf_counter() - started) * 1000, 1)}


def _costs(wishes: dict[str, list[str]], suggest: Callable[[str], object]) -> dict[str, Any]:
    """Time each text in CPU of its thread; the kinds take turns, so that a busy moment hits all of them."""
    spent: dict[str, list[float]] = {kind: [] for kind in wishes}
    for texts in zip(*wishes.values(), strict=True):
        for kind, text in zip(wishes, texts, strict=True):
            spent[kind].append(_cpu_ms(suggest, text))
    return {"all": _spread(list(itertools.chain(*spent.values()))), **{kind: _spread(ms) for kind, ms in spent.items()}}


def _found(entries: Sequence[Entry], suggester: Suggester, count: int) -> dict[str, float]:
    """Tell how often a whole question, typed in some way, finds its entry among the suggestions."""
    chance = random.Random(11)
    chosen = chance.sample(list(entries), min(len(entries), 4 * count))
    chinese = [entry for entry in chosen if is_chinese(entry.question)][:count]
    english = [entry for entry in chosen if not is_chinese(entry.question)][:count]
    ways: dict[str, tuple[Sequence[Entry], Callable[[str], str]]] = {
        "Chinese": (chinese, str),
        "initials": (chinese, lambda text: initials(fold(text).text)),
        "Chinese with a slip": (chinese, lambda text: slip(text, chance)),
        "English": (english, str),
        "English with a slip": (english, lambda text: slip(text, chance)),
    }
    return {
        way: round(statistics.mean(_finds(suggester, entry, act(entry.question)[:64]) for entry in some), 3)
        for way, (some, act) in ways.items()
    }


def _finds(suggester: Suggester, entry: Entry, text: str) -> bool:
    return entry.id in {one.entry_id for one in suggester.suggest(text, LIMIT)}


def _peers(entries: Sequence[Entry], wishes: dict[str, list[str]], suggester: Suggester) -> dict[str, Any]:
    folded = [fold(text).text for entry in entries for text in entry.wordings]
    in_order = sorted(folded)
    sample = {kind: texts[:_SAMPLE] for kind, texts in wishes.items()}

    def bisected(text: str) -> list[str]:
        begin, wanted = bisect_left(in_order, fold(text).text), fold(text).text
        return [one for one in in_order[begin : begin + LIMIT] if one.startswith(wanted)]

    def scanned(text: str) -> list[str]:
        wanted = fold(text).text
        return sorted((one for one in folded if one.startswith(wanted)), key=len)[:LIMIT]

    peers: dict[str, Callable[[str], object]] = {
        "this": lambda text: suggester.suggest(text, LIMIT),
        "a sorted list and bisect: beginnings alone, in the order of the alphabet": bisected,
        "str.startswith over all: beginnings alone": scanned,
        "rapidfuzz.process.extract, partial_ratio over all": lambda text: extract(
            fold(text).text, folded, scorer=partial_ratio, limit=LIMIT
        ),
    }
    return {name: _costs(sample, suggest)["all"] for name, suggest in peers.items()}


async def _over_http(folder: Path) -> dict[str, Any]:
    """Time key presses on the demo base: one at a time, remembered or not, and while questions are being answered."""
    (folder / "state").mkdir(parents=True)
    versions, sources = Versions(folder / "indexes", "shop"), [ROOT / "data" / "shop"]
    built = build(read_sources(sources), sources, versions, Recipe(encoder=encoder_named("builtin")))
    versions.activate(built.version)
    async with running(folder / "state", folder / "indexes") as service:
        fresh, same = _presses(service), _press(service, "退h")
        await _turn(service, lambda: next(fresh))  # warms up
        idle, remembered = await _turn(service, lambda: next(fresh)), await _turn(service, lambda: same)
        bare = await _turn(service, lambda: request_bytes("/bench/pipeline", b'{"text": "a"}'))
        questions = _questions(service)
        asking = asyncio.create_task(
            run_load(
                service.host, service.port, lambda: next(questions), connections=_BUSY_CONNECTIONS, seconds=_SECONDS + 1
            )
        )
        await asyncio.sleep(0.5)
        busy = await _turn(service, lambda: next(fresh))
        asked = await asking
    return {
        "one Redis pipeline": _elapsed(bare),
        "idle": _elapsed(idle),
        "idle, remembered": _elapsed(remembered),
        f"while {_BUSY_CONNECTIONS} ask questions that are not cached": _elapsed(busy),
        "these questions": _elapsed(asked),
    }


async def _turn(service: Service, next_request: Callable[[], bytes]) -> Load:
    return await run_load(service.host, service.port, next_request, connections=1, seconds=_SECONDS)


def _presses(service: Service) -> Iterator[bytes]:
    """Give key presses that nobody did before: beginnings of questions, each with another `limit` and locale."""
    texts = [text for entry in read_sources([ROOT / "data" / "shop"]).entries for text in entry.wordings]
    chance = random.Random(3)
    for locale in (f"zh-x{number}" for number in itertools.count(10)):
        for text in texts:
            yield _press(service, text[: chance.randint(1, 10)].strip() or "a", locale)


def _press(service: Service, text: str, locale: str = "zh-CN") -> bytes:
    lines = [f"GET {PREFIX}/suggest?q={quote(text)}&locale={locale} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in service.bearer.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _questions(service: Service) -> Iterator[bytes]:
    for number in itertools.count():
        body = json.dumps({"text": f"退货要多久才能到账 {number}"}).encode()
        yield request_bytes(f"{PREFIX}/answers", body, service.bearer)


def _elapsed(load: Load) -> dict[str, float]:
    return {**_spread([elapsed_s * 1000 for elapsed_s in load.elapsed_s]), "refused": load.refused}


def _cpu_ms(act: Callable[[str], object], text: str) -> float:
    started = time.thread_time_ns()
    act(text)
    return (time.thread_time_ns() - started) / 1e6


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    ranks = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    shown = {name: round(ordered[min(len(ordered) - 1, int(len(ordered) * rank))], 3) for name, rank in ranks.items()}
    return {"count": len(ordered), **shown}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident_mb() -> float:
    """Memory of the process that belongs to a mapped `suggest` file, of which pages may be dropped at any time."""
    total, counts = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if "-" in line.split()[0] and not line.split()[0].endswith(":"):
            counts = "/suggest/" in line
        elif counts and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total / 1024


if __name__ == "__main__":
    main()
