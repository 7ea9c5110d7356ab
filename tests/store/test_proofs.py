"""Who enters a session: its token's holder, a user whom the host vouches for, a client of the tenant; nobody else."""

from collections.abc import Awaitable, Callable

import pytest

from qa_service.domain.errors import NotFound
from qa_service.domain.saying import Saying
from qa_service.domain.session import Proof, Session, TrustedClient, VouchedUser
from qa_service.store.sessions import RedisSessions

Say = Callable[..., Saying]
Attempts = Callable[[str, Proof], list[Callable[[], Awaitable[object]]]]


@pytest.fixture
def attempts(sessions: RedisSessions, say: Say) -> Attempts:
    """Every way into a session."""
    return lambda sid, proof: [
        lambda: sessions.read(sid, proof),
        lambda: sessions.accept(say(sid, proof=proof)),
        lambda: sessions.message(sid, proof, "1"),
        lambda: sessions.read_after(sid, proof, 0, 10),
        lambda: sessions.bind(sid, proof, uid="u1", new_token="taken"),
    ]


@pytest.fixture
async def bound(sessions: RedisSessions) -> str:
    """A session that belongs to the uid u1."""
    assert await sessions.open(Session(sid="77", tenant="shop", uid="u1"), "theirs")
    return "77"


async def refused(ways: list[Callable[[], Awaitable[object]]]) -> set[str]:
    codes = set()
    for way in ways:
        with pytest.raises(NotFound) as caught:
            await way()
        codes.add(caught.value.code)
    return codes


@pytest.mark.parametrize("proof", [VouchedUser(uid="u1"), VouchedUser(uid=""), TrustedClient(), "", "client", "uid:"])
async def test_an_anonymous_devices_session_opens_to_its_token_alone(
    attempts: Attempts, sid: str, proof: Proof
) -> None:
    assert await refused(attempts(sid, proof)) == {"session-not-found"}


@pytest.mark.parametrize(
    "proof", [VouchedUser(uid="u2"), VouchedUser(uid=""), VouchedUser(uid="u1\n"), "", "client", "uid:u1", "uid:"]
)
async def test_a_users_session_is_unknown_to_everybody_else(attempts: Attempts, bound: str, proof: Proof) -> None:
    assert await refused(attempts(bound, proof)) == {"session-not-found"}


@pytest.mark.parametrize("proof", ["theirs", VouchedUser(uid="u1"), TrustedClient()])
async def test_a_users_session_opens_to_its_token_to_its_user_and_to_a_client(
    sessions: RedisSessions, say: Say, bound: str, proof: Proof
) -> None:
    asked = await sessions.accept(say(bound, proof=proof))
    assert (await sessions.message(bound, proof, asked.question.id)).id == asked.question.id
    assert [one.id for one in (await sessions.read_after(bound, proof, 0, 10)).messages] == [asked.question.id]
    assert (await sessions.read(bound, proof)).uid == "u1"


async def test_a_user_who_lost_the_token_of_a_session_is_given_another(sessions: RedisSessions, bound: str) -> None:
    await sessions.bind(bound, VouchedUser(uid="u1"), uid="u1", new_token="fresh")
    assert (await sessions.read(bound, "fresh")).uid == "u1"
    assert await refused([lambda: sessions.read(bound, "theirs")]) == {"session-not-found"}


@pytest.mark.parametrize("proof", [VouchedUser(uid="u1"), TrustedClient(), "theirs"])
async def test_a_session_that_is_not_there_opens_to_nobody(attempts: Attempts, proof: Proof) -> None:
    assert await refused(attempts("404", proof)) == {"session-not-found"}
