"""POST /explain over HTTP: what POST /answers says, and every number that led to it."""

import json
from typing import Any

import httpx
import pytest

from api.service import BOT, JSON, ROOT, Service, eventually, refusal
from api.test_bad_input import BODIES, check
from qa_service.retrieval.shelf import RERANKED

LOCALE = "zh-HK"  # no other test asks in it: what is answered here was not cached before
STAGES = {"cache", "encode", "vectors", "keyword", "fuse", "rerank"}
QUESTIONS = [
    json.loads(line)["query"]
    for name in ("questions.zh", "questions.en", "questions.articles.zh")
    for line in (ROOT / f"data/evaluation/{name}.jsonl").read_text(encoding="utf-8").splitlines()[:6]
]
QUESTIONS += ["转人工", "asdfghjkl", "？！"]


def post(gateway: httpx.Client, route: str, text: str, locale: str = LOCALE) -> httpx.Response:
    response = gateway.post(f"{BOT}/{route}", json={"text": text, "locale": locale})
    assert response.status_code == 200, response.text
    return response


def attributes_of(response: httpx.Response) -> dict[str, Any]:
    return dict(response.json()["data"]["attributes"])


def timings_of(response: httpx.Response) -> dict[str, float]:
    """The stages that Server-Timing names, with their milliseconds."""
    parts = (part.split(";dur=") for part in response.headers["server-timing"].split(", "))
    return {stage: float(elapsed_ms) for stage, elapsed_ms in parts}


@pytest.mark.parametrize("text", QUESTIONS)
def test_it_says_what_answers_says(gateway: httpx.Client, text: str) -> None:
    explained, answered = post(gateway, "explain", text), post(gateway, "answers", text)
    told, answer = attributes_of(explained)["answer"], attributes_of(answered)
    assert answer["served_by"] != "cache"
    for one in (told, answer):
        assert one.pop("elapsed_ms") > 0
    assert told == answer
    assert explained.json().get("included") == answered.json().get("included")


def test_a_cached_answer_is_explained_all_the_same(gateway: httpx.Client) -> None:
    answers = [attributes_of(post(gateway, "answers", "退货的运费谁来出呀", "zh-MO")) for _ in range(2)]
    assert [answer["served_by"] == "cache" for answer in answers] == [False, True]
    explained = attributes_of(post(gateway, "explain", "退货的运费谁来出呀", "zh-MO"))
    assert explained["answer"]["text"] == answers[0]["text"]
    assert explained["answer"]["served_by"] == answers[0]["served_by"]
    assert explained["faq"]


def test_every_candidate_comes_with_its_scores_terms_and_signs(gateway: httpx.Client) -> None:
    explained = attributes_of(post(gateway, "explain", "怎么退货"))
    assert explained["asked"] == "怎么退货"
    assert {"怎么", "退货"} <= set(explained["tokens"])
    assert set(explained["thresholds"]) == {"answer", "clarify", "passage"}
    assert explained["calibration"]
    assert explained["reason"]
    assert 0.5 < explained["in_scope"] <= 1.0
    assert explained["answer"]["index_version"]
    assert len(explained["faq"]) > RERANKED
    for place, one in enumerate(explained["faq"]):
        hit = one["hit"]
        assert set(hit) == {
            *("entry", "entry_id", "wording", "keyword", "vector", "fused"),
            *("centroid", "answer", "not_for", "reranked", "probability"),
        }
        assert one["question"]
        assert set(one["terms"]) <= set(explained["tokens"])
        assert bool(one["signs"]) == (place < RERANKED)
        if one["signs"]:
            assert sum(one["signs"].values()) == pytest.approx(hit["reranked"], abs=1e-5)
            assert one["signs"]["fused"] == hit["fused"]
    assert explained["faq"][0]["hit"]["probability"] == pytest.approx(explained["answer"]["confidence"], abs=1e-4)


def test_where_the_faq_does_not_answer_the_passages_are_explained_too(gateway: httpx.Client) -> None:
    explained = attributes_of(post(gateway, "explain", "手机送修要等好久，能先借一台用用吗"))
    assert explained["answer"]["decision"] != "answer"
    assert explained["passages"][0]["terms"]
    assert explained["passages"][0]["signs"]


@pytest.mark.parametrize(("route", "more"), [("explain", set()), ("answers", {"total"})])
def test_server_timing_names_the_stages(gateway: httpx.Client, route: str, more: set[str]) -> None:
    response = post(gateway, route, "地址写错了能不能改一下呢", "zh-SG")
    timings = timings_of(response)
    assert set(timings) >= STAGES | more
    assert all(elapsed_ms >= 0 for elapsed_ms in timings.values())
    if route == "explain":
        told = attributes_of(response)["timings_ms"]
        assert told == pytest.approx(timings, abs=0.006)  # three decimals beside two
    else:
        assert sum(timings.values()) - timings["total"] <= timings["total"]


def test_a_cached_answer_names_no_stage_that_it_did_not_go_through(gateway: httpx.Client) -> None:
    post(gateway, "answers", "发票可以开公司抬头吗", "zh-SG")
    again = post(gateway, "answers", "发票可以开公司抬头吗", "zh-SG")
    assert attributes_of(again)["served_by"] == "cache"
    assert set(timings_of(again)) == {"total"}


def test_the_longest_question_is_explained_in_time(gateway: httpx.Client) -> None:
    text = "".join(QUESTIONS)[:500]
    assert len(text) == 500
    assert attributes_of(post(gateway, "explain", text))["tokens"]


@pytest.mark.parametrize("name", [name for name in BODIES if "lid" not in name])
def test_a_bad_body_is_refused_as_answers_refuses_it(gateway: httpx.Client, name: str) -> None:
    body, status, code = BODIES[name]
    check(gateway.post(f"{BOT}/explain", content=body, headers=JSON), status, code)


def test_another_content_type_and_another_method_are_refused_as_well(gateway: httpx.Client) -> None:
    check(gateway.post(f"{BOT}/explain", content=b"{}"), 415, "unsupported-media-type")
    assert gateway.get(f"{BOT}/explain").status_code == 405


def test_its_request_id_travels_to_the_explanation(gateway: httpx.Client) -> None:
    response = gateway.post(f"{BOT}/explain", json={"text": "怎么退货"}, headers={"X-Request-ID": "why-1"})
    assert response.json()["data"]["id"] == response.json()["meta"]["request_id"] == "why-1"
    assert response.json()["data"]["type"] == "explanations"


def test_when_no_worker_answers_in_time_it_says_so_and_the_question_is_forgotten(
    service: Service, gateway: httpx.Client
) -> None:
    with service.paused("worker"):
        late = gateway.post(f"{BOT}/explain", json={"text": "怎么退货"})
    assert late.status_code == 503
    assert refusal(late)["code"] == "answer-late"
    assert late.headers["retry-after"]
    assert eventually(lambda: gateway.post(f"{BOT}/explain", json={"text": "怎么退货"}).status_code == 200, 5)
