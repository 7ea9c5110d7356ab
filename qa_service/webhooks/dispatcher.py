"""The dispatcher: turns events into deliveries, and keeps a lane for each endpoint that is enabled. It knows no URL."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from qa_service.domain.errors import StoreUnavailable
from qa_service.domain.webhook import Delivery, Endpoint, Occurrence, Told, delivery_id
from qa_service.webhooks.courier import Courier
from qa_service.webhooks.lane import DISABLED_AFTER_S, Lane, Post
from qa_service.webhooks.payload import Happening, Shown, body_of, test_body
from qa_service.webhooks.ports import Deliveries, Endpoints, Feed, Outbox
from qa_service.webhooks.schedule import TIMEOUT_S, Schedule

KEPT_S = 7 * 24 * 3600  # a delivery, whatever became of it
_AT_ONCE = 64  # events of one outbox
_BLOCK_MS = 500  # how long one look at empty outboxes lasts; also how soon a stop is noticed
_LOOK_EVERY_S = 1.0  # at the endpoints
_TIDY_EVERY_S = 600.0
_END_WITHIN_S = 5.0  # of a stop
_AWAY_S = 0.25  # between tries while Redis is away

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantHooks:
    """What the webhooks of one tenant lie in."""

    endpoints: Endpoints
    deliveries: Deliveries
    outbox: Outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How deliveries are made."""

    schedule: Schedule
    timeout_s: float = TIMEOUT_S
    disabled_after_s: float = DISABLED_AFTER_S


class Dispatcher:
    """One process's way of delivering; several may run at once."""

    def __init__(
        self, *, tenants: Mapping[str, TenantHooks], feed: Feed, courier: Courier, shown: Shown, manner: Manner
    ) -> None:
        self._feed = feed
        self._shown = shown
        self._tenants = {name: _Tenant(name, hooks, courier, manner, shown) for name, hooks in sorted(tenants.items())}

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; what is under way then has a few seconds to end."""
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(one.follow(tasks)) for one in self._tenants.values()]
            while not stop.is_set():
                await self._spread()
            for task in following:
                task.cancel()
            lanes = [task for one in self._tenants.values() for task in one.close()]
            if lanes:
                await asyncio.wait(lanes, timeout=_END_WITHIN_S)
            for task in lanes:
                task.cancel()  # whose claims end by themselves

    async def _spread(self) -> None:
        try:
            found = await self._feed.wait(_AT_ONCE, _BLOCK_MS)
            done = await asyncio.gather(*(self._tenants[name].spread(one) for name, one in found))
        except StoreUnavailable as error:
            log.warning("store away", detail=error.detail)
            await asyncio.sleep(_AWAY_S)
        else:
            if not all(done):
                await asyncio.sleep(_LOOK_EVERY_S)  # what failed stands first in its outbox, and comes again


class _Tenant:
    """One tenant's lanes."""

    def __init__(self, name: str, hooks: TenantHooks, courier: Courier, manner: Manner, shown: Shown) -> None:
        self._name = name
        self._hooks = hooks
        self._shown = shown
        self._post = Post(
            endpoints=hooks.endpoints,
            deliveries=hooks.deliveries,
            courier=courier,
            schedule=manner.schedule,
            read_again=self._read_again,
            timeout_s=manner.timeout_s,
            disabled_after_s=manner.disabled_after_s,
        )
        self._lanes: dict[str, tuple[Lane, asyncio.Task[None]]] = {}
        self._ending: set[asyncio.Task[None]] = set()  # of lanes that take nothing more
        self._tidied_at = 0.0

    def close(self) -> list[asyncio.Task[None]]:
        """Take nothing more; the tasks of what is under way."""
        for lane, _ in self._lanes.values():
            lane.close()
        return [*self._ending, *(task for _, task in self._lanes.values())]

    async def follow(self, tasks: asyncio.TaskGroup) -> None:
        """Keep a lane for each enabled endpoint, until cancelled."""
        while True:
            try:
                endpoints = await self._hooks.endpoints.mend()
                self._keep_lanes(endpoints, tasks)
                await self._tidy(endpoints)
            except StoreUnavailable:
                pass
            except Exception:  # the edge of a tenant: a bug must not end the others'
                log.exception("webhooks not looked after", tenant=self._name)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def spread(self, occurrence: Occurrence) -> bool:
        """Turn an event into its deliveries; False where a bug kept it from that."""
        try:
            told = await self._hooks.outbox.read(occurrence)
            body = body_of(_happening(occurrence, told), self._shown) if told else b""
            made = [_delivery(occurrence, endpoint_id) for endpoint_id in occurrence.endpoint_ids] if told else []
            full = await self._hooks.outbox.spread(occurrence, made, body)
        except StoreUnavailable:
            raise
        except Exception:  # the edge of an event: a bug must not stop the others
            log.exception("webhook event not spread", tenant=self._name, sid=occurrence.sid, seq=occurrence.seq)
            return False
        if full:
            log.error("webhook backlog full: an event is not delivered", tenant=self._name, webhooks=full)
        for endpoint_id in occurrence.endpoint_ids:
            if endpoint_id in self._lanes:
                self._lanes[endpoint_id][0].wake()
        return True

    def _keep_lanes(self, endpoints: tuple[Endpoint, ...], tasks: asyncio.TaskGroup) -> None:
        enabled = {one.id: one for one in endpoints if one.enabled}
        for gone in set(self._lanes) - set(enabled):
            lane, task = self._lanes.pop(gone)
            lane.close()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        for endpoint_id, endpoint in enabled.items():
            if endpoint_id not in self._lanes:
                lane = Lane(endpoint, self._post)
                self._lanes[endpoint_id] = lane, tasks.create_task(lane.run())
            elif endpoint.revision >= self._lanes[endpoint_id][0].endpoint.revision:
                self._lanes[endpoint_id][0].endpoint = endpoint

    async def _tidy(self, endpoints: tuple[Endpoint, ...]) -> None:
        now = time.monotonic()
        if self._tidied_at and now - self._tidied_at < _TIDY_EVERY_S:
            return
        self._tidied_at = now
        before_ms = time.time_ns() // 1_000_000 - KEPT_S * 1000
        for one in endpoints:
            await self._hooks.deliveries.tidy(one.id, before_ms)

    async def _read_again(self, delivery: Delivery) -> bytes:
        if not delivery.sid:
            return test_body(self._name, delivery.at_ms)
        occurrence = Occurrence(
            entry_id="",
            partition=0,
            sid=delivery.sid,
            seq=delivery.seq,
            event=delivery.event,
            message_id=delivery.message_id,
            endpoint_ids=(),
            at_ms=delivery.at_ms,
        )
        told = await self._hooks.outbox.read(occurrence)
        return body_of(_happening(occurrence, told), self._shown) if told else b""


def _happening(occurrence: Occurrence, told: Told) -> Happening:
    return Happening(
        event=occurrence.event,
        at_ms=occurrence.at_ms,
        seq=occurrence.seq,
        session=told.session,
        message_id=occurrence.message_id,
        message=told.message,
        details=told.details,
    )


def _delivery(occurrence: Occurrence, endpoint_id: str) -> Delivery:
    return Delivery(
        id=delivery_id(endpoint_id, occurrence.sid, occurrence.seq),
        endpoint_id=endpoint_id,
        event=occurrence.event,
        at_ms=occurrence.at_ms,
        sid=occurrence.sid,
        seq=occurrence.seq,
        message_id=occurrence.message_id,
        next_at_ms=time.time_ns() // 1_000_000,
    )
