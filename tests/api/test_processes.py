"""What happens to questions and callers when a process of the service ends."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.service import Service, Talk, eventually, serving


@pytest.fixture(scope="module")
def mortal(demo_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose processes may be killed."""
    with serving(tmp_path_factory.mktemp("mortal"), demo_index) as service:
        yield service


@pytest.fixture(scope="module")
def its_client(mortal: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=mortal.url, timeout=40) as client:
        yield client


def test_a_question_outlives_the_worker_that_should_have_answered_it(mortal: Service, its_client: httpx.Client) -> None:
    talk, worker = Talk(its_client), mortal.children()["worker"]
    os.kill(worker, signal.SIGSTOP)
    accepted = talk.ask("怎么退货", Prefer="respond-async")
    os.kill(worker, signal.SIGKILL)
    [answer] = talk.pull(2, wait=20).json()["data"]
    assert answer["id"] == accepted.json()["data"]["id"]
    assert answer["attributes"]["state"] == "completed"
    assert mortal.children()["worker"] != worker


def test_the_private_store_is_brought_back_with_what_it_held(mortal: Service, its_client: httpx.Client) -> None:
    talk = Talk(its_client)
    mid = talk.ask("怎么退货").json()["data"]["id"]
    os.kill(mortal.children()["redis"], signal.SIGKILL)
    assert eventually(lambda: talk.send("GET", f"/messages/{mid}").status_code == 200, 10)
    assert eventually(lambda: talk.ask("怎么开发票").status_code == 201, 10)


def test_a_session_outlives_the_api_process(mortal: Service, its_client: httpx.Client) -> None:
    talk = Talk(its_client)
    talk.ask("怎么退货")
    os.kill(mortal.children()["api"], signal.SIGKILL)

    def reads_again() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return len(talk.pull().json()["data"]) == 2
        return False

    assert eventually(reads_again, 15)


# The last one: it ends the module's service.
def test_a_stop_does_not_wait_for_a_long_poll_to_end(mortal: Service, its_client: httpx.Client) -> None:
    talk = Talk(its_client)

    def poll() -> None:
        with contextlib.suppress(httpx.TransportError):  # cut off: its caller asks again from its cursor
            talk.pull(1, wait=30)

    polling = threading.Thread(target=poll)
    polling.start()
    time.sleep(0.3)
    started = time.monotonic()
    mortal.process.send_signal(signal.SIGTERM)
    mortal.process.wait(20)
    polling.join()
    assert time.monotonic() - started < 15
