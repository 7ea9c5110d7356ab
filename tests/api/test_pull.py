"""Reading on from a cursor, and waiting for what is not there yet."""

import asyncio
import time

import httpx
import pytest

from api.service import Service, Talk, refusal


@pytest.fixture(scope="module")
def told(client: httpx.Client) -> Talk:
    """A session of three questions and answers, only read."""
    talk = Talk(client)
    for text in ("怎么退货", "怎么换货", "怎么开发票"):
        assert talk.ask(text).status_code == 201
    return talk


def test_a_pull_gives_everything_in_the_order_of_its_numbers(told: Talk) -> None:
    page = told.pull().json()
    seqs = [one["attributes"]["seq"] for one in page["data"]]
    assert seqs == [2, 3, 4, 5, 6, 7]
    assert [one["attributes"]["role"] for one in page["data"]] == ["user", "bot"] * 3
    assert page["meta"]["last_message_id"] == 7
    assert page["meta"]["has_more"] is False
    assert len(page["included"]) >= 1


def test_pages_follow_their_cursor_without_a_gap_or_a_repetition(told: Talk) -> None:
    seen, cursor, more = [], 0, True
    while more:
        page = told.pull(cursor, limit=2).json()
        assert len(page["data"]) <= 2
        seen += [one["attributes"]["seq"] for one in page["data"]]
        cursor, more = page["meta"]["last_message_id"], page["meta"]["has_more"]
    assert seen == [2, 3, 4, 5, 6, 7]


def test_the_next_link_leads_on(told: Talk) -> None:
    link = told.pull(limit=4).json()["links"]["next"]
    following = told.client.get(link, headers={"Authorization": f"Bearer {told.token}"}).json()
    assert [one["attributes"]["seq"] for one in following["data"]] == [6, 7]


def test_a_pull_at_the_end_is_an_empty_list_at_once(told: Talk) -> None:
    started = time.monotonic()
    page = told.pull(7)
    assert page.status_code == 200
    assert page.json()["data"] == []
    assert page.json()["meta"]["last_message_id"] == 7
    assert time.monotonic() - started < 0.5


def test_a_cursor_from_the_future_is_refused(told: Talk) -> None:
    refused = told.pull(8)
    assert refused.status_code == 422
    assert refusal(refused)["code"] == "cursor-invalid"
    assert refusal(refused)["source"] == {"parameter": "last_message_id"}


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=101", "limit=-1", "limit=a", "limit=1.5", "limit=", "limit=%EF%BC%95", "limit=+5"),
        *("limit=%zz", "limit=%ff", "wait=31", "wait=-1", "wait=nan", "wait=1e1"),
        *(
            "last_message_id=-1",
            "last_message_id=a",
            "last_message_id=9007199254740993",
            "last_message_id=" + "9" * 400,
        ),
    ],
)
def test_a_bad_number_in_the_query_is_refused_by_its_name(told: Talk, query: str) -> None:
    refused = told.send("GET", f"/messages?{query}")
    assert refused.status_code == 422
    assert refusal(refused)["code"] == "invalid-parameter"
    assert refusal(refused)["source"] == {"parameter": query.partition("=")[0]}


def test_an_unknown_query_parameter_changes_nothing(told: Talk) -> None:
    assert told.send("GET", "/messages?foo=%ff&bar").json()["data"] == told.pull().json()["data"]


async def test_a_long_poll_returns_as_soon_as_the_answer_is_there(talk: Talk, fresh_question: str) -> None:
    polling = asyncio.create_task(asyncio.to_thread(talk.pull, 1, wait=20))
    await asyncio.sleep(0.5)
    assert not polling.done()
    asked = await asyncio.to_thread(talk.ask, fresh_question)
    page = await polling
    assert page.elapsed.total_seconds() < 1.5
    assert page.json()["data"][0]["id"] == asked.json()["data"]["attributes"]["in_reply_to"]


def test_a_long_poll_that_ends_without_news_is_an_empty_200(talk: Talk) -> None:
    started = time.monotonic()
    page = talk.pull(1, wait=1)
    assert page.status_code == 200
    assert page.json()["data"] == []
    assert time.monotonic() - started == pytest.approx(1, abs=0.4)


async def test_five_hundred_long_polls_wait_in_one_process_and_all_are_answered(
    service: Service, client: httpx.Client
) -> None:
    talks = [Talk(client) for _ in range(25)]
    address = httpx.URL(service.url)

    # Plain streams: a pooling client takes longer over 500 connections than the service.
    async def poll(talk: Talk) -> bytes:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        path = f"{talk.path}/messages?last_message_id=1&wait=30"
        head = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {talk.token}\r\n\r\n"
        )
        writer.write(head.encode())
        received = await reader.read()
        writer.close()
        await writer.wait_closed()
        return received

    polls = [asyncio.create_task(poll(talk)) for talk in talks for _ in range(20)]
    await asyncio.sleep(1.5)
    assert not any(task.done() for task in polls)
    assert (await asyncio.to_thread(client.get, "/healthz")).elapsed.total_seconds() < 0.5
    started = time.monotonic()
    for talk in talks:
        await asyncio.to_thread(talk.ask, "怎么退货", Prefer="respond-async")
    pages = await asyncio.gather(*polls)
    assert time.monotonic() - started < 4
    assert len(pages) == 500
    assert all(page.startswith(b"HTTP/1.1 200 ") and "怎么退货".encode() in page for page in pages)
