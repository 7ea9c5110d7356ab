"""How much faster is keyword search from mapped postings than rank_bm25's `get_top_n`, at equal scores?

    python benchmarks/lexical.py [--data FOLDER] [--rows 10000 --rows 100000] [--out FILE]

The questions are made from the words of the demo knowledge base (and of the `*.faq.jsonl.gz` under `--data`): a chain
of words in which each follows one that it followed in a real question. Every peer gets the same tokens, and they take
turns question by question. Before anything is timed, ours must find the very scores of rank_bm25; bm25s and tantivy
weigh terms by other formulas, so that for them the share of the same ten rows is told instead.
"""

import gzip
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import bm25s
import click
import numpy as np
import rjieba
import tantivy
from rank_bm25 import BM25Okapi

from qa_service.retrieval.keyword import KeywordIndex
from qa_service.retrieval.keyword_build import build_keyword
from qa_service.retrieval.tokens import Tokeniser

QUESTION = "how much faster is keyword search from mapped postings than rank_bm25's get_top_n, at equal scores?"
ROOT = Path(__file__).parent
DEMO = ROOT.parent / "data" / "shop"
LANGUAGES = ("zh", "en")
K = 10
LONGEST_WORDS = 14
STRAY = 0.2  # how often a word follows one that it never followed: else most questions would be the real ones

Top = Callable[[Sequence[str]], Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One engine over the same rows: `top` gives the numbers of the best K rows, best first."""

    name: str
    top: Top
    build_s: float
    open_ms: float = 0.0  # from disk; 0: it lives in memory only


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Microseconds per question, tokens given."""

    peer: str
    build_s: float
    open_ms: float
    median_us: float
    p90_us: float


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="folder with more real questions (zh_*.faq.jsonl.gz)")
@click.option("--rows", "sizes", type=int, multiple=True, default=(10_000, 100_000), show_default=True)
@click.option("--questions", default=40, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "results" / "lexical.json")
def main(data: Path | None, sizes: tuple[int, ...], questions: int, out: Path) -> None:
    """Compare, time, print and write."""
    if data is not None and not data.is_dir():
        raise click.ClickException(f"{data} is not a folder; leave --data out to use the demo knowledge base alone")
    tokeniser = Tokeniser()
    chains = {language: Chain([*read_questions(data, language)], language) for language in LANGUAGES}
    report = {
        "question": "rank_bm25.get_top_n beside mapped postings, top 10, tokens given",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("rank-bm25", "bm25s", "tantivy", "numpy", "rjieba")},
        "real_questions": {language: chain.size for language, chain in chains.items()},
        "load_average": round(os.getloadavg()[0], 1),  # a busy machine slows the longer peer more
        "tokenise_us": {language: tokenise_us(tokeniser, chain) for language, chain in chains.items()},
        "sizes": [
            {"language": language, **compare(size, questions, chain, tokeniser)}
            for language, chain in chains.items()
            for size in sizes
        ],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read_questions(data: Path | None, language: str) -> Iterator[str]:
    """The wordings of the demo entries, then those of the given folder and its subfolders."""
    yield from wordings((DEMO / f"faq.{language}.jsonl").read_text(encoding="utf-8"))
    for path in sorted(data.rglob(f"{language}_*.faq.jsonl.gz")) if data else ():
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from wordings(file.read())


def wordings(lines: str) -> Iterator[str]:
    for line in filter(None, lines.split("\n")):
        entry = json.loads(line)
        yield entry["question"]
        yield from entry.get("similar") or ()


class Chain:
    """Makes new questions out of real ones, always the same for the same seed."""

    def __init__(self, questions: Sequence[str], language: str, seed: int = 20_250_101) -> None:
        self.size = len(questions)
        self._random = random.Random(seed)
        self._words: list[str] = []
        self._following: dict[str, list[str]] = {}
        cut = rjieba.Jieba().cut if language == "zh" else str.split
        self._joint = "" if language == "zh" else " "
        for question in questions:
            words = ["", *cut(question), ""]
            self._words += words[1:-1]
            for word, following in pairwise(words):
                self._following.setdefault(word, []).append(following)

    def question(self) -> str:
        words: list[str] = []
        word = ""
        while len(words) < LONGEST_WORDS:
            is_stray = words and self._random.random() < STRAY
            word = self._random.choice(self._words if is_stray else self._following[word])
            if not word:
                break
            words.append(word)
        return self._joint.join(words)


def tokenise_us(tokeniser: Tokeniser, chain: Chain) -> float:
    taken = []
    for _ in range(2_000):
        question = chain.question()
        begun = time.perf_counter()
        tokeniser.tokens(question)
        taken.append((time.perf_counter() - begun) * 1e6)
    return round(statistics.median(taken), 1)


def compare(size: int, questions: int, chain: Chain, tokeniser: Tokeniser) -> dict[str, object]:
    rows = [tokeniser.tokens(chain.question()) for _ in range(size)]
    asked = [tokeniser.tokens(chain.question()) for _ in range(questions)]
    begun = time.perf_counter()
    fit = BM25Okapi(rows)
    fit_s = time.perf_counter() - begun
    with tempfile.TemporaryDirectory() as folder:
        peers = [rank_bm25(fit, fit_s), postings(rows, Path(folder))]
        for tokens in asked:
            check_equal(peers, fit, tokens)
        peers += [bm25s_peer(rows), tantivy_peer(rows)]
        agreement = {peer.name: same_rows(peer, peers[0], asked) for peer in peers[2:]}
        timings = time_in_turns(peers, asked)
    ratio = timings[0].median_us / timings[1].median_us
    for timing in timings:
        print(
            f"{size:>9,} rows  {timing.peer:<10} median {timing.median_us:>11,.1f} us  p90 {timing.p90_us:>11,.1f} us"
        )
    print(f"{size:>9,} rows  {ratio:,.0f} times faster at equal scores ({questions} questions)", flush=True)
    return {
        "rows": size,
        "tokens_per_row": round(statistics.fmean(map(len, rows)), 1),
        "questions": questions,
        "ratio": round(ratio, 1),
        "share_of_rank_bm25s_rows": agreement,
        "peers": [asdict(timing) for timing in timings],
    }


def rank_bm25(fit: BM25Okapi, fit_s: float) -> Peer:
    """The library as its readme uses it; the documents are the rows' numbers."""
    numbers = list(range(fit.corpus_size))

    def top(tokens: Sequence[str]) -> Sequence[int]:
        found: list[int] = fit.get_top_n(tokens, numbers, K)
        return found

    return Peer(name="rank_bm25", top=top, build_s=fit_s)


def postings(rows: Sequence[Sequence[str]], folder: Path) -> Peer:
    """Ours, mapped from disk."""
    begun = time.perf_counter()
    build_keyword(rows, folder)
    build_s = time.perf_counter() - begun
    begun = time.perf_counter()
    index = KeywordIndex.open(folder)
    open_ms = (time.perf_counter() - begun) * 1000

    def top(tokens: Sequence[str]) -> Sequence[int]:
        found: list[int] = index.top(tokens, K).rows.tolist()
        return found

    return Peer(name="postings", top=top, build_s=build_s, open_ms=open_ms)


def bm25s_peer(rows: Sequence[Sequence[str]]) -> Peer:
    """bm25s in NumPy, with the Okapi parameters; its idf is another."""
    begun = time.perf_counter()
    index = bm25s.BM25(method="atire", k1=1.5, b=0.75)
    index.index([list(row) for row in rows], show_progress=False)
    build_s = time.perf_counter() - begun

    def top(tokens: Sequence[str]) -> Sequence[int]:
        found: list[int] = index.retrieve([list(tokens)], k=K, show_progress=False)[0][0].tolist()
        return found

    return Peer(name="bm25s", top=top, build_s=build_s)


def tantivy_peer(rows: Sequence[Sequence[str]]) -> Peer:
    """Tantivy in memory, its tokens ours: a raw field with one value a token."""
    begun = time.perf_counter()
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", stored=True)
    builder.add_text_field("tokens", tokenizer_name="whitespace", index_option="freq")
    schema = builder.build()
    index = tantivy.Index(schema)
    writer = index.writer(num_threads=1)
    for number, row in enumerate(rows):
        writer.add_document(tantivy.Document(row=number, tokens=" ".join(row)))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()
    build_s = time.perf_counter() - begun

    def top(tokens: Sequence[str]) -> Sequence[int]:
        terms = [(tantivy.Occur.Should, tantivy.Query.term_query(schema, "tokens", token, "freq")) for token in tokens]
        hits = searcher.search(tantivy.Query.boolean_query(terms), K).hits
        return [searcher.doc(address)["row"][0] for _, address in hits]

    return Peer(name="tantivy", top=top, build_s=build_s)


def same_rows(peer: Peer, other: Peer, asked: Sequence[Sequence[str]]) -> float:
    """The mean share of rows that two peers have in common."""
    shares = [len(set(peer.top(tokens)) & set(other.top(tokens))) / K for tokens in asked]
    return round(statistics.fmean(shares), 3)


def check_equal(peers: Sequence[Peer], fit: BM25Okapi, tokens: Sequence[str]) -> None:
    """Stop where a peer's best rows score otherwise than the best there are (rows of equal score may differ)."""
    scores = fit.get_scores(tokens)
    best = np.sort(scores)[::-1]
    for peer in peers:
        found = peer.top(tokens)
        expected = min(K, int((scores != 0).sum()))
        if len(found) < expected or not np.allclose(scores[found], best[: len(found)], rtol=1e-6, atol=0):
            raise click.ClickException(f"{peer.name} finds other rows than rank_bm25 for {tokens}")


def time_in_turns(peers: Sequence[Peer], asked: Sequence[Sequence[str]]) -> list[Timing]:
    taken: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for tokens in asked:
        for peer in peers:
            begun = time.perf_counter()
            peer.top(tokens)
            taken[peer.name].append((time.perf_counter() - begun) * 1e6)
    return [
        Timing(
            peer=peer.name,
            build_s=round(peer.build_s, 2),
            open_ms=round(peer.open_ms, 2),
            median_us=round(statistics.median(taken[peer.name]), 1),
            p90_us=round(statistics.quantiles(taken[peer.name], n=10)[-1], 1),
        )
        for peer in peers
    ]


if __name__ == "__main__":
    main()
