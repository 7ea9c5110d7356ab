"""Server-sent events of a session, tickets for them, cancelling and judging an answer, over a real server."""

import asyncio
import subprocess

import httpx
import pytest

from api.listeners import events, seqs
from api.service import Service, Talk, refusal

WITHIN_S = 15


async def test_a_session_is_told_from_the_beginning_and_goes_on(service: Service, talk: Talk) -> None:
    async with asyncio.timeout(WITHIN_S), events(service.url + talk.path, talk.token) as stream:
        headers = stream.response.headers
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert headers["cache-control"] == "no-store"
        assert headers["x-accel-buffering"] == "no"
        assert "x-request-id" in headers
        first = await anext(stream)
        assert (first["id"], first["event"]) == ("1", "session.created")
        answer = await asyncio.to_thread(lambda: talk.ask("怎么退货").json()["data"])
        told = await stream.until("message.completed")
    asked, completed = told[0], told[-1]
    assert seqs(told) == [2, 3]
    assert asked["type"] == "message.accepted"
    assert asked["data"]["attributes"]["text"] == "怎么退货"
    assert completed["data"] == answer
    assert completed["included"]
    assert completed["created_at"].endswith("Z")


async def test_it_goes_on_after_what_the_caller_has(service: Service, talk: Talk) -> None:
    talk.ask("怎么退货")
    url = service.url + talk.path
    async with asyncio.timeout(WITHIN_S):
        async with events(url, talk.token, params={"after": 2}) as stream:
            assert (await anext(stream))["id"] == "3"
        async with events(url, talk.token, params={"after": 0}, headers={"Last-Event-ID": "1"}) as stream:
            assert (await anext(stream))["id"] == "2"


def test_a_cursor_that_makes_no_sense_is_refused_before_anything_is_told(talk: Talk) -> None:
    for query, headers, code in (
        ("?after=9", {}, "cursor-invalid"),
        ("?after=-1", {}, "invalid-parameter"),
        ("?after=x", {}, "invalid-parameter"),
        ("", {"Last-Event-ID": "9"}, "cursor-invalid"),
        ("", {"Last-Event-ID": "x"}, "invalid-parameter"),
    ):
        response = talk.send("GET", f"/events{query}", headers=headers)
        assert response.status_code == 422
        assert refusal(response)["code"] == code


def test_a_ticket_stands_for_the_token_once(client: httpx.Client, talk: Talk) -> None:
    given = talk.send("POST", "/tickets")
    assert given.status_code == 201
    assert given.headers["cache-control"] == "no-store"
    attributes = given.json()["data"]["attributes"]
    assert attributes["expires_in"] == 60
    query = {"ticket": attributes["ticket"]}
    with client.stream("GET", f"{talk.path}/events", params=query) as response:
        assert response.status_code == 200
    stranger = Talk(client)
    for path, ticket in (
        (talk.path, query["ticket"]),  # used
        (stranger.path, talk.send("POST", "/tickets").json()["data"]["attributes"]["ticket"]),  # another session's
        (talk.path, talk.token),  # no token of a day in an address
        (talk.path, "shop~t~guessed"),
        (talk.path, "nobody~t~guessed"),
        (talk.path, ""),
    ):
        refused = client.get(f"{path}/events", params={"ticket": ticket})
        assert refused.status_code == 401
        assert refusal(refused)["code"] == "invalid-token"


@pytest.mark.parametrize("path", ["/events", "/tickets"])
def test_another_ones_session_is_there_for_nobody_else(client: httpx.Client, talk: Talk, path: str) -> None:
    method = "GET" if path == "/events" else "POST"
    stranger = {"Authorization": f"Bearer {Talk(client).token}"}
    refused = client.request(method, talk.path + path, headers=stranger)
    assert (refused.status_code, refusal(refused)["code"]) == (404, "session-not-found")
    assert client.request(method, talk.path + path).status_code == 401


@pytest.mark.slow
def test_curl_reads_the_stream_and_hears_a_ping(service: Service, talk: Talk) -> None:
    talk.ask("怎么退货")
    command = ["curl", "-sN", "--max-time", "11.5", "-H", f"Authorization: Bearer {talk.token}"]
    done = subprocess.run([*command, f"{service.url}{talk.path}/events"], capture_output=True, check=False, timeout=20)
    lines = done.stdout.decode().splitlines()
    assert [line for line in lines if line.startswith("id: ")] == ["id: 1", "id: 2", "id: 3"]
    assert lines[0] == "retry: 1000"
    at = lines.index("event: ping")
    assert lines[at + 1] == "data: {}"


async def test_who_follows_a_session_that_is_erased_is_told_so(service: Service, talk: Talk) -> None:
    async with asyncio.timeout(WITHIN_S), events(service.url + talk.path, talk.token) as stream:
        await anext(stream)
        await asyncio.to_thread(talk.send, "DELETE")
        last = await anext(stream)
        assert last["event"] == "error"
        assert last["data"]["data"]["code"] == "session-not-found"
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


def test_an_answer_that_waits_is_cancelled_and_one_that_is_there_stays(service: Service, talk: Talk) -> None:
    with service.paused("worker"):
        pending = talk.ask("怎么换货呢", Prefer="respond-async").json()["data"]
        cancelled = talk.send("POST", f"/messages/{pending['id']}/cancel")
    assert cancelled.status_code == 200
    attributes = cancelled.json()["data"]["attributes"]
    assert (attributes["state"], attributes["text"]) == ("cancelled", "")
    again = talk.send("POST", f"/messages/{pending['id']}/cancel").json()["data"]
    assert again == cancelled.json()["data"]
    answered = talk.ask("怎么退货").json()["data"]
    assert talk.send("POST", f"/messages/{answered['id']}/cancel").json()["data"] == answered
    assert [one["attributes"]["state"] for one in talk.pull().json()["data"]] == [
        *("completed", "cancelled", "completed", "completed")
    ]
    missing = talk.send("POST", "/messages/1/cancel")
    assert (missing.status_code, refusal(missing)["code"]) == (404, "message-not-found")


def test_an_answer_is_judged_once_and_anew(talk: Talk) -> None:
    mid = talk.ask("怎么退货").json()["data"]["id"]
    for said in ({"value": "up"}, {"value": "up"}, {"value": "down", "reason": "没说清楚"}):
        kept = talk.send("PUT", f"/messages/{mid}/feedback", json=said)
        assert kept.status_code == 200
        attributes = {"reason": None, **said}
        assert kept.json()["data"] == {"type": "feedback", "id": mid, "attributes": attributes}
    assert talk.send("GET").json()["data"]["attributes"]["last_message_id"] == 5  # the same again is no news


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid-body"),
        ({"value": "sideways"}, 422, "invalid-body"),
        ({"value": "up\n"}, 422, "invalid-body"),
        ({"value": "up", "reason": "x" * 501}, 422, "invalid-body"),
        ({"value": "up", "why": ""}, 422, "invalid-body"),
    ],
)
def test_a_judgement_of_another_shape_is_refused(talk: Talk, body: dict[str, str], status: int, code: str) -> None:
    mid = talk.ask("怎么退货").json()["data"]["id"]
    refused = talk.send("PUT", f"/messages/{mid}/feedback", json=body)
    assert (refused.status_code, refusal(refused)["code"]) == (status, code)


def test_a_question_is_not_judged(talk: Talk) -> None:
    [question] = [one["id"] for one in talk.ask("怎么退货").json()["included"] if one["type"] == "messages"]
    refused = talk.send("PUT", f"/messages/{question}/feedback", json={"value": "up"})
    assert (refused.status_code, refusal(refused)["code"]) == (409, "not-an-answer")
