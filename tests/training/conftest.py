"""The tiny base that most trainings start from."""

from pathlib import Path

import pytest

from training.tiny import tiny_model


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with weights drawn at random, as sentence-transformers keeps it."""
    return tiny_model(tmp_path_factory.mktemp("base"))
