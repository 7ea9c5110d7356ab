"""A log line is one JSON object that names its process and its request."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from qa_service.logs import configure_logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def lines(written: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.readouterr().err.splitlines()]


def test_an_event_is_one_json_line_with_its_level_time_process_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", process="worker")
    structlog.get_logger().info("答了", entry_id="退货\n1")
    [line] = lines(capsys)
    assert (line["event"], line["level"], line["process"], line["entry_id"]) == ("答了", "info", "worker", "退货\n1")
    assert line["timestamp"].endswith("Z")


def test_the_request_at_hand_is_named_on_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", process="api")
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger().info("one")
    structlog.get_logger().info("two")
    assert [line.get("request_id") for line in lines(capsys)] == ["r1", None]


@pytest.mark.parametrize(("level", "seen"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_less_than_the_level_is_left_out(capsys: pytest.CaptureFixture[str], level: str, seen: int) -> None:
    configure_logs(level, process="api")
    log = structlog.get_logger()
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert len(lines(capsys)) == seen


def test_an_exception_stays_on_the_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", process="api")
    try:
        1 / 0  # noqa: B018  # raises
    except ZeroDivisionError:
        structlog.get_logger().exception("failed")
    [line] = lines(capsys)
    assert "ZeroDivisionError" in line["exception"]
