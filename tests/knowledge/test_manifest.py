import contextlib
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qa_service.domain.errors import SnapshotError
from qa_service.retrieval.manifest import (
    MANIFEST,
    EncoderMark,
    FileMark,
    Manifest,
    hash_file,
    read_manifest,
    verify,
    write_manifest,
)

BLANK = Manifest(
    kb="shop",
    version="v1",
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    counts={"entries": 120, "passages": 30, "wordings": 360},
    encoder=EncoderMark(name="built-in", dimension=256, fingerprint="e1"),
    tokeniser="t1",
    vector_kind="flat",
    calibration="stated defaults",
    sources={"faq.jsonl": "0" * 64},
)
VECTORS = bytes(range(256)) * 64  # 16 KiB


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    folder = tmp_path / "snapshot"
    (folder / "faq").mkdir(parents=True)
    (folder / "faq" / "vectors.bin").write_bytes(VECTORS)
    (folder / "entries.jsonl").write_bytes(b'{"id": "a"}\n')
    (folder / "empty").touch()
    write_manifest(folder, BLANK)
    return folder


def rewritten(folder: Path, **members: object) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **members}), encoding="utf-8")


def test_what_is_written_is_read_and_verifies(snapshot: Path) -> None:
    manifest = read_manifest(snapshot)
    assert manifest.files["faq/vectors.bin"] == FileMark(
        sha256=hash_file(snapshot / "faq" / "vectors.bin"), bytes=len(VECTORS)
    )
    assert sorted(manifest.files) == ["empty", "entries.jsonl", "faq/vectors.bin"]
    assert (manifest.kb, manifest.version, manifest.created_at) == ("shop", "v1", BLANK.created_at)
    assert (manifest.counts, manifest.encoder, manifest.sources) == (BLANK.counts, BLANK.encoder, BLANK.sources)
    verify(snapshot)


def test_writing_again_gives_the_same_bytes(snapshot: Path) -> None:
    before = (snapshot / MANIFEST).read_bytes()
    write_manifest(snapshot, BLANK)
    assert (snapshot / MANIFEST).read_bytes() == before


def flip(folder: Path) -> None:
    path = folder / "faq" / "vectors.bin"
    path.write_bytes(VECTORS[:5000] + bytes([VECTORS[5000] ^ 1]) + VECTORS[5001:])


def zero_4_kb(folder: Path) -> None:
    with (folder / "faq" / "vectors.bin").open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))


def truncate(folder: Path) -> None:
    (folder / "faq" / "vectors.bin").write_bytes(VECTORS[:-1])


def grow(folder: Path) -> None:
    (folder / "faq" / "vectors.bin").write_bytes(VECTORS + b"x")


def link_out(folder: Path) -> None:
    outside = folder.parent / "outside.bin"
    outside.write_bytes(VECTORS)
    (folder / "faq" / "vectors.bin").unlink()
    (folder / "faq" / "vectors.bin").symlink_to(outside)  # the same bytes, and still refused


def link_folder_out(folder: Path) -> None:
    (folder / "faq").rename(folder.parent / "faq")
    (folder / "faq").symlink_to(folder.parent / "faq")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(flip, r"faq/vectors.bin has changed", id="one bit flipped"),
        pytest.param(zero_4_kb, r"faq/vectors.bin has changed", id="4 KB zeroed"),
        pytest.param(truncate, r"faq/vectors.bin is cut short: it has 16,383 bytes, .* says 16,384", id="truncated"),
        pytest.param(grow, r"faq/vectors.bin has grown", id="grown"),
        pytest.param(lambda f: (f / "entries.jsonl").unlink(), r"entries.jsonl is missing", id="file missing"),
        pytest.param(lambda f: (f / "more").touch(), r"more is an extra file", id="file added"),
        pytest.param(lambda f: (f / "faq" / ".x").touch(), r"faq/\.x is an extra file", id="hidden file added"),
        pytest.param(link_out, r"faq/vectors.bin is a link", id="link out"),
        pytest.param(link_folder_out, r"faq is a link", id="folder linked out"),
        pytest.param(lambda f: (f / MANIFEST).unlink(), r"manifest.json is missing", id="manifest missing"),
        pytest.param(lambda f: (f / MANIFEST).write_bytes(bytes(4096)), r"is not a manifest", id="manifest zeroed"),
        pytest.param(lambda f: (f / MANIFEST).write_bytes(b"[" * 100_000), r"is not a manifest", id="deep manifest"),
        pytest.param(lambda f: (f / MANIFEST).write_text("[1]"), r"is not a manifest: it names no format", id="a list"),
        pytest.param(lambda f: rewritten(f, format=7), r"is of format 7; this version reads format 2", id="format"),
        pytest.param(lambda f: rewritten(f, format="1"), r"is of format '1'", id="format as a text"),
        pytest.param(lambda f: rewritten(f, tokeniser="t2"), r"has changed since it was written", id="edited"),
    ],
)
def test_a_damaged_snapshot_is_refused_with_the_reason(
    snapshot: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(snapshot)
    with pytest.raises(SnapshotError, match=reason):
        verify(snapshot)


@pytest.mark.parametrize("name", ["../outside.bin", "/etc/hostname", "faq/../../x", "faq//x", "./x", "", ".", MANIFEST])
def test_a_path_that_climbs_out_of_the_folder_is_refused(snapshot: Path, name: str) -> None:
    path = snapshot / MANIFEST
    members = json.loads(path.read_text(encoding="utf-8"))
    members["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    reseal(path, members)
    with pytest.raises(SnapshotError, match="is no file inside the snapshot"):
        read_manifest(snapshot)


@pytest.mark.parametrize(
    ("member", "value"),
    [("kb", 1), ("encoder", {}), ("files", {"x": 1}), ("created_at", "soon"), ("counts", {"entries": "many"})],
)
def test_a_manifest_of_another_shape_is_refused_with_the_place(snapshot: Path, member: str, value: object) -> None:
    path = snapshot / MANIFEST
    reseal(path, {**json.loads(path.read_text(encoding="utf-8")), member: value})
    with pytest.raises(SnapshotError, match=rf"is not a manifest: .*\$\.{member}"):
        read_manifest(snapshot)


def reseal(path: Path, members: dict[str, object]) -> None:
    """Seal what was changed by hand: its shape must be refused even when its bytes are sound."""
    members.pop("seal")
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    path.write_text(json.dumps({**members, "seal": hashlib.sha256(text.encode()).hexdigest()}), encoding="utf-8")


@given(position=st.integers(0), bit=st.integers(0, 7))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_flipped_bit_anywhere_in_the_manifest_is_refused_or_changes_nothing(
    snapshot: Path, position: int, bit: int
) -> None:
    path = snapshot / MANIFEST
    raw, sound = path.read_bytes(), read_manifest(snapshot)
    damaged = bytearray(raw)
    damaged[position % len(raw)] ^= 1 << bit
    path.write_bytes(damaged)
    with contextlib.suppress(SnapshotError):
        assert read_manifest(snapshot) == sound  # a space became another white space
    path.write_bytes(raw)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).mkdir()
    with pytest.raises(SnapshotError, match=r"manifest.json cannot be read: Is a directory"):
        verify(tmp_path)
    with pytest.raises(SnapshotError, match=r"cannot be marked"):
        write_manifest(tmp_path / "nowhere", BLANK)
