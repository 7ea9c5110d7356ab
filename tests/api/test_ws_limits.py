"""Frames of a WebSocket are counted as requests are, and its questions as questions: quotas of 20 and 4 a minute."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from api.listeners import socket
from api.service import Service, Talk, serving

WITHIN_S = 15


@pytest.fixture(scope="module")
def limited(demo_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("limited-frames")
    with serving(
        folder,
        demo_index,
        limit_uid_per_min="4",
        limit_ip_per_min="20",
        trusted_proxies="127.0.0.1",
        ws_idle_s="2",
    ) as service:
        yield service


def at(service: Service, address: str) -> tuple[Talk, dict[str, str]]:
    told = {"X-Forwarded-For": address}
    return Talk(httpx.Client(base_url=service.url, headers=told, timeout=20)), told


async def test_questions_are_counted_for_their_user_also_when_he_comes_with_a_ticket(limited: Service) -> None:
    talk, told = at(limited, "192.0.2.1")
    url = limited.url + talk.path
    with closing(talk.client):
        for _ in range(2):
            assert talk.ask("怎么退货", Prefer="respond-async").status_code < 300
        ticket = talk.send("POST", "/tickets").json()["data"]["attributes"]["ticket"]
    async with asyncio.timeout(WITHIN_S), socket(url, ticket, additional_headers=told) as opened:
        for lid in ("1", "2", "3"):
            await opened.send("ask", text="怎么退货", lid=lid)
        assert [(await opened.op("accepted"))["lid"] for _ in range(2)] == ["1", "2"]
        error = await opened.op("error")
        assert (error["status"], error["code"]) == ("429", "rate-limited")
        await opened.send("ping")
        await opened.op("pong")


async def test_who_goes_on_beyond_the_limit_is_closed_and_gets_no_new_connection(limited: Service) -> None:
    talk, told = at(limited, "192.0.2.2")
    talk.client.close()
    url = limited.url + talk.path
    async with asyncio.timeout(WITHIN_S):
        async with socket(url, talk.token, additional_headers=told) as opened:
            for _ in range(40):
                await opened.connection.send(json.dumps({"op": "ping"}))
            frames = [await opened.frame() for _ in range(20)]
            assert sum(frame["op"] == "pong" for frame in frames) == 18  # of 20, less two requests
            assert await opened.closed() == 4008
        with pytest.raises(InvalidStatus) as caught:
            async with socket(url, additional_headers=told):
                pass
    assert caught.value.response.status_code == 429
    assert int(caught.value.response.headers["retry-after"]) >= 1


async def test_who_says_nothing_for_long_is_closed(limited: Service) -> None:
    talk, told = at(limited, "192.0.2.3")
    talk.client.close()
    async with asyncio.timeout(WITHIN_S):
        async with socket(limited.url + talk.path, talk.token, additional_headers=told) as opened:
            assert await opened.closed() == 4009
