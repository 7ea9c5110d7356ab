"""Files that hold secrets: written whole, readable by their owner alone. It knows nothing of what they hold."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qa_service.domain.errors import SettingsError

_OWNER_ONLY = 0o600
_FOLDER = 0o700
_OTHERS = 0o007  # a group may read: secrets that an orchestrator mounts belong to one


def private_folder(folder: Path) -> Path:
    """Make a folder that its owner alone may enter, unless it is there."""
    try:
        folder.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"the folder {folder} cannot be made: {error.strerror}") from error
    return folder


def write_new(path: Path, content: bytes) -> bool:
    """Write a file unless there is one; False when there is. Nobody ever sees half of it."""
    scratch = _scratch(path, content)
    try:
        path.hardlink_to(scratch)
    except FileExistsError:
        return False
    finally:
        scratch.unlink()
    return True


def write_over(path: Path, content: bytes) -> None:
    """Write a file in place of the one that is there."""
    _scratch(path, content).replace(path)


def read_private(path: Path) -> bytes:
    """Read a file that others cannot read.

    Raises:
        SettingsError: it cannot be read, or everybody can.
    """
    try:
        mode = path.stat().st_mode
        if mode & _OTHERS:
            raise SettingsError(f"everybody on this machine may open {path}: chmod 600 {path}")
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change what a folder holds."""
    descriptor = os.open(private_folder(folder), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _scratch(path: Path, content: bytes) -> Path:
    scratch = private_folder(path.parent) / f".{path.name}.{secrets.token_hex(4)}"
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
    return scratch
