"""A teacher's likenesses, and a dictionary's and translations' English, reach the body that learns."""

import copy
import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from qa_service.domain.errors import KnowledgeError, ModelError
from qa_service.training.body import Body, open_base
from qa_service.training.learning import Budget, Course, learn
from qa_service.training.lessons import Drawn, Lesson, Taught
from qa_service.training.material import Material
from qa_service.training.teacher import ask, open_teacher
from qa_service.training.vocabulary import grow
from training.tiny import WORDS, tiny_model

STEPS = Budget(minutes=1, steps=60, rate=1e-3)
CHINESE = ["物", "流", "慢", "查", "单", "取", "消"]
ENGLISH = [word for word in WORDS if word.isascii()]
HELD = Material(groups=(("refund my order", "order refund"), ("where is my parcel", "parcel late")), confusable=())


def sentences(words: list[str], count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return list(dict.fromkeys(" ".join(draw.sample(words, 4)) for _ in range(count)))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    """Wider than the base, and it reads Chinese."""
    folder = tmp_path_factory.mktemp("teacher")
    return open_teacher(str(tiny_model(folder, width=48, more_words=CHINESE, seed=5)))


def taught(body: Body, lessons: list[Lesson]) -> Body:
    pupil = copy.deepcopy(body)
    learned = learn(pupil, Course(at_first=lessons, then=lessons, first_share=0.0), HELD, STEPS)
    assert learned.losses[-1] < learned.losses[0]
    pupil.model.load_state_dict(learned.weights)
    return pupil


def agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Give how the cosines between texts go together in two spaces: -1 to 1."""
    upper = np.triu_indices(len(one), 1)
    return float(np.corrcoef((one @ one.T)[upper], (other @ other.T)[upper])[0, 1])


def test_likenesses_come_nearer_to_the_teachers(base: Path, teacher: SentenceTransformer) -> None:
    texts = sentences(CHINESE, 150, 1) + sentences(ENGLISH, 150, 2)
    body = open_base(str(base))
    grow(body, texts)
    opinion = ask(teacher, body, texts, ())
    pupil = taught(body, [Taught(opinion=opinion)])
    asked = sentences(CHINESE, 60, 3)
    told = ask(teacher, body, asked + sentences(ENGLISH, 150, 4), ())
    told_of = dict(zip(told.texts, told.told, strict=True))
    theirs = np.stack([told_of[text] for text in asked])
    before, after = (agreement(each.encode(asked), theirs) for each in (body, pupil))
    assert 1 - after < 0.7 * (1 - before)


def test_what_the_base_reads_has_its_own_place(base: Path, teacher: SentenceTransformer) -> None:
    body = open_base(str(base))
    texts = sentences(ENGLISH, 150, 2)
    opinion = ask(teacher, body, texts, ())
    np.testing.assert_allclose(opinion.place, body.encode(opinion.texts), atol=1e-6)
    assert opinion.anchors == len(texts)


def test_the_map_leads_a_translation_to_its_english(base: Path, teacher: SentenceTransformer) -> None:
    body = open_base(str(base))
    texts = sentences(CHINESE, 200, 1)
    grow(body, texts)
    parallel = list(zip(texts, ["refund my order", "where is my parcel"] * len(texts), strict=False))
    opinion = ask(teacher, body, texts, parallel)
    english = dict(parallel)
    right = body.encode([english[text] for text in opinion.texts])
    wrong = body.encode(["cancel invoice"])
    assert ((opinion.place * right).sum(1) > (opinion.place @ wrong.T)[:, 0]).mean() > 0.9


def test_a_word_comes_near_its_gloss(base: Path) -> None:
    glosses = {"物流": "parcel", "取消": "cancel", "查单": "where is my order", "慢": "late"}
    body = open_base(str(base))
    grow(body, ["物流", "取消", "查单", "慢"] * 2, glosses)
    pupil = taught(body, [Drawn(base=copy.deepcopy(body), pairs=list(glosses.items()))])
    places = body.encode(list(glosses.values()))
    before, after = ((each.encode(list(glosses)) * places).sum(1).mean() for each in (body, pupil))
    assert after > max(before, 0.9)


def test_a_teacher_needs_texts_that_the_base_reads(base: Path, teacher: SentenceTransformer) -> None:
    with pytest.raises(KnowledgeError, match=r"reads only 0 of the texts: a teacher needs 100"):
        ask(teacher, open_base(str(base)), sentences(CHINESE, 150, 1), ())


def test_a_missing_teacher_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model in .*nowhere: give a folder .* or train without --teacher"):
        open_teacher(str(tmp_path / "nowhere"))


def test_a_damaged_teacher_is_named(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path)
    (folder / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(ModelError, match=r"the teacher .*model cannot be opened"):
        open_teacher(str(folder))
