"""Encoders give unit vectors of what they know, whoever made them; a named one must be there."""

import shutil
import socket
import string
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qa_service.domain.errors import ModelError
from qa_service.retrieval.encoder import Encoder, open_encoder
from qa_service.retrieval.transformer import PairScorer, SentenceTransformerEncoder

WORDS = ["refund", "order", "where", "is", "my", "how", "long", *"退款多久到账怎么修改地址", *string.ascii_lowercase]


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Folders of two tiny models with weights drawn at random."""

    sentence: Path
    other_sentence: Path
    pair: Path
    classifier: Path


def _save_models(folder: Path) -> Models:
    # Torch takes seconds: only the tests that need it pay.
    import torch  # noqa: PLC0415 - see above
    from sentence_transformers import CrossEncoder, SentenceTransformer  # noqa: PLC0415 - see above
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer  # noqa: PLC0415 - see above
    from transformers import (  # noqa: PLC0415 - see above
        BertConfig,
        BertForSequenceClassification,
        BertModel,
        BertTokenizer,
    )

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = BertTokenizer(vocab={token: place for place, token in enumerate(tokens)}, do_lower_case=True)
    shape: dict[str, Any] = {
        "vocab_size": len(tokens),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    }
    models = Models(
        sentence=folder / "sentence",
        other_sentence=folder / "other",
        pair=folder / "pair",
        classifier=folder / "classifier",
    )
    for seed, target in enumerate((models.sentence, models.other_sentence)):
        torch.manual_seed(seed)
        raw = folder / f"raw-{seed}"
        BertModel(BertConfig(**shape)).save_pretrained(raw)
        tokenizer.save_pretrained(raw)
        body = Transformer(str(raw))
        SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension())], device="cpu").save(str(target))
    for labels, target in ((1, models.pair), (3, models.classifier)):
        raw = folder / f"raw-pair-{labels}"
        BertForSequenceClassification(BertConfig(**{**shape, "num_labels": labels})).save_pretrained(raw)
        tokenizer.save_pretrained(raw)
        CrossEncoder(str(raw), device="cpu").save_pretrained(str(target))
    return models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return _save_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's address is a port of this machine where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)


def check_port(encoder: Encoder, texts: Sequence[str]) -> None:
    vectors = encoder.encode(texts)
    assert vectors.shape == (len(texts), encoder.dimension)
    assert vectors.dtype == np.float32
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(lengths[lengths > 0], 1.0, atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dimension)
    assert encoder.fingerprint


def test_the_builtin_keeps_the_port() -> None:
    check_port(open_encoder("builtin"), ["退款多久到账", "where is my order", "?!", ""])


def test_a_transformer_keeps_the_port(models: Models) -> None:
    check_port(open_encoder(str(models.sentence)), ["退款多久到账", "where is my order", "?!", ""])


def test_a_transformers_vectors_do_not_depend_on_the_batch(models: Models) -> None:
    encoder = SentenceTransformerEncoder.open(str(models.sentence))
    texts = [f"order {'my ' * (number % 7)} {letter}" for number, letter in enumerate(string.ascii_lowercase * 3)]
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_allclose(encoder.encode(texts), alone, atol=1e-5)
    assert encoder.dimension == 32


def test_a_transformers_fingerprint_follows_its_weights(models: Models) -> None:
    first = SentenceTransformerEncoder.open(str(models.sentence)).fingerprint
    assert SentenceTransformerEncoder.open(str(models.sentence)).fingerprint == first
    assert SentenceTransformerEncoder.open(str(models.other_sentence)).fingerprint != first


def test_a_path_that_does_not_exist_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="no model folder /nowhere/model: check the path"):
        open_encoder("/nowhere/model")


def test_a_folder_without_a_model_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        open_encoder(str(tmp_path))


def test_a_damaged_weight_file_is_a_model_error(models: Models, tmp_path: Path) -> None:
    folder = shutil.copytree(models.sentence, tmp_path / "damaged")
    weights = next(folder.rglob("model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="missing or damaged"):
        open_encoder(str(folder))


@pytest.mark.usefixtures("no_hub")
def test_a_name_that_the_hub_cannot_be_asked_for_fails_soon() -> None:
    begun_s = time.perf_counter()
    with pytest.raises(ModelError, match=r"does not answer .* give the path of a model folder"):
        open_encoder("nobody/no-such-model")
    assert time.perf_counter() - begun_s < 20  # torch's import included


def test_offline_a_name_is_only_looked_for_here(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hub:
        hub.settimeout(0.2)
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{hub.getsockname()[1]}")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(ModelError, match="HF_HUB_OFFLINE forbids"):
            PairScorer.open("nobody/no-such-model")
        with pytest.raises(TimeoutError):
            hub.accept()


def test_pairs_are_scored_one_by_one_as_in_a_batch(models: Models) -> None:
    scorer = PairScorer.open(str(models.pair))
    texts = ["refund order", "修改地址", "where is my order", ""]
    scores = scorer.score("how long", texts)
    assert scores.shape == (4,)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [scorer.score("how long", [text])[0] for text in texts], atol=1e-5)
    assert len(set(scores.tolist())) > 1
    assert scorer.score("how long", []).shape == (0,)


def test_a_classifier_of_several_labels_is_no_reranker(models: Models) -> None:
    with pytest.raises(ModelError, match="3 scores a pair"):
        PairScorer.open(str(models.classifier))
