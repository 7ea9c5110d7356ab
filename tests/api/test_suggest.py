"""GET /suggest over HTTP: what is offered while somebody types, to whom, and what is refused."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from access.minting import user_token
from answering.small_base import build_small, faq

from api.service import BOT, Service, Talk, eventually, refusal, serving

FOLLOWED_WITHIN_S = 1.5  # a second, and a busy machine
REFUSED = {
    "nothing": ({}, "q"),
    "an empty text": ({"q": ""}, "q"),
    "white space": ({"q": " \t\u3000"}, "q"),
    "what cannot be seen": ({"q": "\u200b\x00"}, "q"),
    "65 characters": ({"q": "退" * 65}, "q"),
    "no suggestion": ({"q": "退", "limit": "0"}, "limit"),
    "21 suggestions": ({"q": "退", "limit": "21"}, "limit"),
    "half a suggestion": ({"q": "退", "limit": "1.5"}, "limit"),
    "a locale that is none": ({"q": "退", "locale": "zh_CN!"}, "locale"),
    "a locale with a line break": ({"q": "退", "locale": "zh\n"}, "locale"),
}


def suggest(client: httpx.Client, q: str, **more: Any) -> list[dict[str, Any]]:
    """What is offered: each suggestion's attributes with its id."""
    headers = more.pop("headers", {})
    response = client.get(f"{BOT}/suggest", params={"q": q, **more}, headers=headers)
    assert response.status_code == 200, response.text
    document = response.json()
    assert document["meta"]["request_id"] == response.headers["x-request-id"]
    assert all(one["type"] == "suggestions" for one in document["data"])
    return [{"id": one["id"], **one["attributes"]} for one in document["data"]]


@pytest.mark.parametrize(
    ("typed", "match", "marked"),
    [
        ("退货的运", "prefix", "退货的运"),
        ("tuihuo", "pinyin", "退货"),
        ("退h", "pinyin", "退货"),
        ("货物", "substring", "货物"),
        ("优惠券怎末", "fuzzy", "优惠券怎么"),
        ("How do I st", "prefix", "How do I st"),
        ("PASSVORD", "fuzzy", "password"),
    ],
)
def test_known_questions_are_offered_for_what_is_typed(
    gateway: httpx.Client, typed: str, match: str, marked: str
) -> None:
    best = suggest(gateway, typed)[0]
    assert set(best) == {"id", "text", "match", "highlight"}
    assert best["match"] == match
    assert "".join(best["text"][begin:end] for begin, end in best["highlight"]) == marked


def test_a_suggestion_that_is_asked_is_answered_by_its_entry(gateway: httpx.Client, talk: Talk) -> None:
    best = suggest(gateway, "tuihuodey")[0]
    assert talk.answer(best["text"])["about"][0] == best["id"]


def test_eight_come_unless_fewer_or_more_are_wanted(gateway: httpx.Client) -> None:
    assert len(suggest(gateway, "退")) == 8
    assert len(suggest(gateway, "退", limit=20)) == 20
    assert suggest(gateway, "退", limit=3) == suggest(gateway, "退")[:3]


@pytest.mark.parametrize("typed", ["？", "😀", "qqqqqq", "龘龘", "%", "a&b=c", "退" * 64, "\ufffd", "'; DROP TABLE"])
def test_what_fits_nothing_is_an_empty_list(gateway: httpx.Client, typed: str) -> None:
    assert suggest(gateway, typed) == []


def test_a_locale_prefers_its_language(gateway: httpx.Client) -> None:
    assert [one["id"].startswith("en-") for one in suggest(gateway, "pl", locale="en", limit=1)] == [True]
    assert [one["id"].startswith("en-") for one in suggest(gateway, "plus", locale="zh-CN", limit=1)] == [False]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_beginning_of_a_question_is_refused(gateway: httpx.Client, name: str) -> None:
    query, parameter = REFUSED[name]
    response = gateway.get(f"{BOT}/suggest", params=query)
    assert response.status_code == 422
    error = refusal(response)
    assert (error["code"], error["source"]) == ("invalid-parameter", {"parameter": parameter})


@pytest.mark.parametrize("raw", [b"%", b"%ff", b"%ed%a0%80", b"%cd%cb", b"%00", b"+", b"%E9%80%80" * 100])
def test_raw_bytes_in_the_query_surprise_nobody(gateway: httpx.Client, raw: bytes) -> None:
    url = httpx.URL(gateway.base_url.join(f"{BOT}/suggest"), query=b"q=" + raw)
    assert gateway.get(url).status_code in {200, 400, 422}


def test_another_method_is_refused(gateway: httpx.Client) -> None:
    assert gateway.post(f"{BOT}/suggest", json={"q": "退"}).status_code == 405


def test_a_device_types_ahead_in_its_own_session_alone(client: httpx.Client, talk: Talk) -> None:
    own = {"Authorization": f"Bearer {talk.token}"}
    assert suggest(client, "退货", sid=talk.sid, headers=own)
    other = Talk(client)
    unknown = client.get(f"{BOT}/suggest", params={"q": "退货", "sid": "7"}, headers=own)
    anothers = client.get(f"{BOT}/suggest", params={"q": "退货", "sid": other.sid}, headers=own)
    assert unknown.status_code == anothers.status_code == 404
    for response in (unknown, anothers):
        error = refusal(response)
        assert error.pop("meta")
        assert error["code"] == "session-not-found"
    nameless = client.get(f"{BOT}/suggest", params={"q": "退货"}, headers=own)
    assert nameless.status_code == 401
    assert refusal(nameless)["source"] == {"parameter": "sid"}


def test_a_user_types_ahead_and_whoever_shows_nothing_does_not(client: httpx.Client) -> None:
    assert suggest(client, "退货", headers={"Authorization": f"Bearer {user_token('u1')}"})
    refused = client.get(f"{BOT}/suggest", params={"q": "退货"})
    assert refused.status_code == 401
    assert refusal(refused)["code"] == "token-required"
    forged = client.get(f"{BOT}/suggest", params={"q": "退"}, headers={"Authorization": "Bearer made-up"})
    assert forged.status_code == 401  # as any opaque token: it opens a session or nothing
    session = client.get(f"{BOT}/suggest", params={"q": "退", "sid": "1"}, headers={"Authorization": "Bearer made-up"})
    assert session.status_code == 404


def test_when_no_worker_is_there_in_time_it_says_so(service: Service, gateway: httpx.Client) -> None:
    with service.paused("worker"):
        started = time.monotonic()
        late = gateway.get(f"{BOT}/suggest", params={"q": "退货后多久"})
        assert time.monotonic() - started < 2
    assert late.status_code == 503
    assert refusal(late)["code"] == "answer-late"
    assert late.headers["retry-after"]
    assert eventually(lambda: gateway.get(f"{BOT}/suggest", params={"q": "退货后多"}).status_code == 200, 5)


def test_what_was_just_typed_is_remembered_and_needs_no_worker(service: Service, gateway: httpx.Client) -> None:
    first = suggest(gateway, "发票抬")
    with service.paused("worker"):
        assert suggest(gateway, "发票抬") == suggest(gateway, " 发票抬 ") == first


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Service, httpx.Client]]:
    """A service of its own, with a small base and a quota of 30 requests an address."""
    folder = tmp_path_factory.mktemp("own")
    versions, built = build_small(folder, [faq("old", "旧", "怎么申请退货")])
    versions.activate(built.version)
    with (
        serving(folder, folder / "indexes", limit_ip_per_min="30", limit_uid_per_min="2") as service,
        httpx.Client(base_url=service.url, timeout=20) as client,
    ):
        yield folder, service, client
        assert not service.log("unexpected error")
        assert not service.log("batch failed")


def test_it_counts_as_a_request_and_not_as_a_question(own: tuple[Path, Service, httpx.Client]) -> None:
    _, _, client = own
    talk = Talk(client)
    headers = {"Authorization": f"Bearer {talk.token}"}
    answers = [client.get(f"{BOT}/suggest", params={"q": "z", "sid": talk.sid}, headers=headers) for _ in range(30)]
    assert [one.status_code for one in answers] == [200] * 29 + [429]
    assert answers[-1].headers["retry-after"]
    assert '"uid"' not in answers[0].headers["ratelimit-policy"]


def test_what_is_offered_follows_the_index_within_a_second(own: tuple[Path, Service, httpx.Client]) -> None:
    folder, service, client = own
    assert [one["text"] for one in suggest(client, "怎么", headers=service.bearer)] == ["怎么申请退货"]
    versions, built = build_small(folder, [faq("new", "新", "怎么申请换货")])
    versions.activate(built.version)

    def offered() -> list[str]:
        return [one["text"] for one in suggest(client, "怎么", headers=service.bearer)]

    assert eventually(lambda: bool(service.log("index ready")[1:]), 10)  # the build's own time is not the question's
    assert eventually(lambda: offered() == ["怎么申请换货"], FOLLOWED_WITHIN_S)
    assert {tuple(offered()) for _ in range(20)} == {("怎么申请换货",)}
