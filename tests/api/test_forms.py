"""One suite over JSON and XML, in UTF-8, GBK and GB18030: the same calls, the same answers, the same refusals."""

import re
from typing import Any

import httpx
import pytest

from api.legacy_wires import WIRES, Heard, Wire
from api.service import BOT, JSON, Service, Talk
from qa_service.api.openapi import CODES

SHANGHAI = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+08:00"


@pytest.fixture(params=WIRES, ids=str)
def wire(request: pytest.FixtureRequest) -> Wire:
    return request.param  # type: ignore[no-any-return]  # pytest's are Any


class Session:
    """A session that is spoken to over one wire."""

    def __init__(self, client: httpx.Client, wire: Wire) -> None:
        opened = wire.send(client, "POST", f"{BOT}/sessions", {"device_id": "老网关"})
        assert opened.status == 201
        self.client, self.wire, self.opened = client, wire, opened
        self.path = f"{BOT}/sessions/{opened.document['data']['id']}"
        self.bearer = f"Bearer {opened.document['data']['attributes']['token']}"

    def send(self, method: str, path: str = "", body: dict[str, Any] | None = None, **headers: str) -> Heard:
        return self.wire.send(self.client, method, self.path + path, body, **{"Authorization": self.bearer, **headers})

    def plainly(self, path: str = "") -> Any:
        """The same in JSON, as everybody reads it."""
        response = self.client.get(self.path + path, headers={"Authorization": self.bearer})
        assert response.headers["content-type"] == "application/json"
        return response.json()


@pytest.fixture
def session(client: httpx.Client, wire: Wire) -> Session:
    return Session(client, wire)


def without_request(document: Any) -> Any:
    return {**document, "meta": {**document["meta"], "request_id": ""}}


def test_a_session_is_opened_asked_read_and_erased(session: Session) -> None:
    assert session.opened.document["data"]["attributes"]["device_id"] == "老网关"
    asked = session.send("POST", "/messages", {"text": "怎么退货？", "locale": "zh-CN"})
    assert asked.status == 201
    answer = asked.document["data"]
    assert answer["attributes"]["decision"] == "answer"
    assert "退货" in answer["attributes"]["text"]
    assert [one["type"] for one in asked.document["included"]] == ["messages", "entries"]
    assert asked.document["included"][0]["attributes"]["text"] == "怎么退货？"
    for path in ("/messages", "/messages?last_message_id=2", f"/messages/{answer['id']}", ""):
        assert without_request(session.send("GET", path).document) == without_request(session.plainly(path)), path
    erased = session.send("DELETE")
    assert (erased.status, erased.raw) == (204, b"")
    assert session.send("GET").document["errors"][0]["code"] == "session-not-found"


def test_answers_and_explain_say_the_same(gateway: httpx.Client, wire: Wire) -> None:
    for route in ("answers", "explain"):
        body = {"text": "运费多少钱"}
        legacy = wire.send(gateway, "POST", f"{BOT}/{route}", body)
        plain = gateway.post(f"{BOT}/{route}", json=body).json()
        assert legacy.status == 200
        assert legacy.document["included"] == plain["included"]
        assert legacy.document["data"].keys() == plain["data"].keys()
        mine, theirs = legacy.document["data"]["attributes"], plain["data"]["attributes"]
        assert mine.keys() == theirs.keys()
        differ = {key for key in mine if mine[key] != theirs[key]}
        assert differ <= {"elapsed_ms", "timings_ms", "answer", "served_by"}


@pytest.mark.parametrize("text", ["退€货𠮷 <b>&amp;</b> ]]>", "é ñ ™ 😀", 'a "b" \\ \\u0041 /'])
def test_what_a_charset_cannot_hold_arrives_all_the_same(session: Session, text: str) -> None:
    asked = session.send("POST", "/messages", {"text": text} if session.wire.form == "xml" else {"text": "x"})
    if session.wire.form == "json":  # whose writer, here, has no escapes: it is answered in them
        asked = Wire.heard(
            session.wire,
            session.client.post(
                f"{session.path}/messages",
                json={"text": text},
                headers={**session.wire.headers, **JSON, "Authorization": session.bearer},
            ),
        )
    assert asked.document["included"][0]["attributes"]["text"] == text


def test_a_key_makes_a_call_safe_to_repeat(session: Session) -> None:
    body = {"text": "怎么开发票", "lid": "网关-1"}
    first, again = (session.send("POST", "/messages", body) for _ in range(2))
    assert first.document["data"]["id"] == again.document["data"]["id"]
    assert again.headers["idempotent-replayed"] == "true"
    other = session.send("POST", "/messages", {**body, "text": "别的"})
    assert (other.status, other.document["errors"][0]["code"]) == (422, "idempotency-key-reused")


_ATTRIBUTES, _CURSOR = {"pointer": "/data/attributes"}, {"parameter": "last_message_id"}
REFUSED: dict[str, tuple[str, str, dict[str, Any] | None, int, str, dict[str, str]]] = {
    "an empty question": ("POST", "/messages", {"text": "　"}, 422, "question-empty", {"pointer": "/text"}),
    "a long question": ("POST", "/messages", {"text": "退" * 501}, 422, "question-too-long", {"pointer": "/text"}),
    "a number": ("POST", "/messages", {"text": 1}, 422, "question-not-text", {"pointer": "/text"}),
    "null": ("POST", "/messages", {"text": None}, 422, "question-not-text", {"pointer": "/text"}),
    "a list": ("POST", "/messages", {"text": ["a"]}, 422, "question-not-text", {"pointer": "/text"}),
    "an object": ("POST", "/messages", {"text": {"a": "b"}}, 422, "question-not-text", {"pointer": "/text"}),
    "nothing": ("POST", "/messages", {}, 422, "question-not-text", {"pointer": "/text"}),
    "no attributes": ("POST", "/messages", {"data": {"type": "x"}}, 422, "invalid-body", _ATTRIBUTES),
    "an unknown member": ("POST", "/messages", {"text": "a", "txet": "b"}, 422, "invalid-body", {"pointer": "/txet"}),
    "a bad locale": ("POST", "/messages", {"text": "a", "locale": "?"}, 422, "invalid-body", {"pointer": "/locale"}),
    "a bad uid": ("PATCH", "", {"uid": "x" * 129}, 422, "invalid-body", {"pointer": "/uid"}),
    "a bad uid in camelCase": ("PATCH", "", {"userToken": 7}, 422, "invalid-body", {"pointer": "/userToken"}),
    "no user token": ("PATCH", "", {"uid": "7"}, 401, "user-token-required", {"pointer": "/user_token"}),
    "a bad cursor": ("GET", "/messages?last_message_id=x", None, 422, "invalid-parameter", _CURSOR),
    "a cursor of tomorrow": ("GET", "/messages?last_message_id=99", None, 422, "cursor-invalid", {}),
    "no such message": ("GET", "/messages/1", None, 404, "message-not-found", {}),
    "no such method": ("PUT", "/messages", {}, 405, "method-not-allowed", {}),
    "no such path": ("GET", "/nowhere", None, 404, "route-not-found", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_the_same_in_every_form(session: Session, name: str) -> None:
    method, path, body, status, code, source = REFUSED[name]
    heard = session.send(method, path, body)
    [error] = heard.document["errors"]
    assert (heard.status, error["status"], error["code"]) == (status, str(status), code)
    assert code in CODES.get(status, ("method-not-allowed",))
    assert error.get("source", {}) == source or not source
    assert error["meta"]["request_id"] == heard.headers["x-request-id"]
    assert heard.headers["vary"] == "Accept, Accept-Charset, Prefer"


def test_somebody_elses_session_is_unknown_in_every_form(client: httpx.Client, wire: Wire, talk: Talk) -> None:
    own = Session(client, wire)
    heard = wire.send(client, "GET", talk.path, None, Authorization=own.bearer)
    assert (heard.status, heard.document["errors"][0]["code"]) == (404, "session-not-found")
    assert wire.send(client, "GET", talk.path).status == 401
    bad = wire.send(client, "GET", talk.path, None, Authorization="Bearer a.b.c")
    assert (bad.status, bad.document["errors"][0]["code"]) == (401, "invalid-token")
    assert bad.headers["www-authenticate"].startswith("Bearer")


def test_members_are_camels_where_they_are_wished_so(session: Session) -> None:
    asked = session.send(
        "POST", "/messages", {"text": "怎么退货"}, Accept=f'application/{session.wire.form}; profile="camel"'
    )
    attributes = asked.document["data"]["attributes"]
    assert {"createdAt", "inReplyTo", "servedBy", "indexVersion", "elapsedMs"} <= attributes.keys()
    assert not [name for name in [*attributes, *asked.document["meta"]] if "_" in name]
    assert asked.document["meta"]["requestId"] == asked.headers["x-request-id"]
    assert attributes["decision"] == "answer"
    refused = session.send("GET", "/messages/1", Accept=f"application/{session.wire.form}; profile=camel")
    assert refused.document["errors"][0]["meta"].keys() == {"requestId"}


@pytest.mark.parametrize("names", [("device_id", "locale"), ("deviceId", "locale")])
def test_members_may_come_as_camels(client: httpx.Client, wire: Wire, names: tuple[str, str]) -> None:
    opened = wire.send(client, "POST", f"{BOT}/sessions", dict(zip(names, ("x", "en"), strict=True)))
    assert opened.document["data"]["attributes"]["device_id"] == "x"
    refused = wire.send(client, "POST", f"{BOT}/sessions", {"deviceIdentity": "x"})
    [error] = refused.document["errors"]
    assert (error["code"], error["source"]) == ("invalid-body", {"pointer": "/deviceIdentity"})
    assert "device_id" in error["detail"]


def test_times_are_told_in_the_zone_that_is_preferred(session: Session) -> None:
    told = session.send("GET", Prefer="timezone=Asia/Shanghai")
    assert re.fullmatch(SHANGHAI, told.document["data"]["attributes"]["created_at"])
    assert told.headers["preference-applied"] == "timezone=Asia/Shanghai"
    waited = session.send("POST", "/messages", {"text": "怎么退货"}, Prefer="wait=3, timezone=Asia/Shanghai")
    assert re.fullmatch(SHANGHAI, waited.document["data"]["attributes"]["created_at"])
    unknown = session.send("GET", Prefer="timezone=Mars/Olympus")
    assert unknown.document["data"]["attributes"]["created_at"].endswith("Z")
    assert "preference-applied" not in unknown.headers


def test_whoever_wishes_nothing_gets_json_and_is_told_what_it_varies_by(talk: Talk) -> None:
    for response in (talk.send("GET"), talk.send("GET", "/messages/1")):
        assert response.headers["content-type"] == "application/json"
        assert response.headers["vary"] == "Accept, Accept-Charset, Prefer"


@pytest.mark.parametrize("media_type", ["text/xml", "application/xml"])
def test_xml_is_called_what_its_caller_calls_it(talk: Talk, media_type: str) -> None:
    response = talk.send("GET", headers={"Accept": f"{media_type}, */*;q=0.1"})
    assert response.headers["content-type"] == f"{media_type}; charset=utf-8"


def test_a_problem_is_a_problem_whoever_takes_xml(talk: Talk) -> None:
    accept = {"Accept": "application/xml, application/problem+json"}
    refused = talk.send("GET", "/messages/1", headers=accept)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "message-not-found"
    assert talk.send("GET", headers=accept).headers["content-type"] == "application/xml; charset=utf-8"


def test_other_shapes_stay_as_they_are(service: Service, client: httpx.Client) -> None:
    asked = {"Accept": "application/xml", "Accept-Charset": "gbk"}
    for path in ("/.well-known/jwks.json", "/schema/openapi.json"):
        assert "json" in client.get(path, headers=asked).headers["content-type"]
    refused = client.post("/oauth/token", data={"grant_type": "x"}, headers=asked)
    assert refused.json()["error"]
    assert client.get("/healthz", headers=asked).content.startswith(b'<?xml version="1.0" encoding="GBK"?>')
    assert client.get("/healthz", headers={**asked, "Host": "evil.example"}).content.count(b"unknown-host") == 1


BODIES = {
    "GBK without a word": ("application/xml", "<a><text>退货</text></a>".encode("gbk"), 400, "malformed-xml"),
    "a contradiction": (
        "application/xml; charset=utf-8", b'<?xml version="1.0" encoding="GBK"?><a/>', 400, "charset-mismatch"
    ),
    "a DOCTYPE": ("text/xml", b"<!DOCTYPE a><a><text>a</text></a>", 400, "forbidden-xml"),
    "XXE": (
        "text/xml",
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><text>&x;</text></a>', 400, "forbidden-xml"
    ),
    "XXE in GBK": (
        "text/xml; charset=gbk",
        '<!DOCTYPE 退 [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><text>&x;</text></a>'.encode("gbk"),
        400, "forbidden-xml",
    ),
    "UTF-16": ("application/xml", "<a><text>a</text></a>".encode("utf-16"), 415, "unsupported-media-type"),
    "a root that is a list": ("application/xml", b'<a type="array"><item>a</item></a>', 422, "invalid-body"),
    "a root that is a text": ("application/xml", b"<a>text</a>", 422, "invalid-body"),
    "too long": ("application/xml", b"<a>" + b"b" * 200_000 + b"</a>", 413, "body-too-large"),
    "JSON in GBK, called UTF-8": ("application/json", '{"text": "退货"}'.encode("gbk"), 400, "malformed-json"),
    "JSON in UTF-8, called GBK": (
        "application/json; charset=gbk", '{"text": "退"}'.encode(), 400, "malformed-json"
    ),
    "JSON in UTF-16": (
        'application/json; charset="utf-16"', '{"text": "a"}'.encode("utf-16"), 415, "unsupported-media-type"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_or_contradictory_body_is_refused_with_its_code(talk: Talk, name: str) -> None:
    content_type, body, status, code = BODIES[name]
    response = talk.send("POST", "/messages", content=body, headers={"Content-Type": content_type})
    [error] = response.json()["errors"]
    assert (response.status_code, error["code"]) == (status, code)
    assert code in CODES[status]
    assert b"root:" not in response.content
    assert talk.pull().json()["data"] == []


def test_bytes_of_json_in_gbk_are_read_and_answered_as_asked(talk: Talk) -> None:
    body = '{"text": "怎么退货"}'.encode("gbk")
    headers = {"Content-Type": "application/json; charset=GBK"}
    plain = talk.send("POST", "/messages", content=body, headers=headers)
    assert plain.status_code == 201
    assert "退货" in plain.content.decode("utf-8")
    asked = talk.send("POST", "/messages", content=body, headers={**headers, "Accept-Charset": "GBK"})
    assert asked.headers["content-type"] == "application/json; charset=gbk"
    assert "怎么退货".encode("gbk") in asked.content
