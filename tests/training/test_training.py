"""Training draws wordings of one meaning together, keeps the better weights, and serves what it trained."""

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from qa_service.domain.errors import KnowledgeError, ModelError
from qa_service.retrieval.builtin_encoder import MODEL_FILE, BuiltinEncoder
from qa_service.training.body import open_base
from qa_service.training.encoder import Budget, train_encoder
from qa_service.training.onnx_file import read_onnx
from training.tiny import lines

GROUPS = [
    ["refund my order", "money back order", "order refund"],
    ["where is my parcel", "parcel late", "my parcel is late"],
    ["cancel my order", "order cancel", "how cancel order"],
    ["my invoice", "where is my invoice", "invoice where"],
    ["coupon late", "my coupon is late", "where is my coupon"],
    ["退款", "退钱", "钱还我 refund"],
]
STEPS = Budget(minutes=1, steps=40, rate=1e-3)  # a body of random weights learns fast


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows: list[dict[str, object]] = [{"texts": group} for group in GROUPS]
    rows += [{"a": "cancel my order", "b": "refund my order", "label": 0}]
    return lines(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", rows)


def test_training_lowers_the_loss_and_finds_more(base: Path, pairs: Path, tmp_path: Path) -> None:
    done = train_encoder([pairs], base=str(base), out=tmp_path / "out", dev=pairs, budget=STEPS)
    assert done.last_loss < done.first_loss
    assert done.recall_after >= done.recall_before
    assert done.steps >= 10


def test_what_is_served_is_what_was_trained(base: Path, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train_encoder([pairs], base=str(base), out=out, dev=pairs, budget=STEPS)
    texts = [text for group in GROUPS for text in group]
    served = BuiltinEncoder(out).encode(texts)
    trained = SentenceTransformer(str(out), device="cpu").encode(texts, normalize_embeddings=True)
    assert (served * np.asarray(trained)).sum(1).min() > 0.98  # 8 bits instead of 32


def test_a_served_model_can_be_trained_on(base: Path, pairs: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train_encoder([pairs], base=str(base), out=first, dev=pairs, budget=STEPS)
    done = train_encoder([pairs], base=str(first), out=second, dev=pairs, budget=STEPS)
    assert BuiltinEncoder(second).dimension == 32
    assert done.recall_after >= done.recall_before


def test_a_character_that_the_base_cannot_read_gets_a_row(base: Path, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"texts": group} for group in (["换货", "换"], ["换 order", "货"], GROUPS[0])]
    file = lines(tmp_path / "pairs.jsonl", rows)
    known = open_base(str(base)).tokenizer.get_vocab()
    train_encoder([file], base=str(base), out=tmp_path / "out", dev=file, budget=STEPS)
    grown = open_base(str(tmp_path / "out")).tokenizer.get_vocab()
    assert set(grown) - set(known) == {"换", "货"}


def test_the_built_in_encoder_can_be_opened_for_training() -> None:
    texts = ["退款多久到账", "where is my parcel"]
    vectors = open_base("builtin").encode(texts)
    served = BuiltinEncoder().encode(texts)
    assert (vectors * served).sum(1).min() > 0.97


def test_the_file_gives_back_its_weights(base: Path, pairs: Path, tmp_path: Path) -> None:
    train_encoder([pairs], base=str(base), out=tmp_path, dev=pairs, budget=Budget(minutes=1, steps=1))
    kept = open_base(str(tmp_path)).model.state_dict()
    read, shape = read_onnx(tmp_path / MODEL_FILE)
    assert (shape.layers, shape.heads, shape.max_tokens) == (2, 2, 40)
    for name in ("embeddings.word_embeddings.weight", "encoder.layer.1.output.dense.weight"):
        np.testing.assert_allclose(read[name], kept[name].numpy(), atol=float(kept[name].abs().max()) / 100)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param([], "no two texts of one meaning", id="empty"),
        pytest.param([{"a": "one", "b": "two", "label": 0}], "no two texts of one meaning", id="only unlike pairs"),
        pytest.param([{"texts": ["one", "two"]}], "all texts in .* mean the same", id="a single group"),
        pytest.param([{"a": "one", "b": "two"}], r"expected .*label", id="a pair that says not what it is"),
        pytest.param([{"texts": ["one", "two"]}] * 3, "too few to hold some out", id="nothing to hold out"),
    ],
)
def test_texts_that_cannot_teach_are_refused(tmp_path: Path, rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(KnowledgeError, match=message):
        train_encoder([lines(tmp_path / "pairs.jsonl", rows)], out=tmp_path / "out")


def test_a_missing_training_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match=r"nowhere\.jsonl cannot be read"):
        train_encoder([tmp_path / "nowhere.jsonl"], out=tmp_path / "out")


def test_a_missing_base_says_what_to_name(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no model in .*nowhere: give a folder"):
        train_encoder([pairs], base=str(tmp_path / "nowhere"), out=tmp_path / "out")
