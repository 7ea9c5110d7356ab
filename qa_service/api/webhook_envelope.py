"""Webhooks and their deliveries as JSON:API resources. It knows no route."""

from typing import Any

from qa_service.api.envelope import PREFIX, Resource, rfc3339
from qa_service.domain.webhook import Attempt, Delivery, Endpoint

WEBHOOKS = f"{PREFIX}/webhooks"


def webhook_resource(endpoint: Endpoint, *, secret: str = "") -> Resource:
    """Show an endpoint; `secret` only once, when it is new."""
    ends_at = [rfc3339(one.ends_at_ms) for one in endpoint.secrets if one.ends_at_ms]
    attributes: dict[str, Any] = {
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason or None,
        "failing_since": rfc3339(endpoint.failing_since_ms) if endpoint.failing_since_ms else None,
        "old_secret_ends_at": ends_at[0] if ends_at else None,
        "created_at": rfc3339(endpoint.created_at_ms),
    }
    if secret:
        attributes["secret"] = secret
    return Resource(type="webhooks", id=endpoint.id, attributes=attributes, links={"self": f"{WEBHOOKS}/{endpoint.id}"})


def delivery_resource(delivery: Delivery) -> Resource:
    """Show a delivery with its attempts, oldest first."""
    attributes: dict[str, Any] = {
        "event": delivery.event,
        "session_id": delivery.sid or None,
        "seq": delivery.seq or None,
        "state": delivery.state.value,
        "reason": delivery.reason or None,
        "tries": delivery.tries,
        "attempts": [_attempt(one) for one in delivery.attempts],
        "next_attempt_at": rfc3339(delivery.next_at_ms) if delivery.next_at_ms is not None else None,
        "happened_at": rfc3339(delivery.at_ms),
    }
    return Resource(type="webhook-deliveries", id=delivery.id, attributes=attributes)


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": rfc3339(attempt.at_ms),
        "duration_ms": attempt.duration_ms,
        "status": attempt.status,
        "error": attempt.error or None,
    }
