"""A snapshot opens with what it was built with, and says what to do when it is something else."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from answering.small_base import build_small, encoder, open_small
from numpy.typing import NDArray

from qa_service.domain.errors import SnapshotError
from qa_service.retrieval.calibration import Calibration
from qa_service.retrieval.manifest import read_manifest, write_manifest
from qa_service.retrieval.rerank import CrossEncoderReranker
from qa_service.retrieval.snapshot import CALIBRATION, open_snapshot, read_calibration


class OtherEncoder:
    """The same vectors under another fingerprint: a new version of the model."""

    name = "other-model"
    dimension = encoder().dimension
    fingerprint = "0" * 32

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return encoder().encode(texts)


def built(root: Path) -> Path:
    versions, snapshot = build_small(root)
    return versions.path(snapshot.version)


def test_a_snapshot_names_its_version(tmp_path: Path) -> None:
    snapshot = open_small(tmp_path)
    assert snapshot.version == snapshot.manifest.version
    assert snapshot.manifest.counts["entries"] == len(snapshot.faq.entries)


def test_a_snapshot_of_another_encoder_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"other-model.*set QA_ENCODER=builtin, or build the index again"):
        open_snapshot(built(tmp_path), OtherEncoder())


def test_a_snapshot_of_another_tokeniser_is_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = built(tmp_path)
    write_manifest(folder, replace(read_manifest(folder), tokeniser="another"))
    with pytest.raises(SnapshotError, match=r"tokeniser.*build the index again"):
        open_snapshot(folder, encoder())


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"fusion": "much"}', b'{"fusion": {"keyword": "0.6"}}', b"\xff"]
)
def test_a_damaged_calibration_is_refused_by_name(tmp_path: Path, damage: bytes) -> None:
    folder = built(tmp_path)
    (folder / CALIBRATION).write_bytes(damage)
    with pytest.raises(SnapshotError, match=CALIBRATION):
        open_snapshot(folder, encoder())


def test_a_missing_calibration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="cannot be read"):
        read_calibration(tmp_path / CALIBRATION)


def test_the_calibration_it_was_built_with_comes_back(tmp_path: Path) -> None:
    assert open_small(tmp_path).calibration == Calibration()


def test_a_snapshot_without_its_manifest_is_refused(tmp_path: Path) -> None:
    folder = built(tmp_path)
    (folder / "manifest.json").unlink()
    with pytest.raises(SnapshotError, match="holds no complete snapshot"):
        open_snapshot(folder, encoder())


def test_a_named_reranker_takes_the_place_of_the_light_one(tmp_path: Path) -> None:
    def shortest_first(_question: str, wordings: Sequence[str]) -> NDArray[np.float32]:
        return np.array([-len(wording) for wording in wordings], np.float32)

    reranker = CrossEncoderReranker("shortest", shortest_first)
    [ranking] = open_snapshot(built(tmp_path), encoder(), reranker=reranker).rank_faq(["怎么开发票"])
    lengths = [len(hit.wording) for hit in ranking.hits]
    assert lengths == sorted(lengths)
    assert [hit.reranked for hit in ranking.hits] == [-length for length in lengths]
