"""One real service that everything hostile is sent to, and what must be true of it at the end.

Every test here carries the marker `security`. `make test` runs a small version of each; `make security` runs them in
full.
"""

import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from access.conftest import Clock, Place
from api.service import Service, Talk, serving

from qa_service.access.caller import Scope
from qa_service.access.clients import make_client
from qa_service.access.signing_keys import make_signing_key
from qa_service.settings import Settings
from security.figures import RUN, Book

_BOOK = Book()
_BREAKS_OUT = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # kinds of characters that end a line, turn it, or steer a terminal
# Here nothing is to be refused for coming too often.
NO_LIMITS = {name: "0" for name in Settings.model_fields if name.startswith("limit_")}
MOST_CONNECTIONS = 20


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("security")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _BOOK.lines:
        terminalreporter.section(f"figures of the {RUN} security run")
        for line in _BOOK.lines:
            terminalreporter.write_line(line)


@pytest.fixture
def book() -> Book:
    _BOOK.open()
    return _BOOK


@pytest.fixture(scope="session")
def service(demo_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("hostile"), demo_index, port=0, **NO_LIMITS) as service:
        processes = service.children()
        yield service
        # Whatever was sent: nothing surprised the service, no process died of it, no line of the log broke.
        assert not service.log("unexpected error")
        assert not service.log("batch failed")
        assert not service.log("process ended")
        assert service.children() == processes
        check_lines(service.log_file)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A keys folder with a client, whom a service is started with."""
    folder = tmp_path_factory.mktemp("guarded") / "keys"
    kid = make_signing_key(folder)
    made = make_client(folder, "gateway", tenant="shop", scopes=[Scope.ASK, Scope.EXPLAIN])
    return Place(folder=folder, kid=kid, secret=made.secret, clock=Clock())


@pytest.fixture(scope="session")
def guarded(demo_index: Path, place: Place) -> Iterator[Service]:
    """A service with keys, as others may reach it, that holds few connections."""
    settings = {"keys_dir": str(place.folder), "most_connections": str(MOST_CONNECTIONS)} | NO_LIMITS
    with serving(place.folder.parent, demo_index, port=0, **settings) as service:
        yield service
        assert not service.log("unexpected error")
        check_lines(service.log_file)


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=40) as client:
        yield client


@pytest.fixture(scope="session")
def gateway(service: Service) -> Iterator[httpx.Client]:
    """A client that carries the service's key, as a back end would carry a token with all scopes."""
    with httpx.Client(base_url=service.url, timeout=40, headers=service.bearer) as client:
        yield client


@pytest.fixture
def talk(client: httpx.Client) -> Talk:
    """A session that nobody else uses."""
    return Talk(client)


def check_lines(log_file: Path) -> int:
    """Check that a log is lines of JSON, one an event, none of which somebody sent; how many there are."""
    raw = log_file.read_bytes()
    lines = raw.decode().split("\n")[:-1]
    for line in lines:
        assert not [char for char in line if unicodedata.category(char) in _BREAKS_OUT], line
        event = json.loads(line)
        assert {"event", "level", "timestamp", "process"} <= event.keys(), line
        assert event["event"] != "forged", line
    return len(lines)
