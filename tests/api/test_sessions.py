"""Sessions over HTTP: opened, read, bound, and closed to everybody else."""

import httpx
import pytest
from access.minting import user_token

from api.service import BOT, Talk, refusal


def test_an_anonymous_session_is_opened_without_any_body(client: httpx.Client) -> None:
    opened = client.post(f"{BOT}/sessions")
    data = opened.json()["data"]
    assert opened.status_code == 201
    assert opened.headers["location"] == data["links"]["self"] == f"{BOT}/sessions/{data['id']}"
    assert data["type"] == "sessions"
    assert data["attributes"]["uid"] is None
    assert data["attributes"]["owner"] == "bot"
    assert data["attributes"]["ttl_s"] == 24 * 3600
    assert len(data["attributes"]["token"]) >= 32


def test_a_session_is_opened_for_a_device_or_a_uid_with_its_locale(client: httpx.Client) -> None:
    body = {"uid": "用户-7", "device_id": "phone", "locale": "en-GB"}
    opened = client.post(f"{BOT}/sessions", json={**body, "user_token": user_token("用户-7")})
    attributes = opened.json()["data"]["attributes"]
    assert {name: attributes[name] for name in body} == body
    assert "user_token" not in attributes


def test_a_session_is_opened_with_a_json_api_document(client: httpx.Client) -> None:
    document = {"data": {"type": "sessions", "attributes": {"device_id": "tablet"}}}
    opened = client.post(f"{BOT}/sessions", json=document, headers={"Content-Type": "application/vnd.api+json"})
    assert opened.status_code == 201
    assert opened.json()["data"]["attributes"]["device_id"] == "tablet"


def test_ids_are_decimal_texts_and_differ_from_session_to_session(client: httpx.Client) -> None:
    sids = {Talk(client).sid for _ in range(20)}
    assert len(sids) == 20
    assert all(sid.isdigit() and int(sid) > 2**53 for sid in sids)


def test_the_token_is_told_once(talk: Talk) -> None:
    read = talk.send("GET")
    assert read.status_code == 200
    assert "token" not in read.json()["data"]["attributes"]
    assert talk.token not in read.text


def test_the_newest_events_number_is_the_sessions_last_message_id(talk: Talk, fresh_question: str) -> None:
    talk.ask(fresh_question)
    assert talk.send("GET").json()["data"]["attributes"]["last_message_id"] == 3  # created, asked, answered


def test_binding_keeps_the_history_and_voids_the_old_token(talk: Talk, fresh_question: str) -> None:
    talk.ask(fresh_question)
    before = talk.pull().json()["data"]
    bound = talk.send("PATCH", json={"user_token": user_token("u1")})
    assert bound.status_code == 200
    assert bound.json()["data"]["attributes"]["uid"] == "u1"
    assert refusal(talk.send("GET"))["code"] == "session-not-found"
    talk.token = bound.json()["data"]["attributes"]["token"]
    assert talk.pull().json()["data"] == before


def test_a_second_different_uid_is_a_conflict_and_changes_nothing(talk: Talk) -> None:
    talk.token = talk.send("PATCH", json={"user_token": user_token("u1")}).json()["data"]["attributes"]["token"]
    refused = talk.send("PATCH", json={"user_token": user_token("u2")})
    assert refused.status_code == 409
    assert refusal(refused)["code"] == "uid-conflict"
    assert talk.send("GET").json()["data"]["attributes"]["uid"] == "u1"


def test_the_same_uid_may_be_bound_again(talk: Talk) -> None:
    for _ in range(2):
        bound = talk.send("PATCH", json={"uid": "u1", "user_token": user_token("u1")})
        assert bound.status_code == 200
        talk.token = bound.json()["data"]["attributes"]["token"]
    assert talk.send("GET").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"user_token": user_token("thief")}),
        ("POST", "/messages", {"text": "怎么退货"}),
        ("GET", "/messages", None),
        ("GET", "/messages?wait=5", None),
        ("GET", "/messages/1", None),
    ],
)
def test_an_unknown_session_a_wrong_token_and_anothers_session_look_the_same(
    client: httpx.Client, talk: Talk, method: str, path: str, body: dict[str, str] | None
) -> None:
    stranger = Talk(client)
    calls = {
        "unknown": (f"{BOT}/sessions/123456", talk.token),
        "wrong token": (talk.path, "wrong"),
        "another's": (talk.path, stranger.token),
    }
    seen = set()
    for session, token in calls.values():
        refused = client.request(method, session + path, json=body, headers={"Authorization": f"Bearer {token}"})
        error = refusal(refused)
        assert refused.status_code == 404
        assert error["code"] == "session-not-found"
        seen.add(refused.text.replace(refused.headers["x-request-id"], ""))
    assert len(seen) == 1


def test_another_sessions_message_is_not_found_with_ones_own_token(
    client: httpx.Client, talk: Talk, fresh_question: str
) -> None:
    mid = talk.ask(fresh_question).json()["data"]["id"]
    theirs, unknown = Talk(client).send("GET", f"/messages/{mid}"), talk.send("GET", "/messages/1")
    assert theirs.status_code == unknown.status_code == 404
    assert {k: v for k, v in refusal(theirs).items() if k != "meta"} == {
        k: v for k, v in refusal(unknown).items() if k != "meta"
    }


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic YTpi", "Token abc"])
def test_without_a_bearer_token_nothing_of_a_session_is_told(
    client: httpx.Client, talk: Talk, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    refused = client.get(talk.path, headers=headers)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refusal(refused)["code"] == "token-required"


def test_the_scheme_bearer_is_read_in_any_case(client: httpx.Client, talk: Talk) -> None:
    assert client.get(talk.path, headers={"Authorization": f"bEaReR {talk.token}"}).status_code == 200
