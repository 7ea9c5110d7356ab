"""How far a long step has come: rate and time left, on the terminal. Quiet where standard error is none."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], label: str, *, total: int | None = None) -> Iterator[T]:
    """Give the items on, showing how many have passed; `total` where the items cannot tell their number."""
    yield from tqdm(items, desc=label, total=total, file=sys.stderr, disable=not sys.stderr.isatty(), unit_scale=True)


@contextmanager
def steps(total: int, label: str) -> Iterator[Callable[[int], None]]:
    """Give a function that says how many of `total` steps have been done since it was last called."""
    with tqdm(total=total, desc=label, file=sys.stderr, disable=not sys.stderr.isatty(), unit_scale=True) as bar:

        def advance(count: int) -> None:
            bar.update(count)

        yield advance
