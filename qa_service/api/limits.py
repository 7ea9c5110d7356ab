"""Which limits hold for whom. It knows what callers are, and neither routes nor how the store counts.

A question counts for its user, every request for the address it comes from; a client has a quota of its own instead of
its address's, because a gateway is one address for all its users.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from qa_service.access.caller import Caller, CallerKind, Scope
from qa_service.api.address import Networks
from qa_service.domain.errors import NotFound, Overloaded
from qa_service.domain.limits import Limit, Verdict
from qa_service.domain.session import Proof, TicketHolder, TrustedClient

_WRONG_SECRETS = 10  # a minute, of one client from one address
_REMEMBERED = 20_000  # sessions whose user is known: some 3 MB
_CLIENTS = {CallerKind.CLIENT, CallerKind.LOCAL_KEY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """How often in any minute; 0 stands for no limit."""

    uid: int  # questions of one user, or of one device that no user has bound
    ip: int  # requests from one address
    client: int  # requests of one client


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody who wants something: who calls, with which token, from where; `sid` names the session of a question.

    `proof` is what lets who came with a ticket into the session.
    """

    caller: Caller
    token: str
    address: str
    sid: str = ""
    proof: Proof | None = None


class Limits:
    """Counts visits. `admit` counts in the store; `uid_of` tells whose session a tenant's proof opens, "" a device's.

    A proof opens a session for one uid as long as it opens it at all, so that the answer is remembered until a request
    hears that there is no such session.
    """

    def __init__(
        self,
        *,
        admit: Callable[[str, Sequence[Limit]], Awaitable[Verdict]],
        uid_of: Callable[[str, str, Proof], Awaitable[str]],
        quotas: Quotas,
        trusted: Networks = (),
    ) -> None:
        self.trusted = trusted
        self._admit = admit
        self._uid_of = uid_of
        self._quotas = quotas
        self._known: dict[bytes, str] = {}

    async def admit(self, visit: Visit) -> Verdict:
        """Count a request, or a frame of a WebSocket, against all its limits, or, where one has no room, against none.

        One round trip; two for the first question that this process sees of a session which a user has bound.

        Raises:
            StoreUnavailable: the store cannot serve, so that nobody is let in.
        """
        return await self._admit_visit(visit, self._of_requests(visit))

    async def admit_question(self, visit: Visit) -> Verdict:
        """Count the question alone, of a request that was counted when it came: its session stood in its body.

        Raises:
            StoreUnavailable: the store cannot serve, so that nobody is let in.
        """
        return await self._admit_visit(visit, None)

    async def _admit_visit(self, visit: Visit, requests: Limit | None) -> Verdict:
        proof = self._proof(visit)
        if visit.caller.uid and visit.sid:
            return await self._count(visit, self._of_user(visit.caller.uid), requests)
        if proof is None:
            return await self._count(visit, requests)
        uid = self._known.get(_name(visit))
        if uid is not None:
            return await self._count(visit, self._of_session(visit, uid), requests)
        # What a device sends counts for its token until it is known whose the session is.
        verdict, uid = await asyncio.gather(
            self._count(visit, self._of_session(visit, ""), requests), self._look_up(visit, proof)
        )
        if not verdict.admitted or not uid:
            return verdict
        of_user = await self._count(visit, self._of_user(uid))
        others = tuple(room for room in verdict.rooms if room.name != "uid")
        return Verdict(admitted=of_user.admitted, rooms=(*of_user.rooms, *others))

    async def secret_tried(self, *, tenant: str, address: str, client_id: str, is_right: bool) -> None:
        """Count a wrong secret of a client. Past the limit a right one is refused too, and so is not told from others.

        Raises:
            Overloaded: too many wrong ones came from this address (rate-limited).
        """
        limit = Limit(name="secret", subject=f"{address}\n{client_id}", quota=_WRONG_SECRETS, counts=not is_right)
        verdict = await self._admit(tenant, (limit,))
        if not verdict.admitted:
            raise Overloaded("too many wrong secrets", code="rate-limited", retry_after_s=verdict.retry_after_s)

    def forget(self, visit: Visit) -> None:
        """Look up anew whose session it is: the one of this visit opens no longer."""
        self._known.pop(_name(visit), None)

    async def _count(self, visit: Visit, *limits: Limit | None) -> Verdict:
        return await self._admit(visit.caller.tenant, tuple(limit for limit in limits if limit))

    def _proof(self, visit: Visit) -> Proof | None:
        """Give what opens the session of a question, where only the store can tell whose it is."""
        if not visit.sid or not self._quotas.uid:
            return None
        if visit.caller.kind is CallerKind.DEVICE:
            return visit.proof or visit.token
        return TrustedClient() if Scope.ASK in visit.caller.scopes else None

    async def _look_up(self, visit: Visit, proof: Proof) -> str:
        try:
            uid = await self._uid_of(visit.caller.tenant, visit.sid, proof)
        except NotFound:
            return ""
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[_name(visit)] = uid
        return uid

    def _of_requests(self, visit: Visit) -> Limit | None:
        if visit.caller.kind in _CLIENTS:
            return _limit("client", visit.caller.client_id, self._quotas.client)
        return _limit("ip", visit.address, self._quotas.ip)

    def _of_user(self, uid: str) -> Limit | None:
        return _limit("uid", f"uid\n{uid}", self._quotas.uid)

    def _of_session(self, visit: Visit, uid: str) -> Limit | None:
        if uid:
            return self._of_user(uid)
        if visit.caller.kind is not CallerKind.DEVICE:
            return None
        # By token and not by sid, which anybody may name.
        return _limit("uid", f"device\n{_device(visit)}", self._quotas.uid)


def _limit(name: str, subject: str, quota: int) -> Limit | None:
    return Limit(name=name, subject=subject, quota=quota) if quota else None


def _device(visit: Visit) -> str:
    """Name a device by its token's digest, which is all that a ticket for it tells: one budget for both."""
    if isinstance(visit.proof, TicketHolder):
        return visit.proof.shown
    return hashlib.sha256(visit.token.encode(errors="surrogatepass")).hexdigest()


def _name(visit: Visit) -> bytes:
    token = _device(visit) if visit.caller.kind is CallerKind.DEVICE else ""
    return hashlib.blake2b(
        f"{visit.caller.tenant}\n{visit.sid}\n{token}".encode(errors="surrogatepass"), digest_size=16
    ).digest()
