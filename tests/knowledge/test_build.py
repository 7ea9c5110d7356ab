"""From what was read to a snapshot that opens, and nothing of it where that fails."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from answering.small_base import FAQ, PASSAGES, build_small, encoder
from numpy.typing import NDArray

from qa_service.domain.errors import KnowledgeError
from qa_service.knowledge.build import Recipe, build
from qa_service.knowledge.report import Reading
from qa_service.knowledge.versions import Versions
from qa_service.retrieval.calibration import Calibration
from qa_service.retrieval.manifest import hash_file, read_manifest, verify
from qa_service.retrieval.snapshot import open_snapshot


class FailingEncoder:
    """A model that gives up in the middle of a build."""

    name = "failing"
    dimension = 384
    fingerprint = "f"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise MemoryError(len(texts))


def reading() -> Reading:
    return Reading(entries=(*FAQ, *PASSAGES), problems=())


def test_a_built_version_is_whole_and_is_not_active_by_itself(tmp_path: Path) -> None:
    versions, built = build_small(tmp_path)
    verify(versions.path(built.version))
    assert versions.active() is None
    assert (built.entries, built.passages) == (len(FAQ), len(PASSAGES))
    assert built.wordings == sum(len(entry.wordings) for entry in FAQ)


def test_the_manifest_says_what_it_was_made_of(tmp_path: Path) -> None:
    versions, built = build_small(tmp_path)
    manifest = read_manifest(versions.path(built.version))
    assert (manifest.kb, manifest.version) == ("shop", built.version)
    assert manifest.counts == {"entries": built.entries, "passages": built.passages, "wordings": built.wordings}
    assert manifest.encoder.name == "builtin"
    assert manifest.encoder.fingerprint == encoder().fingerprint
    assert manifest.sources == {"entries.jsonl": hash_file(tmp_path / "entries.jsonl")}


def test_every_entry_and_passage_comes_back_from_the_snapshot_in_its_place(tmp_path: Path) -> None:
    versions, built = build_small(tmp_path)
    snapshot = open_snapshot(versions.path(built.version), encoder())
    assert tuple(snapshot.faq_entry(place) for place in range(built.entries)) == FAQ
    assert tuple(snapshot.passage(place) for place in range(built.passages)) == PASSAGES


def test_there_is_one_row_a_wording_and_one_a_passage(tmp_path: Path) -> None:
    versions, built = build_small(tmp_path)
    snapshot = open_snapshot(versions.path(built.version), encoder())
    assert len(snapshot.faq.keyword) == len(snapshot.faq.vectors) == built.wordings
    assert len(snapshot.passages.keyword) == len(snapshot.passages.vectors) == built.passages


@pytest.mark.parametrize("entries", [FAQ, PASSAGES])
def test_either_shelf_may_be_empty(tmp_path: Path, entries: tuple[object, ...]) -> None:
    chosen = [entry for entry in (*FAQ, *PASSAGES) if entry in entries]
    versions, built = build_small(tmp_path, chosen)
    snapshot = open_snapshot(versions.path(built.version), encoder())
    assert (len(snapshot.faq.entries), len(snapshot.passages.entries)) == (built.entries, built.passages)
    assert built.entries + built.passages == len(entries)


def test_the_same_sources_give_the_same_mark_and_still_a_new_version(tmp_path: Path) -> None:
    _, first = build_small(tmp_path)
    versions, second = build_small(tmp_path)
    assert first.version != second.version
    assert first.version.rpartition("-")[2] == second.version.rpartition("-")[2]
    assert [state.version for state in versions.list()] == [first.version, second.version]


def test_a_custom_dictionary_travels_with_the_snapshot(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("七天无理由 1000\n", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text("{}")
    versions = Versions(tmp_path / "indexes", "shop")
    recipe = Recipe(encoder=encoder(), custom_words=words)
    built = build(reading(), [tmp_path / "a.jsonl"], versions, recipe)
    words.unlink()
    snapshot = open_snapshot(versions.path(built.version), encoder())
    assert "七天无理由" in snapshot.faq.tokeniser.tokens("七天无理由退货")


def test_the_calibration_is_written_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    versions = Versions(tmp_path / "indexes", "shop")
    calibration = replace(Calibration(), name="fitted")
    built = build(reading(), [tmp_path / "a.jsonl"], versions, Recipe(encoder=encoder(), calibration=calibration))
    folder = versions.path(built.version)
    assert open_snapshot(folder, encoder()).calibration == calibration
    assert read_manifest(folder).calibration == "fitted"


def test_an_index_of_nothing_is_not_built(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="no usable entry"):
        build_small(tmp_path, ())
    assert not (tmp_path / "indexes").exists()


def test_a_build_that_fails_leaves_no_version_behind(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    versions = Versions(tmp_path / "indexes", "shop")
    with pytest.raises(MemoryError):
        build(reading(), [tmp_path / "a.jsonl"], versions, Recipe(encoder=FailingEncoder()))
    assert versions.list() == []
    assert [path.name for path in versions.folder.iterdir()] == []
