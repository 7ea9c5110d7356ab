"""The versions of one knowledge base's index: build aside, activate in one step, roll back. It knows no index file.

    indexes/<kb>/<version>/          an immutable snapshot with its manifest
    indexes/<kb>/ACTIVE              the name of the version that serves
    indexes/<kb>/HISTORY             the names of those that served before, oldest first
    indexes/<kb>/.building-<version> a build under way, locked by its process, or left by a crash

Whatever changes the folder holds a lock on it (flock, which ends with its process); readers need none.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from qa_service.domain.errors import SnapshotError
from qa_service.retrieval.manifest import Manifest, read_manifest, replace_file, sync_folder, verify

_NAME = re.compile(r"\w[\w.-]{0,99}")
_BUILDING, _REMOVING = ".building-", ".removing-"
_ACTIVE, _HISTORY = "ACTIVE", "HISTORY"
_REMEMBERED = 100  # versions in HISTORY


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionState:
    """One version as its manifest has it; `problem` is empty unless that cannot be used. No file is hashed."""

    version: str
    created_at: datetime | None
    entries: int
    active: bool
    bytes: int
    problem: str = ""


class Versions:
    """The snapshots of knowledge base `kb` below `root`. Nothing is created before the first build."""

    def __init__(self, root: Path, kb: str) -> None:
        self.kb = _checked(kb, "knowledge base")
        self.folder = root / kb

    def new_version(self, content: str = "") -> str:
        """Name a new version: the time in UTC, to the microsecond, and 8 characters of `content`.

        `content` is a hex digest of what goes in (or anything else that fits a name); left out, 8 random digits.
        """
        mark = _checked(content or secrets.token_hex(4), "content mark")[:8]
        while True:
            version = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{mark}"
            if not self.path(version).exists():
                return version

    def path(self, version: str) -> Path:
        """Where a version lies, or would lie."""
        return self.folder / _checked(version, "version")

    @contextmanager
    def staging(self, version: str) -> Iterator[Path]:
        """Give an empty folder to build `version` in; on leaving it without an error it is moved into place.

        `write_manifest` must have been called by then. On an error the folder is removed. What crashed builds left
        is removed first.

        Raises:
            SnapshotError: the version exists, or the folder holds no manifest of this version.
        """
        final, folder = self.path(version), self.folder / f"{_BUILDING}{version}"
        with self._locked():
            self._clean_up()
            if final.exists() or folder.exists():
                raise SnapshotError(f"{final} exists already, or is being built")
            folder.mkdir()
            descriptor = _lock(folder, fcntl.LOCK_EX)
        try:
            yield folder
            self._own_manifest(folder, version)
            _sync_below(folder)
            with self._locked():
                folder.rename(final)
                sync_folder(self.folder)
        finally:
            os.close(descriptor)
            shutil.rmtree(folder, ignore_errors=True)

    def list(self) -> list[VersionState]:
        """Every version on disk, oldest first; a damaged one says what is wrong with it."""
        active = self.active()
        return [self._state(version, active) for version in self._names()]

    def active(self) -> str | None:
        """The version that serves; None before the first activation.

        Raises:
            SnapshotError: the pointer cannot be read, or names nothing a version can be called.
        """
        names = _read_names(self.folder / _ACTIVE)
        return _checked(names[0], "version") if names else None

    def activate(self, version: str) -> None:
        """Verify a version, then point to it in one step; the one before goes into the history.

        Raises:
            SnapshotError: the version is missing, damaged or foreign; the pointer stays as it was.
        """
        self._verify(version)
        with self._locked():
            self._own_manifest(self.path(version), version)  # it may have been pruned while its files were hashed
            before = self.active()
            if before == version:
                return
            if before:
                self._remember([*_read_names(self.folder / _HISTORY), before])
            replace_file(self.folder / _ACTIVE, f"{version}\n")

    def rollback(self) -> str:
        """Activate the latest earlier version that still exists and verifies, and give its name.

        Going back twice goes two versions back: what is left is not remembered.

        Raises:
            SnapshotError: there is none; the pointer stays as it was.
        """
        with self._locked():
            history = _read_names(self.folder / _HISTORY)
            active = self.active()
            refused = ""
            for i, version in reversed(list(enumerate(history))):
                if version == active:
                    continue
                try:
                    self._verify(version)
                except SnapshotError as error:
                    refused = f": {error.detail}"
                    continue
                replace_file(self.folder / _ACTIVE, f"{version}\n")
                self._remember(history[:i])
                return version
            raise SnapshotError(f"no earlier version of {self.kb} can be gone back to{refused}")

    def prune(self, keep: int) -> tuple[str, ...]:
        """Remove all but the newest `keep` versions (at least 1), the active one, and the one before it.

        Gives the names of those removed. A process that has one of them open keeps its files until it closes them.
        """
        if keep < 1:
            raise SnapshotError(f"at least 1 version must be kept, not {keep}")
        with self._locked():
            names = self._names()
            kept = {*names[-keep:], self.active(), *_read_names(self.folder / _HISTORY)[-1:]}
            removed = tuple(name for name in names if name not in kept)
            for name in removed:
                self.path(name).rename(self.folder / f"{_REMOVING}{name}")  # never half a version under its name
            self._clean_up()
            return removed

    def _names(self) -> tuple[str, ...]:
        if not self.folder.is_dir():
            return ()
        return tuple(
            sorted(path.name for path in self.folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())
        )

    def _state(self, version: str, active: str | None) -> VersionState:
        is_active = version == active
        try:
            manifest = self._own_manifest(self.path(version), version)
        except SnapshotError as error:
            return VersionState(
                version=version, created_at=None, entries=0, active=is_active, bytes=0, problem=error.detail
            )
        return VersionState(
            version=version,
            created_at=manifest.created_at,
            entries=manifest.counts.get("entries", 0),
            active=is_active,
            bytes=sum(mark.bytes for mark in manifest.files.values()),
        )

    def _verify(self, version: str) -> None:
        folder = self.path(version)
        if folder.is_symlink() or not folder.is_dir():
            raise SnapshotError(f"{self.kb} has no version {version}: {folder} is no folder")
        self._own_manifest(folder, version)
        verify(folder)

    def _own_manifest(self, folder: Path, version: str) -> Manifest:
        manifest = read_manifest(folder)
        if (manifest.kb, manifest.version) != (self.kb, version):
            raise SnapshotError(f"{folder} is foreign: its manifest is of {manifest.kb}/{manifest.version}")
        return manifest

    def _remember(self, history: Sequence[str]) -> None:
        replace_file(self.folder / _HISTORY, "".join(f"{name}\n" for name in history[-_REMEMBERED:]))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = _lock(self.folder, fcntl.LOCK_EX)
            try:
                yield
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SnapshotError(f"{error.filename or self.folder}: {error.strerror or error}") from error

    def _clean_up(self) -> None:
        """Remove what no living process is building or removing; the caller holds the lock."""
        for path in (*self.folder.glob(f"{_BUILDING}*"), *self.folder.glob(f"{_REMOVING}*")):
            try:
                descriptor = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def _checked(name: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise SnapshotError(f"{name!r} is no name for a {what}: letters, digits, '_', '-' and '.' are")
    return name


def _lock(folder: Path, operation: int) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, operation)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _read_names(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{path} cannot be read: {error}") from error


def _sync_below(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        for name in files:
            with Path(parent, name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(parent))
