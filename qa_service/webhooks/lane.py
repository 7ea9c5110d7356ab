"""The attempts of one endpoint, at most four at once. It knows no other endpoint: none delays another.

A delivery is claimed while it is tried. Whoever is killed meanwhile leaves a claim that ends by itself, and the next
attempt carries the same `webhook-id`.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from qa_service.domain.errors import NotFound, StoreUnavailable
from qa_service.domain.webhook import Attempt, Delivery, DeliveryState, Endpoint
from qa_service.webhooks.courier import Answer, Courier
from qa_service.webhooks.ports import Deliveries, Endpoints
from qa_service.webhooks.schedule import Schedule
from qa_service.webhooks.signatures import signed_headers

IN_FLIGHT = 4
DISABLED_AFTER_S = 5 * 24 * 3600.0  # of nothing but failures; a schedule takes three days
_ATTEMPTS_KEPT = 20
_LOOK_EVERY_S = 1.0  # for what another process made due: a test, a replay
_AWAY_S = 0.25  # between tries while Redis is away
_CLAIM_SPARE_S = 5.0  # beyond an attempt's own time, to write down what came of it

log = structlog.get_logger(__name__)

ReadAgain = Callable[[Delivery], Awaitable[bytes]]  # the body of a delivery whose own was let go; b"" when it is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What every lane of a tenant sends with."""

    endpoints: Endpoints
    deliveries: Deliveries
    courier: Courier
    schedule: Schedule
    read_again: ReadAgain
    timeout_s: float
    disabled_after_s: float = DISABLED_AFTER_S


class Lane:
    """One endpoint's deliveries; `endpoint` is exchanged when it changes."""

    def __init__(self, endpoint: Endpoint, post: Post) -> None:
        self.endpoint = endpoint
        self._post = post
        self._due = asyncio.Event()
        self._noting = asyncio.Lock()
        self._is_closing = False

    def wake(self) -> None:
        """Say that something may be due."""
        self._due.set()

    def close(self) -> None:
        """Take nothing more; `run` ends when what is under way has."""
        self._is_closing = True
        self._due.set()

    async def run(self) -> None:
        """Send what is due until closed."""
        async with asyncio.TaskGroup() as attempts:
            under_way: set[asyncio.Task[None]] = set()

            def ended(task: asyncio.Task[None]) -> None:
                under_way.discard(task)
                self._due.set()

            while not self._is_closing:
                self._due.clear()
                # What waits for an endpoint that was switched off a moment ago goes on waiting.
                free = IN_FLIGHT - len(under_way) if self.endpoint.enabled else 0
                due, wait_s = await self._take(free)
                for delivery, body in due:
                    task = attempts.create_task(self._try(delivery, body))
                    under_way.add(task)
                    task.add_done_callback(ended)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._due.wait(), wait_s)

    async def _take(self, free: int) -> tuple[Sequence[tuple[Delivery, bytes]], float]:
        """Give what is due, so many at most, and after how many seconds to look again."""
        if not free:
            return (), _LOOK_EVERY_S
        now_ms, timeout_s = _now_ms(), self._post.timeout_s
        until_ms = now_ms + round((timeout_s + min(_CLAIM_SPARE_S, timeout_s)) * 1000)
        try:
            taken = await self._post.deliveries.take(self.endpoint.id, free, now_ms=now_ms, until_ms=until_ms)
        except StoreUnavailable:
            return (), _AWAY_S
        except Exception:  # the edge of a lane: a bug must not end the others
            log.exception("lane stalled", webhook=self.endpoint.id)
            return (), _LOOK_EVERY_S
        next_in_s = _LOOK_EVERY_S if taken.next_at_ms is None else (taken.next_at_ms - _now_ms()) / 1000
        return taken.due, min(max(next_in_s, 0.001), _LOOK_EVERY_S)

    async def _try(self, delivery: Delivery, body: bytes) -> None:
        try:
            body = body or await self._post.read_again(delivery)
            if not body:
                gone = replace(
                    delivery, state=DeliveryState.FAILED, next_at_ms=None, reason="what it told of is not kept any more"
                )
                await self._post.deliveries.tried(gone)
                return
            at_ms = _now_ms()
            secrets = self.endpoint.live_secrets(at_ms)
            headers = signed_headers(secrets, webhook_id=delivery.id, timestamp_s=at_ms // 1000, body=body)
            answer = await self._post.courier.send(self.endpoint.url, body, headers)
            after = self._after(delivery, answer, at_ms)
            await self._post.deliveries.tried(after)
            self._log(after, answer)
            await self._note(answer)
        except StoreUnavailable as error:  # the claim ends, and it is tried again under the same id
            log.warning("store away", detail=error.detail)
        except Exception:  # the edge of an attempt: a bug must not end the lane
            log.exception("attempt failed", webhook=self.endpoint.id, delivery=delivery.id)

    def _after(self, delivery: Delivery, answer: Answer, at_ms: int) -> Delivery:
        attempt = Attempt(at_ms=at_ms, duration_ms=answer.duration_ms, status=answer.status, error=answer.error)
        tried = replace(
            delivery,
            tries=delivery.tries + 1,
            attempts=(*delivery.attempts, attempt)[-_ATTEMPTS_KEPT:],
            next_at_ms=None,
            reason="",
        )
        if answer.is_success:
            return replace(tried, state=DeliveryState.DELIVERED)
        if answer.is_gone:
            return replace(tried, state=DeliveryState.FAILED, reason="the receiver answered 410 Gone")
        wait_s = self._post.schedule.next_wait_s(tried.tries, answer.retry_after_s)
        if wait_s is None:
            return replace(tried, state=DeliveryState.FAILED, reason="no attempt is left")
        return replace(tried, next_at_ms=_now_ms() + round(wait_s * 1000))

    async def _note(self, answer: Answer) -> None:
        """Remember since when there were only failures, and end what has failed for days or wants no more."""
        async with self._noting:
            held, now_ms = self.endpoint, _now_ms()
            if answer.is_success and held.failing_since_ms:
                await self._change(lambda one: replace(one, failing_since_ms=0))
            elif answer.is_gone and held.enabled:
                await self._disable("the receiver answered 410 Gone")
            elif not answer.is_success and not held.failing_since_ms:
                await self._change(lambda one: replace(one, failing_since_ms=one.failing_since_ms or now_ms))
            elif not answer.is_success and now_ms - held.failing_since_ms > self._post.disabled_after_s * 1000:
                days = self._post.disabled_after_s / 86_400
                await self._disable(f"nothing but failures for {days:g} days")

    async def _disable(self, reason: str) -> None:
        await self._change(lambda one: replace(one, enabled=False, disabled_reason=reason))
        log.warning("webhook disabled", webhook=self.endpoint.id, reason=reason)

    async def _change(self, edit: Callable[[Endpoint], Endpoint]) -> None:
        try:
            self.endpoint = await self._post.endpoints.change(self.endpoint.id, edit)
        except NotFound:  # removed meanwhile
            self.endpoint = replace(self.endpoint, enabled=False)

    def _log(self, delivery: Delivery, answer: Answer) -> None:
        log.info(
            "webhook tried",
            webhook=delivery.endpoint_id,
            delivery=delivery.id,
            state=delivery.state.value,
            status=answer.status,
            tries=delivery.tries,
            duration_ms=answer.duration_ms,
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
