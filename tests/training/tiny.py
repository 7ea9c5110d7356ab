"""Tiny models with weights drawn at random, as sentence-transformers keeps them, and files of rows."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizer

WORDS = [
    *"退款钱还",
    "refund",
    "order",
    "parcel",
    "where",
    "is",
    "my",
    "money",
    "back",
    "how",
    "late",
    "cancel",
    "invoice",
    "coupon",
]


def tiny_model(folder: Path, *, width: int = 32, more_words: Iterable[str] = (), seed: int = 0) -> Path:
    """Write a BERT of two layers that knows `WORDS` and `more_words`."""
    raw = folder / "raw"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *more_words]
    BertTokenizer(vocab={token: place for place, token in enumerate(tokens)}, do_lower_case=True).save_pretrained(raw)
    shape = BertConfig(
        vocab_size=len(tokens),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
    )
    torch.manual_seed(seed)
    BertModel(shape).save_pretrained(raw)
    SentenceTransformer(modules=[Transformer(str(raw)), Pooling(width)], device="cpu").save(str(folder / "model"))
    return folder / "model"


def lines(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
