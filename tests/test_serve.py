"""`serve` as real processes: it starts, survives the death of each of its own, and leaves nothing behind."""

import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from answering.small_base import build_small

from qa_service.domain.errors import SettingsError
from qa_service.serve import free_port
from qa_service.settings import Settings

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc")

VERBS = ("worker", "api", "webhooks", "redis-server")
NUMBERS = itertools.count()


def children_of(pid: int) -> dict[str, int]:
    """The living children of a process by what they are."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            if int(parent) == pid and state != "Z":
                found[next(verb for verb in (*VERBS, "") if verb in words or words[0].endswith(verb))] = int(
                    folder.name
                )
    return found


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def eventually(happens: Callable[[], bool], within_s: float) -> bool:
    ends = time.monotonic() + within_s
    while not happens():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


class Served:
    """A running `qa-service serve`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.log = folder / "stderr.txt"
        self._said = folder / "stdout.txt"
        self.url = ""
        self.pids: dict[str, int] = {}
        with self._said.open("wb") as said, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                serve_command(*options), cwd=folder, env=environment(folder), stdout=said, stderr=log
            )
        self.pid = self.process.pid

    def wait_for_url(self) -> None:
        """Wait until it says where it answers."""
        if not eventually(
            lambda: "answers at" in self._said.read_text() or self.process.poll() is not None, within_s=30
        ):
            pytest.fail(f"serve is not ready: {self.log.read_text()[-2000:]}")
        found = re.search(r"answers at (http://\S+)", self._said.read_text())
        assert found, self.log.read_text()[-2000:]
        self.url = found[1]
        self.pids = children_of(self.pid)

    def ask(self) -> int:
        """Ask what no cache can answer; gives the HTTP status, 0 when nobody listens."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
        try:
            body = json.dumps({"text": f"怎么开发票，第{next(NUMBERS)}次问"})
            key = (self.folder / "var" / "local.key").read_text().strip()
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
            connection.request("POST", "/api/v1/bot/answers", body, headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return 0
        else:
            return response.status
        finally:
            connection.close()

    def answers(self) -> bool:
        return self.ask() == 200

    def stop(self) -> None:
        """End what is left of it, child by child, by pid."""
        left = [self.pid, *children_of(self.pid).values(), *self.pids.values()]
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def serve_command(*options: str) -> list[str]:
    return [sys.executable, "-m", "qa_service.cli", "serve", *(options or ("--port", "0"))]


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QA_")}
    return {**kept, "QA_INDEXES_DIR": str(folder / "indexes"), "QA_STATE_DIR": str(folder / "var")}


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Served]:
    versions, built = build_small(folder)
    versions.activate(built.version)
    served = Served(folder, *options)
    try:
        served.wait_for_url()
        yield served
    finally:
        served.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("serve")) as served:
        yield served


def test_it_runs_an_api_a_worker_a_webhooks_process_and_a_redis_and_answers(served: Served) -> None:
    assert set(children_of(served.pid)) == set(VERBS)
    assert served.answers()


def test_the_first_start_prints_a_curl_that_works_and_a_later_one_does_not_repeat_the_key(tmp_path: Path) -> None:
    printed = []
    for _ in range(2):
        with serving(tmp_path):
            [line] = re.findall(r"^  (curl .*)$", (tmp_path / "stdout.txt").read_text(), re.MULTILINE)
            printed.append(line)
            done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=20, check=True)
            assert json.loads(done.stdout)["data"]["type"] == "answers"
    key = (tmp_path / "var" / "local.key").read_text().strip()
    assert [key in line for line in printed] == [True, False]
    assert f"$(cat {tmp_path}/var/local.key)" in printed[1]


@pytest.mark.parametrize("verb", VERBS)
def test_whichever_process_is_killed_answers_come_again_within_ten_seconds(served: Served, verb: str) -> None:
    before = children_of(served.pid)[verb]
    os.kill(before, signal.SIGKILL)
    assert eventually(lambda: children_of(served.pid).get(verb, before) != before, within_s=10)
    assert eventually(served.answers, within_s=10)
    assert set(children_of(served.pid)) == set(VERBS)
    assert served.process.poll() is None


def test_a_second_one_on_the_same_state_folder_is_refused_and_the_first_serves_on(served: Served) -> None:
    second = subprocess.run(
        serve_command(), env=environment(served.folder), capture_output=True, text=True, timeout=20, check=False
    )
    assert second.returncode == 2
    [line] = second.stderr.splitlines()
    assert f"{served.folder}/var is in use by the process {served.pid}" in line
    assert "QA_STATE_DIR" in line
    assert served.answers()


def test_a_second_one_on_the_same_port_is_refused(served: Served, tmp_path: Path) -> None:
    port = str(urlsplit(served.url).port)
    second = subprocess.run(
        serve_command("--port", port),
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 2
    assert f"QA_PORT={port} cannot be bound" in second.stderr.splitlines()[-1]
    assert not (tmp_path / "var").exists()


def test_a_stop_ends_everything_within_twenty_seconds_and_in_order(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(20) == 0
        assert not [verb for verb, pid in served.pids.items() if is_alive(pid)]
        assert "process ended" not in served.log.read_text()
        assert not (tmp_path / "var" / "redis.sock").exists()


def test_ctrl_c_reaches_serve_alone_and_the_host_that_was_typed_is_bound(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "127.0.0.2", "--port", "0") as served:
        assert served.url.startswith("http://127.0.0.2:")
        assert served.answers()
        assert os.getpgid(served.pid) not in {os.getpgid(pid) for pid in served.pids.values()}
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(20) == 0
        assert not [verb for verb, pid in served.pids.items() if is_alive(pid)]


def test_when_serve_itself_is_killed_its_children_end_within_five_seconds(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        served.process.kill()
        served.process.wait()
        assert eventually(lambda: not any(map(is_alive, served.pids.values())), within_s=5)


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"QA_HOST=192\.0\.2\.1 .* cannot be bound"):
        free_port(Settings(host="192.0.2.1", port=0))


def test_any_free_port_is_found_where_none_is_named() -> None:
    assert 0 < free_port(Settings(host="127.0.0.1", port=0)) <= 65535
