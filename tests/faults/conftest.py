"""Fault tests run only where they are asked for (`-m faults`): each takes seconds, and needs the machine to itself."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from faults.base import Bases, build_bases
from faults.figures import RUN, Book
from faults.house import House

Build = Callable[..., Awaitable[House]]
_BOOK = Book()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Not by `-m "not faults"` in the settings: the `-m` of a make target would replace that one.
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    for item in here:
        item.add_marker("faults")
    if "faults" not in config.option.markexpr:
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if item not in here]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _BOOK.lines:
        terminalreporter.section(f"figures of the {RUN} run")
        for line in _BOOK.lines:
            terminalreporter.write_line(line)


@pytest.fixture
def book() -> Book:
    _BOOK.open()
    return _BOOK


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    return build_bases(tmp_path_factory.mktemp("bases"))


@pytest.fixture
async def build(bases: Bases, tmp_path: Path) -> AsyncIterator[Build]:
    """Makes houses that are torn down after the test."""
    async with AsyncExitStack() as houses:

        async def make(indexes: Path = bases.indexes, **settings: str) -> House:
            return await houses.enter_async_context(House(tmp_path, indexes, **settings))

        yield make


@pytest.fixture
def indexes_of_its_own(bases: Bases, tmp_path: Path) -> Bases:
    return bases.copy(tmp_path)
