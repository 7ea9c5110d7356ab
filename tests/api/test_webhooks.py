"""Webhooks over HTTP: who may, what is told, what is refused, and a delivery by a service as it is served."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from api.service import BOT, Service, Talk, eventually, refusal, serving
from qa_service.access.caller import Scope
from qa_service.access.clients import make_client
from qa_service.access.signing_keys import make_signing_key
from qa_service.domain.webhook import WEBHOOK_EVENTS

HOOKS = f"{BOT}/webhooks"
NOWHERE = "https://crm.example/hooks"  # .example is never given to anybody


@pytest.fixture
def made(gateway: httpx.Client) -> Iterator[dict[str, Any]]:
    """An endpoint that is switched off, and removed after the test."""
    response = gateway.post(HOOKS, json={"url": NOWHERE, "enabled": False})
    assert response.status_code == 201, response.text
    yield response.json()["data"]
    gateway.delete(f"{HOOKS}/{response.json()['data']['id']}")


def test_its_secret_is_told_when_it_is_made_and_when_it_is_rotated_and_never_else(
    gateway: httpx.Client, made: dict[str, Any]
) -> None:
    path = f"{HOOKS}/{made['id']}"
    secret = made["attributes"]["secret"]
    assert secret.startswith("whsec_")
    rotated = gateway.post(f"{path}/rotate-secret")
    assert rotated.headers["cache-control"] == "no-store"
    attributes = rotated.json()["data"]["attributes"]
    assert attributes["secret"].startswith("whsec_")
    assert attributes["secret"] != secret
    assert attributes["old_secret_ends_at"]
    for response in (
        gateway.get(path),
        gateway.get(HOOKS),
        gateway.patch(path, json={"description": "CRM"}),
        gateway.get(f"{path}/deliveries"),
    ):
        assert response.status_code == 200
        assert "whsec_" not in response.text


def test_it_is_listed_read_changed_member_by_member_and_removed(gateway: httpx.Client) -> None:
    created = gateway.post(HOOKS, json={"url": NOWHERE, "events": ["session.bound"], "enabled": False})
    path = created.headers["location"]
    wid = created.json()["data"]["id"]
    assert path == f"{HOOKS}/{wid}"
    changed = gateway.patch(path, json={"data": {"attributes": {"events": ["*"], "description": "收银台"}}}).json()
    attributes = changed["data"]["attributes"]
    assert (attributes["url"], attributes["events"], attributes["description"]) == (NOWHERE, ["*"], "收银台")
    assert gateway.get(path).json()["data"]["attributes"] == attributes
    assert wid in [one["id"] for one in gateway.get(HOOKS).json()["data"]]
    assert gateway.delete(path).status_code == 204
    for method, below in (
        *(("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotate-secret")),
        *(("GET", "/deliveries"), ("POST", "/deliveries/replay"), ("POST", "/deliveries/x/replay")),
    ):
        gone = gateway.request(method, path + below, json={} if method == "PATCH" else None)
        assert (gone.status_code, refusal(gone)["code"]) == (404, "webhook-not-found")


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({}, "invalid-body", "/url"),
        ({"url": 7}, "invalid-body", "/url"),
        ({"url": ""}, "invalid-body", "/url"),
        ({"url": "ftp://crm.example/"}, "webhook-url-invalid", "/url"),
        ({"url": "crm.example"}, "webhook-url-invalid", "/url"),
        ({"url": "http://127.0.0.1/"}, "webhook-url-forbidden", "/url"),
        ({"url": "http://[::ffff:169.254.169.254]/"}, "webhook-url-forbidden", "/url"),
        ({"url": "http://2130706433/"}, "webhook-url-forbidden", "/url"),
        ({"url": "http://crm.example:25/"}, "webhook-url-forbidden", "/url"),
        ({"url": NOWHERE, "events": []}, "invalid-body", "/events"),
        ({"url": NOWHERE, "events": "*"}, "invalid-body", "/events"),
        ({"url": NOWHERE, "events": ["*", "message.accepted"]}, "unknown-event", "/events/1"),
        ({"url": NOWHERE, "description": "a" * 201}, "invalid-body", "/description"),
        ({"url": NOWHERE, "enabled": "yes"}, "invalid-body", "/enabled"),
        ({"url": NOWHERE, "secret": "whsec_AAAA"}, "invalid-body", "/secret"),
    ],
)
def test_a_bad_body_is_refused_with_its_member_and_what_was_expected(
    gateway: httpx.Client, made: dict[str, Any], body: dict[str, Any], code: str, pointer: str
) -> None:
    asked = [gateway.post(HOOKS, json=body)]
    if body:
        asked.append(gateway.patch(f"{HOOKS}/{made['id']}", json=body))
    for refused in asked:
        assert (refused.status_code, refusal(refused)["code"]) == (422, code), refused.text
        assert refusal(refused)["source"]["pointer"] == pointer
    if code == "unknown-event":
        assert all(name in refusal(asked[0])["detail"] for name in WEBHOOK_EVENTS)


def test_twenty_are_enough_and_one_more_is_refused(gateway: httpx.Client) -> None:
    made = []
    try:
        while (response := gateway.post(HOOKS, json={"url": NOWHERE, "enabled": False})).status_code == 201:
            made.append(response.json()["data"]["id"])
        assert (response.status_code, refusal(response)["code"]) == (422, "too-many-webhooks")
        assert len(gateway.get(HOOKS).json()["data"]) == 20
    finally:
        for wid in made:
            assert gateway.delete(f"{HOOKS}/{wid}").status_code == 204


def test_one_that_is_switched_off_sends_no_test_and_a_delivery_that_is_not_there_is_404(
    gateway: httpx.Client, made: dict[str, Any]
) -> None:
    path = f"{HOOKS}/{made['id']}"
    refused = gateway.post(f"{path}/test")
    assert (refused.status_code, refusal(refused)["code"]) == (422, "webhook-disabled")
    assert gateway.get(f"{path}/deliveries").json()["data"] == []
    assert refusal(gateway.get(f"{path}/deliveries", params={"limit": 1001}))["code"] == "invalid-parameter"
    gateway.patch(path, json={"enabled": True})
    for name in ("x", f"whd_{made['id']}_1_1", f"whd_{made['id']}_test_1", "退"):
        gone = gateway.post(f"{path}/deliveries/{name}/replay")
        assert (gone.status_code, refusal(gone)["code"]) == (404, "delivery-not-found")
    assert gateway.post(f"{path}/deliveries/replay").json()["data"] == []


def test_a_device_and_nobody_in_particular_may_do_nothing(client: httpx.Client, talk: Talk) -> None:
    for method, path in (("GET", HOOKS), ("POST", HOOKS), ("GET", f"{HOOKS}/1"), ("POST", f"{HOOKS}/1/test")):
        nobody = client.request(method, path, json={} if method == "POST" else None)
        assert (nobody.status_code, refusal(nobody)["code"]) == (401, "token-required")
        device = client.request(method, path, headers={"Authorization": f"Bearer {talk.token}"})
        assert (device.status_code, refusal(device)["code"]) == (401, "invalid-token")


class Crm:
    """A back end that receives webhooks."""

    def __init__(self) -> None:
        got: list[tuple[dict[str, str], bytes]] = []
        self.got = got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got.append((dict(self.headers), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def crm() -> Iterator[Crm]:
    crm = Crm()
    yield crm
    crm.server.shutdown()
    crm.server.server_close()


@pytest.fixture(scope="module")
def served(
    demo_index: Path, crm: Crm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, httpx.Client, dict[str, dict[str, str]]]]:
    """A service of two tenants with keys, and the bearer of a client of each, and of one without the scope."""
    folder = tmp_path_factory.mktemp("hooked")
    keys = folder / "keys"
    make_signing_key(keys)
    secrets = {
        "shop": make_client(keys, "shop", tenant="shop", scopes=[Scope.WEBHOOKS]).secret,
        "bank": make_client(keys, "bank", tenant="bank", scopes=[Scope.WEBHOOKS]).secret,
        "asker": make_client(keys, "asker", tenant="shop", scopes=[Scope.ASK, Scope.ADMIN]).secret,
    }
    settings = {"keys_dir": str(keys), "knowledge_bases": "shop,bank", "webhook_private_hosts": crm.place}
    with (
        serving(folder, demo_index, port=0, **settings) as service,
        httpx.Client(base_url=service.url, timeout=20) as client,
    ):
        bearers = {}
        for name, secret in secrets.items():
            given = client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(name, secret))
            bearers[name] = {"Authorization": f"Bearer {given.json()['access_token']}"}
        yield service, client, bearers
        assert not service.log("unexpected error")
        assert not service.log("process ended")


def test_what_a_customer_hears_a_back_end_hears_too_signed(
    served: tuple[Service, httpx.Client, dict[str, dict[str, str]]], crm: Crm
) -> None:
    _, client, bearers = served
    body = {"url": f"http://{crm.place}/hooks", "events": ["message.completed"]}
    created = client.post(HOOKS, json=body, headers=bearers["shop"]).json()["data"]
    talk = Talk(client)
    mid = talk.ask("怎么退货").json()["data"]["id"]
    path = f"{HOOKS}/{created['id']}"
    assert client.post(f"{path}/test", headers=bearers["shop"]).status_code == 202
    assert eventually(lambda: len(crm.got) >= 2, 10)
    verified = [Webhook(created["attributes"]["secret"]).verify(sent, headers) for headers, sent in crm.got]
    by_type = {one["type"]: one["data"] for one in verified}
    shown = talk.send("GET", f"/messages/{mid}").json()["data"]
    assert by_type["message.completed"]["message"] == {"id": mid, **shown["attributes"]}
    assert "webhook.test" in by_type

    def all_delivered() -> bool:
        listed = client.get(f"{path}/deliveries", headers=bearers["shop"]).json()["data"]
        return [one["attributes"]["state"] for one in listed] == ["delivered", "delivered"]

    assert eventually(all_delivered, 5)
    newest, older = client.get(f"{path}/deliveries", headers=bearers["shop"]).json()["data"]
    assert (newest["attributes"]["event"], older["attributes"]["session_id"]) == ("webhook.test", talk.sid)
    (attempt,) = older["attributes"]["attempts"]
    assert (attempt["status"], attempt["error"]) == (204, None)
    again = client.post(f"{path}/deliveries/{older['id']}/replay", headers=bearers["shop"])
    assert (again.status_code, again.json()["data"]["attributes"]["state"]) == (202, "pending")
    assert eventually(lambda: len(crm.got) >= 3, 10)
    assert crm.got[2][0]["webhook-id"] == older["id"]
    assert client.delete(path, headers=bearers["shop"]).status_code == 204


def test_what_a_customer_does_is_told_too_once_and_without_personal_numbers(
    served: tuple[Service, httpx.Client, dict[str, dict[str, str]]], crm: Crm
) -> None:
    service, client, bearers = served
    crm.got.clear()
    wanted = ["handoff.requested", "feedback.received", "message.cancelled"]
    created = client.post(HOOKS, json={"url": f"http://{crm.place}/", "events": wanted}, headers=bearers["shop"])
    talk = Talk(client)
    asked = talk.ask("转人工").json()["data"]
    assert asked["attributes"]["decision"] == "handoff"
    judged = {"value": "down", "reason": "我的手机号是13812345678，没人回我"}
    for _ in range(2):
        assert talk.send("PUT", f"/messages/{asked['id']}/feedback", json=judged).status_code == 200
    with service.paused("worker"):
        pending = talk.ask("怎么开发票，第 7 次问", Prefer="respond-async").json()["data"]["id"]
        assert talk.send("POST", f"/messages/{pending}/cancel").status_code == 200
    assert eventually(lambda: len(crm.got) >= 3, 10)
    secret = created.json()["data"]["attributes"]["secret"]
    events = [Webhook(secret).verify(sent, headers) for headers, sent in crm.got]
    by_type = {one["type"]: one["data"] for one in events}
    assert sorted(one["type"] for one in events) == sorted(wanted)
    assert by_type["handoff.requested"]["handoff"] == {"id": asked["id"], "reason": "customer-asked"}
    feedback = by_type["feedback.received"]["feedback"]
    assert (feedback["id"], feedback["value"]) == (asked["id"], "down")
    assert "没人回我" in feedback["reason"]
    assert "13812345678" not in feedback["reason"]
    cancelled = by_type["message.cancelled"]["message"]
    assert (cancelled["id"], cancelled["state"]) == (pending, "cancelled")
    assert client.delete(f"{HOOKS}/{created.json()['data']['id']}", headers=bearers["shop"]).status_code == 204


def test_another_tenants_webhook_is_as_one_that_does_not_exist(
    served: tuple[Service, httpx.Client, dict[str, dict[str, str]]],
) -> None:
    _, client, bearers = served
    created = client.post(HOOKS, json={"url": NOWHERE, "enabled": False}, headers=bearers["shop"]).json()["data"]
    assert created["id"] not in client.get(HOOKS, headers=bearers["bank"]).text
    for method, below in (("GET", ""), ("DELETE", ""), ("POST", "/rotate-secret"), ("GET", "/deliveries")):
        headers = {**bearers["bank"], "X-Request-ID": "same"}
        theirs = client.request(method, f"{HOOKS}/{created['id']}{below}", headers=headers)
        nobodys = client.request(method, f"{HOOKS}/1{below}", headers=headers)
        assert (theirs.status_code, theirs.content) == (404, nobodys.content)
    assert client.delete(f"{HOOKS}/{created['id']}", headers=bearers["shop"]).status_code == 204


def test_a_client_needs_the_scope_webhooks_and_no_other_stands_for_it(
    served: tuple[Service, httpx.Client, dict[str, dict[str, str]]],
) -> None:
    _, client, bearers = served
    refused = client.get(HOOKS, headers=bearers["asker"])
    assert (refused.status_code, refusal(refused)["code"]) == (403, "insufficient-scope")
    assert 'scope="webhooks"' in refused.headers["www-authenticate"]
