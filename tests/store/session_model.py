"""A session as it should be, in plain Python: what every step of a test is compared with. It knows no Redis."""

from collections import deque
from dataclasses import dataclass, field

from qa_service.domain.session import MessageState, Role
from qa_service.store.jobs import Job


@dataclass
class Said:
    """A message as the model knows it."""

    role: Role
    state: MessageState
    text: str
    seq: int


@dataclass
class Modelled:
    """A session as it should be. An event is (message id or "", seq)."""

    token: str
    uid: str = ""
    seq: int = 1
    events: list[tuple[str, int]] = field(default_factory=lambda: [("", 1)])
    messages: dict[str, Said] = field(default_factory=dict)
    keys: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # key -> (body, question id, reply id)
    running: str = ""
    waiting: deque[str] = field(default_factory=deque)

    def append(self, message_id: str) -> int:
        """Log one more event."""
        self.seq += 1
        self.events.append((message_id, self.seq))
        return self.seq

    def finish(self, reply_id: str, state: MessageState, text: str) -> bool:
        """Give an answer, if it is still to be given."""
        reply = self.messages.get(reply_id)
        if reply is None or reply.state is not MessageState.PENDING:
            return False
        reply.state, reply.text, reply.seq = state, text, self.append(reply_id)
        return True

    def page(self, cursor: int, limit: int) -> tuple[list[str], int, bool]:
        """Ids of the messages after a cursor, the cursor to go on from, and whether there is more."""
        ids: list[str] = []
        for message_id, seq in self.events:
            if seq <= cursor:
                continue
            if message_id and len(ids) == limit:
                break
            ids += [message_id] if message_id else []
            cursor = seq
        return ids, cursor, cursor < self.seq


@dataclass
class Queued:
    """A job of the model's queue; `deliveries` is 0 until a worker has taken it."""

    sid: str
    reply_id: str
    deliveries: int = 0
    handed_out: Job | None = None
