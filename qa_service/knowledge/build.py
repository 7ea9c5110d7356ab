"""From sources to a snapshot: read, check, encode, index, mark, move into place. It activates nothing by itself."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from qa_service.domain.entry import Entry, EntryKind
from qa_service.domain.errors import KnowledgeError
from qa_service.knowledge.progress import progress
from qa_service.knowledge.read import source_files
from qa_service.knowledge.report import Reading
from qa_service.knowledge.versions import Versions
from qa_service.knowledge.word_files import word_file
from qa_service.retrieval.calibration import Calibration
from qa_service.retrieval.canaries import pick_canaries, write_canaries
from qa_service.retrieval.cascade import open_quick_look
from qa_service.retrieval.encoder import Encoder
from qa_service.retrieval.entries import row_texts, write_entries
from qa_service.retrieval.keyword_build import build_keyword
from qa_service.retrieval.manifest import EncoderMark, Manifest, hash_file, write_manifest
from qa_service.retrieval.meanings import write_meanings
from qa_service.retrieval.snapshot import (
    CALIBRATION,
    CUSTOM_WORDS,
    FAQ,
    PASSAGES,
    QUICK,
    SUGGEST,
    SYNONYMS,
    open_shelf,
    reading_encoder,
)
from qa_service.retrieval.spelling_build import write_spelling
from qa_service.retrieval.suggest_build import build_suggestions
from qa_service.retrieval.tokens import Tokeniser
from qa_service.retrieval.vectors import build_vectors

_ENCODED_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a snapshot is made with, beside its entries.

    Where `custom_words` or `synonyms` names no file, a `words.txt` or `synonyms.txt` in a source folder is taken.
    `quick` is the fast encoder that ranks the FAQ first, so that `encoder` is asked less often.
    """

    encoder: Encoder
    quick: Encoder | None = None
    custom_words: Path | None = None
    synonyms: Path | None = None
    calibration: Calibration = field(default_factory=Calibration)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A finished snapshot: its version, how many entries, passages and wordings it holds, and its files of words."""

    version: str
    entries: int
    passages: int
    wordings: int
    word_files: tuple[Path, ...] = ()


def build(reading: Reading, sources: Sequence[Path], versions: Versions, recipe: Recipe) -> Built:
    """Build a snapshot of what was read from `sources`, beside the versions that exist.

    Raises:
        KnowledgeError: nothing was read, or custom words or synonyms cannot be, or two source folders hold such a file.
        SnapshotError: the folder cannot be written.
    """
    if not reading.entries:
        raise KnowledgeError("the sources hold no usable entry: an index of nothing is not built")
    marks = {source.name: hash_file(source.path) for source in source_files(sources)}
    version = versions.new_version(_digest(marks.values()))
    faq = [entry for entry in reading.entries if entry.kind is EntryKind.FAQ]
    passages = [entry for entry in reading.entries if entry.kind is EntryKind.PASSAGE]
    custom_words = recipe.custom_words or word_file(sources, CUSTOM_WORDS)
    synonyms = recipe.synonyms or word_file(sources, SYNONYMS)
    tokeniser = Tokeniser(custom_words, synonyms)
    encoder = reading_encoder(recipe.encoder, tokeniser)
    quick = reading_encoder(recipe.quick, tokeniser) if recipe.quick else None
    given = {CUSTOM_WORDS: custom_words, SYNONYMS: synonyms}
    word_files = {name: path for name, path in given.items() if path}
    with versions.staging(version) as folder:
        for name, path in word_files.items():
            shutil.copyfile(path, folder / name)
        kind = build_shelf(faq, folder / FAQ, tokeniser, encoder)
        build_shelf(passages, folder / PASSAGES, tokeniser, encoder)
        build_suggestions(faq, folder / SUGGEST, tokeniser)
        write_spelling(reading.entries, folder, tokeniser)
        if quick:
            write_vectors(faq, folder / QUICK, quick)
        created_at = datetime.now(UTC)
        set_calibration(folder, recipe.calibration, tokeniser, encoder, created_at, quick=quick)
        wordings = sum(len(entry.wordings) for entry in faq)
        manifest = Manifest(
            kb=versions.kb,
            version=version,
            created_at=created_at,
            counts={"entries": len(faq), "passages": len(passages), "wordings": wordings},
            encoder=_mark(recipe.encoder),
            tokeniser=tokeniser.fingerprint,
            vector_kind=kind,
            calibration=recipe.calibration.name,
            quick=_mark(recipe.quick) if recipe.quick else None,
            sources=marks,
        )
        write_manifest(folder, manifest)
    return Built(
        version=version,
        entries=len(faq),
        passages=len(passages),
        wordings=wordings,
        word_files=tuple(word_files.values()),
    )


def set_calibration(
    folder: Path,
    calibration: Calibration,
    tokeniser: Tokeniser,
    encoder: Encoder,
    moment: datetime,
    *,
    quick: Encoder | None,
) -> None:
    """Write the fitted numbers beside built shelves, and the canary questions, whose answers depend on them.

    `moment` (aware) is the snapshot's time of making.
    """
    (folder / CALIBRATION).write_bytes(msgspec.json.format(msgspec.json.encode(calibration), indent=1))
    shelves = {name: open_shelf(folder / name, tokeniser, calibration) for name in (FAQ, PASSAGES)}
    canaries = {name: pick_canaries(shelf, encoder, moment) for name, shelf in shelves.items()}
    if quick:
        look = open_quick_look(folder / QUICK, quick, calibration)
        canaries[QUICK] = pick_canaries(look.over(shelves[FAQ]), quick, moment)
    write_canaries(folder, canaries)


def build_shelf(entries: Sequence[Entry], folder: Path, tokeniser: Tokeniser, encoder: Encoder) -> str:
    """Write one collection: its entries, its keyword leg and its vectors, one row a wording. Gives the vector kind."""
    (folder / "keyword").mkdir(parents=True)
    texts = [text for entry in entries for text in row_texts(entry)]
    write_entries(entries, folder)
    build_keyword([tokeniser.tokens(text) for text in progress(texts, "keywords")], folder / "keyword")
    return write_vectors(entries, folder, encoder)


def write_vectors(entries: Sequence[Entry], folder: Path, encoder: Encoder) -> str:
    """Write what one encoder makes of a collection: a vector a wording, and those of whole entries. Gives the kind."""
    folder.mkdir(exist_ok=True)
    vectors = _encode([text for entry in entries for text in row_texts(entry)], encoder)
    sizes = [len(row_texts(entry)) for entry in entries]
    write_meanings(entries, vectors, sizes, partial(_encode, encoder=encoder), folder)
    return str(build_vectors(vectors, folder / "vectors"))


def _encode(texts: Sequence[str], encoder: Encoder) -> NDArray[np.float32]:
    blocks = [texts[i : i + _ENCODED_AT_ONCE] for i in range(0, len(texts), _ENCODED_AT_ONCE)]
    # An encoder keeps to one thread, as serving wants it; a build may have them all.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        encoded = list(progress(pool.map(encoder.encode, blocks), "vectors", total=len(blocks)))
    return np.concatenate(encoded) if encoded else np.zeros((0, encoder.dimension), dtype=np.float32)


def _mark(encoder: Encoder) -> EncoderMark:
    return EncoderMark(name=encoder.name, dimension=encoder.dimension, fingerprint=encoder.fingerprint)


def _digest(marks: Iterable[str]) -> str:
    return hashlib.sha256("".join(sorted(marks)).encode()).hexdigest()
