"""After an erasure a dump of the whole Redis holds nothing of the user: not the sid, not the uid, not a word asked."""

import asyncio

import pytest
from redis import Redis as BlockingRedis

from qa_service.conversation.conversation import Opened, Utterance
from qa_service.domain.session import Proof, VouchedUser
from qa_service.store.private import PrivateRedis
from security.figures import Book, count
from security.two_tenants import QUESTIONS, Built, TwoTenants, build_two_tenants, two_tenants

UID = "阿明 13812345678"
SESSIONS = count(small=6, full=200)
# Cacheable, so that the cache and the list of hot questions hold them; personal, so that neither may; and a follow-up.
ASKED = (QUESTIONS[0], "怎么开发票，抬头写阿明贸易", "我的手机号是13812345678，怎么换绑", "那多久到账呢")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("erased")
    return folder, build_two_tenants(folder)


def dump(server: PrivateRedis) -> str:
    """Every key with its value, as readable text; DUMP's own bytes may be packed."""
    with BlockingRedis.from_url(server.url) as client:
        told = []
        for key in client.scan_iter(count=1000):
            reads = {
                b"hash": client.hgetall,
                b"stream": client.xrange,
                b"zset": lambda key: client.zrange(key, 0, -1),
                b"list": lambda key: client.lrange(key, 0, -1),
            }
            told.append(_text(key) + " " + _text(reads.get(client.type(key), client.get)(key)))
    return "\n".join(told)


def _text(value: object) -> str:
    match value:
        case bytes():
            return value.decode(errors="replace")
        case dict():
            return " ".join(map(_text, [*value, *value.values()]))
        case list() | tuple():
            return " ".join(map(_text, value))
        case _:
            return str(value)


async def talk(served: TwoTenants, tenant: str, uid: str, *, wait_s: float = 5.0) -> Opened:
    conversation = served.rooms(tenant).conversation
    opened = await conversation.open(device_id="d", uid=uid, locale="zh-CN")
    sid, proof = opened.session.sid, opened.token
    for text in ASKED:
        await conversation.say(Utterance(sid=sid, proof=proof, text=text, request_id="r", wait_s=wait_s))
    return opened


def left(server: PrivateRedis, *sids: str) -> list[str]:
    dumped = dump(server)
    return [word for word in (*sids, UID, "13812345678", *ASKED) if word in dumped]


@pytest.mark.parametrize("by", ["the session's token", "its user"])
async def test_nothing_is_left_of_a_session_that_was_erased(
    built: Built, redis_url: str, redis_server: PrivateRedis, by: str
) -> None:
    async with two_tenants(built[0], redis_url, built[1]) as served:
        opened = await talk(served, "shop", UID)
        sid = opened.session.sid
        assert {sid, UID, *ASKED} <= set(left(redis_server, sid))
        proof: Proof = opened.token if by == "the session's token" else VouchedUser(uid=UID)
        await served.rooms("shop").erasure.erase(sid, proof)
        assert left(redis_server, sid) == []


async def test_nothing_is_left_of_a_user_whose_questions_still_wait_or_are_being_answered(
    built: Built, redis_url: str, redis_server: PrivateRedis, book: Book
) -> None:
    async with two_tenants(built[0], redis_url, built[1]) as served:
        erasure = served.rooms("shop").erasure
        sids: list[str] = []
        found = 0
        for place in range(SESSIONS):
            waited = 0.0 if place % 3 else 5.0
            opened = [await talk(served, "shop", UID, wait_s=waited) for _ in range(2)]
            sids += [one.session.sid for one in opened]
            await asyncio.sleep(0.003 * (place % 5))
            assert await erasure.erase_user(UID) == 2
            assert await erasure.erase_user(UID) == 0
            await asyncio.sleep(0.3)  # what a worker had in hand is over
            found += len(left(redis_server, *sids))
        book.note("erasure", "nothing left of an erased user", broken=found, sessions=len(sids), asked=len(ASKED))
        assert found == 0


async def test_one_users_erasure_takes_nothing_from_another_nor_from_another_tenants_user_of_that_name(
    built: Built, redis_url: str
) -> None:
    async with two_tenants(built[0], redis_url, built[1]) as served:
        await talk(served, "shop", UID)
        theirs, elsewhere = await talk(served, "shop", "another"), await talk(served, "bank", UID)
        assert await served.rooms("shop").erasure.erase_user(UID) == 1
        for tenant, opened in (("shop", theirs), ("bank", elsewhere)):
            erasure = served.rooms(tenant).erasure
            exported, has_more = await erasure.export_user(opened.session.uid, after=0, limit=10)
            assert not has_more
            asked = [message.text for message in exported[0].messages if message.role == "user"]
            assert tuple(asked) == ASKED


async def test_a_users_sessions_are_exported_page_by_page(built: Built, redis_url: str) -> None:
    async with two_tenants(built[0], redis_url, built[1]) as served:
        rooms = served.rooms("shop")
        opened = [await rooms.conversation.open(device_id="d", uid=UID, locale="zh-CN") for _ in range(5)]
        sids, after = [], 0
        while True:
            exported, has_more = await rooms.erasure.export_user(UID, after=after, limit=2)
            sids += [one.session.sid for one in exported]
            if not has_more:
                break
            after = int(sids[-1])
        assert sids == [one.session.sid for one in opened]
