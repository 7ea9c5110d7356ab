"""Tenants do not meet: the same questions of two of them, in two locales, from two versions of each index."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from redis import Redis as BlockingRedis

from qa_service.conversation.conversation import Opened, Utterance
from qa_service.domain.errors import NotFound, Unavailable
from qa_service.domain.language import language_of
from qa_service.domain.session import Message, Proof, TrustedClient, VouchedUser
from qa_service.domain.suggestion import Typed
from qa_service.store.private import PrivateRedis
from security.figures import Book, count
from security.two_tenants import (
    LANGUAGELESS,
    LOCALES,
    QUESTIONS,
    TENANTS,
    Built,
    TwoTenants,
    build_two_tenants,
    two_tenants,
)

OPERATIONS = count(small=300, full=10_000)
AT_ONCE = 8
SEED = 20_261_123
UIDS = ("u1", "u2")


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("tenants")
    return folder, build_two_tenants(folder)


@pytest.fixture
async def served(marks: Built, redis_url: str) -> AsyncIterator[TwoTenants]:
    async with two_tenants(marks[0], redis_url, marks[1]) as served:
        yield served


@dataclass(kw_only=True)
class Customers:
    """Does what customers, their hosts and thieves do, in both tenants at once, and counts what crosses over."""

    served: TwoTenants
    chance: random.Random
    sessions: list[tuple[str, Opened]] = field(default_factory=list)  # tenant and session
    counts: Counter[str] = field(default_factory=Counter)
    crossed: list[str] = field(default_factory=list)

    async def act(self) -> None:
        """Do one thing."""
        acts = [
            self.open,
            self.say,
            self.say,
            self.say,
            self.ask,
            self.ask,
            self.ask,
            self.explain,
            self.type,
            self.steal,
        ]
        act = self.chance.choice([*acts, self.pull, self.list_user, self.activate] if self.sessions else [self.open])
        self.counts[act.__name__] += 1
        try:
            await act()
        except Unavailable as error:  # late or on the move: nothing was told
            self.counts[error.code] += 1

    async def open(self) -> None:
        tenant, uid = self.chance.choice(TENANTS), self.chance.choice(["", *UIDS])
        conversation = self.served.rooms(tenant).conversation
        opened = await conversation.open(device_id="d", uid=uid, locale=self.chance.choice(LOCALES))
        self.sessions = [*self.sessions[-200:], (tenant, opened)]

    async def say(self) -> None:
        (tenant, opened), locale = self.chance.choice(self.sessions), self.chance.choice(LOCALES)
        text = self.chance.choice([*QUESTIONS, LANGUAGELESS])
        said = Utterance(sid=opened.session.sid, proof=opened.token, text=text, request_id="r", wait_s=5, locale=locale)
        self.check(tenant, locale, text, (await self.served.rooms(tenant).conversation.say(said)).reply)

    async def ask(self) -> None:
        tenant, locale = self.chance.choice(TENANTS), self.chance.choice(LOCALES)
        text = self.chance.choice([*QUESTIONS, LANGUAGELESS])
        answer = await self.served.rooms(tenant).desk.ask(text, locale=locale, request_id="r", wait_s=5)
        self.counts[f"from the {answer.served_by}"] += 1
        self.judge(tenant, locale, text, (answer.index_version, answer.text))

    async def explain(self) -> None:
        tenant, text = self.chance.choice(TENANTS), self.chance.choice(QUESTIONS)
        told = await self.served.rooms(tenant).desk.explain(text, locale="zh-CN", request_id="r", wait_s=5)
        self.judge(tenant, "zh-CN", text, (told.answer.index_version, told.answer.text))

    async def type(self) -> None:
        """Both know the same questions, so that only the version tells whose suggestions they are."""
        tenant, text = self.chance.choice(TENANTS), self.chance.choice(QUESTIONS)[: self.chance.randint(1, 4)]
        typed = Typed(text=text, limit=8, locale=self.chance.choice(LOCALES))
        given = await self.served.rooms(tenant).suggestions.suggest(typed, request_id="r", pointer="q", wait_s=5)
        if given.index_version not in self.served.marks[tenant] or not given.suggestions:
            self.crossed.append(f"{tenant}: {given}")

    async def pull(self) -> None:
        tenant, opened = self.chance.choice(self.sessions)
        conversation = self.served.rooms(tenant).conversation
        page = await conversation.replies_after(opened.session.sid, opened.token, cursor=0, limit=100, wait_s=0)
        for message in page.messages:
            if message.answer and not self.served.is_own(tenant, message.answer.index_version, message.text):
                self.crossed.append(f"{tenant} read {message.text}")

    async def list_user(self) -> None:
        """What is kept of a uid is kept by each tenant alone, though both have users of that name."""
        tenant = self.chance.choice(TENANTS)
        exported, _ = await self.served.rooms(tenant).erasure.export_user(self.chance.choice(UIDS), after=0, limit=100)
        self.crossed += [f"{tenant} lists {one.session.sid}" for one in exported if one.session.tenant != tenant]

    async def steal(self) -> None:
        """Bring a session, with whatever opens it at home, to the other tenant."""
        tenant, opened = self.chance.choice(self.sessions)
        rooms = self.served.rooms(*(other for other in TENANTS if other != tenant))
        sid = opened.session.sid
        proofs: list[Proof] = [opened.token, TrustedClient(), VouchedUser(uid=opened.session.uid)]
        for proof in proofs:
            said = Utterance(sid=sid, proof=proof, text=QUESTIONS[0], request_id="r", wait_s=0)
            for call in (
                rooms.conversation.read(sid, proof),
                rooms.conversation.say(said),
                rooms.conversation.replies_after(sid, proof, cursor=0, limit=1, wait_s=0),
                rooms.conversation.bind(sid, proof, "thief"),
                rooms.erasure.erase(sid, proof),
            ):
                try:
                    await call
                except NotFound:
                    continue
                self.crossed.append(f"a session of {tenant} was opened elsewhere")

    async def activate(self) -> None:
        if self.counts["activate"] % 4 == 0:  # an index each few dozen operations, so that caches fill in between
            tenant = self.chance.choice(TENANTS)
            versions = self.served.versions[tenant]
            await asyncio.to_thread(versions.activate, self.chance.choice(list(self.served.marks[tenant])))

    def check(self, tenant: str, locale: str, text: str, reply: Message) -> None:
        if reply.answer is None:
            self.counts["late"] += 1
            return
        self.counts[f"from the {reply.answer.served_by}"] += 1
        self.judge(tenant, locale, text, (reply.answer.index_version, reply.text))

    def judge(self, tenant: str, locale: str, text: str, told: tuple[str, str]) -> None:
        """Count an answer of another tenant's, of another version than it names, or worded for another locale."""
        self.counts["answers"] += 1
        if not self.served.is_own(tenant, *told):
            self.crossed.append(f"{tenant}: {told}")
        if text == LANGUAGELESS and language_of(told[1]) != language_of("", locale):
            self.crossed.append(f"{locale}: {told}")


async def test_same_questions_of_two_tenants_two_locales_and_two_versions_never_cross(
    served: TwoTenants, book: Book
) -> None:
    customers = Customers(served=served, chance=random.Random(SEED))
    for _ in range(OPERATIONS // AT_ONCE):
        await asyncio.gather(*(customers.act() for _ in range(AT_ONCE)))
    counts = customers.counts
    book.note(
        "tenants",
        "same question, 2 tenants x 2 locales x 2 index versions: no cross hit",
        broken=len(customers.crossed),
        operations=OPERATIONS // AT_ONCE * AT_ONCE,
        answers=counts["answers"],
        cached=counts["from the cache"],
        thefts=counts["steal"] * 15,
        late=counts["late"] + counts["answer-late"] + counts["index-unavailable"],
    )
    assert customers.crossed == []
    assert counts["answers"] > OPERATIONS // 3
    assert counts["from the cache"] > OPERATIONS // 20


async def test_every_key_but_those_of_ids_names_its_tenant(served: TwoTenants, redis_server: PrivateRedis) -> None:
    for tenant in TENANTS:
        rooms = served.rooms(tenant)
        opened = await rooms.conversation.open(device_id="d", uid="u", locale="en")
        sid = opened.session.sid
        said = Utterance(sid=sid, proof=opened.token, text=QUESTIONS[0], request_id="r", wait_s=5, locale="en")
        assert (await rooms.conversation.say(said)).reply.answer
    with BlockingRedis.from_url(redis_server.url) as client:
        names = [key.decode() for key in client.scan_iter(count=1000)]
    shared = [name for name in names if not any(f":{{{one}}}:" in name or f"}}:{one}:" in name for one in TENANTS)]
    assert all("ids:worker:" in name for name in shared)
    assert {len([name for name in names if f":{one}:session:" in name]) for one in TENANTS} == {1}


async def test_an_index_that_one_tenant_cannot_open_stops_no_other(served: TwoTenants, marks: Built) -> None:
    versions = served.versions["bank"]
    (versions.path(versions.active() or "").parent / "ACTIVE").write_text("no-such-version\n")
    answer = await served.rooms("shop").desk.ask(QUESTIONS[0], locale="", request_id="r", wait_s=5)
    assert answer.text.startswith("<shop/")
    readiness = await served.house.readiness()
    assert readiness.ready
    versions.activate(next(iter(marks[1]["bank"])))
