"""What every test may ask for: a real redis-server, emptied before each test, the demo index, and a free port."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from api.service import build_demo_index
from redis import Redis

from qa_service.store.private import PrivateRedis


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    """One server per session; it dies with the test run, however that ends."""
    server = PrivateRedis(tmp_path_factory.mktemp("redis"))
    loop = asyncio.new_event_loop()  # not asyncio.run(), which would unset the loop that pytest-asyncio has set
    try:
        loop.run_until_complete(server.__aenter__())
        yield server
        loop.run_until_complete(server.__aexit__(None, None, None))
    finally:
        loop.close()


@pytest.fixture
def redis_url(redis_server: PrivateRedis) -> str:
    """The URL of the session's server, with nothing in it."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.config_set("maxmemory", 0)
    return redis_server.url


@pytest.fixture(scope="session")
def demo_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of indexes in which the demo base is active; building it takes long, so nobody may change it."""
    indexes = tmp_path_factory.mktemp("indexes")
    build_demo_index(indexes)
    return indexes


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
