"""What a connection may send before there is a request: bounds in bytes, in time and in number. It knows no route.

uvicorn bounds none of this. Whatever is over a bound is refused with the API's own kind of body and a request id, and
the connection ends; what others send meanwhile is served as before.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, cast

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from qa_service.api import wire_bounds as bounds
from qa_service.api.answer_forms import shaped
from qa_service.api.errors import Refusal
from qa_service.api.request_id import chosen_request_id, new_request_id
from qa_service.api.wish import VARY, wish_of
from qa_service.api.ws_wire import is_handshake

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Room:
    """How many connections a process holds, at most `most`, and how many linger after a refusal."""

    most: int
    lingering: set[asyncio.Transport] = field(default_factory=set)


class _Phase(Enum):
    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"


_WITHIN_S: Mapping[_Phase, float] = {_Phase.HEAD: bounds.HEAD_WITHIN_S, _Phase.BODY: bounds.BODY_WITHIN_S}


class _OverBound(Exception):
    """Ends the parsing of a request that is over a bound."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class _Patient:
    """What an answer needs of a transport, with a close of another kind."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class WireProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        room: Room,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._room = room
        self._phase = _Phase.NOTHING
        self._wire_bytes = 0  # of the head or the body under way, as they came
        self._field_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_of = _Phase.NOTHING
        self._unread: asyncio.TimerHandle | None = None
        self._is_deaf = False
        self._owed: Refusal | None = None  # sent when what was asked before it is answered

    # What comes in

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Take a connection, or refuse it when all are taken."""
        super().connection_made(transport)
        if len(self.connections) > self._room.most:
            self.connections.discard(self)
            self._refuse(bounds.CONNECTIONS)
        else:
            self._watch_the_clock()

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._is_deaf:
            return
        self._unset_keepalive_if_required()
        self._wire_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self._forget_the_clock()
                self.handle_websocket_upgrade()
                return
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.refusal if isinstance(cause, _OverBound) else bounds.NO_HTTP)
            return
        if self._phase is _Phase.BODY and self._wire_bytes > bounds.MOST_WIRE_BYTES:
            self._refuse(bounds.BODY)
        elif self._phase is not _Phase.BODY and self._wire_bytes > bounds.MOST_HEAD_BYTES:
            self._refuse(bounds.FIELDS)  # a field that never ends is handed over by nobody
        else:
            if self._phase is _Phase.BODY:
                self.cycle.transport = cast("asyncio.Transport", _Patient(self.transport, self.end_amid_a_body))
            self._watch_the_clock()

    def _should_upgrade_to_ws(self) -> bool:
        return is_handshake(self.parser.get_method(), self.url, self.headers)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._phase = _Phase.HEAD
        self._field_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        super().on_url(url)
        if len(self.url) > bounds.MAX_TARGET_BYTES:
            raise _OverBound(bounds.TARGET)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; a trailer is none (RFC 9110, 6.5.1), and uvicorn would add it to the header."""
        self._field_bytes += len(name) + len(value)
        if self._field_bytes > bounds.MAX_HEAD_BYTES or len(self.headers) >= bounds.MAX_FIELDS:
            raise _OverBound(bounds.FIELDS)
        if self._phase is _Phase.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start what was asked, unless two readers could take it for two different requests."""
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if version not in {"1.0", "1.1"} or hosts > 1 or (version == "1.1" and not hosts):
            raise _OverBound(bounds.NO_HTTP)
        if len(self.pipeline) >= bounds.MOST_PIPELINED:
            raise _OverBound(bounds.PIPELINED)
        super().on_headers_complete()
        self._phase = _Phase.BODY
        self._wire_bytes = 0
        self._forget_the_clock()

    def on_message_complete(self) -> None:
        """End a request; the next one may follow at once."""
        super().on_message_complete()
        self._phase = _Phase.NOTHING
        self._wire_bytes = 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        super().connection_lost(exc)
        self._forget_the_clock()
        self.resume_writing()
        self._room.lingering.discard(self.transport)

    # Slow callers

    def _watch_the_clock(self) -> None:
        """Bound how long what has begun may take; a request that comes in one piece sets no timer."""
        phase = self._phase
        if phase is _Phase.NOTHING and not self._is_answering() and self.timeout_keep_alive_task is None:
            phase = _Phase.HEAD  # nothing yet, or empty lines, which would keep a connection for ever
        if self._deadline and self._deadline_of is phase:
            return
        self._forget_the_clock()
        if phase is not _Phase.NOTHING:
            self._deadline_of = phase
            self._deadline = self.loop.call_later(_WITHIN_S[phase], self._too_slow)

    def _forget_the_clock(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.flow.read_paused:  # it is we who do not read
            self._watch_the_clock()
        elif self._phase is _Phase.NOTHING:
            self.transport.close()
        else:
            self._refuse(bounds.SLOW)

    def pause_writing(self) -> None:
        """Wait for a caller that does not read what it asked for, and not for ever."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(bounds.READ_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on; the caller reads again."""
        super().resume_writing()
        if self._unread:
            self._unread.cancel()
            self._unread = None

    # Refusing

    def _refuse(self, refusal: Refusal) -> None:
        """Answer nothing more on this connection but what was asked before, then this, and close it."""
        self._is_deaf = True
        self._forget_the_clock()
        if self.transport.is_closing():
            return
        waiting = [cycle for cycle, _ in self.pipeline]
        if self._phase is _Phase.BODY and self.cycle in waiting:
            self.pipeline.popleft()  # the newest: its body will never be whole
            self._owed = refusal
        elif self._phase is _Phase.BODY and self.cycle.response_started:
            self._linger()
        elif self._phase is not _Phase.BODY and self._is_answering():
            self._owed = refusal
        else:
            if self._phase is _Phase.BODY:  # whoever waits for the rest is told that it will not come
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            self._send(refusal)

    def on_response_complete(self) -> None:
        """Go on with the next request, or with the refusal that waited for its turn."""
        if self.transport in self._room.lingering:
            return
        super().on_response_complete()
        if self.transport.is_closing():
            self.loop.call_later(bounds.READ_WITHIN_S, self.transport.abort)  # whether or not it is read to the end
        elif self._owed and not self.pipeline:
            self._unset_keepalive_if_required()
            self._send(self._owed)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if its caller has not read what it asked for."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(bounds.READ_WITHIN_S, self.transport.abort)

    def _is_answering(self) -> bool:
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete  # type: ignore[redundant-expr]  # None at first

    def _send(self, refusal: Refusal) -> None:
        headers = self.headers or []
        request_id = self._request_id()
        told = refusal.told(request_id, accept=b",".join(value for name, value in headers if name == b"accept"))
        path = getattr(self, "url", b"").decode("latin-1")  # uvicorn sets none before a message begins
        sent = shaped(told, wish_of(headers), path=path)
        retry = f"retry-after: {refusal.retry_after_s}\r\n" if refusal.retry_after_s else ""
        head = (
            f"content-type: {sent.content_type}\r\ncontent-length: {len(sent.body)}\r\n{retry}"
            f"vary: {VARY.decode()}\r\nx-request-id: {request_id}\r\nconnection: close\r\n\r\n"
        )
        log.info("refused unread", request_id=request_id, status=refusal.status, code=refusal.code)
        self.transport.write(STATUS_LINE[sent.status] + head.encode() + sent.body)
        self._linger()

    def _request_id(self) -> str:
        """Give the id that a request under way has in the log already, else its header's, else a new one."""
        if self._phase is _Phase.BODY and "qa_request_id" in self.scope:
            return str(self.scope["qa_request_id"])  # type: ignore[typeddict-item]  # ASGI allows further keys
        return chosen_request_id(self.headers) if self.headers else new_request_id()

    def end_amid_a_body(self) -> None:
        """Close after an answer that did not wait for the whole body, so that the answer is seen."""
        if self._phase is _Phase.BODY:
            self._is_deaf = True
            self._forget_the_clock()
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Close for writing now, and for reading a moment later."""
        self.flow.resume_reading()
        if len(self._room.lingering) >= bounds.MOST_LINGERING or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._room.lingering.add(self.transport)
        self.transport.write_eof()
        self.loop.call_later(bounds.LINGER_S, self.transport.abort)
