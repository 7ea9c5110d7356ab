"""Transformers by folder or by name, run by sentence-transformers on the CPU. It knows no index and ranks nothing.

Importing this module is cheap; opening a model imports torch (seconds, 400 MB). A folder is opened as it is. A name
is looked for among the models already downloaded, and asked of the model hub only if it is missing there, the hub
answers at once, and HF_HUB_OFFLINE does not forbid it.
"""

import hashlib
import json
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
from numpy.typing import NDArray

from qa_service.domain.errors import ModelError

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer

_BATCH_TEXTS = 32
_HUB_TIMEOUT_S = 3.0
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_MODEL_CARD = "config.json"  # every model folder has one, or `modules.json`

_Model = TypeVar("_Model")


class SentenceTransformerEncoder:
    """A sentence-transformers model as an encoder; satisfies the port `Encoder`."""

    def __init__(self, name: str, model: "SentenceTransformer") -> None:
        dimension = model.get_embedding_dimension()
        if dimension is None:
            raise ModelError(f"the model {name} does not say how long its vectors are: name a sentence encoder")
        self.name = name
        self.dimension: int = dimension
        self.fingerprint = _fingerprint(model)
        self._model = model

    @classmethod
    def open(cls, name: str) -> Self:
        """Open a model by folder or by name.

        Raises:
            ModelError: no such model is here or can be fetched, or its files are damaged.
        """
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - torch is slow to import

        def load(local_files_only: bool) -> SentenceTransformer:  # noqa: FBT001 - the library's own argument
            return SentenceTransformer(name, device="cpu", local_files_only=local_files_only)

        return cls(name, _open(name, load))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give float32 (texts, dimension), rows of length 1; batches of texts of like length."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        vectors = self._model.encode(
            list(texts), batch_size=_BATCH_TEXTS, show_progress_bar=False, normalize_embeddings=True
        )
        return np.asarray(vectors, np.float32)


class PairScorer:
    """A cross-encoder: it reads a question and a text together and says how well they fit. Higher is better."""

    def __init__(self, name: str, model: "CrossEncoder") -> None:
        if model.num_labels != 1:
            raise ModelError(f"the model {name} gives {model.num_labels} scores a pair: name a reranker, which gives 1")
        self.name = name
        self._model = model

    @classmethod
    def open(cls, name: str) -> Self:
        """Open a model by folder or by name.

        Raises:
            ModelError: no such model is here or can be fetched, its files are damaged, or it is no reranker.
        """
        from sentence_transformers import CrossEncoder  # noqa: PLC0415 - torch is slow to import

        def load(local_files_only: bool) -> CrossEncoder:  # noqa: FBT001 - the library's own argument
            model: CrossEncoder = CrossEncoder(name, device="cpu", local_files_only=local_files_only)
            return model

        return cls(name, _open(name, load))

    def score(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give float32 (texts,): the fit of the question and each text, as the model's own activation scales it."""
        if not texts:
            return np.zeros(0, np.float32)
        pairs = [(question, text) for text in texts]
        return np.asarray(self._model.predict(pairs, batch_size=_BATCH_TEXTS, show_progress_bar=False), np.float32)


def _open(name: str, load: Callable[[bool], _Model]) -> _Model:
    """Load a folder, or a name: first from what is downloaded, then from the hub if that can be reached."""
    if _is_path(name):
        _check_folder(Path(name))
        return _load(name, load, local_files_only=True)
    try:
        return _load(name, load, local_files_only=True)
    except ModelError as missing:
        reason = _why_no_hub()
        if reason:
            raise ModelError(
                f"the model {name} is not among the downloaded ones, and {reason}: give the path of a model folder, "
                "or download it where there is a network"
            ) from missing
    return _load(name, load, local_files_only=False)


def _is_path(name: str) -> bool:
    return Path(name).exists() or name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelError(f"there is no model folder {folder}: check the path, or name the encoder `builtin`")
    if not any((folder / card).is_file() for card in (_MODEL_CARD, "modules.json")):
        raise ModelError(
            f"the folder {folder} holds no model (neither {_MODEL_CARD} nor modules.json): "
            "give the folder that sentence-transformers' `save` wrote"
        )


def _load(name: str, load: Callable[[bool], _Model], *, local_files_only: bool) -> _Model:
    try:
        return load(local_files_only)
    # A damaged file surfaces as whatever its reader raises: KeyError, ValueError, SafetensorError, RuntimeError, ...
    except Exception as error:
        raise ModelError(
            f"the model {name} cannot be opened ({type(error).__name__}: {error}): "
            "its files are missing or damaged, copy or download it again"
        ) from error


def _why_no_hub() -> str:
    """Say why the model hub cannot be asked; empty when it can. The hub's client alone would retry for minutes."""
    if any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in _OFFLINE):
        return "HF_HUB_OFFLINE forbids asking the model hub"
    hub = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    door = urlsplit(getproxies().get(hub.scheme, hub.geturl()))
    port = door.port or (80 if door.scheme == "http" else 443)
    try:
        socket.create_connection((door.hostname or "", port), timeout=_HUB_TIMEOUT_S).close()
    except OSError as error:
        return f"the model hub {hub.hostname} does not answer ({error})"
    return ""


def _fingerprint(model: "SentenceTransformer") -> str:
    """Digest what the vectors depend on: modules and their settings, vocabulary, weights."""
    digest = hashlib.blake2b(digest_size=16)
    modules: list[Any] = list(model)
    for module in modules:
        settings = module.get_config_dict() if hasattr(module, "get_config_dict") else None
        digest.update(json.dumps([type(module).__name__, settings], sort_keys=True, default=str).encode())
    tokenizer: Any = model.tokenizer
    vocabulary = tokenizer.get_vocab() if hasattr(tokenizer, "get_vocab") else {}
    digest.update(json.dumps([model.max_seq_length, sorted(vocabulary.items())]).encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).float().numpy().tobytes())
    return digest.hexdigest()
