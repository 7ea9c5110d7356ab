"""A tenant's sessions and webhooks on a real Redis, and a dispatcher in this process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from qa_service.domain.answer import Answer, Decision, ServedBy
from qa_service.domain.saying import Saying
from qa_service.domain.session import Session
from qa_service.domain.snowflake import Snowflake, wall_clock_ms
from qa_service.domain.webhook import Delivery, DeliveryState, Endpoint
from qa_service.main_webhooks import AsTheApiShows
from qa_service.store.batcher import Batcher
from qa_service.store.connection import Redis, open_redis
from qa_service.store.erasure import RedisErasure
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.sessions import RedisSessions
from qa_service.store.webhook_deliveries import RedisDeliveries
from qa_service.store.webhook_endpoints import RedisEndpoints
from qa_service.store.webhook_outbox import RedisFeed, RedisOutbox
from qa_service.webhooks.addresses import PrivateHosts, private_hosts_of
from qa_service.webhooks.courier import Courier
from qa_service.webhooks.desk import WebhookDesk, Wish
from qa_service.webhooks.dispatcher import Dispatcher, Manner, TenantHooks
from qa_service.webhooks.schedule import Schedule

LOOPBACK = private_hosts_of("127.0.0.1")
ANSWER = Answer(text="七天内可以", decision=Decision.ANSWER, served_by=ServedBy.FAQ, confidence=0.9)


@dataclass(slots=True)
class Shop:
    """One tenant: its sessions, its webhooks, and what delivers them."""

    client: Redis
    keys: Keys
    ids: Snowflake = field(default_factory=lambda: Snowflake(9))

    @property
    def hooks(self) -> TenantHooks:
        batcher = Batcher(self.client)
        return TenantHooks(
            endpoints=RedisEndpoints(batcher, self.keys),
            deliveries=RedisDeliveries(batcher, self.keys),
            outbox=RedisOutbox(batcher, self.keys),
        )

    @property
    def desk(self) -> WebhookDesk:
        hooks = self.hooks
        return WebhookDesk(
            tenant=self.keys.tenant,
            endpoints=hooks.endpoints,
            deliveries=hooks.deliveries,
            private=LOOPBACK,
            next_id=self.ids.next_id,
        )

    @property
    def erasure(self) -> RedisErasure:
        return RedisErasure(self.client, self.keys)

    async def hook(self, url: str, *events: str) -> Endpoint:
        return await self.desk.create(Wish(url=url, events=events or ("*",)))

    async def open(self, uid: str = "") -> str:
        """Open a session whose token is "secret": one `session.created`."""
        sid = self.ids.next_id()
        session = Session(sid=sid, tenant=self.keys.tenant, uid=uid, created_at_ms=wall_clock_ms())
        assert await RedisSessions(self.client, self.keys).open(session, "secret")
        return sid

    async def talk(self, sid: str, text: str = "怎么退货") -> str:
        """Ask, and answer as a worker does: one `message.completed`; the id of the bot's message."""
        sessions, queue = RedisSessions(self.client, self.keys), JobQueue(self.client, self.keys, consumer="c")
        saying = Saying(
            sid=sid,
            proof="secret",
            text=text,
            normalised=text,
            locale="zh-CN",
            request_id="r",
            message_id=self.ids.next_id(),
            reply_id=self.ids.next_id(),
            now_ms=wall_clock_ms(),
        )
        await sessions.accept(saying)
        for job in await queue.take(block_ms=0):
            await queue.finish(job, ANSWER)
        return saying.reply_id

    async def settled(self, endpoint: Endpoint, within_s: float = 10.0) -> list[Delivery]:
        """Wait until no delivery of an endpoint is under way any more, and there is one."""
        async with asyncio.timeout(within_s):
            while True:
                found = await self.desk.deliveries(endpoint.id, 1000)
                if found and all(one.state is not DeliveryState.PENDING for one in found):
                    return found
                await asyncio.sleep(0.02)

    async def disabled(self, endpoint: Endpoint, within_s: float = 5.0) -> Endpoint:
        """Wait until an endpoint is switched off."""
        async with asyncio.timeout(within_s):
            while (held := await self.desk.read(endpoint.id)).enabled:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.01)
        return held

    async def waiting(self) -> int:
        """How many events wait in the outbox."""
        return await RedisFeed(self.client, self.keys, [self.keys.tenant]).backlog()

    @asynccontextmanager
    async def delivering(
        self,
        *waits_s: float,
        timeout_s: float = 5.0,
        disabled_after_s: float = 86_400,
        private: PrivateHosts = LOOPBACK,
    ) -> AsyncIterator[None]:
        """Deliver until the block ends."""
        stop = asyncio.Event()
        dispatcher = Dispatcher(
            tenants={self.keys.tenant: self.hooks},
            feed=RedisFeed(self.client, self.keys, [self.keys.tenant]),
            courier=Courier(private, agent="qa-service/test", timeout_s=timeout_s),
            shown=AsTheApiShows(),
            manner=Manner(
                schedule=Schedule(waits_s=waits_s or (0.0, 0.02, 0.02, 0.02)),
                timeout_s=timeout_s,
                disabled_after_s=disabled_after_s,
            ),
        )
        running = asyncio.create_task(dispatcher.run(stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(running, 10)


Open = Callable[..., Awaitable[Shop]]


@pytest.fixture
async def open_shop(redis_url: str) -> AsyncIterator[Open]:
    """Makes tenants on one Redis."""
    async with AsyncExitStack() as stack:

        async def make(tenant: str = "shop", partitions: int = 2) -> Shop:
            client = open_redis(redis_url, timeout_s=5.0)
            stack.push_async_callback(client.aclose)
            return Shop(client=client, keys=Keys(tenant=tenant, partitions=partitions))

        yield make


@pytest.fixture
async def shop(open_shop: Open) -> Shop:
    return await open_shop()
