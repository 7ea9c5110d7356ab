"""Messages over HTTP: asked, waited for, back-filled, asked again under the same key."""

import time

import httpx
import pytest

from api.service import BOT, Service, Talk, eventually, refusal

THINKING = "正在思考中"


def test_an_answer_comes_with_its_place_its_question_and_its_sources(talk: Talk) -> None:
    response = talk.ask("满多少钱包邮？")
    document = response.json()
    message, attributes = document["data"], document["data"]["attributes"]
    assert response.status_code == 201
    assert response.headers["location"] == f"{talk.path}/messages/{message['id']}"
    assert attributes["role"] == "bot"
    assert attributes["state"] == "completed"
    assert 0 <= attributes["confidence"] <= 1
    assert attributes["index_version"]
    question = next(one for one in document["included"] if one["type"] == "messages")
    assert question["id"] == attributes["in_reply_to"]
    assert question["attributes"]["text"] == "满多少钱包邮？"
    assert [one["type"] for one in document["included"] if one["type"] != "messages"] == ["entries"]


def test_the_message_is_found_again_under_its_location(talk: Talk, fresh_question: str) -> None:
    asked = talk.ask(fresh_question)
    read = talk.client.get(asked.headers["location"], headers={"Authorization": f"Bearer {talk.token}"})
    assert read.status_code == 200
    assert read.json()["data"] == asked.json()["data"]
    assert "retry-after" not in read.headers


def test_respond_async_answers_at_once_and_the_answer_is_back_filled(
    talk: Talk, service: Service, fresh_question: str
) -> None:
    with service.paused("worker"):
        started = time.monotonic()
        accepted = talk.ask(fresh_question, Prefer="respond-async")
        assert time.monotonic() - started < 0.5
        attributes = accepted.json()["data"]["attributes"]
        assert accepted.status_code == 202
        assert accepted.headers["retry-after"] == "1"
        assert attributes["state"] == "pending"
        assert THINKING in attributes["text"]
        pending = talk.send("GET", f"/messages/{accepted.json()['data']['id']}")
        assert pending.json()["data"]["attributes"]["state"] == "pending"
        assert pending.headers["retry-after"] == "1"
        assert [one["attributes"]["role"] for one in talk.pull().json()["data"]] == ["user"]

    def answered() -> bool:
        read = talk.send("GET", f"/messages/{accepted.json()['data']['id']}")
        return bool(read.json()["data"]["attributes"]["state"] == "completed")

    assert eventually(answered, 5)
    question, answer = talk.pull().json()["data"]
    assert answer["id"] == accepted.json()["data"]["id"]
    assert answer["attributes"]["in_reply_to"] == question["id"]
    assert THINKING not in answer["attributes"]["text"]


def test_the_placeholder_speaks_the_language_of_the_question(talk: Talk, service: Service) -> None:
    with service.paused("worker"):
        accepted = talk.ask("How long is a coupon of last year valid?", Prefer="respond-async")
    assert accepted.json()["data"]["attributes"]["text"] == "Thinking…"


@pytest.mark.parametrize(("prefer", "seconds"), [("wait=0", 0.0), ("WAIT = 1", 0.5), ("wait=99999", 2.5)])
def test_a_caller_says_how_long_it_waits_and_half_a_second_stays_in_hand(
    talk: Talk, service: Service, fresh_question: str, prefer: str, seconds: float
) -> None:
    with service.paused("worker"):
        started = time.monotonic()
        accepted = talk.ask(fresh_question, Prefer=prefer)
        elapsed_s = time.monotonic() - started
    assert accepted.status_code == 202
    assert elapsed_s == pytest.approx(seconds, abs=0.25)


def test_the_placeholder_leaves_after_two_and_a_half_seconds_and_the_answer_is_back_filled(
    talk: Talk, service: Service, fresh_question: str
) -> None:
    with service.paused("worker"):
        started = time.monotonic()
        accepted = talk.ask(fresh_question)
        elapsed_s = time.monotonic() - started
    assert accepted.status_code == 202
    assert elapsed_s == pytest.approx(2.5, abs=0.3)
    # The stopped worker may have lost the question on its way in: then it is taken over after five seconds.
    arrived = talk.pull(2, wait=10).json()["data"]
    assert [one["id"] for one in arrived] == [accepted.json()["data"]["id"]]
    assert arrived[0]["attributes"]["state"] == "completed"


def test_the_same_key_and_body_give_the_same_message_again(talk: Talk, fresh_question: str) -> None:
    first = talk.ask(fresh_question, Idempotency_Key="k-1")
    again = talk.ask(fresh_question, Idempotency_Key="k-1")
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.status_code == 201
    assert again.json()["data"] == first.json()["data"]
    assert again.json()["included"] == first.json()["included"]
    assert len(talk.pull().json()["data"]) == 2


def test_a_replay_while_the_first_is_running_shows_the_same_pending_message(
    talk: Talk, service: Service, fresh_question: str
) -> None:
    with service.paused("worker"):
        first = talk.ask(fresh_question, Idempotency_Key="k", Prefer="respond-async")
        again = talk.ask(fresh_question, Idempotency_Key="k", Prefer="respond-async")
    assert again.status_code == 202
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["data"] == first.json()["data"]


def test_the_same_key_with_another_body_is_refused(talk: Talk) -> None:
    talk.ask("怎么退货", Idempotency_Key="k")
    refused = talk.ask("怎么换货", Idempotency_Key="k")
    assert refused.status_code == 422
    assert refusal(refused)["code"] == "idempotency-key-reused"


def test_another_locale_is_another_body(talk: Talk) -> None:
    keyed = {"Idempotency-Key": "k"}
    assert talk.send("POST", "/messages", json={"text": "怎么退货"}, headers=keyed).status_code == 201
    refused = talk.send("POST", "/messages", json={"text": "怎么退货", "locale": "en"}, headers=keyed)
    assert refusal(refused)["code"] == "idempotency-key-reused"


def test_a_key_belongs_to_its_session(client: httpx.Client, fresh_question: str) -> None:
    ids = {Talk(client).ask(fresh_question, Idempotency_Key="shared").json()["data"]["id"] for _ in range(2)}
    assert len(ids) == 2


def test_a_json_api_documents_lid_is_an_idempotency_key(talk: Talk, fresh_question: str) -> None:
    document = {"data": {"type": "messages", "lid": "local-1", "attributes": {"text": fresh_question}}}
    first, again = (talk.send("POST", "/messages", json=document) for _ in range(2))
    assert first.status_code == 201
    assert again.json()["data"] == first.json()["data"]
    assert again.headers["idempotent-replayed"] == "true"


def test_a_question_that_another_session_asked_is_answered_by_the_cache(
    client: httpx.Client, fresh_question: str
) -> None:
    first, second = (Talk(client).answer(fresh_question) for _ in range(2))
    assert first["served_by"] != "cache"
    assert second["served_by"] == "cache"
    assert second["text"] == first["text"]
    assert second["about"] == first["about"]


def test_a_follow_up_is_answered_from_its_context_and_never_from_the_cache(client: httpx.Client) -> None:
    def after(topic: str) -> list[str]:
        talk = Talk(client)
        talk.ask(topic)
        follow_up = talk.answer("那一般要多久呢")
        assert follow_up["served_by"] != "cache"
        return list(follow_up["about"])

    refund, invoice = after("怎么申请退款"), after("怎么开发票")
    assert after("怎么申请退款") == refund
    assert any("invoice" in entry for entry in invoice)
    assert not any("invoice" in entry for entry in refund)


def test_many_questions_of_one_session_are_answered_in_their_order(talk: Talk) -> None:
    texts = [f"第{n}张优惠券怎么用" for n in range(8)]
    ids = [talk.ask(text, Prefer="respond-async").json()["data"]["id"] for text in texts]
    assert eventually(lambda: len(talk.pull().json()["data"]) == 16, 10)
    answers = [one for one in talk.pull().json()["data"] if one["attributes"]["role"] == "bot"]
    assert [one["id"] for one in answers] == ids


def test_more_waiting_questions_than_a_session_may_have_are_told_to_come_later(talk: Talk, service: Service) -> None:
    with service.paused("worker"):
        answers = [talk.ask(f"发票抬头第{n}种怎么改", Prefer="respond-async") for n in range(40)]
    refused = [response for response in answers if response.status_code != 202]
    assert 0 < len(refused) < 10
    assert {response.status_code for response in refused} == {429}
    assert {refusal(response)["code"] for response in refused} == {"too-many-pending"}
    assert all(int(response.headers["retry-after"]) >= 1 for response in refused)


def test_one_stateless_question_is_answered_with_the_time_of_each_stage(
    gateway: httpx.Client, fresh_question: str
) -> None:
    response = gateway.post(f"{BOT}/answers", json={"text": fresh_question})
    stages = dict(stage.split(";dur=") for stage in response.headers["server-timing"].split(", "))
    assert response.status_code == 200
    assert response.json()["data"]["type"] == "answers"
    assert response.json()["data"]["attributes"]["decision"]
    assert len(stages) >= 3
    assert 0 < max(float(stage) for stage in stages.values()) <= float(stages["total"])


def test_a_repeated_stateless_question_is_answered_by_the_cache(gateway: httpx.Client, fresh_question: str) -> None:
    first, again = (gateway.post(f"{BOT}/answers", json={"text": fresh_question}).json()["data"] for _ in range(2))
    assert first["attributes"]["served_by"] != "cache"
    assert again["attributes"]["served_by"] == "cache"


def test_a_stateless_question_that_nobody_answers_in_time_is_503(
    gateway: httpx.Client, service: Service, fresh_question: str
) -> None:
    with service.paused("worker"):
        started = time.monotonic()
        late = gateway.post(f"{BOT}/answers", json={"text": fresh_question})
        elapsed_s = time.monotonic() - started
    assert late.status_code == 503
    assert refusal(late)["code"] == "answer-late"
    assert late.headers["retry-after"] == "1"
    assert elapsed_s == pytest.approx(2.5, abs=0.3)
