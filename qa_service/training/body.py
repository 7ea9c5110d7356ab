"""A BERT body with its tokenizer, trainable: opened from a base, kept in two formats.

It knows no loss and no training data. Pooling is the mean of the tokens' vectors, scaled to length 1.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from opencc import OpenCC
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from qa_service.domain.errors import ModelError
from qa_service.retrieval.builtin_encoder import (
    BUILTIN_FOLDER,
    MODEL_FILE,
    TOKENIZER_FILE,
    BuiltinEncoder,
    fold,
    write_card,
)
from qa_service.training.onnx_file import BodyShape, read_onnx, write_onnx

BUILTIN = "builtin"
_MAX_TOKENS = 64
_BATCH_TEXTS = 64


@dataclass(slots=True)
class Body:
    """`new_rows` are the rows of the vocabulary that no training had touched when it was opened."""

    model: BertModel
    tokenizer: Tokenizer
    max_tokens: int
    new_rows: tuple[int, ...] = ()

    @property
    def rows(self) -> torch.nn.Parameter:
        """The vocabulary's vectors: float32 (vocabulary, dimension)."""
        rows = self.model.embeddings.word_embeddings.weight
        assert isinstance(rows, torch.nn.Parameter)
        return rows

    def vectors(self, texts: Sequence[str], *, bfloat16: bool = False) -> torch.Tensor:
        """Encode folded texts with gradients: float32 (texts, dimension), rows of length 1."""
        tokens = [torch.tensor(encoding.ids) for encoding in self.tokenizer.encode_batch(list(texts))]
        ids = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
        lengths = torch.tensor([len(row) for row in tokens])
        mask = (torch.arange(ids.shape[1])[None, :] < lengths[:, None]).long()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = (hidden.float() * mask[:, :, None]).sum(1)
        return torch.nn.functional.normalize(pooled, dim=1)

    def reads(self, texts: Sequence[str]) -> list[bool]:
        """Tell of each folded text whether the base knew it already: no token is unknown or of a new row."""
        strange = {*self.new_rows, self.tokenizer.token_to_id("[UNK]")}
        return [strange.isdisjoint(encoding.ids) for encoding in self.tokenizer.encode_batch(list(texts))]

    def encode(self, texts: Sequence[str], *, bfloat16: bool = False) -> NDArray[np.float32]:
        """Encode folded texts without gradients: float32 (texts, dimension)."""
        rows = [np.zeros((0, self.model.config.hidden_size), np.float32)]
        with torch.inference_mode():
            rows += [self.vectors(batch, bfloat16=bfloat16).numpy() for batch in _batches(texts)]
        return np.concatenate(rows)


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _BATCH_TEXTS):
        yield texts[start : start + _BATCH_TEXTS]


def folded(texts: Sequence[str]) -> list[str]:
    """Give the texts as the serving encoder will read them."""
    simplify = OpenCC("t2s").convert
    return [fold(text, simplify) for text in texts]


def open_base(name: str) -> Body:
    """Open "builtin", a folder that `save` or sentence-transformers wrote, or a downloaded model by its name.

    Raises:
        ModelError: it is not there, is damaged, or is no BERT whose tokens' mean is the text's vector.
    """
    return _open_builtin() if name == BUILTIN else _open_transformer(name)


def _open_builtin() -> Body:
    BuiltinEncoder()  # checks the files
    weights, shape = read_onnx(BUILTIN_FOLDER / MODEL_FILE)
    rows, width = weights["embeddings.word_embeddings.weight"].shape
    config = BertConfig(
        vocab_size=rows,
        hidden_size=width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=len(weights["encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=shape.max_tokens,
        type_vocab_size=1,
        layer_norm_eps=shape.layer_norm_epsilon,
    )
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    return _body(model, Tokenizer.from_file(str(BUILTIN_FOLDER / TOKENIZER_FILE)), shape.max_tokens)


def open_sentence_transformer(name: str, part: str, instead: str) -> SentenceTransformer:
    """Open a folder or a downloaded model by its name, without any network. `part` is what it is here: base, teacher.

    Raises:
        ModelError: it is not there, or is damaged; the message ends in what to do `instead`.
    """
    is_path = name.startswith((".", "/", "~")) or Path(name).exists()
    if is_path and not (Path(name) / "modules.json").is_file():
        raise ModelError(f"there is no model in {name}: give a folder that sentence-transformers wrote, or {instead}")
    try:
        return SentenceTransformer(name, device="cpu", local_files_only=True)
    except Exception as error:  # a damaged file surfaces as whatever its reader raises
        raise ModelError(
            f"the {part} {name} cannot be opened ({type(error).__name__}: {error}): "
            f"copy or download it again, or {instead}"
        ) from error


def _open_transformer(name: str) -> Body:
    opened = open_sentence_transformer(name, "base", "start from `builtin`")
    model = getattr(opened[0], "auto_model", None)
    tokenizer = getattr(opened.tokenizer, "backend_tokenizer", None)
    means = len(opened) > 1 and getattr(opened[1], "pooling_mode", "mean") in {"mean", ("mean",)}
    if not isinstance(model, BertModel) or tokenizer is None or not means:
        raise ModelError(f"{name} is no BERT whose tokens' mean is the text's vector: start from another, or `builtin`")
    model.pooler = None
    return _body(model, tokenizer, min(_MAX_TOKENS, model.config.max_position_embeddings))


def _body(model: BertModel, tokenizer: Tokenizer, max_tokens: int) -> Body:
    # The fused attention of torch spends 60 % of a training step on the CPU in its backward pass.
    model.set_attn_implementation("eager")
    model.train(mode=False)  # no dropout: short trainings on little data did no better with it
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return Body(model=model, tokenizer=tokenizer, max_tokens=max_tokens)


def save(body: Body, folder: Path) -> None:
    """Write what serving opens (8-bit ONNX) and what sentence-transformers opens (float32), beside each other."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as raw:
        body.model.save_pretrained(raw)
        PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers types half of itself
            tokenizer_object=body.tokenizer,
            unk_token="[UNK]",  # noqa: S106 - these are tokens, no secrets
            pad_token="[PAD]",  # noqa: S106
            cls_token="[CLS]",  # noqa: S106
            sep_token="[SEP]",  # noqa: S106
            mask_token="[MASK]",  # noqa: S106
            model_max_length=body.max_tokens,
        ).save_pretrained(raw)
        transformer = Transformer(raw, max_seq_length=body.max_tokens)
        modules = [transformer, Pooling(body.model.config.hidden_size), Normalize()]
        with contextlib.redirect_stdout(None):
            SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    body.tokenizer.save(str(folder / TOKENIZER_FILE), pretty=False)
    weights = {key: value.float().numpy() for key, value in body.model.state_dict().items()}
    config = body.model.config
    shape = BodyShape(
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        layer_norm_epsilon=config.layer_norm_eps,
        max_tokens=body.max_tokens,
    )
    write_onnx(weights, shape, folder / MODEL_FILE)
    write_card(folder, dimension=config.hidden_size, max_tokens=body.max_tokens)
