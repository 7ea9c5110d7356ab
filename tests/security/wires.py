"""Raw bytes over a real socket, and every response that came back. It knows what a response must be, and no route."""

import json
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
from api.service import Service, Talk
from defusedxml.ElementTree import fromstring

HARMLESS_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_XML = ("application/xml; charset=utf-8", "application/xml; charset=gbk", "application/xml; charset=gb18030")
_TYPES = {"application/json", "application/problem+json", *_XML}
_METHODS = ("get", "post", "put", "patch", "delete")
UNDESCRIBED = ("/schema", "/schema/openapi.json", "/nowhere")
_SILENT_S = 0.3  # after a whole response: the server means to keep the connection
_PATIENCE_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A method and a path, and a token that opens it."""

    method: str
    path: str
    token: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


def endpoints(service: Service, client: httpx.Client) -> list[Endpoint]:
    """Give every endpoint that the service describes, each with a session of its own, and some that it does not."""
    document = client.get("/schema/openapi.json").json()
    found = [
        _filled(service, client, method.upper(), path)
        for path, operations in document["paths"].items()
        for method in _METHODS
        if method in operations
    ]
    return found + [Endpoint(method="GET", path=path, token=service.key) for path in UNDESCRIBED]


def _filled(service: Service, client: httpx.Client, method: str, path: str) -> Endpoint:
    if "{sid}" not in path:
        return Endpoint(method=method, path=re.sub(r"{\w+}", "1", path), token=service.key)
    talk = Talk(client)
    mid = talk.ask("怎么退货", Prefer="respond-async").json()["data"]["id"] if "{mid}" in path else ""
    filled = path.replace("{sid}", talk.sid).replace("{mid}", mid)
    return Endpoint(method=method, path=re.sub(r"{\w+}", "1", filled), token=talk.token)


def exchange(service: Service, sent: bytes) -> list[Answer]:
    """Send bytes on a connection of their own; every whole response that came back until it was closed or silent."""
    received = b""
    with connected(service) as connection:
        connection.settimeout(_PATIENCE_S)
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        with suppress(ConnectionResetError, TimeoutError):
            while chunk := connection.recv(262_144):
                received += chunk
                connection.settimeout(_SILENT_S if is_whole(received) else _PATIENCE_S)
    return answers(received)


def receive(connection: socket.socket, number: int = 1) -> list[Answer]:
    """Wait for so many whole responses on a connection that stays open."""
    rest, got = b"", list[Answer]()
    while len(got) < number:
        chunk = connection.recv(262_144)
        assert chunk, f"closed after {rest[:300]!r}"
        some, rest = read(rest + chunk)
        got += some
    return got


def connected(service: Service) -> socket.socket:
    """Open a connection."""
    address = httpx.URL(service.url)
    assert address.port
    connection = socket.create_connection((address.host, address.port), timeout=_PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def is_whole(received: bytes) -> bool:
    """Whether bytes end with a response."""
    some, rest = read(received)
    return bool(some) and not rest


def answers(received: bytes) -> list[Answer]:
    """Read responses one after the other; the last one must be whole."""
    some, rest = read(received)
    assert not rest, f"half of a response: {rest[:300]!r}"
    return some


def read(received: bytes) -> tuple[list[Answer], bytes]:
    """Read the whole responses at the begin of some bytes; they and what is left."""
    found: list[Answer] = []
    while True:
        head, blank, rest = received.partition(b"\r\n\r\n")
        if not blank:
            return found, received
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status == 100:
            received = rest
            continue
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if headers.get("content-type", "").startswith("text/event-stream"):
            size = len(rest)  # it has no end: what has come of it is what there is
        else:
            size = 0 if status == 204 else int(headers["content-length"])
        if len(rest) < size:
            return found, received
        found.append(Answer(status=status, headers=headers, body=rest[:size]))
        received = rest[size:]


def faults_of(answer: Answer) -> list[str]:
    """Say what is wrong with a response, whatever it answers: nothing, if all is well."""
    request_id = answer.headers.get("x-request-id", "")
    wrong = []
    if answer.status >= 500:
        wrong.append(f"status {answer.status}: {answer.body[:300]!r}")
    if not HARMLESS_ID.fullmatch(request_id):
        wrong.append(f"request id {request_id!r}")
    if any("evil" in name for name in answer.headers):
        wrong.append("a header that the caller sent came back")
    if answer.status >= 400:
        wrong += _faults_of_refusal(answer, request_id)
    return wrong


def _faults_of_refusal(answer: Answer, request_id: str) -> list[str]:
    if answer.headers.get("content-type") not in _TYPES:
        return [f"content type {answer.headers.get('content-type')!r}"]
    if answer.headers["content-type"].startswith("application/xml"):
        parts: dict[str, Any] = {part.tag: part.text or "" for part in fromstring(_xml(answer))}
        return _faults_of_error(parts, parts["request_id"], answer, request_id)
    told: dict[str, Any] = json.loads(answer.body)
    if isinstance(told.get("error"), dict):  # as OpenAI has them
        return [] if told["error"]["code"] and told["error"]["message"] else ["no error named"]
    if "error" in told:  # the token endpoint's, as RFC 6749 has them
        return [] if told["error"] and told["error_description"] else ["no error named"]
    problem = "errors" not in told
    error = told if problem else told["errors"][0]
    told_id = error["request_id"] if problem else error["meta"]["request_id"]
    return _faults_of_error(error, told_id, answer, request_id)


def _xml(answer: Answer) -> str:
    """Give an answer's XML without its declaration: expat reads no GBK."""
    return answer.body.decode(answer.headers["content-type"].partition("charset=")[2]).partition("?>")[2].strip()


def _faults_of_error(error: dict[str, Any], told_id: str, answer: Answer, request_id: str) -> list[str]:
    wrong = [] if re.fullmatch(r"[a-z]+(-[a-z]+)*", error["code"]) else [f"code {error['code']!r}"]
    if told_id != request_id:
        wrong.append(f"two request ids: {told_id!r}, {request_id!r}")
    if str(error["status"]) != str(answer.status):
        wrong.append(f"two statuses: {error['status']}, {answer.status}")
    return wrong


def posted(endpoint: Endpoint, body: bytes, content_type: str, *fields: str) -> bytes:
    """Write a well-formed request around a body."""
    lines = [
        f"{endpoint.method} {endpoint.path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {endpoint.token}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        *fields,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
