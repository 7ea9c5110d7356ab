"""Who may do what over HTTP, in a service with keys: clients, users, devices, and everybody else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from access.minting import user_token
from joserfc import jwt
from joserfc.jwk import KeySet

from api.service import BOT, Service, Talk, eventually, refusal, serving
from qa_service.access.caller import Scope
from qa_service.access.clients import make_client, remove_client
from qa_service.access.signing_keys import make_signing_key, retire_signing_key

TOKEN = "/oauth/token"
GRANT = {"grant_type": "client_credentials"}
READ_AGAIN_S = 3.0


class Guarded:
    """A service that others can reach, its keys folder, and the secrets of its clients."""

    def __init__(self, service: Service, client: httpx.Client, keys: Path) -> None:
        self.service, self.client, self.keys = service, client, keys
        self.secrets: dict[str, str] = {}

    def add(self, name: str, *scopes: Scope) -> None:
        self.secrets[name] = make_client(self.keys, name, tenant="shop", scopes=scopes).secret

    def token(self, name: str, **form: str) -> str:
        given = self.client.post(TOKEN, data={**GRANT, **form}, auth=(name, self.secrets[name]))
        assert given.status_code == 200, given.text
        return str(given.json()["access_token"])

    def bearer(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def guarded(demo_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    keys = folder / "keys"
    make_signing_key(keys)
    with (
        serving(folder, demo_index, host="0.0.0.0", keys_dir=str(keys)) as service,
        httpx.Client(base_url=f"http://127.0.0.1:{httpx.URL(service.url).port}", timeout=20) as client,
    ):
        guarded = Guarded(service, client, keys)
        guarded.add("gateway", Scope.ASK, Scope.EXPLAIN)
        guarded.add("hooks", Scope.WEBHOOKS)
        assert eventually(lambda: _token(guarded, "gateway").status_code == 200, READ_AGAIN_S)
        yield guarded
        assert not service.log("unexpected error")


def _token(guarded: Guarded, name: str, **form: str) -> httpx.Response:
    return guarded.client.post(TOKEN, data={**GRANT, **form}, auth=(name, guarded.secrets[name]))


def test_a_client_exchanges_its_secret_for_a_token_and_asks_with_it(guarded: Guarded) -> None:
    given = _token(guarded, "gateway")
    assert given.headers["cache-control"] == "no-store"
    assert given.headers["pragma"] == "no-cache"
    body = given.json()
    assert body == {
        "access_token": body["access_token"],
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "ask explain",
    }
    bearer = guarded.bearer(body["access_token"])
    for route in ("answers", "explain"):
        answered = guarded.client.post(f"{BOT}/{route}", json={"text": "怎么退货"}, headers=bearer)
        assert answered.status_code == 200, answered.text


def test_the_key_of_a_service_without_keys_is_not_made_here(guarded: Guarded) -> None:
    assert guarded.service.key == ""


def test_anybody_verifies_a_token_by_the_published_keys(guarded: Guarded) -> None:
    published = guarded.client.get("/.well-known/jwks.json")
    assert published.headers["content-type"] == "application/json"
    keys = KeySet.import_key_set(published.json())
    read = jwt.decode(guarded.token("gateway", scope="ask"), keys, ["ES256"])
    assert (read.claims["client_id"], read.claims["tenant"], read.claims["scope"]) == ("gateway", "shop", "ask")
    assert all("d" not in key for key in published.json()["keys"])


def test_a_secret_may_come_in_the_body_and_escaped_in_basic(guarded: Guarded) -> None:
    secret = guarded.secrets["gateway"]
    for form in ({**GRANT, "client_id": "gateway", "client_secret": secret}, {**GRANT, "unknown": "ignored"}):
        basic = httpx.USE_CLIENT_DEFAULT if "client_secret" in form else httpx.BasicAuth("gate%77ay", secret)
        assert guarded.client.post(TOKEN, data=form, auth=basic).status_code == 200


@pytest.mark.parametrize(
    ("form", "auth", "status", "error"),
    [
        ({}, ("gateway", ""), 400, "invalid_request"),
        ({"grant_type": "password", "username": "a", "password": "b"}, None, 400, "unsupported_grant_type"),
        ({**GRANT, "scope": "admin"}, None, 400, "invalid_scope"),
        ({**GRANT, "scope": "ask root"}, None, 400, "invalid_scope"),
        (GRANT, ("gateway", "wrong"), 401, "invalid_client"),
        (GRANT, ("nobody", "wrong"), 401, "invalid_client"),
        (GRANT, ("", ""), 401, "invalid_client"),
        ({**GRANT, "client_id": "hooks"}, None, 400, "invalid_request"),
        ({**GRANT, "client_secret": "x"}, None, 400, "invalid_request"),
    ],
)
def test_a_refusal_of_the_token_endpoint_is_rfc_6749s(
    guarded: Guarded, form: dict[str, str], auth: tuple[str, str] | None, status: int, error: str
) -> None:
    refused = guarded.client.post(TOKEN, data=form or {"x": ""}, auth=auth or ("gateway", guarded.secrets["gateway"]))
    assert (refused.status_code, refused.json()["error"]) == (status, error), refused.text
    assert refused.json()["error_description"]
    assert refused.headers["cache-control"] == "no-store"
    assert refused.headers.get("www-authenticate", "").startswith("Basic") == (status == 401)


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"grant_type": "client_credentials"}', "application/json"),
        (b"grant_type=client_credentials", "text/plain"),
        (b"grant_type=client_credentials&grant_type=client_credentials", FORM),
        (b"grant_type=client_credentials&scope=ask&scope=explain", FORM),
        (b"grant_type=%ff%fe", FORM),
        ("grant_type=客".encode(), FORM),
        (b"\xff\xfe", FORM),
        (b"a=1&" * 30 + b"grant_type=client_credentials", FORM),
        (b"grant_type=client_credentials&scope=" + b"a" * 9000, FORM),
        (b"", FORM),
    ],
)
def test_a_body_that_is_no_plain_form_is_an_invalid_request(guarded: Guarded, body: bytes, content_type: str) -> None:
    auth = ("gateway", guarded.secrets["gateway"])
    refused = guarded.client.post(TOKEN, content=body, headers={"Content-Type": content_type}, auth=auth)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Basic Z2F0ZXdheQ==", "Basic //79/A==", "Bearer abc", "Basic Z2F0ZXdheTo= x", "é"]
)
def test_a_basic_header_that_is_none_is_an_invalid_client(guarded: Guarded, header: str) -> None:
    headers = {b"Authorization": header.encode("latin-1"), b"Content-Type": FORM.encode()}
    refused = guarded.client.post(TOKEN, content=b"grant_type=client_credentials", headers=headers)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_without_the_scope_a_good_token_is_403_and_told_which(guarded: Guarded) -> None:
    bearer = guarded.bearer(guarded.token("hooks"))
    asked = guarded.client.post(f"{BOT}/answers", json={"text": "怎么退货"}, headers=bearer)
    opened = guarded.client.post(f"{BOT}/sessions", json={"uid": "u1"}, headers=bearer)
    entered = guarded.client.get(f"{BOT}/sessions/1", headers=bearer)
    for refused in (asked, opened, entered):
        assert (refused.status_code, refusal(refused)["code"]) == (403, "insufficient-scope")
        assert refused.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="ask"'
    less = guarded.bearer(guarded.token("gateway", scope="ask"))
    explained = guarded.client.post(f"{BOT}/explain", json={"text": "怎么退货"}, headers=less)
    assert (explained.status_code, refusal(explained)["code"]) == (403, "insufficient-scope")


@pytest.mark.parametrize("route", ["answers", "explain"])
def test_without_a_clients_token_there_is_no_stateless_question(guarded: Guarded, route: str) -> None:
    def post(**headers: str) -> httpx.Response:
        return guarded.client.post(f"{BOT}/{route}", json={"text": "怎么退货"}, headers=headers)

    nothing = post()
    assert (nothing.status_code, nothing.headers["www-authenticate"]) == (401, "Bearer")
    assert refusal(nothing)["code"] == "token-required"
    for token in (Talk(guarded.client).token, "wrong", "a.b.c", "a" * 5000):
        refused = post(Authorization=f"Bearer {token}")
        assert (refused.status_code, refusal(refused)["code"]) == (401, "invalid-token")
        assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    user = post(Authorization=f"Bearer {user_token('u1')}")
    assert (user.status_code, refusal(user)["code"]) == (403, "insufficient-scope")


@pytest.fixture
def bound(guarded: Guarded) -> Talk:
    """A session of the uid u1, opened by a device and bound by the host's back end."""
    talk = Talk(guarded.client, device_id="phone")
    answer = talk.send("PATCH", json={"user_token": user_token("u1")})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["attributes"]["uid"] == "u1"
    void, talk.token = talk.token, answer.json()["data"]["attributes"]["token"]
    refused = guarded.client.get(talk.path, headers=guarded.bearer(void))
    assert refusal(refused)["code"] == "session-not-found"
    return talk


def ways_in(talk: Talk) -> list[tuple[str, str, Any]]:
    return [
        ("GET", "", None),
        ("GET", "/messages", None),
        ("GET", "/messages?wait=1", None),
        ("GET", "/messages/1", None),
        ("POST", "/messages", {"text": "怎么退货"}),
        ("PATCH", "", {"user_token": user_token("u1")}),
    ]


def test_a_users_session_opens_to_its_token_its_user_and_a_client_that_may_ask(guarded: Guarded, bound: Talk) -> None:
    for token in (bound.token, user_token("u1"), guarded.token("gateway", scope="ask")):
        headers = guarded.bearer(token)
        asked = guarded.client.post(f"{bound.path}/messages", json={"text": "怎么退货"}, headers=headers)
        assert asked.status_code in {201, 202}, asked.text
        pulled = guarded.client.get(f"{bound.path}/messages", headers=headers)
        assert pulled.status_code == 200
        assert guarded.client.get(asked.headers["location"], headers=headers).status_code == 200
        assert guarded.client.get(bound.path, headers=headers).json()["data"]["attributes"]["uid"] == "u1"


def test_to_everybody_else_it_is_an_unknown_session_on_every_verb(guarded: Guarded, bound: Talk) -> None:
    strangers = {
        "another device": Talk(guarded.client).token,
        "another user": user_token("u2"),
        "a guess": "wrong",
    }
    for method, path, body in ways_in(bound):
        unknown = guarded.client.request(
            method, f"{BOT}/sessions/123{path}", json=body, headers=guarded.bearer(user_token("u1"))
        )
        same = unknown.text.replace(unknown.headers["x-request-id"], "")
        assert unknown.status_code == 404
        for who, token in strangers.items():
            refused = guarded.client.request(method, bound.path + path, json=body, headers=guarded.bearer(token))
            assert refused.status_code == 404, (who, method, path)
            assert refused.text.replace(refused.headers["x-request-id"], "") == same, (who, method, path)


def test_an_anonymous_devices_session_is_not_a_clients_nor_any_users(guarded: Guarded) -> None:
    talk = Talk(guarded.client)
    for token in (user_token("u1"), guarded.token("gateway")):
        for method, path, body in ways_in(talk):
            refused = guarded.client.request(method, talk.path + path, json=body, headers=guarded.bearer(token))
            assert (refused.status_code, refusal(refused)["code"]) == (404, "session-not-found")
            if "user_token" in (body or {}):
                assert talk.send("GET").json()["data"]["attributes"]["uid"] is None


def test_a_session_for_a_uid_needs_somebody_who_vouches_for_it(guarded: Guarded) -> None:
    client = guarded.client
    path = f"{BOT}/sessions"
    by_body = client.post(path, json={"uid": "u1", "user_token": user_token("u1")})
    by_bearer = client.post(path, json={"device_id": "d"}, headers=guarded.bearer(user_token("u1")))
    by_client = client.post(path, json={"uid": "u1"}, headers=guarded.bearer(guarded.token("gateway")))
    for opened in (by_body, by_bearer, by_client):
        assert opened.status_code == 201, opened.text
        assert opened.json()["data"]["attributes"]["uid"] == "u1"
    anonymous = client.post(path, headers=guarded.bearer(guarded.token("gateway")))
    assert anonymous.json()["data"]["attributes"]["uid"] is None


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_nobody_takes_a_uid_by_naming_it(guarded: Guarded, method: str) -> None:
    talk = Talk(guarded.client)

    def take(body: dict[str, str]) -> httpx.Response:
        if method == "PATCH":
            return talk.send("PATCH", json=body)
        return guarded.client.post(f"{BOT}/sessions", json=body, headers=guarded.bearer(talk.token))

    named = take({"uid": "u1"})
    assert (named.status_code, refusal(named)["code"]) == (401, "user-token-required")
    assert named.headers["www-authenticate"] == "Bearer"
    mismatch = take({"uid": "u1", "user_token": user_token("u2")})
    assert (mismatch.status_code, refusal(mismatch)["code"]) == (403, "uid-mismatch")
    assert refusal(mismatch)["source"] == {"pointer": "/uid"}
    for bad in (
        user_token("u1", secret="Zq7Lm2Rt9Vx4Bn6Kc1Hy8Wd3Pf5Jg0Ts"),
        "opaque",
        "x" * 9000,
        guarded.token("gateway"),
    ):
        refused = take({"user_token": bad})
        assert (refused.status_code, refusal(refused)["code"]) == (401, "invalid-token"), bad[:40]
        assert refusal(refused)["source"] == {"pointer": "/user_token"}
        assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert talk.send("GET").json()["data"]["attributes"]["uid"] is None


def test_a_user_who_lost_the_session_token_gets_a_new_one_by_the_user_token(guarded: Guarded, bound: Talk) -> None:
    again = guarded.client.patch(bound.path, json={}, headers=guarded.bearer(user_token("u1")))
    assert again.status_code == 200, again.text
    assert refusal(bound.send("GET"))["code"] == "session-not-found"
    bound.token = again.json()["data"]["attributes"]["token"]
    assert bound.send("GET").status_code == 200


def test_two_authorization_headers_are_refused(guarded: Guarded) -> None:
    twice = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    refused = guarded.client.get(f"{BOT}/sessions/1", headers=twice)
    assert (refused.status_code, refusal(refused)["code"]) == (401, "invalid-token")


def test_a_service_with_keys_answers_under_any_host(guarded: Guarded) -> None:
    assert guarded.client.get("/healthz", headers={"Host": "bot.example.org"}).status_code == 200


def test_no_token_and_no_secret_reaches_the_log(guarded: Guarded) -> None:
    token = guarded.token("gateway")
    guarded.client.post(f"{BOT}/answers", json={"text": "怎么退货"}, headers=guarded.bearer(token))
    Talk(guarded.client).send("PATCH", json={"user_token": user_token("u9")})
    logged = guarded.service.log_file.read_text(encoding="utf-8")
    assert guarded.secrets["gateway"] not in logged
    assert "eyJ" not in logged


# The last one changes the keys.
def test_keys_rotate_and_clients_go_without_a_restart(guarded: Guarded) -> None:
    def published() -> list[str]:
        return [key["kid"] for key in guarded.client.get("/.well-known/jwks.json").json()["keys"]]

    def asking(token: str) -> int:
        headers = guarded.bearer(token)
        return guarded.client.post(f"{BOT}/answers", json={"text": "怎么退货"}, headers=headers).status_code

    [old], token = published(), guarded.token("gateway")
    new = make_signing_key(guarded.keys)
    assert eventually(lambda: published() == [new, old], READ_AGAIN_S)
    assert asking(token) == 200
    retire_signing_key(guarded.keys, old)
    assert eventually(lambda: asking(token) == 401, READ_AGAIN_S)
    assert published() == [new]
    token = guarded.token("gateway")
    assert asking(token) == 200
    remove_client(guarded.keys, "gateway")
    assert eventually(lambda: asking(token) == 401, READ_AGAIN_S)
    assert _token(guarded, "gateway").json()["error"] == "invalid_client"
