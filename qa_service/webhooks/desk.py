"""What a tenant does with its webhooks: make, change, remove, test, look, replay. It sends nothing itself."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from qa_service.domain.errors import InvalidInput, NotFound
from qa_service.domain.webhook import (
    EVERYTHING,
    TEST_EVENT,
    WEBHOOK_EVENTS,
    Delivery,
    DeliveryState,
    Endpoint,
    Secret,
)
from qa_service.webhooks.addresses import PrivateHosts
from qa_service.webhooks.payload import test_body
from qa_service.webhooks.ports import Deliveries, Endpoints
from qa_service.webhooks.signatures import new_secret
from qa_service.webhooks.urls import checked_url

OLD_SECRET_LIVES_S = 24 * 3600
MOST_LISTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an endpoint is to be like; None leaves a member as it is."""

    url: str | None = None
    events: Sequence[str] | None = None
    description: str | None = None
    enabled: bool | None = None


class WebhookDesk:
    """Serves one tenant."""

    def __init__(
        self,
        *,
        tenant: str,
        endpoints: Endpoints,
        deliveries: Deliveries,
        private: PrivateHosts,
        next_id: Callable[[], str],
    ) -> None:
        self._tenant = tenant
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._private = private
        self._next_id = next_id

    async def all(self) -> tuple[Endpoint, ...]:
        """All endpoints, oldest first."""
        return await self._endpoints.all()

    async def read(self, endpoint_id: str) -> Endpoint:
        """One endpoint; NotFound (webhook-not-found) when there is none of that id."""
        return await self._endpoints.read(endpoint_id)

    async def create(self, wish: Wish) -> Endpoint:
        """Make an endpoint with a secret of its own.

        Raises:
            InvalidInput: a bad URL (webhook-url-invalid, webhook-url-forbidden), an unknown event (unknown-event), or
                no room for another (too-many-webhooks).
        """
        fresh = Endpoint(
            id=self._next_id(),
            url="",
            events=(EVERYTHING,),
            secrets=(Secret(text=new_secret()),),
            created_at_ms=_now_ms(),
        )
        endpoint = self._as_wished(fresh, wish)
        await self._endpoints.add(endpoint)
        return endpoint

    async def change(self, endpoint_id: str, wish: Wish) -> Endpoint:
        """Change an endpoint; raises as `create` and `read` do."""
        return await self._endpoints.change(endpoint_id, lambda held: self._as_wished(held, wish))

    async def remove(self, endpoint_id: str) -> None:
        """Remove an endpoint with its deliveries; raises as `read` does."""
        await self._endpoints.remove(endpoint_id)

    async def rotate(self, endpoint_id: str) -> Endpoint:
        """Give an endpoint a new secret; the one before it signs too for 24 hours more. Raises as `read` does."""
        secret, ends_at_ms = new_secret(), _now_ms() + OLD_SECRET_LIVES_S * 1000

        def rotated(held: Endpoint) -> Endpoint:
            older = Secret(text=held.secrets[0].text, ends_at_ms=ends_at_ms)
            return replace(held, secrets=(Secret(text=secret), older))

        return await self._endpoints.change(endpoint_id, rotated)

    async def test(self, endpoint_id: str) -> Delivery:
        """Send a `webhook.test`; raises as `read` does, and InvalidInput (webhook-disabled) for one that is off."""
        await self._enabled(endpoint_id)
        now_ms = _now_ms()
        delivery = Delivery(
            id=f"whd_{endpoint_id}_test_{self._next_id()}",
            endpoint_id=endpoint_id,
            event=TEST_EVENT,
            at_ms=now_ms,
            next_at_ms=now_ms,
        )
        await self._deliveries.add(delivery, test_body(self._tenant, now_ms))
        return delivery

    async def deliveries(self, endpoint_id: str, limit: int) -> list[Delivery]:
        """The newest deliveries, newest first; raises as `read` does."""
        await self.read(endpoint_id)
        return await self._deliveries.newest(endpoint_id, limit)

    async def replay(self, endpoint_id: str, delivery_id: str) -> Delivery:
        """Begin a delivery's schedule anew, at once, under the same id; raises as `test` does, and NotFound."""
        await self._enabled(endpoint_id)
        held = await self._deliveries.read(endpoint_id, delivery_id)
        again = await self._again(held)
        if again is None:
            raise NotFound("the webhook has no delivery of this id", code="delivery-not-found")
        return again

    async def replay_failed(self, endpoint_id: str, last_s: int) -> list[Delivery]:
        """Replay what happened in the last so many seconds and has failed; raises as `test` does."""
        await self._enabled(endpoint_id)
        since_ms = _now_ms() - last_s * 1000
        newest = await self._deliveries.newest(endpoint_id, MOST_LISTED)
        failed = [one for one in newest if one.state is DeliveryState.FAILED and one.at_ms >= since_ms]
        return [one for one in await asyncio.gather(*map(self._again, failed)) if one]

    async def _again(self, held: Delivery) -> Delivery | None:
        again = replace(held, state=DeliveryState.PENDING, tries=0, reason="", next_at_ms=_now_ms())
        return again if await self._deliveries.again(again) else None

    async def _enabled(self, endpoint_id: str) -> None:
        endpoint = await self.read(endpoint_id)
        if not endpoint.enabled:
            raise InvalidInput("this webhook is disabled: enable it first", code="webhook-disabled")

    def _as_wished(self, held: Endpoint, wish: Wish) -> Endpoint:
        if wish.url is not None:
            checked_url(wish.url, self._private)
        for place, name in enumerate(wish.events or ()):
            if name not in (EVERYTHING, *WEBHOOK_EVENTS):
                known = ", ".join((EVERYTHING, *WEBHOOK_EVENTS))
                detail = f"no such event is known; expected are {known}"
                raise InvalidInput(detail, code="unknown-event", pointer=f"/events/{place}")
        changed = replace(
            held,
            url=held.url if wish.url is None else wish.url,
            events=held.events if wish.events is None else tuple(dict.fromkeys(wish.events)),
            description=held.description if wish.description is None else wish.description,
            enabled=held.enabled if wish.enabled is None else wish.enabled,
        )
        if changed.enabled and not held.enabled:
            return replace(changed, disabled_reason="", failing_since_ms=0)
        return replace(changed, disabled_reason="switched off") if held.enabled and not changed.enabled else changed


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
