"""What is kept of a session or a user: shown to whom it concerns, and erased. It knows no HTTP, and who may ask.

After an erasure nothing is left of the questions, cached answers included. Those hold no uid and serve everybody: to
forget one costs the next asker a search.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from qa_service.conversation.ports import ActiveIndex, Asked, Exported, Records
from qa_service.domain.errors import NotFound
from qa_service.domain.session import Proof, VouchedUser

_AT_ONCE = 50  # sessions, so that no other caller of this process waits long


class Erasure:
    """Shows and erases what one tenant keeps."""

    def __init__(self, *, records: Records, index: ActiveIndex) -> None:
        self._records = records
        self._index = index

    async def erase(self, sid: str, proof: Proof) -> None:
        """Close a session and erase it.

        Raises:
            NotFound: there is none of that sid, or the proof does not open it.
        """
        await self._forget(await self._records.erase(sid, proof))

    async def erase_user(self, uid: str) -> int:
        """Erase all sessions that a user has now; give how many there were. To be repeated after a failure."""
        erased = 0
        async for sids in self._sids(uid):
            found = await asyncio.gather(*(self._erase_known(sid, uid) for sid in sids))
            erased += sum(found)
        await self._records.erase_letters(uid)
        return erased

    async def export_user(self, uid: str, *, after: int, limit: int) -> tuple[Sequence[Exported], bool]:
        """Give a user's sessions whose sid is greater than `after`, oldest first, and whether there are more."""
        sids = [sid for sid in await self._records.sids_of(uid) if int(sid) > after]
        found: list[Exported] = []
        for sid in sids:
            if len(found) == limit:
                return found, True
            if exported := await self._exported(sid, uid):
                found.append(exported)
        return found, False

    async def _sids(self, uid: str) -> AsyncIterator[Sequence[str]]:
        sids = await self._records.sids_of(uid)
        for place in range(0, len(sids), _AT_ONCE):
            yield sids[place : place + _AT_ONCE]

    async def _erase_known(self, sid: str, uid: str) -> bool:
        try:
            await self.erase(sid, VouchedUser(uid=uid))
        except NotFound:  # it has expired
            return False
        return True

    async def _exported(self, sid: str, uid: str) -> Exported | None:
        try:
            return await self._records.export(sid, VouchedUser(uid=uid))
        except NotFound:
            return None

    async def _forget(self, asked: Sequence[Asked]) -> None:
        # Under the version that answers now, too: it may have been warmed with the question.
        now = [replace(one, cache_name=self._index.cache_key(one.locale, one.normalised)) for one in asked]
        await self._records.forget({*asked, *now})
