"""A text is encoded once, whoever asks; what is given is what the encoder would have given."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qa_service.retrieval.remembering import RememberingEncoder


class Counting:
    """A tiny real encoder that keeps what it was asked."""

    name = "counting"
    dimension = 2
    fingerprint = "0"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.array([[len(text), len(set(text))] for text in texts], np.float32).reshape(-1, 2)


def test_a_text_is_encoded_once_within_a_batch_and_between_batches() -> None:
    counting = Counting()
    encoder = RememberingEncoder(counting)
    encoder.encode(["a", "bb", "a"])
    encoder.encode(["bb", "ccc"])
    assert counting.asked == ["a", "bb", "ccc"]


@given(batches=st.lists(st.lists(st.text(max_size=3), max_size=6), max_size=6), remembered=st.integers(0, 4))
def test_whatever_is_remembered_the_vectors_are_the_encoders_own(batches: list[list[str]], remembered: int) -> None:
    encoder = RememberingEncoder(Counting(), remembered=remembered)
    for texts in batches:
        assert np.array_equal(encoder.encode(texts), Counting().encode(texts))


def test_the_texts_seen_longest_ago_are_forgotten() -> None:
    counting = Counting()
    encoder = RememberingEncoder(counting, remembered=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        encoder.encode([text])
    assert counting.asked == ["a", "b", "c", "b"]


def test_it_goes_by_the_encoders_name() -> None:
    encoder = RememberingEncoder(Counting())
    assert (encoder.name, encoder.dimension, encoder.fingerprint) == ("counting", 2, "0")
