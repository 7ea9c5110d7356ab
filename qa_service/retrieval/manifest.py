"""The manifest of an index snapshot: what it was made of, and what each of its files must be.

It knows no file format of the index, no knowledge and no retrieval: only names, sizes and SHA-256.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from qa_service.domain.errors import SnapshotError

FORMAT = 2  # of the snapshot as a whole; another number is refused
MANIFEST = "manifest.json"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderMark:
    """The encoder that made the vectors: another fingerprint cannot search them."""

    name: str
    dimension: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMark:
    """What a file must be: its SHA-256 in hex digits, and its size."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything a snapshot says of itself.

    `counts` holds numbers such as entries, passages and wordings; `sources` maps each source's name to its SHA-256;
    `files` maps each file's path below the snapshot, with `/`, to its mark. `quick` is the encoder of the quick look,
    where there is one.
    """

    kb: str
    version: str
    created_at: datetime  # aware
    counts: Mapping[str, int]
    encoder: EncoderMark
    tokeniser: str  # its fingerprint
    vector_kind: str
    calibration: str  # its name
    quick: EncoderMark | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, FileMark] = field(default_factory=dict)
    format: int = FORMAT


def hash_file(path: Path) -> str:
    """SHA-256 of a file as hex digits, read in blocks of 1 MiB. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Mark every file below `folder`, write manifest.json last, and give the manifest with its `files`.

    Raises:
        SnapshotError: a file cannot be read, or is no plain file.
    """
    try:
        files = {
            name: FileMark(sha256=hash_file(folder / name), bytes=(folder / name).stat().st_size)
            for name in sorted(_names_below(folder))
        }
        complete = replace(manifest, files=files)
        members = msgspec.to_builtins(complete)
        text = json.dumps({**members, "seal": _seal(members)}, ensure_ascii=False, indent=1, sort_keys=True)
        replace_file(folder / MANIFEST, text + "\n")
    except OSError as error:
        raise SnapshotError(f"{error.filename or folder} cannot be marked: {error.strerror or error}") from error
    return complete


def read_manifest(folder: Path) -> Manifest:
    """Read a snapshot's manifest without looking at its other files.

    Raises:
        SnapshotError: there is none, it is damaged, or it is of another format.
    """
    path = folder / MANIFEST
    try:
        members = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise SnapshotError(f"{path} is missing: {folder} holds no complete snapshot") from error
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"{path} is not a manifest: {error}") from error
    if not isinstance(members, dict) or "format" not in members:
        raise SnapshotError(f"{path} is not a manifest: it names no format")
    if members["format"] != FORMAT:
        raise SnapshotError(f"{path} is of format {members['format']!r}; this version reads format {FORMAT}")
    if members.pop("seal", None) != _seal(members):
        raise SnapshotError(f"{path} has changed since it was written: its seal does not fit")
    try:
        manifest = msgspec.convert(members, Manifest)
    except msgspec.ValidationError as error:
        raise SnapshotError(f"{path} is not a manifest: {error}") from error
    for name in manifest.files:
        _check_inside(path, name)
    return manifest


def verify(folder: Path) -> None:
    """Compare a snapshot's files with its manifest: names, sizes and SHA-256.

    Raises:
        SnapshotError: the manifest cannot be used, or a file is missing, cut short, changed, extra, or no plain file.
    """
    files = read_manifest(folder).files
    try:
        if extra := sorted(set(_names_below(folder)) - files.keys()):
            raise SnapshotError(f"{folder / extra[0]} is an extra file: the manifest does not name it")
        for name, mark in files.items():
            _check_file(folder / name, mark)
    except OSError as error:
        raise SnapshotError(f"{error.filename or folder} cannot be read: {error.strerror or error}") from error


def replace_file(path: Path, text: str) -> None:
    """Write a file in one step: after a crash the old text is there, or the new one. Raises OSError."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _seal(members: Mapping[str, Any]) -> str:
    """SHA-256 over the manifest itself, which no other file vouches for."""
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check_inside(manifest: Path, name: str) -> None:
    path = PurePosixPath(name)
    plain = name and str(path) == name and not path.is_absolute() and ".." not in path.parts
    if not plain or "\\" in name or "\0" in name or name in {".", MANIFEST}:
        raise SnapshotError(f"{manifest} names {name!r}, which is no file inside the snapshot")


def _names_below(folder: Path) -> Iterator[str]:
    """Give the files below a snapshot but for the manifest; SnapshotError for a link or a device."""
    for parent, folders, files in os.walk(folder, onerror=_raise):
        for path in (Path(parent, name) for name in (*folders, *files)):
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                kind = "a link" if stat.S_ISLNK(mode) else "no plain file"
                raise SnapshotError(f"{path} is {kind}: a snapshot holds plain files only")
        names = [Path(parent, name).relative_to(folder).as_posix() for name in files]
        yield from (name for name in names if name != MANIFEST)


def _raise(error: OSError) -> None:
    raise error


def _check_file(path: Path, mark: FileMark) -> None:
    if not path.exists():
        raise SnapshotError(f"{path} is missing")
    size = path.stat().st_size
    if size != mark.bytes:
        fault = "is cut short" if size < mark.bytes else "has grown"
        raise SnapshotError(f"{path} {fault}: it has {size:,} bytes, the manifest says {mark.bytes:,}")
    if hash_file(path) != mark.sha256:
        raise SnapshotError(f"{path} has changed: its SHA-256 is not the manifest's")
