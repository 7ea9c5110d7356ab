"""What is kept of a session or a user: shown, and removed. It knows no cache rule, and answers nothing.

A session's keys, its job, its dead letters and its deliveries lie in one partition, as does the list of its user's
sessions: one script removes them. The cached answers lie elsewhere: they are forgotten afterwards, and end by
themselves.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from redis.asyncio import Redis

from qa_service.domain.saying import Asked, Exported
from qa_service.domain.session import Message, Proof, Role, VouchedUser
from qa_service.domain.text import normalise
from qa_service.store.batcher import Batcher
from qa_service.store.connection import translated
from qa_service.store.hot_questions import asked_under, forgetting
from qa_service.store.keys import Keys
from qa_service.store.records import decode_feedback, decode_message
from qa_service.store.scripts import Call, load
from qa_service.store.sessions import no_session, session_keys, session_of, shown

_FEEDBACK = "feedback:"  # in front of the message's id


class RedisErasure:
    """The Records port of an erasure, for one tenant."""

    def __init__(self, client: Redis, keys: Keys, *, batcher: Batcher | None = None) -> None:
        self._batcher = batcher or Batcher(client)
        self._keys = keys

    async def erase(self, sid: str, proof: Proof) -> tuple[Asked, ...]:
        """Remove a session with all of its partition; give the questions whose answers may be cached.

        Raises:
            NotFound: there is none of that sid, or the proof does not open it.
        """
        partition = self._keys.partition(sid)
        users = (self._keys.user(partition, proof.uid),) if isinstance(proof, VouchedUser) else ()
        more = (self._keys.queue(partition), self._keys.dead(partition), self._keys.partial(sid), *users)
        asked = await self._run("erase", sid, (shown(proof), self._keys.events(partition), sid), more)
        if asked is None:
            no_session()
        pairs = zip(asked[::2], asked[1::2], strict=True)
        return tuple(asked_under(key.decode(), normalise(decode_message(record).text)) for key, record in pairs)

    async def export(self, sid: str, proof: Proof) -> Exported:
        """A session and all its messages in the order of their `seq`; its 24 hours do not slide.

        Raises:
            NotFound: as for `erase`.
        """
        found = await self._run("export", sid, (shown(proof),))
        if not found:
            no_session()
        fields, flat = found
        named = [(name.decode(), record) for name, record in zip(flat[::2], flat[1::2], strict=True)]
        messages = [decode_message(record) for name, record in named if name.isdigit()]
        feedback = [decode_feedback(name[len(_FEEDBACK) :], kept) for name, kept in named if name.startswith(_FEEDBACK)]
        return Exported(
            session=session_of(sid, fields),
            messages=tuple(sorted(messages, key=_place)),
            feedback=tuple(sorted(feedback, key=lambda one: int(one.message_id))),
        )

    async def sids_of(self, uid: str) -> tuple[str, ...]:
        """The sessions of a user, oldest first; some of them may have expired."""
        commands = [("ZRANGE", self._keys.user(partition, uid), 0, -1) for partition in range(self._keys.partitions)]
        with translated():
            found = await asyncio.gather(*map(self._batcher.execute, commands))
        return tuple(sorted((sid.decode() for sids in found for sid in sids), key=int))

    async def erase_letters(self, uid: str) -> None:
        """Remove a user's dead letters and deliveries, also those of sessions that have expired."""
        keys, partitions = self._keys, range(self._keys.partitions)
        calls = [Call(script=load("erase_letters"), keys=(keys.dead(one),), args=(uid,)) for one in partitions]
        for one in partitions:
            names = (keys.hooks(one), keys.hooked_user(one, uid))
            calls.append(Call(script=load("hook_erase"), keys=names, args=()))
        await asyncio.gather(*map(self._batcher.run, calls))

    async def forget(self, questions: Iterable[Asked]) -> None:
        """Forget cached answers, and how often their questions came."""
        commands = [command for asked in questions for command in forgetting(self._keys, asked)]
        with translated():
            await asyncio.gather(*map(self._batcher.execute, commands))

    async def _run(self, script: str, sid: str, args: tuple[str, ...], more: tuple[str, ...] = ()) -> Any:  # noqa: ANN401  # whatever the script returns
        if not sid.isascii():
            no_session()
        return await self._batcher.run(Call(script=load(script), keys=session_keys(self._keys, sid, more), args=args))


def _place(message: Message) -> tuple[int, bool]:
    """A pending reply has its question's number, and stands behind it."""
    return message.seq, message.role is not Role.USER
