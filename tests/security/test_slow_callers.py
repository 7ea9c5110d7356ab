"""A caller that sends or reads too slowly is let go within a bound; a caller too many is told so; others are served."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import httpx
import pytest
from api.service import Service, Talk, eventually

from qa_service.api.wire_bounds import BODY_WITHIN_S, HEAD_WITHIN_S, READ_WITHIN_S
from security.conftest import MOST_CONNECTIONS
from security.figures import RUN, Book, count
from security.wires import Answer, answers, connected, exchange, faults_of, receive

_SLACK_S = 3.0
_EVERY_S = 0.2
_GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_HEAD = b"POST /api/v1/bot/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """What a slow caller sends at first, then again and again; how soon it must be let go, and with what."""

    first: bytes
    again: bytes
    within_s: float
    status: int | None = 408


SLOW = {
    "says nothing": Slow(first=b"", again=b"", within_s=HEAD_WITHIN_S, status=None),
    "sends empty lines": Slow(first=b"", again=b"\r\n", within_s=HEAD_WITHIN_S, status=None),
    "sends empty lines after a request": Slow(first=_GET, again=b"\r\n", within_s=HEAD_WITHIN_S, status=200),
    "sends its path a byte at a time": Slow(first=b"GET /", again=b"a", within_s=HEAD_WITHIN_S),
    "sends one field after the other": Slow(first=_HEAD, again=b"X-A: a\r\n", within_s=HEAD_WITHIN_S),
    "sends half of a second request": Slow(first=_GET + b"GET /", again=b"a", within_s=HEAD_WITHIN_S, status=None),
}
SLOWER = {
    "sends its body a byte at a time": Slow(
        first=_HEAD + b"Content-Length: 9999\r\n\r\n", again=b" ", within_s=BODY_WITHIN_S
    ),
    "sends a chunk at a time": Slow(
        first=_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", again=b"1\r\n \r\n", within_s=BODY_WITHIN_S
    ),
    "sends a chunk's extension for ever": Slow(
        first=_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", again=b"a", within_s=BODY_WITHIN_S
    ),
    "sends on after it is refused": Slow(
        first=_GET[:-2] + b"Content-Length: 9999\r\n\r\n", again=b" ", within_s=BODY_WITHIN_S, status=200
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """When a slow caller was let go, and what it had been told."""

    after_s: float
    told: list[Answer]


def go_slowly(service: Service, slow: Slow) -> Seen:
    """Be slow until the connection is closed."""
    started, received = time.monotonic(), b""
    with connected(service) as connection:
        connection.settimeout(_EVERY_S)
        connection.sendall(slow.first)
        while time.monotonic() - started < slow.within_s + 2 * _SLACK_S:
            with suppress(TimeoutError):
                try:
                    connection.sendall(slow.again)
                    if not (chunk := connection.recv(65_536)):
                        break
                    received += chunk
                except (ConnectionResetError, BrokenPipeError):
                    break
    return Seen(after_s=time.monotonic() - started, told=answers(received))


def test_slow_callers_are_let_go_while_others_are_served(service: Service, client: httpx.Client, book: Book) -> None:
    callers = SLOW | (SLOWER if RUN == "full" else {})
    of_each = count(small=5, full=40)
    calm_ms: list[float] = []
    with ThreadPoolExecutor(max_workers=len(callers) * of_each) as pool:
        seen = {name: [pool.submit(go_slowly, service, slow) for _ in range(of_each)] for name, slow in callers.items()}
        while not all(one.done() for some in seen.values() for one in some):
            started = time.monotonic()
            assert client.get("/healthz").status_code == 200
            calm_ms.append((time.monotonic() - started) * 1000)
            time.sleep(0.05)
    late = {name: round(max(one.result().after_s for one in some), 1) for name, some in seen.items()}
    kept = [name for name, slow in callers.items() if late[name] > slow.within_s + _SLACK_S]
    book.note(
        "slow callers",
        f"let go after {HEAD_WITHIN_S:g} s for the header fields, {BODY_WITHIN_S:g} s for the body; others served",
        broken=len(kept),
        callers=len(callers) * of_each,
        let_go_after_s=late,
        others_served=len(calm_ms),
        others_worst_ms=round(max(calm_ms), 1),
    )
    assert kept == []
    for name, some in seen.items():
        for one in some:
            told = one.result().told
            assert not [fault for answer in told for fault in faults_of(answer)], name
            if callers[name].status:
                assert told[-1].status == callers[name].status, name


@pytest.mark.skipif(RUN == "small", reason="takes as long as a caller may wait before it reads on")
def test_a_caller_that_does_not_read_is_let_go(service: Service, book: Book) -> None:
    with connected(service) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(b"GET /schema HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30)
        started = time.monotonic()

        def is_gone() -> bool:
            with suppress(BlockingIOError):
                try:
                    connection.send(b"\r\n", socket.MSG_DONTWAIT)
                except (BrokenPipeError, ConnectionResetError):
                    return True
            return False

        let_go = eventually(is_gone, READ_WITHIN_S + _SLACK_S)
    seconds = round(time.monotonic() - started, 1)
    book.note("callers that do not read", "let go", broken=int(not let_go), callers=1, after_s=seconds)
    assert let_go


def test_a_connection_too_many_is_told_so_and_the_others_stay(guarded: Service, book: Book) -> None:
    with httpx.Client(base_url=guarded.url) as client:
        talk = Talk(client)
        with ExitStack() as stack:
            held = [stack.enter_context(connected(guarded)) for _ in range(MOST_CONNECTIONS - 1)]
            for connection in held:  # so that each is known to be taken
                connection.sendall(_GET)
                assert receive(connection)[0].status == 200
            refused = [exchange(guarded, _GET) for _ in range(30)]
            assert talk.pull().status_code == 200
        faults = [fault for [answer] in refused for fault in faults_of(answer)]
        book.note(
            "connections",
            "a connection too many is 429 with Retry-After",
            broken=len(faults),
            most=MOST_CONNECTIONS,
            refused=30,
        )
        assert faults == []
        assert {(answer.status, answer.headers["retry-after"]) for [answer] in refused} == {(429, "1")}
        assert eventually(lambda: exchange(guarded, _GET)[0].status == 200, 3.0)  # once there is room again
        assert talk.pull().status_code == 200


def test_a_packed_body_costs_nothing(service: Service) -> None:
    bomb = _HEAD + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + b"\x1f\x8b" + b"\x00" * 18
    done: list[float] = []

    def send() -> None:
        started = time.monotonic()
        [answer] = exchange(service, bomb)
        assert (answer.status, answer.headers["accept-encoding"]) == (415, "identity")
        done.append(time.monotonic() - started)

    thread = threading.Thread(target=send)
    thread.start()
    thread.join(5)
    assert done
