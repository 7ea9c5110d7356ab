"""The built-in encoder: one small bilingual transformer, shipped with the package, run by ONNX Runtime.

It reads Chinese and English (64 tokens; the rest of a longer text is not read) and needs neither torch nor a network.
`qa-service train encoder` makes such a folder, MODEL_CARD.md in it says how this one was made. It knows no index.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
from numpy.typing import NDArray
from opencc import OpenCC
from tokenizers import Tokenizer

from qa_service.domain.errors import ModelError
from qa_service.domain.text import normalise

MODEL_FILE, TOKENIZER_FILE, CARD_FILE = "model.int8.onnx", "tokenizer.json", "encoder.json"
BUILTIN_FOLDER = Path(__file__).parent / "builtin"

_BATCH_TEXTS = 8  # 870 short questions a second; 600 by 32, which leave the processor's near caches; 610 one by one
_LONGEST_TOKEN_CHARS = 24  # a longer word costs reading time, and its end is cut off with the tokens anyway


class EncoderCard(msgspec.Struct, frozen=True, kw_only=True):
    """What `encoder.json` says of its two neighbours; `sha256` by file name, in hex digits."""

    dimension: int
    max_tokens: int
    sha256: dict[str, str]


class BuiltinEncoder:
    """A folder of model, tokenizer and card; satisfies the port `Encoder`. Safe to use from several threads.

    Raises:
        ModelError: a file is missing, cut short, changed, or is no model.
    """

    def __init__(self, folder: Path = BUILTIN_FOLDER, *, name: str = "builtin") -> None:
        card = _read_card(folder)
        self.name = name
        self.dimension = card.dimension
        self.fingerprint = _check_files(folder, card)
        self._tokenizer = _open_tokenizer(folder, card)
        self._session = _open_session(folder, card)
        self._longest_chars = card.max_tokens * _LONGEST_TOKEN_CHARS
        self._simplify = OpenCC("t2s").convert

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give float32 (texts, dimension), rows of length 1, or of zeros for a text without letters or digits.

        A text's vector does not depend on its neighbours.
        """
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        tokens = {row: ids for row, ids in enumerate(map(self._tokens, texts)) if ids}
        for rows in _batches(tokens):
            vectors[rows] = self._run([tokens[row] for row in rows])
        return vectors

    def _tokens(self, text: str) -> list[int]:
        folded = fold(text[: self._longest_chars], self._simplify)
        if not any(map(str.isalnum, folded)):
            return []
        ids: list[int] = self._tokenizer.encode(folded).ids
        return ids

    def _run(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        ids = np.zeros((len(batch), max(map(len, batch))), np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        (vectors,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
        return np.asarray(vectors, np.float32)


def fold(text: str, simplify: Any) -> str:  # noqa: ANN401 - OpenCC has no types
    """Give the text as the model knows it: width, case and invisible characters folded, traditional made simplified."""
    sound = text.encode(errors="replace").decode()  # OpenCC refuses half a surrogate pair
    folded = normalise(sound)
    return folded if folded.isascii() else str(simplify(folded))


def write_card(folder: Path, *, dimension: int, max_tokens: int) -> None:
    """Write `encoder.json` for the model and the tokenizer in `folder`."""
    sha256 = {name: _sha256(folder / name) for name in (MODEL_FILE, TOKENIZER_FILE)}
    card = EncoderCard(dimension=dimension, max_tokens=max_tokens, sha256=sha256)
    (folder / CARD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(card)) + b"\n")


def _batches(tokens: dict[int, list[int]]) -> Iterator[list[int]]:
    """Give the rows in batches of texts of like length: padding costs as much as text."""
    by_length = sorted(tokens, key=lambda row: len(tokens[row]))
    for start in range(0, len(by_length), _BATCH_TEXTS):
        yield by_length[start : start + _BATCH_TEXTS]


def _read_card(folder: Path) -> EncoderCard:
    try:
        return msgspec.json.decode((folder / CARD_FILE).read_bytes(), type=EncoderCard)
    except (OSError, msgspec.MsgspecError) as error:
        raise _unusable(folder / CARD_FILE, error) from error


def _check_files(folder: Path, card: EncoderCard) -> str:
    """Compare the files with their digests in the card and give one digest of all: hex digits."""
    for name in (MODEL_FILE, TOKENIZER_FILE):
        try:
            found = _sha256(folder / name)
        except OSError as error:
            raise _unusable(folder / name, error) from error
        if found != card.sha256.get(name):
            raise _unusable(folder / name, f"its SHA-256 is not the one that {CARD_FILE} gives")
    return _sha256(folder / CARD_FILE)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_tokenizer(folder: Path, card: EncoderCard) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    except Exception as error:  # tokenizers raises bare Exception for whatever it cannot read
        raise _unusable(folder / TOKENIZER_FILE, error) from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(card.max_tokens)
    return tokenizer


def _open_session(folder: Path, card: EncoderCard) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # two collapse the p99 on shared cores
    options.log_severity_level = 3
    path = folder / MODEL_FILE
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (output,) = session.get_outputs()
    except Exception as error:  # ONNX Runtime's errors share no other class
        raise _unusable(path, error) from error
    if output.shape[-1] not in {card.dimension, None}:
        raise _unusable(path, f"it gives {output.shape[-1]} numbers, and {CARD_FILE} promises {card.dimension}")
    return session


def _unusable(path: Path, reason: object) -> ModelError:
    return ModelError(
        f"the encoder's file {path} is missing or damaged ({reason}): "
        "install the package again, or make the folder again with `qa-service train encoder`"
    )
