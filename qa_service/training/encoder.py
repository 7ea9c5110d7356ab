"""Trains an encoder until the time is up or held-out groups are no longer found better, and writes what serving opens.

Wordings of one meaning, and pairs kept apart, adapt a base that reads the language. A dictionary, a teacher and
translations teach Chinese to a base that has only English: MODEL_CARD.md of the built-in encoder has that recipe. It
knows no knowledge base and no index.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from qa_service.domain.errors import KnowledgeError
from qa_service.training.body import BUILTIN, Body, folded, open_base, save
from qa_service.training.card import Source, write_model_card
from qa_service.training.dictionary import read_dictionary
from qa_service.training.learning import Budget, Course, Learned, learn, recall
from qa_service.training.lessons import Apart, Drawn, Lesson, Taught, Wordings
from qa_service.training.material import Material, hold_out, read_material, read_texts
from qa_service.training.teacher import MOST_TEXTS, Opinion, ask, open_teacher
from qa_service.training.vocabulary import LEAST_OCCURRENCES, MOST_WORDS, Growth, grow, is_ideograph

__all__ = ["Budget", "Sources", "Training", "train_encoder"]

_ROWS_FIRST_SHARE = 0.3  # of the time: only the new rows learn, so that noise does not reach the body
_DICTIONARY_SHARE = 0.2  # ... when a dictionary teaches them
_WORDS_A_STEP = 128  # they are short, and each step moves a whole table of rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What teaches a base a language, beside the wordings. `teacher` is a sentence-transformers folder or name.

    The `words` commonest words of the dictionary that occur `least` times or more in all texts become tokens. The
    teacher reads `taught` of all texts at most, before the training's minutes begin.
    """

    dictionary: Path | None = None
    texts: Sequence[Path] = ()
    teacher: str | None = None
    words: int = MOST_WORDS
    least: int = LEAST_OCCURRENCES
    taught: int = MOST_TEXTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What came of it. Recalls (0 to 1): of held-out texts, how many have one of their own group nearest."""

    folder: Path
    steps: int
    first_loss: float
    last_loss: float
    recall_before: float
    recall_after: float
    growth: Growth


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """All files, read and folded."""

    train: Material
    held: Material
    texts: Sequence[str]
    glosses: Mapping[str, str] = field(default_factory=dict)

    def every_text(self) -> Iterator[str]:
        yield from self.texts
        for group in self.train.groups:
            yield from group
        for pair in self.train.parallel:
            yield from pair


def train_encoder(
    pairs: Sequence[Path],
    *,
    out: Path,
    base: str = BUILTIN,
    dev: Path | None = None,
    sources: Sources | None = None,
    budget: Budget | None = None,
) -> Training:
    """Adapt `base` ("builtin", a folder or a downloaded name) to the texts in `pairs` and write it to `out`.

    `out` is then an encoder for serving and a sentence-transformers model, with a model card. `dev` holds groups for
    early stopping; without it a tenth of the groups is held out. The better of base and trained is kept.

    Raises:
        KnowledgeError: a file cannot be read, or the texts cannot teach anything; the message says what is missing.
        ModelError: there is no such base or teacher, or the base cannot be trained.
    """
    budget, sources = budget or Budget(), sources or Sources()
    read = _read(pairs, dev, sources, budget.seed)
    torch.manual_seed(budget.seed)
    body = open_base(base)
    growth = grow(body, list(read.every_text()), read.glosses, most_words=sources.words, least=sources.least)
    before = recall(body, read.held)
    known = copy.deepcopy(body)
    opinion = _opinion(sources, known, read, budget.seed)
    learned = learn(body, _course(known, read, growth, opinion), read.held, budget)
    body.model.load_state_dict(learned.weights)
    save(body, out)
    training = _result(out, learned, before, growth)
    write_model_card(
        out,
        models={"Base": base} | ({"Teacher, in training only": sources.teacher} if sources.teacher else {}),
        sources=_named(pairs, dev, sources),
        recipe=_recipe(budget, training, opinion, len(body.rows)),
        figures=_figures(training, read.held),
    )
    return training


def _result(folder: Path, learned: Learned, before: float, growth: Growth) -> Training:
    first, last = (float(np.mean(part)) for part in (learned.losses[:5], learned.losses[-5:]))
    return Training(
        folder=folder,
        steps=learned.steps,
        first_loss=first,
        last_loss=last,
        recall_before=before,
        recall_after=learned.recall,
        growth=growth,
    )


def _opinion(sources: Sources, known: Body, read: _Read, seed: int) -> Opinion | None:
    """Ask the teacher, whose memory is free again before the training begins."""
    if not sources.teacher:
        return None
    texts = list(dict.fromkeys(read.every_text()))
    teacher = open_teacher(sources.teacher)
    return ask(teacher, known, texts, read.train.parallel, most=sources.taught, seed=seed)


def _read(pairs: Sequence[Path], dev: Path | None, sources: Sources, seed: int) -> _Read:
    material = read_material(pairs)
    train, held = (material, read_material([dev])) if dev else hold_out(material, seed=seed)
    return _Read(
        train=_fold(train),
        held=_fold(held),
        texts=folded(read_texts(sources.texts)),
        glosses=read_dictionary(sources.dictionary) if sources.dictionary else {},
    )


def _fold(material: Material) -> Material:
    def fold_pairs(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        return tuple((one, other) for one, other in map(folded, pairs))

    return Material(
        groups=tuple(tuple(folded(group)) for group in material.groups),
        confusable=fold_pairs(material.confusable),
        parallel=fold_pairs(material.parallel),
    )


def _course(known: Body, read: _Read, growth: Growth, opinion: Opinion | None) -> Course:
    lessons: list[Lesson] = [Wordings(base=known, groups=read.train.groups)]
    if read.train.confusable:
        lessons.append(Apart(confusable=read.train.confusable))
    if opinion:
        lessons.append(Taught(opinion=opinion))
    parallel = _to_what_it_reads(known, read.train.parallel)
    if read.train.parallel and not parallel:
        raise KnowledgeError('the base reads none of the English texts of the {"zh", "en"} pairs: name another base')
    parallel += _to_what_it_reads(known, list(_translations(read.train))) if known.new_rows else []
    if parallel:
        lessons.append(Drawn(base=known, pairs=parallel))
    words = _dictionary_lessons(known, read.glosses, growth)
    if words:
        return Course(at_first=words, then=(*lessons, words[0]), first_share=_DICTIONARY_SHARE)
    return Course(at_first=lessons, then=lessons, first_share=_ROWS_FIRST_SHARE if known.new_rows else 0.0)


def _dictionary_lessons(known: Body, glosses: Mapping[str, str], growth: Growth) -> Sequence[Lesson]:
    """Give the lesson of the words that got a row of their own, and that of words in whose middle others stand."""
    own = {*growth.characters, *growth.words, *growth.renewed} & glosses.keys()
    unknown = known.tokenizer.token_to_id("[UNK]")
    rest = [word for word in glosses if word not in own and any(map(is_ideograph, word))]
    rest = [
        word
        for word, encoding in zip(rest, known.tokenizer.encode_batch(rest), strict=True)
        if unknown not in encoding.ids and not set(encoding.ids).isdisjoint(known.new_rows)
    ]
    both = [_to_what_it_reads(known, [(word, glosses[word]) for word in words]) for words in (sorted(own), rest)]
    return [Drawn(base=known, pairs=pairs, a_step=_WORDS_A_STEP) for pairs in both if pairs]


def _to_what_it_reads(known: Body, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out pairs whose second text has no place in the base's space."""
    reads = known.reads([other for _, other in pairs])
    return [pair for pair, right in zip(pairs, reads, strict=True) if right]


def _translations(material: Material) -> Iterator[tuple[str, str]]:
    """Give the Chinese wordings of each group beside the English ones of the same group."""
    for group in material.groups:
        chinese = [text for text in group if any(map(is_ideograph, text))]
        english = [text for text in group if text not in chinese]
        if english:
            yield from zip(chinese, cycle(english), strict=False)


def _named(pairs: Sequence[Path], dev: Path | None, sources: Sources) -> list[Source]:
    uses = {"wordings, unlike pairs, translations": pairs, "unlabelled texts": sources.texts}
    uses |= {"words and their glosses": [sources.dictionary] if sources.dictionary else []}
    uses |= {"early stopping alone": [dev] if dev else []}
    return [Source(path=path, use=use) for use, paths in uses.items() for path in paths]


def _recipe(budget: Budget, training: Training, opinion: Opinion | None, rows: int) -> dict[str, object]:
    growth = training.growth
    facts: dict[str, object] = {
        "Vocabulary": f"{rows:,} tokens, of these {len(growth.characters):,} new characters and "
        f"{len(growth.words):,} new words; {len(growth.renewed):,} characters begun anew",
        "Training": f"{training.steps:,} steps in {budget.minutes:g} minutes at most, seeds {budget.seed} to "
        f"{budget.seed + budget.seeds - 1}, AdamW at {budget.rate:g} for the body, averaged weights",
    }
    if opinion:
        facts["Teacher"] = f"{len(opinion.texts):,} texts; its space tied to the base's by {opinion.anchors:,} texts"
    return facts


def _figures(training: Training, held: Material) -> dict[str, object]:
    texts = sum(map(len, held.groups))
    return {
        f"Recall@1 among {texts:,} held-out wordings of {len(held.groups):,} meanings": f"{training.recall_before:.3f} "
        f"before, {training.recall_after:.3f} after",
        "Loss": f"{training.first_loss:.3f} to {training.last_loss:.3f}",
    }
