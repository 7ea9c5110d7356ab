"""What a conversation needs from a store. `store/` implements these on Redis; every call may raise StoreUnavailable."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from qa_service.domain.answer import Answer
from qa_service.domain.event import EventPage, Feedback, Whisper
from qa_service.domain.explanation import Explanation
from qa_service.domain.saying import Acceptance, Accepted, Asked, Exported, Inquiry, KeyPress, Page, Saying
from qa_service.domain.session import Message, Proof, Session
from qa_service.domain.suggestion import Suggested

__all__ = [
    "Acceptance",
    "Accepted",
    "ActiveIndex",
    "Asked",
    "Bell",
    "Bells",
    "Events",
    "Exported",
    "Follower",
    "Inquiries",
    "Inquiry",
    "KeyPress",
    "Page",
    "Records",
    "Saying",
    "Sessions",
    "Suggestions",
]


class Sessions(Protocol):
    """The event log of each session: the truth that every transport reads.

    A proof that does not open the session raises NotFound, exactly as an unknown session does.
    """

    async def open(self, session: Session, token: str) -> bool:
        """Store a new session; False when its sid is already taken."""
        ...

    async def read(self, sid: str, proof: Proof) -> Session:
        """The session as it stands; slides its 24 hours."""
        ...

    async def bind(self, sid: str, proof: Proof, *, uid: str, new_token: str) -> Session:
        """Give the session to a uid and void the old token. A second, different uid raises Conflict (uid-conflict)."""
        ...

    async def accept(self, saying: Saying) -> Accepted:
        """Log the question and queue it, in one idempotent step.

        Raises Conflict (idempotency-key-reused) for the same key with another body, Overloaded (queue-full,
        too-many-pending) when there is no room.
        """
        ...

    async def message(self, sid: str, proof: Proof, message_id: str) -> Message:
        """One message; NotFound (message-not-found) when there is none of that id."""
        ...

    async def read_after(self, sid: str, proof: Proof, cursor: int, limit: int) -> Page:
        """Messages whose `seq` is greater than `cursor`.

        Raises Conflict (cursor-expired) for a cursor older than the log, InvalidInput (cursor-invalid) for one from
        the future.
        """
        ...


class Events(Protocol):
    """A session's events, and what whoever follows it may do; proofs are judged as by Sessions."""

    async def events_after(self, sid: str, proof: Proof, cursor: int, limit: int) -> EventPage:
        """Events whose `seq` is greater than `cursor`; raises as `Sessions.read_after` does."""
        ...

    async def cancel(self, sid: str, proof: Proof, message_id: str) -> Message:
        """Cancel a pending message, and give it as it stands; NotFound (message-not-found) when there is none."""
        ...

    async def judge(self, sid: str, proof: Proof, feedback: Feedback) -> bool:
        """Keep what the customer says of an answer; False when that was known. Conflict (not-an-answer) for others."""
        ...

    async def ticket(self, sid: str, proof: Proof) -> str:
        """A ticket that opens the session once, within a minute."""
        ...

    async def redeem(self, sid: str, ticket: str) -> Proof:
        """What a ticket stands for; Unauthenticated (invalid-token) when it is good for nothing."""
        ...

    async def whisper(self, sid: str, whisper: Whisper) -> None:
        """Tell something to who follows the session now; no log keeps it."""
        ...


class Follower(Protocol):
    """Whoever follows one session for long; called from the event loop, so that it may not block."""

    def ring(self) -> None:
        """The log has grown, or hints may have been lost."""
        ...

    def hear(self, whisper: Whisper) -> None:
        """Something was told that no log keeps."""
        ...


class Bell(Protocol):
    """Rings when something happened in one session. A hint: what happened is read from the log."""

    async def wait(self, timeout_s: float) -> bool:
        """Wait until it rings; False when `timeout_s` has passed. Rings that came since the last wait count."""
        ...


class Bells(Protocol):
    """One shared reader per process, however many sessions are waited on."""

    def listen(self, name: str) -> AbstractAsyncContextManager[Bell]:
        """A bell for a session's sid or a stateless job's id, set up before anything can be missed."""
        ...

    def ring_all(self) -> None:
        """Wake everybody who waits in this process."""
        ...

    def attach(self, name: str, follower: Follower) -> None:
        """Tell a follower of a session from here on."""
        ...

    def detach(self, name: str, follower: Follower) -> None:
        """Tell it no more."""
        ...


class Inquiries(Protocol):
    """Stateless questions on the same queue: not durable, with a reply that expires."""

    async def cached(self, cache_key: str, normalised: str) -> Answer | None:
        """The cached answer, if there is one for exactly this question."""
        ...

    async def submit(self, inquiry: Inquiry) -> None:
        """Queue it; Overloaded (queue-full) when there is no room."""
        ...

    async def reply(self, job_id: str) -> Answer | None:
        """The answer, once a worker has given it."""
        ...

    async def explanation(self, job_id: str) -> Explanation | None:
        """The explanation that an inquiry with `explain` asked for, once a worker has given it."""
        ...


class Suggestions(Protocol):
    """What is being typed, on a queue of its own: not durable, with a reply that expires."""

    async def submit(self, press: KeyPress) -> None:
        """Queue it; Overloaded (queue-full) when there is no room."""
        ...

    async def reply(self, job_id: str) -> Suggested | None:
        """The suggestions, once a worker has given them."""
        ...


class Records(Protocol):
    """What is kept of sessions and users, to be shown and removed; proofs are judged as by Sessions."""

    async def erase(self, sid: str, proof: Proof) -> tuple[Asked, ...]:
        """Remove a session and all that belongs to it; give the questions whose answers may be cached."""
        ...

    async def export(self, sid: str, proof: Proof) -> Exported:
        """A session with all its messages; it lives no longer for it."""
        ...

    async def sids_of(self, uid: str) -> tuple[str, ...]:
        """The sessions of a user, oldest first; some of them may have expired."""
        ...

    async def erase_letters(self, uid: str) -> None:
        """Remove what was given up of a user's questions, and what webhooks keep of them."""
        ...

    async def forget(self, questions: Iterable[Asked]) -> None:
        """Forget cached answers, and how often their questions came."""
        ...


class ActiveIndex(Protocol):
    """Which index answers now, kept fresh in the background."""

    @property
    def version(self) -> str:
        """The active version, or "" when no worker has reported one."""
        ...

    def cache_key(self, locale: str, normalised: str) -> str:
        """Tenant + locale + index version + generator fingerprint + question hash; "" when no index is active."""
        ...
