"""Erasure and export over HTTP: for whom they are, what they tell, and that nothing is left."""

from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from access.minting import user_token
from redis import Redis

from api.service import BOT, Service, Talk, refusal


def by(uid: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {user_token(uid)}"}


@pytest.fixture
def uid(request: pytest.FixtureRequest) -> str:
    """A user of this test alone."""
    return f"用户 {abs(hash(request.node.name)) % 10**9}"


def everything(service: Service) -> str:
    """All keys and values of the service's Redis, as far as they are texts."""
    [socket] = (service.log_file.parent / "state").rglob("*.sock")
    with Redis(unix_socket_path=str(socket)) as client:
        return repr([(key.decode(), client.dump(key)) for key in client.scan_iter(count=1000)])


def test_a_session_is_erased_with_its_own_token_and_unknown_from_then_on(client: httpx.Client, talk: Talk) -> None:
    talk.answer("怎么退货")
    erased = talk.send("DELETE")
    assert (erased.status_code, erased.content) == (204, b"")
    assert erased.headers["x-request-id"]
    for method, path in (("DELETE", ""), ("GET", ""), ("GET", "/messages"), ("POST", "/messages")):
        gone = talk.send(method, path, json={"text": "怎么退货"} if method == "POST" else None)
        assert (gone.status_code, refusal(gone)["code"]) == (404, "session-not-found")


def test_a_stranger_erases_nothing(client: httpx.Client, talk: Talk) -> None:
    for headers, status in (({}, 401), ({"Authorization": f"Bearer {Talk(client).token}"}, 404), (by("thief"), 404)):
        assert client.delete(talk.path, headers=headers).status_code == status
    assert talk.send("GET").status_code == 200


def test_who_waits_for_a_session_hears_at_once_that_it_is_gone(
    client: httpx.Client, talk: Talk, service: Service
) -> None:
    talk.ask("怎么退货")
    with httpx.Client(base_url=service.url) as other:
        assert other.delete(talk.path, headers={"Authorization": f"Bearer {talk.token}"}).status_code == 204
    assert talk.pull(2, wait=20).elapsed.total_seconds() < 2


def test_a_user_reads_all_that_is_kept_of_them(client: httpx.Client, talk: Talk, uid: str) -> None:
    asked = talk.answer("怎么退货")
    talk.send("PATCH", json={"user_token": user_token(uid)})
    second = Talk(client, user_token=user_token(uid), device_id="phone", locale="en")
    exported = client.get(f"{BOT}/users/{quote(uid)}/export", headers=by(uid))
    assert exported.status_code == 200
    assert exported.headers["cache-control"] == "no-store"
    data = exported.json()["data"]
    assert (data["type"], data["id"]) == ("users", uid)
    first, other = data["attributes"]["sessions"]
    assert (first["id"], first["uid"], other["id"], other["device_id"]) == (talk.sid, uid, second.sid, "phone")
    assert [one["text"] for one in first["messages"]] == ["怎么退货", asked["text"]]
    assert "token" not in first
    assert not exported.json()["meta"]["has_more"]


def test_an_export_of_many_sessions_goes_on_where_its_link_leads(client: httpx.Client, gateway: httpx.Client) -> None:
    uid = "org/一 & 二"
    talks = [Talk(client, user_token=user_token(uid)) for _ in range(5)]
    path, sids = f"{BOT}/users/-/export?uid={quote(uid, safe='')}&limit=2", []
    while path:
        page = gateway.get(path)
        assert page.status_code == 200, page.text
        sids += [one["id"] for one in page.json()["data"]["attributes"]["sessions"]]
        path = page.json().get("links", {}).get("next", "")
    assert sids == [talk.sid for talk in talks]
    assert gateway.delete(f"{BOT}/users/-?uid={quote(uid, safe='')}").json()["data"]["attributes"] == {"sessions": 5}


def test_nothing_is_left_of_a_user_who_was_erased(
    client: httpx.Client, gateway: httpx.Client, service: Service, uid: str
) -> None:
    talk = Talk(client, user_token=user_token(uid))
    talk.ask("怎么退货给金凤凰商行")
    talk.ask("我叫金凤凰，我的订单到哪了")
    assert talk.sid in everything(service)
    erased = gateway.delete(f"{BOT}/users/{quote(uid)}")
    assert erased.status_code == 200
    assert erased.json()["data"]["attributes"] == {"sessions": 1}
    assert talk.send("GET").status_code == 404
    left = everything(service)
    assert not [word for word in (talk.sid, uid, "金凤凰") if word in left or repr(word.encode())[2:-1] in left]
    assert uid not in Path(service.log_file).read_text(encoding="utf-8")
    again = gateway.delete(f"{BOT}/users/{quote(uid)}")
    assert again.json()["data"]["attributes"] == {"sessions": 0}


@pytest.mark.parametrize(("method", "path"), [("GET", "/export"), ("DELETE", "")])
def test_only_the_user_and_an_admin_may(client: httpx.Client, talk: Talk, method: str, path: str) -> None:
    for headers, status, code in (
        ({}, 401, "token-required"),
        ({"Authorization": f"Bearer {talk.token}"}, 401, "invalid-token"),
        (by("u2"), 403, "uid-mismatch"),
    ):
        refused = client.request(method, f"{BOT}/users/u1{path}", headers=headers)
        assert (refused.status_code, refusal(refused)["code"]) == (status, code)
    assert client.request(method, f"{BOT}/users/u1{path}", headers=by("u1")).status_code == 200


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "after=-1", "after=x", "after=99999999999999999999"])
def test_a_page_that_cannot_be_is_refused(client: httpx.Client, query: str) -> None:
    refused = client.get(f"{BOT}/users/u1/export?{query}", headers=by("u1"))
    assert (refused.status_code, refusal(refused)["code"]) == (422, "invalid-parameter")
