"""The port of text encoders, and which one a name stands for. It knows no index and no model hub."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qa_service.retrieval.builtin_encoder import CARD_FILE, BuiltinEncoder
from qa_service.retrieval.transformer import SentenceTransformerEncoder

BUILTIN = "builtin"


class Encoder(Protocol):
    """Turns texts into vectors whose inner product is their likeness (cosine, -1 to 1).

    `name` is what it was opened by. `fingerprint` changes whenever its vectors could: an index is only searched with
    vectors of the encoder that it was built with.
    """

    @property
    def name(self) -> str:
        """What `open_encoder` was given."""
        ...

    @property
    def dimension(self) -> int:
        """The length of each vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digits that stand for everything the vectors depend on."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give one row a text: float32 (texts, dimension), each of length 1.

        A text of which the encoder knows nothing (only punctuation, say) may give a row of zeros, which is like
        nothing at all. No texts give an array of no rows.
        """
        ...


def open_encoder(name: str) -> Encoder:
    """Open the encoder of that name: "builtin", or a sentence-transformers model by folder or by name.

    Raises:
        ModelError: there is no such model here, or its files are damaged; the message says what to do.
    """
    if name == BUILTIN:
        return BuiltinEncoder()
    if (Path(name) / CARD_FILE).is_file():  # one that `qa-service train encoder` has written
        return BuiltinEncoder(Path(name), name=name)
    return SentenceTransformerEncoder.open(name)
