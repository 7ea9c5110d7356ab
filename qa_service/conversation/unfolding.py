"""What one listener hears, worked out from pages of the log and from whispers: no event twice, no text with a hole.

It waits for nothing and reads nothing.
"""

from collections import deque

from qa_service.domain.event import (
    Delta,
    Event,
    EventPage,
    Happening,
    Piece,
    Reset,
    Typed,
    Typing,
    TypingState,
)
from qa_service.domain.session import EventType

_ENDED = {EventType.MESSAGE_COMPLETED, EventType.MESSAGE_FAILED, EventType.MESSAGE_CANCELLED}
_REMEMBERED = 32  # answers that have ended, of which a late whisper may still speak; as many as may wait in a session


class Unfolding:
    """The place of one listener, who has read up to `cursor` (a `seq`) and goes by `name` among those who type."""

    __slots__ = ("_attempt", "_ended", "_typing", "_writing", "_written", "cursor", "misses", "name")

    def __init__(self, cursor: int, name: str) -> None:
        self.cursor = cursor
        self.name = name
        self.misses = False  # whether a part of a text has to be looked up
        self._typing = ""  # the bot's message that it types, as told to this listener
        self._writing = ""  # the bot's message whose text grows here, ...
        self._attempt = 0  # ... the attempt that writes it ...
        self._written = 0  # ... and how many characters were told
        self._ended: deque[str] | None = None  # made when it is needed: most listeners are silent

    def page(self, page: EventPage) -> list[Happening]:
        """Unfold a page that begins at the cursor or before it."""
        told: list[Happening] = []
        is_newest = page.last_message_id >= self.cursor and not page.has_more
        for event in page.events:
            if event.seq > self.cursor:
                told.append(event)
                self._note_end(event)
        self.cursor = max(self.cursor, page.last_message_id)
        if is_newest:
            told += self._bot_types(page.running)
            if page.partial:
                told += self.piece(page.partial)
        return told

    def piece(self, piece: Piece) -> list[Happening]:
        """Unfold a part of a text; what is known of it, or comes too late, is left out."""
        if self._ended and piece.message_id in self._ended:
            return []
        told: list[Happening] = []
        if piece.message_id != self._writing:
            self._writing, self._attempt, self._written = piece.message_id, 0, 0
        if piece.attempt < self._attempt:
            return []
        if piece.attempt > self._attempt:
            if piece.offset:  # its beginning was missed
                self.misses = True
                return []
            if self._attempt:
                told.append(Reset(message_id=piece.message_id))
            self._attempt, self._written = piece.attempt, 0
        if piece.offset > self._written:
            self.misses = True
            return told
        news = piece.text[self._written - piece.offset :]
        if news:
            told.append(Delta(message_id=piece.message_id, offset=self._written, text=news))
            self._written += len(news)
        return told

    def typed(self, typed: Typed) -> list[Happening]:
        """Unfold that the user types, unless it is this listener who says so."""
        return [] if typed.by == self.name else [Typing(state=typed.state, by="user")]

    def _bot_types(self, running: str) -> list[Happening]:
        told: list[Happening] = []
        if running == self._typing:
            return told
        if self._typing:
            told.append(Typing(state=TypingState.STOPPED, by="bot", message_id=self._typing))
        if running:
            told.append(Typing(state=TypingState.STARTED, by="bot", message_id=running))
        self._typing = running
        return told

    def _note_end(self, event: Event) -> None:
        if event.type in _ENDED:
            self._ended = self._ended or deque(maxlen=_REMEMBERED)
            self._ended.append(getattr(event.about, "id", ""))
