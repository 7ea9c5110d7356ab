"""A hundred thousand generated bodies on every endpoint: none is the service's failure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

import httpx
from api.service import Service

from security.figures import Book, count
from security.generated import bodies
from security.wires import UNDESCRIBED, Answer, Endpoint, connected, endpoints, faults_of, posted, receive

_AT_ONCE = 16  # requests on one connection before their answers are read
_FORM = "application/x-www-form-urlencoded"
_TYPES = ("application/json", "application/json", "application/vnd.api+json", "application/json; charset=utf-8")


def answered(service: Service, requests: Iterable[bytes]) -> Iterator[Answer]:
    """Send requests on one connection, so many at once, and give their answers."""
    waiting = iter(requests)
    with connected(service) as connection:
        while some := list(islice(waiting, _AT_ONCE)):
            connection.sendall(b"".join(some))
            yield from receive(connection, len(some))


def requests_of(endpoint: Endpoint, seed: int, number: int) -> Iterator[bytes]:
    for place, body in enumerate(bodies(seed, number)):
        json_type = _TYPES[place % len(_TYPES)]
        content_type = _FORM if endpoint.path == "/oauth/token" and place % 3 else json_type
        yield posted(endpoint, body, content_type, "Prefer: respond-async")


def test_generated_bodies_on_every_endpoint(service: Service, client: httpx.Client, book: Book) -> None:
    number = count(small=200, full=100_000)
    wrong: dict[str, list[str]] = {}
    statuses: Counter[int] = Counter()
    described = [one for one in endpoints(service, client) if one.path not in UNDESCRIBED]
    # Events read no body, and never end: what stands behind them on a connection waits for ever.
    everywhere = [one for one in described if not one.path.endswith("/events")]
    for seed, endpoint in enumerate(everywhere):
        for place, answer in enumerate(answered(service, requests_of(endpoint, seed, number))):
            statuses[answer.status] += 1
            if faults := faults_of(answer):
                wrong[f"{endpoint}: body {place} of seed {seed}"] = faults
    book.note(
        "generated bodies",
        "no response of 500 or more; each refusal with a code and a request id",
        broken=len(wrong),
        bodies_an_endpoint=number,
        endpoints=len(everywhere),
        responses=statuses.total(),
        statuses=dict(sorted(statuses.items())),
    )
    assert statuses.total() == number * len(everywhere)
    assert wrong == {}
