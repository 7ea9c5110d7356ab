"""Three libraries' hybrid searches, put together as their documentation does it. They know rows, and no entry.

Each takes the texts, their vectors (float32 (texts, dimension), rows of length 1), a function that cuts a text into
words and one that encodes a question, and gives (row, score), best first, as deep as the figures need.
"""

import logging
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DEPTH = 100  # rows of each leg: an entry may have many

Floats = NDArray[np.float32]
Words = Callable[[str], list[str]]
Encode = Callable[[str], Floats]
Rows = list[tuple[int, float]]


class LangChain:
    """EnsembleRetriever over BM25Retriever and FAISS, equal weights.

    It fuses by ranks and gives no score: the score here is the sum that it orders by.
    """

    def __init__(self, texts: Sequence[str], vectors: Floats, *, words: Words, encode: Encode) -> None:
        retrievers: Any = import_module("langchain_classic.retrievers")
        community: Any = import_module("langchain_community.retrievers")
        stores: Any = import_module("langchain_community.vectorstores")
        embeddings: Any = import_module("langchain_core.embeddings")
        one = {"embed_query": lambda _, text: encode(text).tolist()}
        many = {"embed_documents": lambda _, batch: [encode(text).tolist() for text in batch]}
        encoder = type("Encoder", (embeddings.Embeddings,), one | many)()
        numbered = [{"row": row} for row in range(len(texts))]
        bm25 = community.BM25Retriever.from_texts(list(texts), metadatas=numbered, preprocess_func=words, k=_DEPTH)
        pairs = list(zip(texts, vectors.tolist(), strict=True))
        store = stores.FAISS.from_embeddings(pairs, encoder, metadatas=numbered)
        nearest = store.as_retriever(search_kwargs={"k": _DEPTH})
        self._ensemble = retrievers.EnsembleRetriever(retrievers=[bm25, nearest], weights=[0.5, 0.5], id_key="row")

    def search(self, question: str) -> Rows:
        ensemble = self._ensemble
        # what its own `invoke` does, with the ranks kept
        lists = [retriever.invoke(question) for retriever in ensemble.retrievers]
        scores: dict[int, float] = {}
        for weight, found in zip(ensemble.weights, lists, strict=True):
            for rank, one in enumerate(found, 1):
                row = one.metadata["row"]
                scores[row] = scores.get(row, 0.0) + weight / (rank + ensemble.c)
        fused = ensemble.weighted_reciprocal_rank(lists)
        return [(one.metadata["row"], scores[one.metadata["row"]]) for one in fused]


class Haystack:
    """A pipeline of InMemoryBM25Retriever, InMemoryEmbeddingRetriever and DocumentJoiner (reciprocal rank fusion).

    Documents hold words with spaces between them, since its BM25 cuts by a pattern; their vectors are of the text.
    """

    def __init__(self, texts: Sequence[str], vectors: Floats, *, words: Words, encode: Encode) -> None:
        os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")  # read when it is imported
        haystack: Any = import_module("haystack")
        joiners: Any = import_module("haystack.components.joiners")
        retrievers: Any = import_module("haystack.components.retrievers.in_memory")
        stores: Any = import_module("haystack.document_stores.in_memory")
        logging.getLogger("haystack").setLevel(logging.WARNING)
        store = stores.InMemoryDocumentStore()
        store.write_documents(
            [
                haystack.Document(id=str(row), content=" ".join(words(text)), embedding=vector)
                for row, (text, vector) in enumerate(zip(texts, vectors.tolist(), strict=True))
            ]
        )
        pipeline = haystack.Pipeline()
        pipeline.add_component("bm25", retrievers.InMemoryBM25Retriever(store, top_k=_DEPTH))
        pipeline.add_component("vectors", retrievers.InMemoryEmbeddingRetriever(store, top_k=_DEPTH))
        pipeline.add_component("joiner", joiners.DocumentJoiner(join_mode="reciprocal_rank_fusion"))
        pipeline.connect("bm25", "joiner")
        pipeline.connect("vectors", "joiner")
        self._pipeline, self._words, self._encode = pipeline, words, encode

    def search(self, question: str) -> Rows:
        asked: dict[str, Any] = {
            "bm25": {"query": " ".join(self._words(question)) or question},
            "vectors": {"query_embedding": self._encode(question).tolist()},
        }
        found = self._pipeline.run(asked)["joiner"]["documents"]
        return [(int(one.id), float(one.score)) for one in found]


class Txtai:
    """Embeddings with `hybrid` and otherwise its defaults: normalised BM25 and cosine, half and half.

    It has one text for both: words with spaces between them, of which the vectors are those of the plain text.
    """

    def __init__(self, texts: Sequence[str], vectors: Floats, *, words: Words, encode: Encode) -> None:
        txtai: Any = import_module("txtai")
        spaced = [" ".join(words(text)) for text in texts]
        known = dict(zip(spaced, vectors, strict=True))
        self._asked: dict[str, str] = {}

        def transform(batch: list[str]) -> Floats:
            return np.stack([known[one] if one in known else encode(self._asked.get(one, one)) for one in batch])

        self._words = words
        self._index = txtai.Embeddings({"method": "external", "transform": transform, "hybrid": True})
        self._index.index((row, text, None) for row, text in enumerate(spaced))

    def search(self, question: str) -> Rows:
        spaced = " ".join(self._words(question)) or question
        self._asked = {spaced: question}
        return [(int(row), float(score)) for row, score in self._index.search(spaced, _DEPTH)]
