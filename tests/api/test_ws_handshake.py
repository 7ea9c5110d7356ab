"""Only a sound handshake leaves HTTP."""

import pytest

from qa_service.api.ws_wire import is_handshake

PATH = b"/api/v1/bot/sessions/123/ws"
SOUND = {b"sec-websocket-version": b"13", b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ=="}


@pytest.mark.parametrize("target", [PATH, PATH + b"/", PATH + b"?after=3"])
def test_a_sound_handshake_begins_a_websocket(target: bytes) -> None:
    assert is_handshake(b"GET", target, SOUND.items())


@pytest.mark.parametrize(
    ("method", "target", "changed"),
    [
        (b"POST", PATH, {}),
        (b"GET", b"/healthz", {}),
        (b"GET", b"/api/v1/bot/sessions/1/2/ws", {}),
        (b"GET", PATH, {b"sec-websocket-version": b"99"}),
        (b"GET", PATH, {b"sec-websocket-key": b"x"}),
        (b"GET", PATH, {b"sec-websocket-key": b"c2hvcnQ="}),
        (b"GET", PATH, {b"sec-websocket-key": b""}),
    ],
)
def test_any_other_wish_stays_a_plain_request(method: bytes, target: bytes, changed: dict[bytes, bytes]) -> None:
    assert not is_handshake(method, target, {**SOUND, **changed}.items())
