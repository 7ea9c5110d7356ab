"""What a larger encoder says of unlabelled texts, put into the space of the base that learns. It trains nothing.

The teacher's vectors are read once, before the training, and centred: some teachers (e5) put all texts into one narrow
cone, where every similarity is near 1. A linear map takes them into the base's space; it is fitted on texts whose place
there is known.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from qa_service.domain.errors import KnowledgeError
from qa_service.training.body import Body, open_sentence_transformer

MOST_TEXTS = 20_000  # 384 numbers each are 30 MB; multilingual-e5-small reads 100 short texts a second on one core
_MOST_ANCHORS = 5_000
_LEAST_ANCHORS = 100
_RIDGE = 0.1  # of the mean variance: fewer anchors than dimensions still give a map that is used only where it may be
_BATCH_TEXTS = 64

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """Of each of the `texts`: `told`, the teacher's centred vector, and `place`, where the base's space has it.

    Both are float32 (texts, dimension), rows of length 1. A text that the base reads has the base's own vector as its
    place.
    """

    texts: tuple[str, ...]
    told: NDArray[np.float32]
    place: NDArray[np.float32]
    anchors: int


def open_teacher(name: str) -> SentenceTransformer:
    """Open a sentence-transformers model that lies on this machine.

    Raises:
        ModelError: it does not, or cannot be opened.
    """
    return open_sentence_transformer(name, "teacher", "train without --teacher")


def ask(
    teacher: SentenceTransformer,
    base: Body,
    texts: Sequence[str],
    parallel: Sequence[tuple[str, str]],
    *,
    most: int = MOST_TEXTS,
    seed: int = 1,
) -> Opinion:
    """Let the teacher read `most` of the folded texts; `parallel` are Chinese texts and their English.

    Raises:
        KnowledgeError: the base reads too few of these texts to tie the teacher's space to its own.
    """
    texts = random.Random(seed).sample(texts, min(len(texts), most))  # noqa: S311 - no secret
    reads = np.array(base.reads(texts), bool)
    anchors = [(text, text) for text, known in zip(texts, reads, strict=True) if known][:_MOST_ANCHORS]
    translated = base.reads([other for _, other in parallel])
    anchors += [pair for pair, known in zip(parallel, translated, strict=True) if known][:_MOST_ANCHORS]
    if len(anchors) < _LEAST_ANCHORS:
        raise KnowledgeError(
            f"the base reads only {len(anchors)} of the texts: a teacher needs {_LEAST_ANCHORS} texts in the base's "
            'language among --texts and --pairs, or as {"zh", "en"} pairs'
        )
    every = list(dict.fromkeys([*texts, *(one for one, _ in anchors)]))
    _LOG.info("encoder-teacher-reads", texts=len(every), anchors=len(anchors))
    vectors = _vectors(teacher, every)
    row_of = {text: row for row, text in enumerate(every)}
    tie = _fit(vectors[[row_of[one] for one, _ in anchors]], base.encode([other for _, other in anchors]))
    told = vectors[: len(texts)]
    return Opinion(
        texts=tuple(texts),
        told=_unit(told - told.mean(0)),
        place=np.where(reads[:, None], base.encode(texts), tie(told)),
        anchors=len(anchors),
    )


def _vectors(teacher: SentenceTransformer, texts: Sequence[str]) -> NDArray[np.float32]:
    found = teacher.encode(list(texts), batch_size=_BATCH_TEXTS, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(found, np.float32)


@dataclass(frozen=True, slots=True)
class _Map:
    weights: NDArray[np.float32]
    from_mean: NDArray[np.float32]
    to_mean: NDArray[np.float32]

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return _unit(np.asarray((vectors - self.from_mean) @ self.weights + self.to_mean, np.float32))


def _fit(told: NDArray[np.float32], place: NDArray[np.float32]) -> _Map:
    """Fit by ridge regression, both sides centred."""
    from_mean, to_mean = told.mean(0), place.mean(0)
    source = (told - from_mean).astype(np.float64)
    gram = source.T @ source
    gram += np.eye(len(gram)) * _RIDGE * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram, source.T @ (place - to_mean))
    return _Map(weights.astype(np.float32), from_mean, to_mean)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)
