"""A service without keys answers to this machine's own names alone."""

import httpx
import pytest
from litestar.types import Message, Receive, Scope, Send

from api.service import BOT, refusal
from qa_service.api.hosts import LocalHosts, is_local_name

LOCAL = ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8000", "127.0.0.2", "[::1]", "[::1]:8000"]
FOREIGN = [
    *("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1", "0.0.0.0"),
    *("[::]", "[2001:db8::1]:80", "", ":8000", "local host", "localhost,evil", "[localhost", "2130706433", "é"),
]


@pytest.mark.parametrize("host", LOCAL)
def test_this_machines_own_names_are_answered(client: httpx.Client, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/schema", "/nowhere", f"{BOT}/answers", "/.well-known/jwks.json"])
def test_another_name_is_misdirected_on_every_path(client: httpx.Client, path: str) -> None:
    refused = client.post(path, headers={"Host": "evil.example"})
    assert (refused.status_code, refusal(refused)["code"]) == (421, "unknown-host")


@pytest.mark.parametrize("host", FOREIGN)
def test_what_only_looks_like_this_machine_is_refused(client: httpx.Client, host: str) -> None:
    assert not is_local_name(host)
    if host:
        refused = client.get("/healthz", headers={b"Host": host.encode("latin-1")})
        assert refused.status_code in {400, 421}


async def closed(host: bytes) -> list[Message]:
    """What a WebSocket hears that comes under a host."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})

    async def receive() -> Message:
        return {"type": "websocket.connect"}  # type: ignore[typeddict-item]  # mypy reads the union as its first

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "headers": [(b"host", host)]}
    await LocalHosts(app, lambda: True)(scope, receive, send)  # type: ignore[arg-type]  # the part that is looked at
    return sent


async def test_a_web_socket_under_another_name_is_closed_before_it_is_accepted() -> None:
    assert [one["type"] for one in await closed(b"localhost:8000")] == ["websocket.accept"]
    [end] = await closed(b"evil.example")
    assert (end["type"], end["code"]) == ("websocket.close", 4003)  # type: ignore[typeddict-item]  # a close has one
