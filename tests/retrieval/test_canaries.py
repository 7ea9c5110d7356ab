"""Canary questions find a snapshot that is whole and still wrong, and no other."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from answering.small_base import FAQ, PASSAGES, build_small, encoder
from numpy.typing import NDArray

from qa_service.domain.entry import Entry
from qa_service.domain.errors import SnapshotError
from qa_service.retrieval.calibration import Calibration
from qa_service.retrieval.canaries import FILE, Canary, check_canaries, pick_canaries, read_canaries, write_canaries
from qa_service.retrieval.manifest import read_manifest, verify, write_manifest
from qa_service.retrieval.rerank import CrossEncoderReranker
from qa_service.retrieval.shelf import Shelf
from qa_service.retrieval.snapshot import open_shelf, open_snapshot
from qa_service.retrieval.tokens import Tokeniser

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A built snapshot, and one of the same entries in reverse order: all their files are of the same sizes."""
    root = tmp_path_factory.mktemp("snapshots")
    return built(root / "one"), built(root / "other", (*reversed(FAQ), *reversed(PASSAGES)))


@pytest.fixture
def folder(snapshots: tuple[Path, Path], tmp_path: Path) -> Path:
    """A snapshot to do harm to."""
    return Path(shutil.copytree(snapshots[0], tmp_path / snapshots[0].name))


def built(root: Path, entries: Sequence[Entry] = (*FAQ, *PASSAGES)) -> Path:
    root.mkdir(exist_ok=True)
    versions, snapshot = build_small(root, entries)
    return versions.path(snapshot.version)


def shelf_of(folder: Path) -> Shelf:
    return open_shelf(folder / "faq", Tokeniser(None), Calibration())


def at(shelf: Shelf, moment: datetime) -> Shelf:
    return replace(shelf, clock=lambda: moment)


def test_what_was_just_built_passes(folder: Path) -> None:
    assert open_snapshot(folder, encoder()).version == folder.name
    canaries = read_canaries(folder)
    assert {one.entry_id for one in canaries["faq"]} == {entry.id for entry in FAQ}
    assert {one.entry_id for one in canaries["passages"]} == {entry.id for entry in PASSAGES}


@pytest.mark.parametrize("shelf", ["faq", "passages"])
@pytest.mark.parametrize("leg", ["vectors", "keyword"])
def test_a_leg_of_another_snapshot_is_refused_although_every_hash_fits(
    snapshots: tuple[Path, Path], folder: Path, shelf: str, leg: str
) -> None:
    shutil.copytree(snapshots[1] / shelf / leg, folder / shelf / leg, dirs_exist_ok=True)
    write_manifest(folder, read_manifest(folder))
    verify(folder)
    with pytest.raises(SnapshotError, match=r"canary question .* when the index was built: build it again"):
        open_snapshot(folder, encoder())


def test_entries_of_another_snapshot_are_refused_although_every_hash_fits(
    snapshots: tuple[Path, Path], folder: Path
) -> None:
    for path in (snapshots[1] / "faq").glob("entries.*"):
        shutil.copyfile(path, folder / "faq" / path.name)
    write_manifest(folder, read_manifest(folder))
    with pytest.raises(SnapshotError, match=r"canary question .* when the index was built: build it again"):
        open_snapshot(folder, encoder())


def test_an_encoder_that_gives_other_vectors_under_the_same_fingerprint_is_found(folder: Path) -> None:
    class Broken:
        """The model's name, and not its vectors: a library of another version reads it wrongly."""

        name, dimension, fingerprint = encoder().name, encoder().dimension, encoder().fingerprint

        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return np.ascontiguousarray(encoder().encode(texts)[:, ::-1])

    with pytest.raises(SnapshotError, match="canary question"):
        open_snapshot(folder, Broken())


@pytest.mark.parametrize("validity", [{"valid_until": NOW + timedelta(days=1)}, {"valid_from": NOW}])
def test_entries_that_expire_or_begin_after_the_build_are_asked_as_they_were_then(
    tmp_path: Path, validity: dict[str, datetime]
) -> None:
    dated = tuple(replace(entry, **validity) for entry in FAQ[:4])  # type: ignore[arg-type]  # the fields that are dates
    shelf = shelf_of(built(tmp_path, (*dated, *FAQ[4:])))
    for built_at in (NOW - timedelta(days=1), NOW, NOW + timedelta(days=2)):
        canaries = pick_canaries(shelf, encoder(), built_at)
        for moment in (NOW - timedelta(days=9), NOW, NOW + timedelta(days=9)):
            check_canaries(at(shelf, moment), encoder(), canaries, built_at)


def test_an_entry_that_expired_after_the_build_does_not_keep_a_snapshot_from_opening(tmp_path: Path) -> None:
    over = datetime.now(UTC) - timedelta(seconds=5)
    folder = built(tmp_path, (*(replace(entry, valid_until=over) for entry in FAQ[:3]), *FAQ[3:]))
    manifest = replace(read_manifest(folder), created_at=over - timedelta(seconds=5))
    shelf = shelf_of(folder)
    canaries = {"faq": pick_canaries(shelf, encoder(), manifest.created_at)}
    assert {FAQ[0].id, FAQ[1].id, FAQ[2].id} <= {one.entry_id for one in canaries["faq"]}
    write_canaries(folder, canaries)
    write_manifest(folder, manifest)
    snapshot = open_snapshot(folder, encoder())
    assert FAQ[0].id not in {hit.entry_id for hit in snapshot.rank_faq([FAQ[0].question])[0].hits}


def test_another_reranker_is_not_held_to_what_the_light_one_found(folder: Path) -> None:
    def shortest_first(_question: str, wordings: Sequence[str]) -> NDArray[np.float32]:
        return np.array([-len(wording) for wording in wordings], np.float32)

    reranker = CrossEncoderReranker("shortest", shortest_first)
    snapshot = open_snapshot(folder, encoder(), reranker=reranker)
    with pytest.raises(SnapshotError, match="canary question"):
        check_canaries(snapshot.faq, encoder(), read_canaries(folder)["faq"], snapshot.manifest.created_at)


def test_a_small_drift_of_the_scores_is_no_fault_and_a_score_that_is_none_is(folder: Path) -> None:
    shelf = shelf_of(folder)
    canaries = pick_canaries(shelf, encoder(), NOW)
    check_canaries(shelf, encoder(), tuple(replace(one, vector=one.vector - 0.05) for one in canaries), NOW)
    for wrong in (0.5, float("nan")):
        with pytest.raises(SnapshotError, match="keyword score"):
            check_canaries(shelf, encoder(), (replace(canaries[0], keyword=wrong),), NOW)


def test_what_found_nothing_at_the_build_must_find_nothing_again(folder: Path) -> None:
    shelf = shelf_of(folder)
    check_canaries(shelf, encoder(), (Canary(text="？！", entry_id=""),), NOW)
    with pytest.raises(SnapshotError, match="finds invoice, and found nothing"):
        check_canaries(shelf, encoder(), (Canary(text="怎么开发票", entry_id=""),), NOW)
    with pytest.raises(SnapshotError, match="finds nothing, and found invoice"):
        check_canaries(shelf, encoder(), (Canary(text="？！", entry_id="invoice"),), NOW)


@pytest.mark.parametrize("entries", [FAQ, PASSAGES], ids=["no passages", "no FAQ"])
def test_an_empty_shelf_has_no_canaries_and_passes(tmp_path: Path, entries: Sequence[Entry]) -> None:
    folder = built(tmp_path, entries)
    assert open_snapshot(folder, encoder()).version == folder.name
    assert sorted(map(len, read_canaries(folder).values())) == [0, len(entries)]


def test_of_many_entries_sixteen_are_asked_the_first_and_the_last_among_them(tmp_path: Path) -> None:
    many = [replace(FAQ[2], id=f"e{n:02}", question=f"第 {n} 号柜台怎么开发票", similar=()) for n in range(60)]
    asked = read_canaries(built(tmp_path, many))["faq"]
    assert len({one.text for one in asked}) == 16
    assert {many[0].question, many[-1].question} <= {one.text for one in asked}


@pytest.mark.parametrize("damage", [None, b"", b"[]", b'{"faq": [{"text": "q"}]}', b'{"faq": 1}', b"\xff"])
def test_canaries_that_are_missing_or_damaged_refuse_the_snapshot_by_name(folder: Path, damage: bytes | None) -> None:
    (folder / FILE).unlink()
    if damage is not None:
        (folder / FILE).write_bytes(damage)
    with pytest.raises(SnapshotError, match=f"{FILE} cannot be read"):
        open_snapshot(folder, encoder())
