"""`main.py` for webhooks: what the API's desk and the process that delivers are made of."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import qa_service
from qa_service.api.envelope import message_resource, session_resource
from qa_service.domain.session import Message, Session
from qa_service.settings import Settings
from qa_service.store.batcher import Batcher
from qa_service.store.connection import open_redis
from qa_service.store.keys import Keys
from qa_service.store.webhook_deliveries import RedisDeliveries
from qa_service.store.webhook_endpoints import RedisEndpoints
from qa_service.store.webhook_outbox import RedisFeed, RedisOutbox
from qa_service.webhooks.addresses import private_hosts_of
from qa_service.webhooks.courier import Courier
from qa_service.webhooks.desk import WebhookDesk
from qa_service.webhooks.dispatcher import Dispatcher, Manner, TenantHooks
from qa_service.webhooks.schedule import schedule_of


class AsTheApiShows:
    """Sessions and messages as the API shows them."""

    def session(self, session: Session) -> dict[str, Any]:
        """Give a session's id and attributes."""
        return {"id": session.sid, **session_resource(session).attributes}

    def message(self, sid: str, message: Message) -> dict[str, Any]:
        """Give a message's id and attributes."""
        return {"id": message.id, **message_resource(sid, message).attributes}


def webhook_desk(settings: Settings, batcher: Batcher, keys: Keys, next_id: Callable[[], str]) -> WebhookDesk:
    """Give the desk of the tenant that the keys are of."""
    return WebhookDesk(
        tenant=keys.tenant,
        endpoints=RedisEndpoints(batcher, keys),
        deliveries=RedisDeliveries(batcher, keys),
        private=private_hosts_of(settings.webhook_private_hosts),
        next_id=next_id,
    )


async def run_webhooks(settings: Settings, redis_url: str, stop: asyncio.Event) -> None:
    """Deliver what the tenants' sessions bring until `stop` is set."""
    keys = Keys(tenant=settings.knowledge_base, partitions=settings.redis_partitions)
    async with AsyncExitStack() as stack:
        client = open_redis(redis_url)
        stack.push_async_callback(client.aclose)
        batcher = Batcher(client)
        tenants = {
            name: TenantHooks(
                endpoints=RedisEndpoints(batcher, keys.of(name)),
                deliveries=RedisDeliveries(batcher, keys.of(name)),
                outbox=RedisOutbox(batcher, keys.of(name)),
            )
            for name in settings.tenants
        }
        private, timeout_s = private_hosts_of(settings.webhook_private_hosts), settings.webhook_timeout_s
        dispatcher = Dispatcher(
            tenants=tenants,
            feed=RedisFeed(client, keys, settings.tenants),
            courier=Courier(private, agent=f"qa-service/{qa_service.__version__}", timeout_s=timeout_s),
            shown=AsTheApiShows(),
            manner=Manner(schedule=schedule_of(settings.webhook_retries_s), timeout_s=timeout_s),
        )
        await dispatcher.run(stop)
