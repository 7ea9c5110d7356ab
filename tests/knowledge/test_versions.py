import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qa_service.domain.errors import SnapshotError
from qa_service.knowledge.versions import Versions
from qa_service.retrieval.manifest import EncoderMark, Manifest, write_manifest

REPOSITORY = Path(__file__).parents[2]
BUILD_AND_WAIT = """
import sys
from pathlib import Path
from qa_service.knowledge.versions import Versions
with Versions(Path(sys.argv[1]), "shop").staging("crashed") as folder:
    (folder / "vectors.bin").write_bytes(b"half")
    print("building", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path / "indexes", "shop")


def build(versions: Versions, version: str = "", *, kb: str = "shop", claims: str = "") -> str:
    version = version or versions.new_version()
    manifest = Manifest(
        kb=kb,
        version=claims or version,
        created_at=datetime.now(UTC),
        counts={"entries": 3},
        encoder=EncoderMark(name="built-in", dimension=8, fingerprint="e"),
        tokeniser="t",
        vector_kind="flat",
        calibration="stated defaults",
    )
    with versions.staging(version) as folder:
        (folder / "faq").mkdir()
        (folder / "faq" / "vectors.bin").write_bytes(b"1234")
        write_manifest(folder, manifest)
    return version


def damage(versions: Versions, version: str) -> None:
    (versions.path(version) / "faq" / "vectors.bin").write_bytes(b"123x")


def test_before_the_first_build_there_is_nothing(versions: Versions) -> None:
    assert versions.list() == []
    assert versions.active() is None
    assert not versions.folder.exists()


def test_new_versions_sort_by_time_and_carry_their_content(versions: Versions) -> None:
    names = [versions.new_version("a1b2c3d4e5f6") for _ in range(50)]
    assert names == sorted(names)
    assert len(set(names)) == 50
    assert all(name.endswith("Z-a1b2c3d4") for name in names)
    assert versions.new_version()[-8:] != versions.new_version()[-8:]


def test_a_built_version_is_listed_and_serves_once_activated(versions: Versions) -> None:
    version = build(versions)
    [state] = versions.list()
    assert (state.version, state.entries, state.active, state.bytes, state.problem) == (version, 3, False, 4, "")
    assert state.created_at is not None
    versions.activate(version)
    assert versions.active() == version
    assert versions.list()[0].active


def test_a_build_that_fails_leaves_nothing(versions: Versions) -> None:
    with pytest.raises(FileNotFoundError), versions.staging("v1") as folder:
        (folder / "nowhere" / "x").touch()
    assert list(versions.folder.iterdir()) == []


@pytest.mark.parametrize(("kb", "claims"), [("bank", ""), ("shop", "v9")], ids=["another base", "another version"])
def test_a_build_with_a_foreign_manifest_is_not_moved_into_place(versions: Versions, kb: str, claims: str) -> None:
    with pytest.raises(SnapshotError, match="is foreign"):
        build(versions, "v1", kb=kb, claims=claims)
    assert list(versions.folder.iterdir()) == []


def test_a_build_without_a_manifest_is_not_moved_into_place(versions: Versions) -> None:
    with pytest.raises(SnapshotError, match=r"manifest\.json is missing"), versions.staging("v1"):
        pass
    assert versions.list() == []


def test_a_version_is_built_once(versions: Versions) -> None:
    build(versions, "v1")
    with pytest.raises(SnapshotError, match="exists already"):
        build(versions, "v1")
    with pytest.raises(SnapshotError, match=r"v2 exists already, or is being built"), versions.staging("v2"):
        build(versions, "v2")
    assert [state.version for state in versions.list()] == ["v1"]


def test_a_killed_build_is_cleaned_up_by_the_next_one_and_a_living_one_is_not(
    versions: Versions, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", BUILD_AND_WAIT, str(tmp_path / "indexes")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "building\n"
        left = versions.folder / ".building-crashed" / "vectors.bin"
        build(versions, "v1")
        assert left.exists()
        builder.kill()
    assert left.exists()
    assert [state.version for state in versions.list()] == ["v1"]
    build(versions, "v2")
    assert not left.parent.exists()


def test_a_damaged_version_is_refused_and_the_old_one_serves_on(versions: Versions) -> None:
    good, bad = build(versions, "v1"), build(versions, "v2")
    versions.activate(good)
    damage(versions, bad)
    with pytest.raises(SnapshotError, match=r"v2/faq/vectors\.bin has changed"):
        versions.activate(bad)
    assert versions.active() == good


def test_a_foreign_version_is_refused_and_the_old_one_serves_on(versions: Versions) -> None:
    versions.activate(build(versions, "v1"))
    versions.path("v1").rename(versions.path("v2"))
    with pytest.raises(SnapshotError, match=r"v2 is foreign: its manifest is of shop/v1"):
        versions.activate("v2")
    (versions.folder / "v3").symlink_to(versions.path("v2"))
    for missing in ("v1", "v3"):
        with pytest.raises(SnapshotError, match=f"shop has no version {missing}"):
            versions.activate(missing)
    assert versions.active() == "v1"
    assert [state.problem != "" for state in versions.list()] == [True, True]


def test_rolling_back_goes_through_the_history(versions: Versions) -> None:
    for name in ("v1", "v2", "v3"):
        versions.activate(build(versions, name))
    versions.activate("v3")  # again: changes nothing
    assert [versions.rollback(), versions.rollback()] == ["v2", "v1"]
    with pytest.raises(SnapshotError, match="no earlier version of shop"):
        versions.rollback()
    assert versions.active() == "v1"
    versions.activate("v3")
    assert versions.rollback() == "v1"


def test_rolling_back_passes_over_what_is_gone_or_damaged(versions: Versions) -> None:
    for name in ("v1", "v2", "v3", "v4"):
        versions.activate(build(versions, name))
    damage(versions, "v3")
    versions.path("v2").rename(versions.folder / ".gone")
    assert versions.rollback() == "v1"


def test_rolling_back_to_damaged_versions_only_is_refused_with_the_reason(versions: Versions) -> None:
    for name in ("v1", "v2"):
        versions.activate(build(versions, name))
    damage(versions, "v1")
    with pytest.raises(SnapshotError, match=r"no earlier version .*v1/faq/vectors\.bin has changed"):
        versions.rollback()
    assert versions.active() == "v2"


def test_pruning_keeps_the_newest_the_active_one_and_the_one_before_it(versions: Versions) -> None:
    for name in ("v1", "v2", "v3", "v4", "v5"):
        build(versions, name)
    versions.activate("v1")
    versions.activate("v3")
    assert versions.prune(1) == ("v2", "v4")
    assert [state.version for state in versions.list()] == ["v1", "v3", "v5"]
    assert versions.rollback() == "v1"
    with pytest.raises(SnapshotError, match="at least 1"):
        versions.prune(0)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "a\n", "a\0b", "x" * 101])
def test_names_that_are_no_plain_name_are_refused(tmp_path: Path, versions: Versions, name: str) -> None:
    with pytest.raises(SnapshotError, match="is no name"):
        Versions(tmp_path, name)
    for call in (versions.path, versions.activate):
        with pytest.raises(SnapshotError, match="is no name"):
            call(name)


def test_a_pointer_that_names_a_path_is_refused(versions: Versions) -> None:
    build(versions, "v1")
    (versions.folder / "ACTIVE").write_text("../../etc\n", encoding="utf-8")
    with pytest.raises(SnapshotError, match="is no name for a version"):
        versions.active()


def test_builds_and_activations_at_once_leave_a_version_that_verifies(versions: Versions) -> None:
    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(lambda _: build(versions), range(16)))
        list(threads.map(versions.activate, names))
    assert versions.active() in names
    assert len(versions.list()) == 16
    history = (versions.folder / "HISTORY").read_text(encoding="utf-8").split()
    assert sorted([*history, str(versions.active())]) == sorted(names)
