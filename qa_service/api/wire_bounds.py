"""How much a connection may send, how slowly, and what it is told when it goes beyond. It knows no protocol."""

from qa_service.api.bodies import MAX_BODY_BYTES
from qa_service.api.errors import Refusal

MAX_TARGET_BYTES = 8 * 1024
MAX_HEAD_BYTES = 32 * 1024  # all names and values of the header fields
MAX_FIELDS = 100
HEAD_WITHIN_S = 10.0  # from the connection's or the request's first byte to the blank line
BODY_WITHIN_S = 30.0  # 640 KiB at 21 KiB/s
READ_WITHIN_S = 30.0  # for a caller to read on, once 64 KiB wait for it
MOST_PIPELINED = 32
# As they came: with the method, the version, and what stands between fields.
MOST_HEAD_BYTES = MAX_TARGET_BYTES + MAX_HEAD_BYTES + 4 * MAX_FIELDS + 64
# Chunk sizes, their extensions and trailers count here, and what follows a refusal.
MOST_WIRE_BYTES = 2 * MAX_BODY_BYTES
# Closed at once with bytes unread, a connection is reset, and its caller may never see the answer.
LINGER_S = 1.0
MOST_LINGERING = 64

NO_HTTP = Refusal(
    status=400,
    code="bad-request",
    title="Bad request",
    detail="this is no HTTP/1.1 request: its path is percent-encoded, it names one Host, its header fields hold no "
    "control characters, and its body has one length",
)
TARGET = Refusal(
    status=414,
    code="uri-too-long",
    title="URI too long",
    detail=f"path and query have at most {MAX_TARGET_BYTES} bytes",
)
FIELDS = Refusal(
    status=431,
    code="headers-too-large",
    title="Header fields too large",
    detail=f"a request has at most {MAX_FIELDS} header fields and {MAX_HEAD_BYTES} bytes of them",
)
BODY = Refusal(
    status=413, code="body-too-large", title="Body too large", detail=f"a body has at most {MAX_BODY_BYTES} bytes"
)
SLOW = Refusal(
    status=408,
    code="request-timeout",
    title="Request too slow",
    detail=f"header fields arrive within {HEAD_WITHIN_S:g} seconds, the body within {BODY_WITHIN_S:g} more",
)
PIPELINED = Refusal(
    status=429,
    code="too-many-pipelined",
    title="Too many requests",
    detail=f"at most {MOST_PIPELINED} requests wait on one connection",
    retry_after_s=1,
)
CONNECTIONS = Refusal(
    status=429,
    code="too-many-connections",
    title="Too many requests",
    detail="all connections of this process are taken",
    retry_after_s=1,
)
# Every code that any path may be refused with before it is looked at.
WIRE_REFUSALS = (NO_HTTP, TARGET, FIELDS, BODY, SLOW, PIPELINED, CONNECTIONS)
