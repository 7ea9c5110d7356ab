"""Webhooks: endpoints, their secrets, and what became of deliveries; for a client with the scope webhooks."""

from functools import partial
from typing import Any

import structlog
from litestar import Request, Response, delete, get, patch, post
from msgspec import UNSET

from qa_service.access.caller import Scope
from qa_service.api.bodies import ChangeWebhook, CreateWebhook, read_body, whole_number
from qa_service.api.caller import require, rooms_of
from qa_service.api.envelope import Document, Resource, respond
from qa_service.api.openapi import CLIENT, described
from qa_service.api.openapi_parameters import Whole
from qa_service.api.request_id import request_id_of
from qa_service.api.webhook_envelope import WEBHOOKS, delivery_resource, webhook_resource
from qa_service.domain.webhook import Delivery
from qa_service.webhooks.desk import MOST_LISTED, WebhookDesk, Wish

_NO_STORE = {"Cache-Control": "no-store"}
_DAY_S, _WEEK_S = 24 * 3600, 7 * 24 * 3600
_EXAMPLE = {"url": "https://crm.example/hooks", "events": ["message.completed", "handoff.requested"]}

_described = partial(described, callers=(CLIENT,), scope=Scope.WEBHOOKS)
_LISTED = _described(errors=(401, 403, 503))
_ONE = _described(errors=(401, 403, 404, 503))
_CREATED = _described(
    body=CreateWebhook,
    example=_EXAMPLE,
    errors=(400, 401, 403, 413, 415, 422, 503),
)
_CHANGED = _described(
    body=ChangeWebhook,
    example={"enabled": False},
    errors=(400, 401, 403, 404, 409, 413, 415, 422, 503),
)
_ROTATED = _described(errors=(401, 403, 404, 409, 503))
_SENT = _described(errors=(401, 403, 404, 422, 503))
_DELIVERIES = _described(
    errors=(401, 403, 404, 422, 503),
    query={"limit": Whole(text="how many at most, 100 by default", least=1, most=MOST_LISTED)},
)
_REPLAYED = _described(
    errors=(401, 403, 404, 422, 503),
    query={"last_s": Whole(text="what happened in so many seconds, a day by default", least=1, most=_WEEK_S)},
)

log = structlog.get_logger(__name__)


def _desk(request: Request[Any, Any, Any]) -> WebhookDesk:
    """Give the desk of the caller's tenant; raises as `require` does."""
    require(request, Scope.WEBHOOKS)
    return rooms_of(request).webhooks


def _told(request: Request[Any, Any, Any], data: Resource | list[Resource], status: int = 200) -> Response[bytes]:
    headers = dict(_NO_STORE)
    if status == 201 and isinstance(data, Resource):
        headers["Location"] = data.links["self"]
    return respond(
        Document(data=data, meta={"request_id": request_id_of(request.scope)}), status=status, headers=headers
    )


@get(WEBHOOKS, operation_class=_LISTED, tags=["webhooks"])
async def list_webhooks(request: Request[Any, Any, Any]) -> Response[bytes]:
    """List the tenant's webhooks, oldest first."""
    return _told(request, [webhook_resource(one) for one in await _desk(request).all()])


@post(WEBHOOKS, operation_class=_CREATED, tags=["webhooks"], raises=None)
async def create_webhook(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Make a webhook, 20 at most; its secret is told once, here. What it signs: standardwebhooks.com, 1.0.0."""
    desk = _desk(request)
    body = await read_body(request, CreateWebhook)
    wish = Wish(url=body.url, events=body.events, description=body.description, enabled=body.enabled)
    endpoint = await desk.create(wish)
    log.info("webhook made", webhook=endpoint.id)
    return _told(request, webhook_resource(endpoint, secret=endpoint.secrets[0].text), 201)


@get(f"{WEBHOOKS}/{{wid:str}}", operation_class=_ONE, tags=["webhooks"])
async def read_webhook(request: Request[Any, Any, Any], wid: str) -> Response[bytes]:
    """Read a webhook; its secret is not told again."""
    return _told(request, webhook_resource(await _desk(request).read(wid)))


@patch(f"{WEBHOOKS}/{{wid:str}}", operation_class=_CHANGED, tags=["webhooks"])
async def change_webhook(request: Request[Any, Any, Any], wid: str) -> Response[bytes]:
    """Change a webhook; what is not named stays. Deliveries of a disabled one wait, for seven days."""
    desk = _desk(request)
    body = await read_body(request, ChangeWebhook)
    given = {name: getattr(body, name) for name in body.__struct_fields__}
    wish = Wish(**{name: value for name, value in given.items() if value is not UNSET})
    return _told(request, webhook_resource(await desk.change(wid, wish)))


@delete(f"{WEBHOOKS}/{{wid:str}}", operation_class=_ONE, tags=["webhooks"])
async def remove_webhook(request: Request[Any, Any, Any], wid: str) -> Response[None]:
    """Remove a webhook with all its deliveries."""
    await _desk(request).remove(wid)
    log.info("webhook removed", webhook=wid)
    return Response(None, status_code=204)


@post(f"{WEBHOOKS}/{{wid:str}}/rotate-secret", operation_class=_ROTATED, tags=["webhooks"], status_code=200)
async def rotate_secret(request: Request[Any, Any, Any], wid: str) -> Response[bytes]:
    """Give a webhook a new secret, told once, here; for 24 hours the one before it signs too."""
    endpoint = await _desk(request).rotate(wid)
    log.info("webhook secret rotated", webhook=wid)
    return _told(request, webhook_resource(endpoint, secret=endpoint.secrets[0].text))


@post(f"{WEBHOOKS}/{{wid:str}}/test", operation_class=_SENT, tags=["webhooks"], status_code=202)
async def test_webhook(request: Request[Any, Any, Any], wid: str) -> Response[bytes]:
    """Send a `webhook.test`; what became of it stands among the deliveries."""
    return _told(request, delivery_resource(await _desk(request).test(wid)), 202)


@get(f"{WEBHOOKS}/{{wid:str}}/deliveries", operation_class=_DELIVERIES, tags=["webhooks"])
async def list_deliveries(request: Request[Any, Any, Any], wid: str) -> Response[bytes]:
    """List deliveries, newest first, with their attempts; the newest 1,000 that have ended are kept, for seven days."""
    desk = _desk(request)
    limit = whole_number(request, "limit", default=100, least=1, most=MOST_LISTED)
    return _told(request, _resources(await desk.deliveries(wid, limit)))


@post(f"{WEBHOOKS}/{{wid:str}}/deliveries/replay", operation_class=_REPLAYED, tags=["webhooks"], status_code=202)
async def replay_failed(request: Request[Any, Any, Any], wid: str) -> Response[bytes]:
    """Try again what happened lately and has failed, each under its own id."""
    desk = _desk(request)
    last_s = whole_number(request, "last_s", default=_DAY_S, least=1, most=_WEEK_S)
    return _told(request, _resources(await desk.replay_failed(wid, last_s)), 202)


@post(
    f"{WEBHOOKS}/{{wid:str}}/deliveries/{{did:str}}/replay", operation_class=_SENT, tags=["webhooks"], status_code=202
)
async def replay_delivery(request: Request[Any, Any, Any], wid: str, did: str) -> Response[bytes]:
    """Try one delivery again, at once and by a new schedule, under the same id."""
    return _told(request, delivery_resource(await _desk(request).replay(wid, did)), 202)


def _resources(deliveries: list[Delivery]) -> list[Resource]:
    return [delivery_resource(one) for one in deliveries]


WEBHOOK_ROUTES = (
    list_webhooks,
    create_webhook,
    read_webhook,
    change_webhook,
    remove_webhook,
    rotate_secret,
    test_webhook,
    list_deliveries,
    replay_failed,
    replay_delivery,
)
