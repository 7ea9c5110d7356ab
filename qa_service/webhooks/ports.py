"""What webhooks need of a store. `store/` implements these on Redis; every call may raise StoreUnavailable."""

from collections.abc import Callable, Sequence
from typing import Protocol

from qa_service.domain.webhook import Delivery, Endpoint, Occurrence, Taken, Told


class Endpoints(Protocol):
    """The endpoints of one tenant."""

    async def all(self) -> tuple[Endpoint, ...]:
        """All of them, oldest first."""
        ...

    async def read(self, endpoint_id: str) -> Endpoint:
        """One of them; NotFound (webhook-not-found) when there is none of that id."""
        ...

    async def add(self, endpoint: Endpoint) -> None:
        """Keep a new one; InvalidInput (too-many-webhooks) when there is no room."""
        ...

    async def change(self, endpoint_id: str, edit: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """Change one, against whoever else changes it; give it as it is now. Raises as `read` does."""
        ...

    async def remove(self, endpoint_id: str) -> None:
        """Remove one with all its deliveries; raises as `read` does."""
        ...

    async def mend(self) -> tuple[Endpoint, ...]:
        """See to it that what sessions look at says what the endpoints say; give all of them."""
        ...


class Deliveries(Protocol):
    """The deliveries of one tenant."""

    async def newest(self, endpoint_id: str, limit: int) -> list[Delivery]:
        """The newest of an endpoint, newest first."""
        ...

    async def read(self, endpoint_id: str, delivery_id: str) -> Delivery:
        """One of them; NotFound (delivery-not-found) when there is none of that id."""
        ...

    async def add(self, delivery: Delivery, body: bytes) -> bool:
        """Keep a new one that belongs to no session; False when its endpoint is gone."""
        ...

    async def again(self, delivery: Delivery) -> bool:
        """Let one be tried at once, as it is told here; False when it is gone."""
        ...

    async def take(self, endpoint_id: str, limit: int, *, now_ms: int, until_ms: int) -> Taken:
        """Claim what is due until a moment after which others may take it again."""
        ...

    async def tried(self, delivery: Delivery) -> bool:
        """Keep what came of an attempt; False when the delivery is gone (erased meanwhile)."""
        ...

    async def tidy(self, endpoint_id: str, before_ms: int) -> int:
        """Remove what happened before a moment; give how many that were."""
        ...


class Outbox(Protocol):
    """The events of one tenant that have yet to become deliveries."""

    async def read(self, occurrence: Occurrence) -> Told | None:
        """What an event concerns; None when its session is gone."""
        ...

    async def spread(self, occurrence: Occurrence, deliveries: Sequence[Delivery], body: bytes) -> list[str]:
        """Turn an event into its deliveries, in one step; the ids of endpoints that have too many waiting."""
        ...


class Feed(Protocol):
    """The outboxes of all tenants, watched together."""

    async def wait(self, count: int, block_ms: int) -> list[tuple[str, Occurrence]]:
        """The oldest events, each with its tenant; an empty list when there was none in that time."""
        ...
