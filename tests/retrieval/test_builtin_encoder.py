"""The shipped encoder: two languages in one space, the same vector whatever the company, and files that are checked."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qa_service.domain.errors import ModelError
from qa_service.retrieval.builtin_encoder import BUILTIN_FOLDER, CARD_FILE, MODEL_FILE, TOKENIZER_FILE, BuiltinEncoder

BUILTIN = BuiltinEncoder()


def likeness(one: str, other: str) -> float:
    a, b = BUILTIN.encode([one, other])
    return float(a @ b)


def test_rows_are_float32_of_length_one() -> None:
    vectors = BUILTIN.encode(["退款多久到账", "where is my order", "a"])
    assert vectors.shape == (3, BUILTIN.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert BUILTIN.encode([]).shape == (0, BUILTIN.dimension)


def test_it_never_imports_torch() -> None:
    code = (
        "import sys; from qa_service.retrieval.builtin_encoder import BuiltinEncoder; "
        "BuiltinEncoder().encode(['退款']); "
        "assert not {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        pytest.param("钱什么时候退回来", "退款多久能到账", "优惠券多久过期", id="other words"),
        pytest.param(
            "how long until I get my money back", "退款多久能到账", "怎么开发票", id="English asks, Chinese answers"
        ),
        pytest.param("密码忘了", "I forgot my password", "my parcel is late", id="Chinese asks, English answers"),
        pytest.param("怎麼修改收貨地址", "怎么修改收货地址", "怎么修改登录密码", id="traditional characters"),
        pytest.param("my package never came", "I did not receive my parcel", "how do I get an invoice", id="English"),
    ],
)
def test_meaning_is_found_across_words_and_languages(question: str, right: str, wrong: str) -> None:
    assert likeness(question, right) > likeness(question, wrong) + 0.1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("退款多久到账？", "退款多久到账"),
        ("Where is MY order", "where is my order"),
        ("Ａ１２３", "a123"),
        ("物流", "物流\u200b"),
        ("退貨運費", "退货运费"),
    ],
)
def test_writings_of_one_question_have_one_vector(one: str, other: str) -> None:
    assert likeness(one, other) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("text", ["", "？！", "... --- ...", "\n\t "])
def test_a_text_without_letters_or_digits_is_like_nothing(text: str) -> None:
    assert not BUILTIN.encode([text]).any()


@given(st.lists(st.text(max_size=40), max_size=6), st.integers(0, 20))
@example(["\x00a\nb", "b", "\ud800", "😀x", "𠮷野家"], 0)
@settings(max_examples=40, deadline=None)
def test_a_texts_vector_does_not_depend_on_its_neighbours(texts: list[str], neighbours: int) -> None:
    crowd = [f"neighbour {number} 邻居" * (1 + number % 5) for number in range(neighbours)]
    together = BUILTIN.encode([*crowd, *texts])[neighbours:]
    alone = np.concatenate([np.zeros((0, BUILTIN.dimension), np.float32), *(BUILTIN.encode([text]) for text in texts)])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.isfinite(together).all()


def test_a_very_long_text_is_read_as_far_as_the_model_goes() -> None:
    begun_s = time.perf_counter()
    vector = BUILTIN.encode(["退款 refund " * 50_000])
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    assert time.perf_counter() - begun_s < 1


def test_the_fingerprint_is_the_same_for_the_same_files() -> None:
    assert BuiltinEncoder().fingerprint == BUILTIN.fingerprint


def test_a_short_question_takes_at_most_three_milliseconds() -> None:
    times_s = []
    for _ in range(100):
        begun_s = time.perf_counter()
        BUILTIN.encode(["退款多久能到账"])
        times_s.append(time.perf_counter() - begun_s)
    assert min(times_s) < 0.003


@pytest.mark.parametrize("name", [MODEL_FILE, TOKENIZER_FILE, CARD_FILE])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(BUILTIN_FOLDER, tmp_path / "encoder")
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing or damaged.*install the package again"):
        BuiltinEncoder(folder)


@pytest.mark.parametrize("name", [MODEL_FILE, TOKENIZER_FILE])
def test_a_changed_byte_is_noticed(tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(BUILTIN_FOLDER, tmp_path / "encoder")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256"):
        BuiltinEncoder(folder)


def test_a_card_that_is_no_card_is_an_error(tmp_path: Path) -> None:
    folder = shutil.copytree(BUILTIN_FOLDER, tmp_path / "encoder")
    (folder / CARD_FILE).write_text("{}")
    with pytest.raises(ModelError, match="missing or damaged"):
        BuiltinEncoder(folder)
