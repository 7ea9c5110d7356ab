"""One look at a session's log for all who follow it by the same proof, and the queue of each. It knows no transport."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from qa_service.conversation.ports import Events
from qa_service.conversation.unfolding import Unfolding
from qa_service.domain.errors import QaError, StoreUnavailable, TooSlow
from qa_service.domain.event import EventPage, Happening, Piece, Whisper
from qa_service.domain.session import Proof

log = structlog.get_logger(__name__)

LOOK_AGAIN_S = 30.0  # a hint may be lost with nobody noticing; while it is connected, pub/sub loses none
_AWAY_S = 1.0  # between looks while the store is away
_PAGE = 100  # events
MOST_WAITING = 256  # events and whispers that one listener has not taken yet
_MOST_HELD = 1000  # whispers that wait for a look at the log


class Feed:
    """Looks at the log of one session when a hint comes, from where the first of its listeners began."""

    __slots__ = ("_again", "_followings", "_held", "_looking", "_on_end", "_rung", "cursor", "events", "proof", "sid")

    def __init__(self, events: Events, sid: str, proof: Proof, on_end: Callable[["Feed"], None]) -> None:
        self.events = events
        self.sid = sid
        self.proof = proof
        self.cursor: int | None = None  # the `seq` it has read up to; None until a listener has caught up
        self._on_end = on_end
        self._followings: list[Following] = []
        self._looking: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._rung = False
        self._held: list[Whisper] = []

    def join(self, following: "Following") -> None:
        """Take one more listener."""
        self._followings.append(following)

    def leave(self, following: "Following") -> None:
        """Let a listener go; the last one ends the feed."""
        if following not in self._followings:
            return
        self._followings.remove(following)
        if not self._followings:
            self._on_end(self)
            if self._again:
                self._again.cancel()
            if self._looking:
                self._looking.cancel()

    def end(self, error: QaError) -> None:
        """Tell every listener why there is nothing more."""
        for following in tuple(self._followings):
            following.end(error)

    def begin(self, cursor: int) -> None:
        """Look at the log from here on."""
        self.cursor = cursor
        self._look_later()
        self._look_if_rung()

    def ring(self) -> None:
        """Look at the log, which may have grown."""
        self._rung = True
        self._look_if_rung()

    def hear(self, whisper: Whisper) -> None:
        """Pass a whisper on, behind what the log holds that came before it."""
        if not self._rung and not self._looking:
            self._deliver(whisper)
        elif len(self._held) < _MOST_HELD:
            self._held.append(whisper)

    def _look_if_rung(self) -> None:
        if self._rung and self.cursor is not None and self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        try:
            while self._rung:
                self._rung = False
                await self._look_once()
        finally:
            self._looking = None
            self._look_later()  # also after a bug: the next look may go well
        held, self._held = self._held, []
        for whisper in held:
            self._deliver(whisper)

    async def _look_once(self) -> None:
        assert self.cursor is not None, "nobody looks before a listener has caught up"
        try:
            page = await self.events.events_after(self.sid, self.proof, self.cursor, _PAGE)
        except StoreUnavailable:
            await asyncio.sleep(_AWAY_S)
            self._rung = True
        except QaError as error:  # erased, expired, its token void: the same for each of them
            self.end(error)
        except Exception:  # an edge: whoever follows must hear that it is over
            log.exception("session log not read")
            self.end(StoreUnavailable("the log cannot be read now"))
        else:
            self.cursor = page.last_message_id
            self._rung = self._rung or page.has_more
            self._deliver(page)

    def _look_later(self) -> None:
        if self._again:
            self._again.cancel()
        self._again = None
        if self._followings:
            self._again = asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self.ring)

    def _deliver(self, item: EventPage | Whisper) -> None:
        for following in tuple(self._followings):
            following.put(item)


class Following:
    """One listener: `hear` gives what happened since, in order. It must be closed.

    `on_news` is called when there is something to hear, so that who tells it need not wait meanwhile. `on_too_slow`
    is called once, when more waits than a listener may leave: whoever is stuck in sending can be freed.
    """

    __slots__ = (
        "_behind",
        "_error",
        "_feed",
        "_queue",
        "_ready",
        "_unfolding",
        "_waiter",
        "_waiting",
        "newest",
        "on_news",
        "on_too_slow",
    )

    def __init__(self, feed: Feed, *, after: int, name: str) -> None:
        self.on_news: Callable[[], object] | None = None
        self.on_too_slow: Callable[[], object] | None = None
        self.newest = after  # the `seq` of the newest event when it was last behind
        self._feed = feed
        self._unfolding = Unfolding(after, name)
        self._behind = True
        self._ready: Sequence[Happening] = ()
        self._queue: list[EventPage | Whisper] = []
        self._waiting = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: QaError | None = None

    @property
    def sid(self) -> str:
        """The session that it follows."""
        return self._feed.sid

    @property
    def name(self) -> str:
        """What it is called where it types."""
        return self._unfolding.name

    @property
    def cursor(self) -> int:
        """The `seq` up to which it has heard."""
        return self._unfolding.cursor

    @property
    def has_news(self) -> bool:
        """Whether `hear` need not wait."""
        return bool(self._ready or self._queue or self._behind or self._error)

    async def catch_up(self) -> None:
        """Read the next page of what happened before; raises as `Events.events_after` does."""
        feed = self._feed
        page = await feed.events.events_after(feed.sid, feed.proof, self.cursor, _PAGE)
        self.newest = page.newest
        self._ready = [*self._ready, *self._unfolding.page(page)]
        # The feed tells what comes after its own cursor.
        self._behind = page.has_more or (feed.cursor is not None and self.cursor < feed.cursor)
        if not self._behind and feed.cursor is None:
            feed.begin(self.cursor)

    async def hear(self, within_s: float | None = None) -> Sequence[Happening]:
        """Give what happened next, at least one thing; nothing when `within_s` has passed.

        Raises:
            TooSlow: more waited than a listener may leave.
            NotFound: the session is gone, or the proof opens it no longer.
            Restarting: the process ends.
            StoreUnavailable: the log cannot be read now.
        """
        loop = asyncio.get_running_loop()
        ends = None if within_s is None else loop.time() + within_s
        while not self._ready:
            if self._behind:
                await self.catch_up()
            elif self._queue:
                self._unfold()
            elif self._error:
                raise self._error
            elif not await self._woken(ends):
                return ()
        ready, self._ready = self._ready, ()
        return ready

    def put(self, item: EventPage | Whisper) -> None:
        """Keep something for the next `hear`."""
        if self._error:
            return
        if isinstance(item, EventPage):
            if not item.events and not item.partial and item.last_message_id <= self.cursor and not self._queue:
                return  # nothing new, as nearly every look that no hint asked for
            self._waiting += len(item.events)
        self._waiting += 1
        if self._waiting > MOST_WAITING:
            self._queue.clear()
            self.end(TooSlow(f"more than {MOST_WAITING} events wait: come back, and go on after the last one"))
            if self.on_too_slow:
                self.on_too_slow()
            return
        self._queue.append(item)
        self._wake()

    def end(self, error: QaError) -> None:
        """Raise this once what waits has been heard."""
        self._error = self._error or error
        self._wake()

    def close(self) -> None:
        """Stop following."""
        self._feed.leave(self)

    def _unfold(self) -> None:
        items, self._queue, self._waiting = self._queue, [], 0
        told: list[Happening] = []
        for item in items:
            if isinstance(item, EventPage):
                told += self._unfolding.page(item)
            elif isinstance(item, Piece):
                told += self._unfolding.piece(item)
            else:
                told += self._unfolding.typed(item)
        self._ready = told
        if self._unfolding.misses:
            self._unfolding.misses = False
            self._feed.ring()

    def _wake(self) -> None:
        if self.on_news:
            self.on_news()
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def _woken(self, ends: float | None) -> bool:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout_at(ends):
                await self._waiter
        except TimeoutError:
            return False
        finally:
            self._waiter = None
        return True
