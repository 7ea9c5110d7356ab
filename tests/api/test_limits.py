"""Limits over HTTP: who is held to which, what a refusal says, and that nobody takes another's share."""

import itertools
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from access.minting import user_token

from api.service import BOT, Service, Talk, refusal, serving
from qa_service.access.caller import Scope
from qa_service.access.clients import make_client
from qa_service.access.signing_keys import make_signing_key

UID, IP, CLIENT = 5, 14, 25
ASYNC = {"Prefer": "respond-async"}
GRANT = {"grant_type": "client_credentials"}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limited") / "keys"
    make_signing_key(folder)
    return folder


@pytest.fixture(scope="module")
def limited(demo_index: Path, keys: Path) -> Iterator[Service]:
    """A service with small quotas that believes a proxy at 127.0.0.1."""
    with serving(
        keys.parent,
        demo_index,
        keys_dir=str(keys),
        trusted_proxies="127.0.0.1",
        limit_uid_per_min=str(UID),
        limit_ip_per_min=str(IP),
        limit_client_per_min=str(CLIENT),
    ) as service:
        yield service
        assert not service.log("unexpected error")


@pytest.fixture
def at(limited: Service) -> Iterator["Places"]:
    places = Places(limited.url)
    yield places
    places.close()


class Places:
    """Clients, each at an address of its own that nobody else has, told by the proxy."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open: list[httpx.Client] = []

    def somewhere(self, *, source: str = "127.0.0.1", **headers: str) -> httpx.Client:
        """A client; from another source than the proxy's, what it says of its address is its own invention."""
        number = next(_numbers)
        named = {"X-Forwarded-For": f"198.51.{number // 250}.{number % 250 + 1}", **headers}
        transport = httpx.HTTPTransport(local_address=source)
        self._open.append(httpx.Client(base_url=self._url, headers=named, transport=transport, timeout=20))
        return self._open[-1]

    def close(self) -> None:
        for client in self._open:
            client.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def statuses(client: httpx.Client, number: int, method: str = "GET", path: str = "/nowhere", **more: Any) -> list[int]:
    return [client.request(method, path, **more).status_code for _ in range(number)]


def ask(client: httpx.Client, talk: Talk, token: str) -> httpx.Response:
    return client.post(f"{talk.path}/messages", json={"text": "怎么退货"}, headers={**ASYNC, **bearer(token)})


def rooms(response: httpx.Response) -> dict[str, dict[str, int]]:
    """What the two headers say of each limit: q, w, r and t."""
    found: dict[str, dict[str, int]] = {}
    for header in ("ratelimit-policy", "ratelimit"):
        for name, parameters in re.findall(r'"(\w+)"((?:;\w=\d+)+)', response.headers[header]):
            told = {key: int(value) for key, value in re.findall(r";(\w)=(\d+)", parameters)}
            found.setdefault(name, {}).update(told)
    return found


def bind(client: httpx.Client, talk: Talk, uid: str) -> str:
    """Bind a session; its new token."""
    bound = client.patch(talk.path, json={"user_token": user_token(uid)}, headers=bearer(talk.token))
    assert bound.status_code == 200, bound.text
    return str(bound.json()["data"]["attributes"]["token"])


def test_an_address_is_admitted_as_often_as_its_quota_and_then_told_when_to_come_again(at: Places) -> None:
    client = at.somewhere()
    last = [client.get("/schema/openapi.json") for _ in range(IP)][-1]
    assert last.status_code == 200
    assert rooms(last)["ip"] | {"t": 0} == {"q": IP, "w": 60, "r": 0, "t": 0}
    refused = client.get("/schema/openapi.json")
    assert (refused.status_code, refusal(refused)["code"]) == (429, "rate-limited")
    assert refused.headers["ratelimit-policy"] == f'"ip";q={IP};w=60'
    assert 50 <= int(refused.headers["retry-after"]) <= 60
    assert rooms(refused)["ip"]["t"] == int(refused.headers["retry-after"])
    assert at.somewhere().get("/schema/openapi.json").status_code == 200


def test_a_refusal_is_a_problem_for_who_asks_for_one(at: Places) -> None:
    client = at.somewhere(Accept="application/problem+json")
    statuses(client, IP)
    refused = client.get("/schema")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "rate-limited"


def test_what_no_route_answers_and_what_is_refused_counts_too(at: Places) -> None:
    client = at.somewhere()
    bad = [
        statuses(client, 3, "GET", "/nowhere"),
        statuses(client, 3, "DELETE", "/schema"),
        statuses(client, 3, "POST", f"{BOT}/answers", headers=bearer("a.b.c")),
        statuses(client, 2, "POST", f"{BOT}/sessions", headers=[("Authorization", "Bearer a")] * 2),
        statuses(client, 3, "POST", f"{BOT}/sessions", content=b"\xff"),
    ]
    assert [set(some) for some in bad] == [{404}, {405}, {401}, {401}, {415}]
    assert client.get("/nowhere").status_code == 429


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/readyz/"])
def test_a_probe_is_free(at: Places, path: str) -> None:
    client = at.somewhere()
    assert set(statuses(client, IP + 5, path=path)) == {200}
    assert "ratelimit" not in client.get(path).headers
    assert rooms(client.get("/nowhere"))["ip"]["r"] == IP - 1


def test_many_at_once_are_admitted_as_often_as_one_after_the_other(at: Places) -> None:
    client = at.somewhere()
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda _: client.get("/nowhere").status_code, range(60)))
    assert (got.count(404), got.count(429)) == (IP, 60 - IP)


def test_a_device_may_ask_as_often_as_a_user_and_go_on_reading(at: Places) -> None:
    client = at.somewhere()
    talk = Talk(client)
    asked = [ask(client, talk, talk.token) for _ in range(UID)]
    assert {one.status_code for one in asked} <= {201, 202}
    assert [rooms(one)["uid"]["r"] for one in asked] == [4, 3, 2, 1, 0]
    refused = ask(client, talk, talk.token)
    assert (refused.status_code, refusal(refused)["code"]) == (429, "rate-limited")
    assert "questions of one user" in refusal(refused)["detail"]
    assert refused.headers["ratelimit-policy"] == f'"uid";q={UID};w=60, "ip";q={IP};w=60'
    assert talk.pull().status_code == 200
    # What its user was refused did not count for its address: open, ask five times, pull.
    assert rooms(talk.send("GET"))["ip"]["r"] == IP - 8


@pytest.mark.parametrize("path", ["{}/messages/", "/{}//messages", "{}/%6dessages", "{}/messages?x=1"])
def test_a_question_counts_however_its_path_is_spelt(at: Places, path: str) -> None:
    client = at.somewhere()
    talk = Talk(client)
    odd = path.format(talk.path)
    for _ in range(UID):
        url = f"{client.base_url}".rstrip("/") + odd
        asked = client.post(url, json={"text": "怎么退货"}, headers={**ASYNC, **bearer(talk.token)})
        assert asked.status_code in {201, 202}, asked.text
    assert ask(client, talk, talk.token).status_code == 429


def test_a_user_has_one_share_on_all_devices_by_whatever_token(at: Places, keys: Path) -> None:
    uid = f"u{next(_numbers)}"
    phone, tablet = at.somewhere(), at.somewhere()
    client = at.somewhere(**bearer(access_token(at, keys)))
    one, other = Talk(phone), Talk(tablet)
    tokens = bind(phone, one, uid), bind(tablet, other, uid)
    asked = [
        ask(phone, one, tokens[0]),
        ask(tablet, other, tokens[1]),
        ask(tablet, one, user_token(uid)),
        client.post(f"{one.path}/messages", json={"text": "怎么退货"}, headers=ASYNC),
        ask(phone, one, tokens[0]),
    ]
    assert [rooms(answer)["uid"]["r"] for answer in asked] == [4, 3, 2, 1, 0]
    refused = [
        ask(tablet, other, tokens[1]),
        ask(phone, other, user_token(uid)),
        client.post(f"{other.path}/messages", json={"text": "怎么退货"}, headers=ASYNC),
    ]
    assert [answer.status_code for answer in refused] == [429] * 3
    assert rooms(refused[2]).keys() == {"uid", "client"}
    stranger = Talk(tablet)
    assert ask(tablet, stranger, stranger.token).status_code in {201, 202}


def test_naming_somebodys_session_takes_nothing_of_its_share(at: Places) -> None:
    owner, stranger = at.somewhere(), at.somewhere()
    talk, bound = Talk(owner), Talk(owner)
    uid = f"u{next(_numbers)}"
    token = bind(owner, bound, uid)
    assert rooms(ask(owner, bound, token))["uid"]["r"] == UID - 1
    for wrong in (bound.token, "guess", user_token("somebody"), "guess"):
        for one in (talk, bound):
            assert ask(stranger, one, wrong).status_code == 404
    assert rooms(ask(owner, talk, talk.token))["uid"]["r"] == UID - 1
    assert rooms(ask(owner, bound, token))["uid"]["r"] == UID - 2


def test_a_token_that_is_void_takes_at_most_one_question_of_its_former_user(at: Places) -> None:
    client, uid = at.somewhere(), f"u{next(_numbers)}"
    talk = Talk(client)
    void = bind(client, talk, uid)
    assert rooms(ask(client, talk, void))["uid"]["r"] == UID - 1
    talk.token = void
    fresh = bind(client, talk, uid)
    for _ in range(3):
        assert ask(client, talk, void).status_code == 404
    assert rooms(ask(client, talk, fresh))["uid"]["r"] == UID - 3


def access_token(at: Places, keys: Path) -> str:
    """A token of a client that nobody else uses."""
    name = f"gateway-{next(_numbers)}"
    made = make_client(keys, name, tenant="shop", scopes=[Scope.ASK])
    given = at.somewhere().post("/oauth/token", data=GRANT, auth=(name, made.secret))
    assert given.status_code == 200, given.text
    return str(given.json()["access_token"])


def test_a_client_has_a_quota_of_its_own_instead_of_its_address(at: Places, keys: Path) -> None:
    token = access_token(at, keys)
    here, there = at.somewhere(), at.somewhere()
    statuses(here, IP)
    got = [one.get(f"{BOT}/sessions/1", headers=bearer(token)) for one in (here, there) for _ in range(CLIENT // 2)]
    assert {one.status_code for one in got} == {404}
    assert rooms(got[-1])["client"]["r"] == CLIENT - len(got)
    statuses(there, CLIENT, path=f"{BOT}/sessions/1", headers=bearer(token))
    refused = there.get(f"{BOT}/sessions/1", headers=bearer(token))
    assert refused.headers["ratelimit-policy"] == f'"client";q={CLIENT};w=60'
    assert refusal(refused)["code"] == "rate-limited"
    assert there.get("/nowhere").status_code == 404  # its address is as free as before


def test_who_is_no_proxy_is_counted_by_its_own_address_whatever_it_says(at: Places) -> None:
    got = [at.somewhere(source="127.0.0.2").get("/nowhere").status_code for _ in range(IP + 3)]
    assert got == [404] * IP + [429] * 3
    assert at.somewhere(source="127.0.0.3").get("/nowhere").status_code == 404


def test_wrong_secrets_lock_out_one_client_at_one_address(at: Places, keys: Path) -> None:
    name = f"gateway-{next(_numbers)}"
    secret = make_client(keys, name, tenant="shop", scopes=[Scope.ASK]).secret
    other = make_client(keys, f"{name}-b", tenant="shop", scopes=[Scope.ASK]).secret
    here = at.somewhere()

    def tried(client: httpx.Client, who: str, secret: str) -> httpx.Response:
        return client.post("/oauth/token", data=GRANT, auth=(who, secret))

    assert tried(here, name, secret).status_code == 200
    assert [tried(here, name, f"wrong {n}").status_code for n in range(10)] == [401] * 10
    for guess in ("wrong", secret):  # which one is right is not told any more
        refused = tried(here, name, guess)
        assert (refused.status_code, refusal(refused)["code"]) == (429, "rate-limited")
        assert 50 <= int(refused.headers["retry-after"]) <= 60
    assert tried(here, f"{name}-b", other).status_code == 200
    assert tried(at.somewhere(), name, secret).status_code == 200
