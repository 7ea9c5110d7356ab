"""Something read from files, read again when they change. It knows nothing of what they hold."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from qa_service.domain.errors import SettingsError

LOOK_EVERY_S = 1.0
Read = TypeVar("Read")

log = structlog.get_logger(__name__)


class Watched(Generic[Read]):
    """The value of some files, at most a second old.

    There is no task: who asks looks, and looking is a few `stat` calls. What cannot be read after a change leaves the
    value before it in force, and is logged; the first reading raises SettingsError.
    """

    def __init__(
        self,
        *,
        files: Callable[[], Iterable[Path]],
        read: Callable[[], Read],
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._files = files
        self._read = read
        self._every_s = every_s
        self._seen = self._marks()  # before reading: a change in between is seen at the next look
        self._value = read()
        self._looked_at = time.monotonic()

    def current(self) -> Read:
        """Give the value; it is the same object until something changes."""
        return self._value if time.monotonic() - self._looked_at < self._every_s else self.look()

    def look(self) -> Read:
        """Give the value as the files are now."""
        self._looked_at = time.monotonic()
        marks = self._marks()
        if marks != self._seen:
            try:
                self._value = self._read()
            except SettingsError as error:
                log.error("keys not read again", detail=error.detail)  # noqa: TRY400  # no traceback: the operator's
            else:
                log.info("keys read again", files=len(marks))
            self._seen = marks
        return self._value

    def _marks(self) -> tuple[tuple[str, int, int, int], ...]:
        return tuple(mark for path in self._files() for mark in _mark(path))


def _mark(path: Path) -> list[tuple[str, int, int, int]]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [(str(path), found.st_ctime_ns, found.st_size, found.st_ino)]
