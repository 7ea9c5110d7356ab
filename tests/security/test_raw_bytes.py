"""Whatever bytes reach a port: a 4xx with a code and a request id, never a failure, and nobody else is disturbed."""

from collections import Counter
from collections.abc import Iterator, Mapping

import httpx
import pytest
from api.service import Service, Talk

from security.corpus.bodies import BODIES, CONTENT_TYPES
from security.corpus.requests import REQUESTS
from security.corpus.xml_bodies import XML_BODIES, XML_TYPES
from security.figures import RUN, Book
from security.wires import Answer, Endpoint, connected, endpoints, exchange, faults_of, posted, receive


class Findings:
    """What went wrong, by what was sent where, and how often each status came."""

    def __init__(self) -> None:
        self.wrong: dict[str, list[str]] = {}
        self.statuses: Counter[int] = Counter()

    def add(self, name: str, got: list[Answer]) -> None:
        faults = [fault for answer in got for fault in faults_of(answer)]
        if faults or not got:
            self.wrong[name] = faults or ["no response"]
        self.statuses.update(answer.status for answer in got)


def of_each(corpus: Mapping[str, bytes], place: int) -> Iterator[tuple[str, bytes]]:
    """What is sent to the endpoint at a place: everything, or every third in the small run, each to many endpoints."""
    for number, sent in enumerate(corpus.items()):
        if RUN == "full" or number % 3 == place % 3:
            yield sent


@pytest.fixture(scope="module")
def everywhere(service: Service, client: httpx.Client) -> list[Endpoint]:
    return endpoints(service, client)


def test_raw_requests_on_every_endpoint(service: Service, everywhere: list[Endpoint], book: Book) -> None:
    findings = Findings()
    for place, endpoint in enumerate(everywhere):
        for name, raw in of_each(REQUESTS, place):
            filled = raw.replace(b"{method}", endpoint.method.encode()).replace(b"{path}", endpoint.path.encode())
            got = exchange(service, filled.replace(b"{token}", endpoint.token.encode()))
            findings.add(f"{endpoint}: {name}", got)
    book.note(
        "raw requests",
        "no response of 500 or more; each refusal with a code and a request id",
        broken=len(findings.wrong),
        requests=len(REQUESTS),
        endpoints=len(everywhere),
        responses=findings.statuses.total(),
        statuses=dict(sorted(findings.statuses.items())),
    )
    assert findings.wrong == {}


def test_raw_bodies_on_every_endpoint(service: Service, everywhere: list[Endpoint], book: Book) -> None:
    findings = Findings()
    types = CONTENT_TYPES if RUN == "full" else CONTENT_TYPES[:1]
    for place, endpoint in enumerate(everywhere):
        own = ("application/x-www-form-urlencoded",) if endpoint.path == "/oauth/token" else ()
        for content_type in {*types, *own}:
            for name, body in of_each(BODIES, place):
                sent = posted(endpoint, body, content_type, "Prefer: respond-async", "Connection: close")
                findings.add(f"{endpoint}: {name} as {content_type}", exchange(service, sent))
    book.note(
        "raw bodies",
        "no response of 500 or more; each refusal with a code and a request id",
        broken=len(findings.wrong),
        bodies=len(BODIES),
        content_types=len(types),
        endpoints=len(everywhere),
        responses=findings.statuses.total(),
        statuses=dict(sorted(findings.statuses.items())),
    )
    assert findings.wrong == {}


def test_raw_bodies_of_xml_on_every_endpoint(service: Service, everywhere: list[Endpoint], book: Book) -> None:
    findings = Findings()
    types = XML_TYPES if RUN == "full" else XML_TYPES[:1]
    reading = [one for one in everywhere if RUN == "full" or one.method not in {"GET", "DELETE"}]
    for endpoint in reading:
        for content_type in types:
            for name, body in XML_BODIES.items():
                sent = posted(endpoint, body, content_type, "Prefer: respond-async", "Connection: close")
                got = exchange(service, sent)
                findings.add(f"{endpoint}: {name} as {content_type}", got)
                assert not [answer for answer in got if b"root:" in answer.body or b"hahaha" in answer.body], name
    book.note(
        "raw bodies of XML",
        "no response of 500 or more; each refusal with a code and a request id; nothing read from elsewhere",
        broken=len(findings.wrong),
        bodies=len(XML_BODIES),
        content_types=len(types),
        endpoints=len(reading),
        responses=findings.statuses.total(),
        statuses=dict(sorted(findings.statuses.items())),
    )
    assert findings.wrong == {}


SMUGGLED = [name for name in REQUESTS if "length" in name or "coding" in name or "chunk" in name]


@pytest.mark.parametrize("name", [*SMUGGLED, "a request in a body"])
def test_nothing_that_was_smuggled_into_a_request_is_answered(service: Service, name: str) -> None:
    secret = Endpoint(method="POST", path="/schema", token=service.key)
    inner = b"GET /schema/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    raw = REQUESTS[name].replace(b"{method}", b"POST").replace(b"{path}", secret.path.encode())
    got = exchange(service, raw.replace(b"{token}", secret.token.encode()) + inner)
    assert [answer.status for answer in got if answer.status < 400] == []


def test_what_was_asked_before_garbage_is_answered_in_order_and_then_the_garbage(service: Service, talk: Talk) -> None:
    endpoint = Endpoint(method="GET", path=f"{talk.path}/messages?wait=1", token=talk.token)
    sent = posted(endpoint, b"", "application/json") + b"\x00garbage\r\n\r\n"
    waited, refused = exchange(service, sent)
    assert (waited.status, refused.status) == (200, 400)
    assert refused.headers["connection"] == "close"


def test_a_trailer_is_no_header_field(service: Service) -> None:
    raw = REQUESTS["trailers"].replace(b"{method}", b"POST").replace(b"{path}", b"/api/v1/bot/answers")
    [answer] = exchange(service, raw.replace(b"Authorization: Bearer {token}\r\n", b"", 1))
    assert answer.status == 401
    assert b"token-required" in answer.body


def test_other_connections_are_served_meanwhile(service: Service, talk: Talk) -> None:
    request = posted(Endpoint(method="GET", path=talk.path, token=talk.token), b"", "application/json")
    with connected(service) as calm:
        for raw in REQUESTS.values():
            exchange(service, raw.replace(b"{method}", b"GET").replace(b"{path}", b"/healthz"))
            calm.sendall(request)
            [answer] = receive(calm)
            assert answer.status == 200
