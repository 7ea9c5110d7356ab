"""Redis goes away and comes back: 503 in good time, and no restart."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from access.minting import user_token
from redis import Redis
from redis.exceptions import RedisError

from api.service import BOT, Talk, eventually, refusal, serving
from qa_service.store.private import find_redis_server

ANSWERS_WITHIN_S = 1.5


class Store:
    """A redis-server that the service did not start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"unix://{folder}/s"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = f"--port 0 --unixsocket {self._folder}/s --dir {self._folder} --appendonly yes --appendfsync always"
        command = [str(find_redis_server().path), *arguments.split(), "--save", ""]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        assert eventually(self._answers, 5)

    def send(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with Redis.from_url(self.url) as probe, suppress(RedisError):
            return bool(probe.ping())
        return False


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("r"))
    store.start()
    yield store
    store.kill()


@pytest.fixture(scope="module")
def far(demo_index: Path, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service that uses the store."""
    with (
        serving(tmp_path_factory.mktemp("far"), demo_index, redis_url=store.url) as service,
        httpx.Client(base_url=service.url, timeout=20, headers=service.bearer) as client,
    ):
        yield client
        assert not service.log("unexpected error")
        assert not service.log("process ended")  # neither the API nor the worker minds


def every_call(client: httpx.Client, talk: Talk) -> dict[str, Callable[[], httpx.Response]]:
    return {
        "open": lambda: client.post(f"{BOT}/sessions"),
        "read": lambda: talk.send("GET"),
        "bind": lambda: talk.send("PATCH", json={"user_token": user_token("u")}),
        "ask": lambda: talk.ask("怎么退货"),
        "ask async": lambda: talk.ask("怎么换货", Prefer="respond-async"),
        "pull": talk.pull,
        "long poll": lambda: talk.pull(1, wait=10),
        "read one": lambda: talk.send("GET", "/messages/1"),
        "answer": lambda: client.post(f"{BOT}/answers", json={"text": "怎么退货"}),
        "answer what leans": lambda: client.post(f"{BOT}/answers", json={"text": "那多久到账呢"}),
        "ready": lambda: client.get("/readyz"),
    }


def check_everything_is_503(client: httpx.Client, talk: Talk) -> None:
    for name, call in every_call(client, talk).items():
        started = time.monotonic()
        response = call()
        assert response.status_code == 503, (name, response.text)
        assert int(response.headers["retry-after"]) >= 1
        assert time.monotonic() - started < ANSWERS_WITHIN_S, name
        if name != "ready":
            assert refusal(response)["code"] == "store-unavailable", name
    checks = client.get("/readyz").json()["data"]["attributes"]["checks"]
    assert checks["store"] != "ok"
    assert client.get("/healthz").status_code == 200


def check_everything_works(client: httpx.Client, talk: Talk, question: str) -> None:
    assert eventually(lambda: client.get("/readyz").status_code == 200, 10)
    assert eventually(lambda: client.post(f"{BOT}/sessions").status_code == 201, 10)
    assert eventually(lambda: talk.ask(question).status_code == 201, 10)
    answered = client.post(f"{BOT}/answers", json={"text": question + "！"})
    assert answered.status_code == 200, answered.text
    before: list[dict[str, Any]] = talk.pull().json()["data"]
    assert [one["attributes"]["role"] for one in before][:2] == ["user", "bot"]
    polled = talk.pull(talk.pull().json()["meta"]["last_message_id"], wait=1)
    assert polled.json()["data"] == []


def test_a_store_that_hangs_is_503_in_time_and_all_is_well_when_it_goes_on(far: httpx.Client, store: Store) -> None:
    talk = Talk(far)
    assert talk.ask("怎么退货").status_code == 201
    store.send(signal.SIGSTOP)
    try:
        check_everything_is_503(far, talk)
    finally:
        store.send(signal.SIGCONT)
    check_everything_works(far, talk, "怎么开发票")


def test_a_store_that_dies_is_503_at_once_and_all_is_well_when_it_is_back(far: httpx.Client, store: Store) -> None:
    talk = Talk(far)
    assert talk.ask("怎么退货").status_code == 201
    store.kill()
    check_everything_is_503(far, talk)
    store.start()
    check_everything_works(far, talk, "怎么换货")


def test_a_long_poll_ends_with_503_when_the_store_dies_under_it(far: httpx.Client, store: Store) -> None:
    talk = Talk(far)
    dying = threading.Timer(0.5, store.kill)
    dying.start()
    started = time.monotonic()
    polled = talk.pull(1, wait=20)
    elapsed_s = time.monotonic() - started
    dying.join()
    store.start()
    assert refusal(polled)["code"] == "store-unavailable"
    assert elapsed_s < 0.5 + 1 + ANSWERS_WITHIN_S  # a bell is waited for at most a second
    check_everything_works(far, talk, "满多少钱包邮")


def test_a_store_that_comes_back_empty_serves_new_sessions(far: httpx.Client, store: Store) -> None:
    old = Talk(far)
    with Redis.from_url(store.url) as client:
        client.flushall()
    assert refusal(old.send("GET"))["code"] == "session-not-found"
    assert eventually(lambda: far.post(f"{BOT}/sessions").status_code == 201, 10)
    new = Talk(far)
    assert eventually(lambda: new.ask("怎么退货").status_code == 201, 15)
