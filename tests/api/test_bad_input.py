"""What is wrong with a request is its sender's to hear, with a code, and never the service's failure."""

import contextlib
import json
import socket
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.service import BOT, JSON, Service, Talk, eventually, refusal
from qa_service.api.openapi import CODES

ONE_MEGABYTE = 1_000_000
DEEP = 100_000


def text(value: str) -> bytes:
    return json.dumps({"text": value}).encode()


BODIES = {
    "empty": (text(""), 422, "question-empty"),
    "white space": (text(" \t\r\n\u3000"), 422, "question-empty"),
    "zero-width characters": (text("\u200b\u200d\ufeff"), 422, "question-empty"),
    "an escaped NUL alone": (text("\0"), 422, "question-empty"),
    "501 characters": (text("退" * 501), 422, "question-too-long"),
    "501 emoji": (text("😀" * 501), 422, "question-too-long"),
    "a number": (b'{"text": 1}', 422, "question-not-text"),
    "null": (b'{"text": null}', 422, "question-not-text"),
    "a truth": (b'{"text": true}', 422, "question-not-text"),
    "a list": (b'{"text": ["a"]}', 422, "question-not-text"),
    "an object": (b'{"text": {"a": 1}}', 422, "question-not-text"),
    "no text at all": (b"{}", 422, "question-not-text"),
    "a bare string": (b'"hello"', 422, "invalid-body"),
    "a bare list": (b"[]", 422, "invalid-body"),
    "a bare null": (b"null", 422, "invalid-body"),
    "an unknown member": (b'{"text": "a", "txet": "b"}', 422, "invalid-body"),
    "a locale that is none": (b'{"text": "a", "locale": "zh_CN!"}', 422, "invalid-body"),
    "a locale with a line break": (b'{"text": "a", "locale": "zh-CN\\n"}', 422, "invalid-body"),
    "a document without attributes": (b'{"data": {"type": "messages"}}', 422, "invalid-body"),
    "a document that is a list": (b'{"data": []}', 422, "invalid-body"),
    "a lid that is no text": (b'{"data": {"lid": {}, "attributes": {"text": "a"}}}', 422, "invalid-body"),
    "a lid that is too long": (json.dumps({"text": "a", "lid": "x" * 256}).encode(), 422, "invalid-body"),
    "a lid with a line break": (b'{"text": "a", "lid": "a\\n"}', 422, "invalid-body"),
    "nothing": (b"", 400, "malformed-json"),
    "half of it": (b'{"text": "a', 400, "malformed-json"),
    "something after it": (b'{"text": "a"}x', 400, "malformed-json"),
    "single quotes": (b"{'text': 'a'}", 400, "malformed-json"),
    "a form": (b"text=a", 400, "malformed-json"),
    "NaN": (b'{"text": NaN}', 400, "malformed-json"),
    "an endless number": (b'{"text": 1e999}', 400, "malformed-json"),
    "GBK": ('{"text": "怎么退货"}'.encode("gbk"), 400, "malformed-json"),
    "UTF-16": ('{"text": "怎么退货"}'.encode("utf-16"), 400, "malformed-json"),
    "UTF-8 cut short": ('{"text": "怎么退货'.encode()[:-1], 400, "malformed-json"),
    "a surrogate in UTF-8": (b'{"text": "\xed\xa0\x80"}', 400, "malformed-json"),
    "a byte NUL": (b'{"text": "a\x00b"}', 400, "malformed-json"),
    "a byte NUL after it": (b'{"text": "a"}\x00', 400, "malformed-json"),
    "a high surrogate": (b'{"text": "\\ud800"}', 400, "malformed-text"),
    "a low surrogate": (b'{"text": "a\\udc00b"}', 400, "malformed-text"),
    "a surrogate in a name": (b'{"\\ud800": "x", "text": "a"}', 400, "malformed-text"),
    "deep lists": (b'{"text": ' + b"[" * DEEP + b"]" * DEEP + b"}", 400, "malformed-json"),
    "deep objects": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, 400, "malformed-json"),
    "deep and never closed": (b"[" * DEEP, 400, "malformed-json"),
    "a megabyte": (b'{"text": "' + b"a" * ONE_MEGABYTE + b'"}', 413, "body-too-large"),
}


def check(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    error = refusal(response)
    assert (response.status_code, error["code"]) == (status, code)
    assert code in CODES.get(status, ("method-not-allowed",))  # the description tells of it
    return error


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("route", ["messages", "answers"])
def test_a_bad_body_is_refused_with_its_code(talk: Talk, gateway: httpx.Client, route: str, name: str) -> None:
    body, status, code = BODIES[name]
    if route == "messages":
        check(talk.send("POST", "/messages", content=body, headers=JSON), status, code)
        assert talk.pull().json()["data"] == []  # and leaves no trace
    elif "lid" not in name:
        check(gateway.post(f"{BOT}/answers", content=body, headers=JSON), status, code)


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b'{"device_id": 1}', 422, "/device_id"),
        (b'{"uid": "a\\u0000b"}', 422, "/uid"),
        (b'{"uid": "a\\n"}', 422, "/uid"),
        (json.dumps({"uid": "x" * 129}).encode(), 422, "/uid"),
        (b'{"locale": ""}', 422, "/locale"),
        (b'{"a/b~c": 1}', 422, "/a~1b~0c"),
        (b'{"data": {"attributes": {"text": "a"}}}', 422, "/text"),
    ],
)
def test_a_bad_session_is_refused_and_the_member_named(
    client: httpx.Client, body: bytes, status: int, pointer: str
) -> None:
    error = check(client.post(f"{BOT}/sessions", content=body, headers=JSON), status, "invalid-body")
    assert error["source"] == {"pointer": pointer}


@pytest.mark.parametrize("member", ["uid", "user_token"])
@pytest.mark.parametrize("value", [7, None, ["u"], {}])
def test_binding_to_what_is_no_text_is_refused(talk: Talk, member: str, value: object) -> None:
    error = check(talk.send("PATCH", json={member: value}), 422, "invalid-body")
    assert error["source"] == {"pointer": f"/{member}"}


@pytest.mark.parametrize("accepted", [" " + "退" * 500 + "\n", "😀" * 500, "a\0b", "null", "{}", "e\u0301" * 250])
def test_unusual_texts_that_are_questions_are_answered(talk: Talk, accepted: str) -> None:
    assert talk.ask(accepted).status_code == 201


def test_of_a_member_that_comes_twice_the_last_one_counts(talk: Talk) -> None:
    body = '{"text": 1, "text": "怎么退货"}'.encode()
    document = talk.send("POST", "/messages", content=body, headers=JSON).json()
    assert document["included"][0]["attributes"]["text"] == "怎么退货"


@pytest.mark.parametrize(
    "content_type",
    [
        *(None, "", "text/plain", "application/soap+xml", "multipart/form-data", "application/x-www-form-urlencoded"),
        *("application/json; charset=big5", 'application/json; charset="utf-16"', "application/jsonx", b"\xe9"),
        *("application/xml; charset=utf-16", "text/xml; charset=utf-7"),
    ],
)
def test_another_content_type_is_415(talk: Talk, content_type: str | bytes | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    for method, path in (("POST", "/messages"), ("PATCH", "")):
        error = check(talk.send(method, path, content=b"{}", headers=headers), 415, "unsupported-media-type")
        assert error["source"] == {"header": "Content-Type"}


@pytest.mark.parametrize(
    "content_type", ["APPLICATION/JSON", "application/json;charset=UTF-8", 'application/vnd.api+json; charset="utf8"']
)
def test_json_by_its_other_names_is_read(talk: Talk, content_type: str) -> None:
    response = talk.send("POST", "/messages", content=text("怎么退货"), headers={"Content-Type": content_type})
    assert response.status_code == 201


@pytest.mark.parametrize("key", ["x" * 256, "a\tb", b"a\x85b"])
def test_a_bad_idempotency_key_is_refused(talk: Talk, key: str | bytes) -> None:
    refused = talk.send("POST", "/messages", json={"text": "a"}, headers={"Idempotency-Key": key})
    assert check(refused, 422, "invalid-idempotency-key")["source"] == {"header": "Idempotency-Key"}


@pytest.mark.parametrize("prefer", ["wait", "wait=", "wait=-1", "wait=abc", 'wait="', ",,;", "wait=1, wait=x"])
def test_a_preference_that_makes_no_sense_is_ignored(talk: Talk, prefer: str) -> None:
    assert talk.ask("怎么退货", Prefer=prefer).status_code == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/messages"), ("PUT", "/messages/1"), ("POST", ""), ("POST", "/messages/1"), ("TRACE", "")],
)
def test_a_wrong_method_is_405_and_told_the_right_ones(talk: Talk, method: str, path: str) -> None:
    refused = talk.send(method, path)
    assert refusal(refused)["code"] == "method-not-allowed"
    assert refused.status_code == 405
    assert "GET" in refused.headers["allow"]


@pytest.mark.parametrize("path", ["/", "/nope", "/api", f"{BOT}/sessions/1/nope", "/schema/nope", "/a%2Fb", "/%ff"])
def test_an_unknown_path_is_404(client: httpx.Client, path: str) -> None:
    check(client.get(path), 404, "route-not-found")


@pytest.mark.parametrize(
    "sid",
    ["1", "-1", "9" * 5000, "会话", "%zz", "%", "%ff%fe", "%ed%a0%80", "a%00b", "a%0d%0ab", "%7Bp0%7D", "*", "'--"],
)
def test_a_sid_that_is_none_is_an_unknown_session(talk: Talk, sid: str) -> None:
    for path in (f"{BOT}/sessions/{sid}", f"{BOT}/sessions/{sid}/messages"):
        response = talk.client.get(path, headers={"Authorization": f"Bearer {talk.token}"})
        check(response, 404, "session-not-found")


@pytest.mark.parametrize("mid", ["0", "abc", "key:k", "9" * 3000, "消息", "%ff", "%00", "*"])
def test_a_message_id_that_is_none_is_an_unknown_message(talk: Talk, mid: str) -> None:
    check(talk.send("GET", f"/messages/{mid}"), 404, "message-not-found")


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a;b", "<script>", "a%0d%0aX-Evil: 1", b"\xe9", b"\xff\xfe"])
def test_a_request_id_that_could_do_harm_is_replaced(client: httpx.Client, given: str | bytes) -> None:
    value = given if isinstance(given, bytes) else given.encode()
    response = client.get("/healthz", headers={b"X-Request-ID": value})
    assert len(response.headers["x-request-id"]) == 16
    assert response.json()["meta"]["request_id"] == response.headers["x-request-id"]
    assert "x-evil" not in response.headers


def test_a_harmless_request_id_is_kept_and_travels_to_the_worker(service: Service, talk: Talk) -> None:
    response = talk.ask("会员生日有礼物吗", X_Request_ID="Trace-1.2_3")
    assert response.headers["x-request-id"] == response.json()["meta"]["request_id"] == "Trace-1.2_3"
    assert eventually(lambda: "Trace-1.2_3" in {line.get("request_id") for line in service.log("answered")}, 3)


NO_HTTP = {
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
    "raw bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path that is not percent-encoded": "GET /api/v1/bot/sessions/会话 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "a header split by CR": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\rX-Evil: 1\r\n\r\n",
    "a control character in a header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\x01b\r\n\r\n",
    "a length that is none": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n{}",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length and chunks": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
}


def send_raw(service: Service, sent: bytes) -> bytes:
    """What comes back until the server hangs up or says nothing more."""
    address = httpx.URL(service.url)
    assert address.port
    with socket.create_connection((address.host, address.port), timeout=5) as connection:
        connection.sendall(sent)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                received += chunk
    return received


def asking(service: Service) -> str:
    """The begin of a stateless question: without the key it would be refused unread."""
    return f"POST {BOT}/answers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {service.key}\r\n"


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_is_told_so_in_the_same_kind_of_body(service: Service, name: str) -> None:
    head, _, body = send_raw(service, NO_HTTP[name]).partition(b"\r\n\r\n")
    [error] = json.loads(body)["errors"]
    assert head.startswith(b"HTTP/1.1 400 ")
    assert error["code"] == "bad-request"
    assert f"x-request-id: {error['meta']['request_id']}".encode() in head
    assert b"evil" not in head.lower()


def test_a_caller_that_hangs_up_amid_its_body_is_no_failure(service: Service) -> None:
    before = len(service.log("request"))
    head = f"{asking(service)}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n"
    address = httpx.URL(service.url)
    assert address.port
    with socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(head.encode() + b'{"te')
    assert eventually(lambda: len(service.log("request")) > before, 3)
    assert not service.log("unexpected error")


def test_a_body_that_is_said_to_be_huge_is_refused_unread(service: Service) -> None:
    head = f"{asking(service)}Connection: close\r\nContent-Type: application/json\r\n"
    received = send_raw(service, f"{head}Content-Length: 99999999999\r\n\r\n{{}}".encode())
    assert received.startswith(b"HTTP/1.1 413 ")


def test_chunks_that_never_end_are_refused(service: Service) -> None:
    head = f"{asking(service)}Transfer-Encoding: chunked\r\n\r\n"
    address = httpx.URL(service.url)
    assert address.port
    with socket.create_connection((address.host, address.port), timeout=5) as connection:
        for chunk in [head.encode()] + [b"10000\r\n" + b"a" * 65536 + b"\r\n"] * 12:
            connection.sendall(chunk)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(codec=None), max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_MEMBERS = st.dictionaries(
    st.sampled_from(["text", "locale", "lid", "data", "attributes", "x"]) | st.text(max_size=5),
    _JSON_VALUES,
    max_size=4,
)
_DOCUMENTS = st.builds(lambda members: {"data": {"type": "messages", "attributes": members}}, _MEMBERS)
RANDOM_BODIES = (
    st.binary(max_size=100)
    | (_JSON_VALUES | _MEMBERS | _DOCUMENTS).map(lambda value: json.dumps(value).encode())
    | st.text(st.characters(codec=None), max_size=40).map(text)
    | st.tuples(st.sampled_from([text("怎么退货"), text("\ud83d")]), st.integers(0, 30), st.binary(max_size=3)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    )
)


# One session is meant to see them all.
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=RANDOM_BODIES)
def test_no_body_whatever_is_the_services_failure(talk: Talk, gateway: httpx.Client, body: bytes) -> None:
    headers = {**JSON, "Prefer": "respond-async"}
    said = talk.send("POST", "/messages", content=body, headers=headers)
    asked = gateway.post(f"{BOT}/answers", content=body, headers=JSON)
    for response in (said, asked):
        assert response.status_code in {200, 201, 202, 400, 422, 429}, response.text
        if response.status_code >= 400:
            check(response, response.status_code, refusal(response)["code"])
