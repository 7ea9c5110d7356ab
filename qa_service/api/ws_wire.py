"""The WebSocket below its frames: bounds in bytes and in time. It knows no frame."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from qa_service.api import wire_bounds as bounds


class WebSocketWire(WebSocketsSansIOProtocol):
    """One connection after its upgrade; who does not read it is cut off, as over HTTP."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._unread: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Wait for a client that does not read, and not for ever."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(bounds.READ_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on; the client reads again."""
        super().resume_writing()
        self._forget_the_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        super().connection_lost(exc)
        self._forget_the_clock()

    def _forget_the_clock(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None
