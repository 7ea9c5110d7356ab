"""Is this a sound wish for a WebSocket? It knows no frame and no connection.

What is not is served as the plain request that it also is (RFC 9110, 7.8), so that it is refused as any other.
"""

import binascii
import re
from collections.abc import Iterable

from qa_service.api.envelope import PREFIX

_PATH = re.compile(rf"{PREFIX}/sessions/[^/?]+/ws/?(?:\?.*)?".encode())
_VERSION = b"13"
_KEY_BYTES = 16


def is_handshake(method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a request begins a WebSocket as RFC 6455 (4.2.1) wants it, where there is one."""
    fields = dict(headers)
    if method != b"GET" or not _PATH.fullmatch(target) or fields.get(b"sec-websocket-version") != _VERSION:
        return False
    try:
        key = binascii.a2b_base64(fields.get(b"sec-websocket-key", b""), strict_mode=True)
    except binascii.Error:
        return False
    return len(key) == _KEY_BYTES
