"""One WebSocket: who is behind it, what it says, what it is told. It knows no route and no wire.

Whoever leaves cancels nothing, and goes on after the last `seq` when it is back.
"""

import asyncio
from contextlib import suppress
from typing import Any

import structlog
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from structlog.contextvars import bind_contextvars

from qa_service.api.bodies import AskQuestion, shaped
from qa_service.api.entering import Entered, enter
from qa_service.api.house import House
from qa_service.api.limits import Visit
from qa_service.api.rate_limits import address_of, refusal_of
from qa_service.api.request_id import new_request_id
from qa_service.api.ws_closing import Closed, closed_by
from qa_service.api.ws_frames import (
    PONG,
    PROTOCOL,
    Cancel,
    Frame,
    Hello,
    Type,
    accepted_frame,
    error_frame,
    event_frame,
    read_frame,
    ready_frame,
)
from qa_service.conversation.conversation import Utterance
from qa_service.conversation.streams import Following
from qa_service.domain.errors import InvalidInput, QaError, TooSlow

HEARTBEAT_S = 30.0  # as often as the server pings; a client that cannot see that asks as often by a frame of its own
_HELLO_WITHIN_S = 5.0
_CLOSE_WITHIN_S = 10.0  # for who does not read; then the connection is cut
_MOST_REFUSED = 10  # frames in a row that were over a limit
_OPS = "hello first, then ask, typing, cancel, ping"

log = structlog.get_logger(__name__)


class SessionSocket:
    """Serves one connection to its end."""

    def __init__(self, socket: WebSocket[Any, Any, Any], house: House, sid: str) -> None:
        self._socket = socket
        self._house = house
        self._sid = sid
        self._address = address_of(socket.scope, house)
        self._refused = 0
        self._heard_at = 0.0  # the event loop's time
        self._idle: asyncio.TimerHandle
        self._is_closed = False
        self._telling: asyncio.Task[None] | None = None  # while there is something to tell: a silent one costs less

    async def serve(self) -> None:
        """Let somebody in, and talk until either side ends it."""
        try:
            await self._accept()
            await self._let_in()
        except Closed as closed:
            await self._close(closed)
        except QaError as error:
            await self._close(closed_by(error))
        except (OSError, WebSocketDisconnect):  # it has gone; OSError is uvicorn's word for it
            return

    async def _accept(self) -> None:
        offered = PROTOCOL in self._socket.scope["subprotocols"]
        await self._socket.accept(subprotocols=PROTOCOL if offered else None)
        if not offered:
            raise Closed(Closed.NO_PROTOCOL, f"offer the subprotocol {PROTOCOL}")

    async def _let_in(self) -> None:
        hello = await self._greeted()
        entered = await enter(self._house, self._sid, hello.token)
        bind_contextvars(tenant=entered.caller.tenant)
        following = await entered.rooms.streams.follow(self._sid, entered.proof, after=hello.after)
        try:
            ready = ready_frame(self._sid, last_message_id=following.newest, heartbeat_s=HEARTBEAT_S)
            await self._send(ready)
            await self._talk(entered, following)
        finally:
            following.close()

    async def _greeted(self) -> Hello:
        try:
            async with asyncio.timeout(_HELLO_WITHIN_S):
                return _hello_of(read_frame(await self._received()))
        except TimeoutError:
            raise Closed(Closed.NOT_AUTHENTICATED, "hello did not come in time") from None
        except InvalidInput as error:
            await self._send(error_frame(error))
            raise Closed(Closed.NOT_AUTHENTICATED, error.code) from None

    async def _talk(self, entered: Entered, following: Following) -> None:
        self._socket.scope["headers"] = []  # all has been read, and a connection may last for days
        following.on_news = lambda: self._tell_soon(following)
        following.on_too_slow = lambda: self._end(Closed(Closed.TOO_SLOW, TooSlow.code))
        self._tell_soon(following)
        loop = asyncio.get_running_loop()
        self._heard_at = loop.time()
        self._idle = loop.call_later(self._house.ws_idle_s, self._end_if_idle)
        try:
            await self._listen(entered, following)
        finally:
            self._idle.cancel()
            if self._telling:
                self._telling.cancel()

    def _tell_soon(self, following: Following) -> None:
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell(following))

    async def _tell(self, following: Following) -> None:
        try:
            while following.has_news:
                for happening in await following.hear():
                    await self._send(event_frame(self._sid, happening))
        except QaError as error:
            await self._close(closed_by(error))  # whereupon who listens hears that it is over
        except (OSError, WebSocketDisconnect):
            return
        except Exception:  # an edge: whoever follows must hear that it is over
            log.exception("socket broken")
            await self._close(Closed(Closed.TRY_LATER, "internal-error"))

    def _end(self, closed: Closed) -> None:
        """End a connection from outside of its tasks, one of which may be stuck in sending to who does not read."""
        if self._telling:
            self._telling.cancel()
        self._telling = asyncio.create_task(self._close(closed))

    def _end_if_idle(self) -> None:
        loop = asyncio.get_running_loop()
        left_s = self._heard_at + self._house.ws_idle_s - loop.time()
        if left_s > 0:
            self._idle = loop.call_later(left_s, self._end_if_idle)
        else:
            self._end(Closed(Closed.IDLE, "no frame came for long"))

    async def _listen(self, entered: Entered, following: Following) -> None:
        while True:
            message = await self._received()
            self._heard_at = asyncio.get_running_loop().time()
            await self._house.turns.take()
            answer = await self._answered(message, entered, following)
            if answer:
                await self._send(answer)

    async def _answered(self, message: Any, entered: Entered, following: Following) -> str:  # noqa: ANN401  # an ASGI message
        lid = ""
        try:
            frame, malformed = _read(message)
            await self._admit(entered, asks=frame.op == "ask")
            if malformed:
                raise malformed
            if frame.op == "ask":
                lid = str(frame.d.get("lid", ""))[:255]
            return await self._done(frame, entered, following)
        except QaError as error:
            return error_frame(error, lid)

    async def _admit(self, entered: Entered, *, asks: bool) -> None:
        """Count a frame as a request is counted, and a question as a question is."""
        visit = Visit(
            caller=entered.caller,
            token=entered.token,
            address=self._address,
            sid=self._sid if asks else "",
            proof=entered.proof,
        )
        verdict = await self._house.limits.admit(visit)
        if verdict.admitted:
            self._refused = 0
            return
        self._refused += 1
        refusal = refusal_of(verdict)
        if self._refused > _MOST_REFUSED:
            raise Closed(Closed.RATE_LIMITED, refusal.detail)
        raise refusal

    async def _done(self, frame: Frame, entered: Entered, following: Following) -> str:
        """Do what a frame says; give the frame that answers it, "" for none."""
        match frame.op:
            case "ask":
                return await self._asked(shaped(frame.d, AskQuestion), entered)
            case "typing":
                await entered.rooms.streams.typed(following, shaped(frame.d, Type).state)
                return ""
            case "cancel":
                await entered.rooms.streams.cancel(self._sid, entered.proof, shaped(frame.d, Cancel).message_id)
                return ""
            case "ping":
                return PONG
            case _:
                raise InvalidInput(f"the ops are {_OPS}", code="unknown-op")

    async def _asked(self, body: AskQuestion, entered: Entered) -> str:
        request_id = new_request_id()
        bind_contextvars(request_id=request_id)
        utterance = Utterance(
            sid=self._sid,
            proof=entered.proof,
            text=body.text,
            request_id=request_id,
            wait_s=0,  # the answer comes as an event
            locale=body.locale,
            idempotency_key=body.lid,
        )
        accepted = await entered.rooms.conversation.say(utterance)
        log.info("asked by socket", acceptance=accepted.acceptance.value)
        return accepted_frame(self._sid, body.lid, accepted)

    async def _received(self) -> Any:  # noqa: ANN401  # an ASGI message
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(detail="the client has left")
        return message

    async def _send(self, text: str) -> None:
        if self._is_closed:  # by ourselves, a moment ago: uvicorn takes nothing more
            raise WebSocketDisconnect(detail="the connection is being closed")
        await self._socket.send({"type": "websocket.send", "bytes": None, "text": text})

    async def _close(self, closed: Closed) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(TimeoutError, OSError, WebSocketDisconnect):
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await self._socket.send({"type": "websocket.close", "code": closed.code, "reason": closed.reason[:120]})


def _hello_of(frame: Frame) -> Hello:
    if frame.op != "hello":
        raise InvalidInput(f"the ops are {_OPS}", code="hello-required")
    return shaped(frame.d, Hello)


def _read(message: Any) -> tuple[Frame, QaError | None]:  # noqa: ANN401  # an ASGI message
    """Read a frame; one that is none is counted as well, before it is refused."""
    try:
        return read_frame(message), None
    except InvalidInput as error:
        return Frame(op=""), error
