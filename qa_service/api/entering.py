"""Being let into a session by a token that came elsewhere than in a header: a ticket, or a WebSocket's first frame.

It knows no route.
"""

from dataclasses import dataclass, replace

from qa_service.access.caller import Caller, CallerKind
from qa_service.api.caller import proof_by, proof_of, rooms_of
from qa_service.api.house import AnyConnection, House, Rooms, house_of
from qa_service.domain.errors import Unauthenticated
from qa_service.domain.session import Proof, VouchedUser, is_ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """Who was let into a session of which tenant, with which token, and what that proves."""

    caller: Caller
    token: str
    rooms: Rooms
    proof: Proof


async def enter(house: House, sid: str, token: str) -> Entered:
    """Let somebody in by a token or a ticket. Whether the proof opens the session, the store says when it is used.

    Raises:
        Unauthenticated: it is none (token-required), or is not accepted (invalid-token).
        Forbidden: it is a client's without the scope ask (insufficient-scope).
    """
    caller = house.gate.caller(token)
    rooms = house.tenants[caller.tenant]
    proof = await rooms.streams.redeem(sid, token) if is_ticket(token) else proof_by(caller, token)
    if isinstance(proof, VouchedUser):  # also who has a ticket of his own is counted as the user that he is
        caller = replace(caller, kind=CallerKind.USER, uid=proof.uid)
    return Entered(caller=caller, token=token, rooms=rooms, proof=proof)


async def enter_with_ticket(connection: AnyConnection, sid: str) -> tuple[Rooms, Proof]:
    """Let somebody in by the query's `ticket`, or else by the Authorization header; raises as `enter` does."""
    ticket = connection.query_params.get("ticket")
    if ticket is None:
        return rooms_of(connection), proof_of(connection)
    # An address is written into logs, and a session's token lives for a day.
    if not is_ticket(ticket):
        raise Unauthenticated("this is no ticket: POST .../tickets gives one", code="invalid-token")
    entered = await enter(house_of(connection), sid, ticket)
    return entered.rooms, entered.proof
