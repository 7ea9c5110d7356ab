"""Following a session: each durable event once and in order, and between them what no log keeps. It knows no transport.

However many follow a session by the same proof, a hint costs one look at its log. Who follows by another proof looks
for himself, so that a token which was made void hears nothing more.
"""

import secrets

from qa_service.conversation.feed import Feed, Following
from qa_service.conversation.ports import Bells, Events
from qa_service.domain.errors import Restarting
from qa_service.domain.event import Feedback, Typed, TypingState
from qa_service.domain.session import Message, Proof

__all__ = ["Following", "Streams"]

_NAME_BYTES = 6


class Streams:
    """What happens in one tenant's sessions, told as it happens; and what a follower may do about it."""

    def __init__(self, *, events: Events, bells: Bells) -> None:
        self._events = events
        self._bells = bells
        self._feeds: dict[tuple[str, Proof], Feed] = {}
        self._stopping = False

    async def follow(self, sid: str, proof: Proof, *, after: int) -> Following:
        """Follow a session from behind the event whose `seq` is `after` (0: from the beginning).

        Raises:
            NotFound: there is none of that sid, or the proof does not open it.
            InvalidInput: `after` lies behind the newest event (cursor-invalid).
            Conflict: events after it have been dropped from the log (cursor-expired).
            Restarting: the process ends.
        """
        if self._stopping:
            raise _restarting()
        feed = self._feeds.get((sid, proof))
        if feed is None:
            feed = self._feeds[sid, proof] = Feed(self._events, sid, proof, self._forget)
            # Before the log is read: what happens in between is told twice, and heard once.
            self._bells.attach(sid, feed)
        following = Following(feed, after=after, name=secrets.token_hex(_NAME_BYTES))
        feed.join(following)
        try:
            await following.catch_up()
        except BaseException:
            following.close()
            raise
        return following

    async def cancel(self, sid: str, proof: Proof, message_id: str) -> Message:
        """Cancel a message that is still to come, and give it with what was written; another stays as it is."""
        return await self._events.cancel(sid, proof, message_id)

    async def judge(self, sid: str, proof: Proof, feedback: Feedback) -> bool:
        """Keep what the customer says of an answer; False when that was known already."""
        return await self._events.judge(sid, proof, feedback)

    async def typed(self, following: Following, state: TypingState) -> None:
        """Tell the others who follow the session that the user types, or no longer does."""
        await self._events.whisper(following.sid, Typed(by=following.name, state=state))

    async def ticket(self, sid: str, proof: Proof) -> str:
        """Give a ticket that opens the session once, within a minute: a browser's EventSource sends no headers."""
        return await self._events.ticket(sid, proof)

    async def redeem(self, sid: str, ticket: str) -> Proof:
        """Give the proof that a ticket stands for; Unauthenticated when it is good for nothing."""
        return await self._events.redeem(sid, ticket)

    def stop(self) -> None:
        """Send everybody home: the process ends, and the log keeps the rest."""
        self._stopping = True
        for feed in tuple(self._feeds.values()):
            feed.end(_restarting())

    def _forget(self, feed: Feed) -> None:
        self._bells.detach(feed.sid, feed)
        self._feeds.pop((feed.sid, feed.proof), None)


def _restarting() -> Restarting:
    return Restarting("this process ends: come back, and go on after the last event")
