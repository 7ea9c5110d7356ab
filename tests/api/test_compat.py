"""A gateway that speaks XML only, and GBK: one call opens a session or goes on with it, bytes in and bytes out."""

import re
import socket
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from access.minting import user_token

from api.legacy_wires import value
from api.service import Service, eventually, serving
from qa_service.api.openapi import CODES

PATH = "/compat/xml/messages"
XML = {"Content-Type": "application/xml"}


def told(response: httpx.Response) -> dict[str, Any]:
    """What an answer in XML says, and that it is one."""
    assert response.headers["content-type"] == "application/xml; charset=utf-8"
    root = ET.fromstring(response.content)
    assert root.tag == ("answer" if response.status_code < 400 else "error")
    read: dict[str, Any] = value(root)
    assert read["request_id"] == response.headers["x-request-id"]
    return read


def ask(client: httpx.Client, body: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): one for name, one in headers.items()}
    return client.post(PATH, content=body.encode(), headers={**XML, **named})


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    error = told(response)
    assert (response.status_code, error["status"], error["code"]) == (status, str(status), code)
    assert code in CODES[status]
    assert error["detail"]
    return error


def over_the_wire(service: Service, sent: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to bytes."""
    address = httpx.URL(service.url)
    assert address.port
    with socket.create_connection((address.host, address.port), timeout=10) as connection:
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def test_a_gbk_gateway_asks_and_goes_on_in_its_own_bytes(service: Service) -> None:
    def request(body: bytes, *fields: bytes) -> bytes:
        head = (b"POST /compat/xml/messages HTTP/1.1", b"Host: localhost", b"Content-Type: text/xml", *fields)
        size = b"Content-Length: %d" % len(body)
        return b"\r\n".join((*head, size, b"Connection: close")) + b"\r\n\r\n" + body

    body = (
        b'<?xml version="1.0" encoding="GBK"?><ask><device_id>\xd3\xaa\xd2\xb5\xcc\xfc7</device_id>'  # 营业厅7
        b"<text>\xd4\xf5\xc3\xb4\xcd\xcb\xbb\xf5\xa3\xbf</text></ask>"  # 怎么退货？
    )
    head, answer = over_the_wire(service, request(body))
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-type: application/xml; charset=gbk" in head.lower()
    assert answer.startswith(b'<?xml version="1.0" encoding="GBK"?>\n<answer><session_id>')
    assert b"\xcd\xcb\xbb\xf5" in answer  # 退货
    assert b"<decision>answer</decision>" in answer
    with pytest.raises(UnicodeDecodeError):
        answer.decode("utf-8")
    sid, token = (re.search(rb"<%s>([^<]+)<" % name, answer) for name in (b"session_id", b"session_token"))
    assert sid
    assert token

    body = b"<ask><session_id>%s</session_id><text>\xc4\xc7\xd0\xc2\xbd\xae\xc4\xd8</text></ask>" % sid[1]  # 那新疆呢
    fields = (b"Authorization: Bearer " + token[1], b"Accept: text/xml; charset=gbk")
    head, answer = over_the_wire(service, request(body).replace(b"text/xml", b"text/xml; charset=gb2312", 1))
    assert head.startswith(b"HTTP/1.1 401 ")
    assert answer.startswith(b'<?xml version="1.0" encoding="GBK"?>\n<error>')
    sent = request(body, *fields).replace(b"text/xml", b"text/xml; charset=gb2312", 1)
    head, answer = over_the_wire(service, sent)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-type: text/xml; charset=gbk" in head.lower()
    assert b"<session_id>" + sid[1] in answer
    assert b"<session_token>" not in answer


def test_one_call_opens_a_session_and_tells_all_that_a_gateway_needs(client: httpx.Client) -> None:
    response = ask(client, "<ask><device_id>d</device_id><text>怎么退货</text><lid>gw-7</lid></ask>")
    answer = told(response)
    assert response.status_code == 200
    assert answer.keys() >= {"session_id", "session_token", "message_id", "last_message_id", "confidence", "choices"}
    assert (answer["state"], answer["decision"], answer["lid"]) == ("completed", "answer", "gw-7")
    [source] = answer["sources"]
    assert source.keys() == {"type", "id", "title", "excerpt"}
    bearer = {"Authorization": f"Bearer {answer['session_token']}"}
    path = f"/api/v1/bot/sessions/{answer['session_id']}/messages"
    pulled = client.get(path, headers=bearer).json()
    assert pulled["meta"]["last_message_id"] == answer["last_message_id"]
    assert pulled["data"][-1]["id"] == answer["message_id"]
    assert response.headers["location"] == f"{path}/{answer['message_id']}"


def test_the_same_lid_in_a_session_gives_the_same_message(client: httpx.Client) -> None:
    opened = told(ask(client, "<ask><text>怎么退货</text></ask>"))
    bearer = f"Bearer {opened['session_token']}"
    body = f"<ask><session_id>{opened['session_id']}</session_id><lid>9</lid><text>怎么开发票</text></ask>"
    first, again = (ask(client, body, Authorization=bearer) for _ in range(2))
    assert told(first)["message_id"] == told(again)["message_id"]
    assert again.headers["idempotent-replayed"] == "true"
    refused(ask(client, body.replace("发票", "收据"), Authorization=bearer), 422, "idempotency-key-reused")


def test_a_follow_up_is_understood_within_the_session(client: httpx.Client) -> None:
    opened = told(ask(client, "<ask><text>怎么申请退款</text></ask>"))
    body = f"<ask><session_id>{opened['session_id']}</session_id><text>那多久到账呢</text></ask>"
    answer = told(ask(client, body, Authorization=f"Bearer {opened['session_token']}"))
    assert answer["session_id"] == opened["session_id"]
    assert "到账" in answer["text"] or "退款" in answer["text"]


def test_an_answer_that_is_not_ready_is_asked_for_again(service: Service, client: httpx.Client) -> None:
    opened = told(ask(client, "<ask><text>怎么退货</text></ask>"))
    bearer = f"Bearer {opened['session_token']}"
    body = f"<ask><session_id>{opened['session_id']}</session_id><lid>late</lid><text>会员等级怎么算</text></ask>"
    with service.paused("worker"):
        response = ask(client, body, Authorization=bearer, Prefer="wait=1")
        waiting = told(response)
        assert (response.status_code, waiting["state"]) == (202, "pending")
        assert response.headers["retry-after"] == "1"
    assert eventually(lambda: told(ask(client, body, Authorization=bearer))["state"] == "completed", 5)
    assert told(ask(client, body, Authorization=bearer))["message_id"] == waiting["message_id"]


def test_a_client_asks_for_its_users_and_a_user_token_for_its_own(gateway: httpx.Client, client: httpx.Client) -> None:
    opened = told(ask(gateway, "<ask><uid>u-1</uid><text>怎么退货</text></ask>"))
    body = f"<ask><sessionId>{opened['session_id']}</sessionId><text>怎么开发票</text></ask>"
    assert told(ask(gateway, body))["session_id"] == opened["session_id"]
    vouched = user_token("u-1")
    assert told(ask(client, f"<ask><user_token>{vouched}</user_token><text>怎么退货</text></ask>"))["state"]
    assert told(ask(client, body, Authorization=f"Bearer {vouched}"))["session_id"] == opened["session_id"]
    other = user_token("u-2")
    refused(ask(client, body, Authorization=f"Bearer {other}"), 404, "session-not-found")
    refused(ask(client, "<ask><uid>u-1</uid><text>怎么退货</text></ask>"), 401, "user-token-required")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("<ask><text> </text></ask>", 422, "question-empty"),
        (f"<ask><text>{'退' * 501}</text></ask>", 422, "question-too-long"),
        ("<ask/>", 422, "question-not-text"),
        ("<ask><text>a</text><colour>b</colour></ask>", 422, "invalid-body"),
        ("<ask><text>a</text><bot>nobody</bot></ask>", 422, "unknown-bot"),
        ("<ask><text>a</ask>", 400, "malformed-xml"),
        ('<!DOCTYPE ask SYSTEM "http://127.0.0.1/x"><ask><text>a</text></ask>', 400, "forbidden-xml"),
        ("<ask><session_id>1</session_id><text>a</text></ask>", 401, "token-required"),
    ],
)
def test_a_refusal_is_told_in_xml(client: httpx.Client, body: str, status: int, code: str) -> None:
    refused(ask(client, body), status, code)


def test_whatever_is_no_xml_is_told_so_in_xml(client: httpx.Client) -> None:
    response = client.post(PATH, json={"text": "怎么退货"})
    assert refused(response, 415, "unsupported-media-type")["source"] == {"header": "Content-Type"}
    wrong = client.get(PATH)
    assert (wrong.status_code, told(wrong)["code"]) == (405, "method-not-allowed")
    problem = client.post(PATH, content=b"", headers={"Accept": "application/problem+json"})
    assert problem.json()["code"] == "unsupported-media-type"


def test_what_is_refused_unread_is_told_in_xml_too(client: httpx.Client) -> None:
    response = client.post(PATH, content=b"", headers={f"X-{number}": "" for number in range(101)})
    assert (response.status_code, told(response)["code"]) == (431, "headers-too-large")
    huge = client.post(PATH, content=b"<ask>" + b" " * 700_000, headers=XML)
    assert (huge.status_code, told(huge)["code"]) == (413, "body-too-large")


def test_camels_zones_and_charsets_hold_here_too(client: httpx.Client) -> None:
    response = ask(
        client,
        "<ask><deviceId>d</deviceId><text>怎么退货</text></ask>",
        Accept='application/xml; profile="camel"; charset=gb18030',
        Prefer="timezone=Asia/Shanghai",
    )
    assert response.headers["content-type"] == "application/xml; charset=gb18030"
    text = response.content.decode("gb18030")
    assert re.search(r"<sessionToken>[^<]+</sessionToken>", text)
    assert re.search(r"<createdAt>[^<]+\+08:00</createdAt>", text)


def test_a_question_counts_for_its_user_as_on_the_other_routes(demo_index: Any, tmp_path: Any) -> None:
    with serving(tmp_path, demo_index, limit_uid_per_min="2") as service, httpx.Client(base_url=service.url) as client:
        opened = told(ask(client, "<ask><uid>u</uid><text>怎么退货</text></ask>", **service.bearer))
        body = f"<ask><session_id>{opened['session_id']}</session_id><text>怎么退货</text></ask>"
        assert told(ask(client, body, **service.bearer))["state"] == "completed"
        limited = ask(client, body, **service.bearer)
        refused(limited, 429, "rate-limited")
        assert int(limited.headers["retry-after"]) >= 1
        refused(ask(client, "<ask><uid>u</uid><text>怎么退货</text></ask>", **service.bearer), 429, "rate-limited")
        assert told(ask(client, "<ask><uid>w</uid><text>怎么退货</text></ask>", **service.bearer))["state"]
        vouched = f"<ask><user_token>{user_token('w')}</user_token><text>怎么退货</text></ask>"
        assert told(ask(client, vouched))["state"]
        refused(ask(client, vouched), 429, "rate-limited")
        path = f"/api/v1/bot/sessions/{opened['session_id']}/messages"
        ordinary = client.post(path, json={"text": "怎么退货"}, headers={**service.bearer, "Accept": "text/xml"})
        assert ordinary.status_code == 429
        assert b"<code>rate-limited</code>" in ordinary.content
