"""One command makes an encoder from a plain base, a dictionary, unlabelled texts, a teacher and translations."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from qa_service.domain.errors import KnowledgeError
from qa_service.retrieval.builtin_encoder import BuiltinEncoder
from qa_service.training.body import open_base
from qa_service.training.card import MODEL_CARD, TO_FILL
from qa_service.training.encoder import Budget, Sources, train_encoder
from training.test_teacher import CHINESE, ENGLISH, sentences
from training.tiny import lines, tiny_model

GROUPS = [
    ["refund my order", "money back order", "退款订单"],
    ["where is my parcel", "parcel late", "物流慢"],
    ["cancel my order", "order cancel", "取消订单"],
    ["my invoice", "where is my invoice", "查发票"],
]
GLOSSES = {"退款": "refund", "物流": "parcel", "取消": "cancel", "订单": "order", "发票": "invoice", "慢": "late"}
BUDGET = Budget(minutes=1, steps=20, rate=1e-3, seeds=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    parallel = [{"zh": "我的订单慢", "en": "my order is late"}, {"zh": "物流订单", "en": "order parcel"}]
    lines(folder / "pairs.jsonl", [*({"texts": group} for group in GROUPS), *parallel])
    lines(folder / "dev.jsonl", ({"texts": group} for group in GROUPS))
    lines(folder / "words.jsonl", ({"word": word, "gloss": gloss} for word, gloss in GLOSSES.items()))
    texts = [*sentences(ENGLISH, 120, 1), *sentences(CHINESE, 40, 2), *["退款物流取消订单发票"] * 2]
    (folder / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    tiny_model(folder / "teacher", width=48, more_words=CHINESE, seed=5)
    return folder


@pytest.fixture(scope="module")
def out(base: Path, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "remade"
    sources = Sources(
        dictionary=files / "words.jsonl",
        texts=[files / "texts.txt"],
        teacher=str(files / "teacher" / "model"),
    )
    pairs, dev = [files / "pairs.jsonl"], files / "dev.jsonl"
    done = train_encoder(pairs, out=folder, base=str(base), dev=dev, sources=sources, budget=BUDGET)
    assert {"退款", "物流", "取消", "订单", "发票"} >= set(done.growth.words) >= {"物流", "订单"}
    assert done.recall_after >= done.recall_before
    return folder


def test_it_is_served_as_it_was_trained(out: Path) -> None:
    texts = [text for group in GROUPS for text in group]
    served = BuiltinEncoder(out).encode(texts)
    trained = SentenceTransformer(str(out), device="cpu").encode(texts, normalize_embeddings=True)
    assert (served * np.asarray(trained)).sum(1).min() > 0.97  # 8 bits instead of 32


def test_chinese_lies_nearer_to_its_english_than_before(base: Path, out: Path) -> None:
    chinese, english = [["退款订单", "物流慢", "取消订单"], ["refund my order", "parcel late", "cancel my order"]]
    right = np.diag_indices(3)
    before, after = (
        each.encode(chinese)[:, None] @ open_base(str(base)).encode(english).T[None]
        for each in (open_base(str(base)), open_base(str(out)))
    )
    assert after[:, 0][right].mean() > before[:, 0][right].mean()


def test_its_card_names_files_and_figures_and_leaves_licences_open(files: Path, out: Path) -> None:
    card = (out / MODEL_CARD).read_text(encoding="utf-8")
    for name in ("pairs.jsonl", "dev.jsonl", "words.jsonl", "texts.txt"):
        assert name in card
        assert hashlib.sha256((files / name).read_bytes()).hexdigest() in card
    assert card.count(TO_FILL) == 1 + 2 + 4 + 1  # its own licence, base and teacher, files, limits
    assert "Recall@1 among 12 held-out wordings of 4 meanings" in card
    assert str(files) not in card  # whose disk it was is nobody's business


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("t.txt", "\n\n", r"no text in .*t\.txt: expected", id="blank lines"),
        pytest.param("t.jsonl", "", r"no text in .*t\.jsonl: expected", id="empty"),
        pytest.param("t.jsonl", '{"query": "a"}\n', r"t\.jsonl:1: .*`text`: expected", id="rows of another kind"),
    ],
)
def test_texts_that_hold_none_are_named(files: Path, tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(KnowledgeError, match=message):
        train_encoder([files / "pairs.jsonl"], out=tmp_path / "out", sources=Sources(texts=[tmp_path / name]))


@pytest.mark.parametrize("row", [{"zh": "退款", "en": ""}, {"zh": " ", "en": "refund"}, {"en": "refund"}])
def test_a_translation_with_one_side_is_refused(tmp_path: Path, row: dict[str, str]) -> None:
    file = lines(tmp_path / "pairs.jsonl", [{"texts": ["one", "two"]}, row])
    with pytest.raises(KnowledgeError, match=r"pairs\.jsonl:2: one side of the pair is empty"):
        train_encoder([file], out=tmp_path / "out")


def test_a_missing_dictionary_is_named_before_anything_is_trained(files: Path, tmp_path: Path) -> None:
    sources = Sources(dictionary=tmp_path / "nowhere.txt")
    with pytest.raises(KnowledgeError, match=r"nowhere\.txt cannot be read"):
        train_encoder([files / "pairs.jsonl"], out=tmp_path / "out", dev=files / "dev.jsonl", sources=sources)


def test_translations_that_the_base_cannot_read_are_refused(base: Path, files: Path, tmp_path: Path) -> None:
    file = lines(
        tmp_path / "pairs.jsonl", [*({"texts": group} for group in GROUPS), {"zh": "退款", "en": "remboursement"}]
    )
    with pytest.raises(KnowledgeError, match="reads none of the English texts"):
        train_encoder([file], base=str(base), out=tmp_path / "out", dev=files / "dev.jsonl")
