"""Is the machine fit to serve: Python, the clock, open files, disks. It knows neither Redis nor an index."""

import os
import resource
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from qa_service.doctor.finding import Finding, Level

PYTHON_OLDEST, PYTHON_NEWEST = (3, 11), (3, 13)  # as `requires-python` has it
_FIRST_YEAR = 2025  # ids count milliseconds from its first day
_CLOCKS_APART_MS = 1000.0
_CLIENTS = 1024  # that may wait at once on one API process, a file each
_OWN_FILES = 128  # 64 connections to Redis, the index, the log, the libraries
_LITTLE_BYTES, _LEAST_BYTES = 10**9, 10**8


def check_python(version: tuple[int, int, int] = sys.version_info[:3]) -> Finding:
    """Is this a Python that the service is tested with."""
    found = ".".join(map(str, version))
    if PYTHON_OLDEST <= version[:2] <= PYTHON_NEWEST:
        return Finding(name="python", found=found)
    oldest, newest = (".".join(map(str, bound)) for bound in (PYTHON_OLDEST, PYTHON_NEWEST))
    return Finding(name="python", level=Level.WARNING, found=found, advice=f"use Python {oldest} to {newest}")


def check_clock(now: datetime, offset_ms: float | None) -> Finding:
    """Is the clock right; `offset_ms` is it minus the clock of Redis, None where there is nothing to compare with."""
    found, level, advice = f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", Level.OK, ""
    if now.year < _FIRST_YEAR:
        level, advice = Level.ERROR, f"set the clock: no id can be made before {_FIRST_YEAR}"
    elif offset_ms is not None and abs(offset_ms) > _CLOCKS_APART_MS:
        found = f"{found}, {abs(offset_ms) / 1000:,.1f} s {'ahead of' if offset_ms > 0 else 'behind'} Redis"
        level, advice = Level.WARNING, "let NTP set both clocks: expiries and deadlines are off by as much"
    return Finding(name="clock", level=level, found=found, advice=advice)


def check_open_files(limit: int | None = None) -> Finding:
    """How many clients may wait at once; `limit` is the process's own unless given."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    if soft == resource.RLIM_INFINITY:
        return Finding(name="open files", found="no limit")
    found = f"{soft:,} a process, room for about {max(soft - _OWN_FILES, 0):,} clients at once"
    if soft >= _CLIENTS + _OWN_FILES:
        return Finding(name="open files", found=found)
    advice = "ulimit -n 65536, or LimitNOFILE=65536 in the unit of systemd"
    return Finding(name="open files", level=Level.WARNING, found=found, advice=advice)


def check_disk(name: str, folder: Path, *, free_bytes: int | None = None) -> Finding:
    """Is there room where `folder` is or will be made, and may it be made; `free_bytes` is asked for unless given."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        return Finding(name=name, level=Level.ERROR, found=f"{there} is no folder", advice="name another one")
    if there != folder.absolute() and not os.access(there, os.W_OK | os.X_OK):
        found = f"{folder} does not exist, and cannot be made in {there}"
        return Finding(name=name, level=Level.ERROR, found=found, advice="make it, and give it to this user")
    free = shutil.disk_usage(there).free if free_bytes is None else free_bytes
    level = Level.ERROR if free < _LEAST_BYTES else Level.WARNING if free < _LITTLE_BYTES else Level.OK
    unmade = "" if there == folder.absolute() else ", not made yet"
    return Finding(
        name=name,
        level=level,
        found=f"{free / 1e9:,.1f} GB free for {folder}{unmade}",
        advice="" if level is Level.OK else "make room: a full disk stops Redis and index builds",
    )
