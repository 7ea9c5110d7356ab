"""One real service for the whole run, and a session of one's own in it."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.service import ROOT, Service, Talk, serving
from qa_service.domain.context import is_cacheable


@pytest.fixture(scope="session")
def service(demo_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service"), demo_index) as service:
        yield service
        # Whatever the tests sent, nothing surprised the service.
        assert not service.log("unexpected error")
        assert not service.log("batch failed")
        assert not service.log("process ended")


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=40) as client:
        yield client


@pytest.fixture(scope="session")
def gateway(service: Service) -> Iterator[httpx.Client]:
    """A client that carries the service's key, as a back end would carry a token with all scopes."""
    with httpx.Client(base_url=service.url, timeout=40, headers=service.bearer) as client:
        yield client


@pytest.fixture
def talk(client: httpx.Client) -> Talk:
    """A session that nobody else uses."""
    return Talk(client)


@pytest.fixture(scope="session")
def _questions() -> Iterator[str]:
    lines = (ROOT / "data/shop/faq.zh.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in lines]
    return iter([question for question in questions if is_cacheable(question)])


@pytest.fixture
def fresh_question(_questions: Iterator[str]) -> str:
    """A question of the demo knowledge base in its own words, given to no other test: the answer cache is shared."""
    return next(_questions)
