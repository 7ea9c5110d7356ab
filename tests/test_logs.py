"""A log line is one JSON object that names its process and its request, and nothing personal."""

import contextlib
import io
import json
import logging
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from security.pii_corpus import dialogues

from qa_service.logs import FromLibraries, configure_logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    yield
    structlog.reset_defaults()
    root.setLevel(level)
    for handler in [one for one in root.handlers if isinstance(one, FromLibraries)]:
        root.removeHandler(handler)


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


def test_nothing_personal_is_logged_wherever_it_stands_in_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", process="api")
    structlog.get_logger().info(
        "来电 13812345678",
        detail="zhang@qq.com",
        nested={"13812345678": ["１３８１２３４５６７８", {"id": "11010519491231002X"}], "n": 13_812_345_678},
        error=ValueError("card 4111 1111 1111 1111"),
    )
    [line] = lines(capsys)
    assert (line["event"], line["detail"]) == ("来电 [phone]", "[mail]")
    assert line["nested"] == {"[phone]": ["[phone]", {"id": "[id]"}], "n": "[phone]"}
    assert line["error"] == "ValueError('card [card]')"


def test_of_300_dialogues_in_texts_and_exceptions_no_secret_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(text: str) -> None:
        raise ValueError(text) from KeyError(text)

    configure_logs("info", process="worker")
    log = structlog.get_logger()
    named: list[str] = []
    for text, secrets in dialogues(11, 300):
        named += secrets
        try:
            fail(text)
        except ValueError:
            log.exception("failed", said=text, request_id="r1")
    written = capsys.readouterr().err
    assert len(written.splitlines()) == 300
    told = "".join(str(value) for line in written.splitlines() for value in json.loads(line).values())
    assert [secret for secret in named if secret in told or secret in written] == []


def test_ids_of_ours_are_told_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", process="api")
    looks_like_one = "110101199003078515"
    with structlog.contextvars.bound_contextvars(request_id=looks_like_one):
        structlog.get_logger().info("one", sid=looks_like_one, message_id=looks_like_one, job=int(looks_like_one))
        structlog.get_logger().info("two", said=looks_like_one)
    one, two = lines(capsys)
    assert {one[name] for name in ("request_id", "sid", "message_id")} == {looks_like_one}
    assert one["job"] == int(looks_like_one)
    assert (two["said"], two["request_id"]) == ("[id]", looks_like_one)


UNSAFE = "\r\n\x00\x07\x1b[2J\x7f\x85\x9b31m\u2028\u2029\u202e\u2066\u200b\ufeff\U000e0041\ud800"


@pytest.mark.parametrize("name", ["said", "request_id"])
def test_no_value_breaks_out_of_its_line_or_reaches_a_terminal(capfd: pytest.CaptureFixture[str], name: str) -> None:
    configure_logs("info", process="api")
    forged = f'ok"}}\n{{"event": "forged"}}{UNSAFE}'
    structlog.get_logger().info(forged, **{name: forged})
    written = capfd.readouterr().err
    assert written.endswith("}\n")
    assert not [char for char in written[:-1] if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    line = json.loads(written)
    assert (line["event"], line[name]) == (forged, forged)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner) | st.tuples(inner, inner),
        max_leaves=20,
    )
)
def test_any_value_makes_one_line_of_valid_json(value: object) -> None:
    with contextlib.redirect_stderr(io.StringIO()) as written:
        configure_logs("info", process="api")
        structlog.get_logger().info("odd", value=value)
    [line] = written.getvalue().splitlines()
    assert json.loads(line, parse_constant=pytest.fail)["event"] == "odd"


def test_long_deep_and_endless_values_are_bounded_and_keep_both_ends(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", process="api")
    endless: list[object] = []
    endless.append(endless)
    text = "start " + "13812345678 " * 100_000 + " end"
    structlog.get_logger().info(
        "long", said=text, request_id="r" * 10_240, many=list(range(10_000)), endless=endless, n=10**5_000
    )
    written = capsys.readouterr().err
    assert len(written) < 20_000
    line = json.loads(written)
    assert line["said"].startswith("start [phone]")
    assert line["said"].endswith(" end")
    assert not re.search(r"\d{5}", line["said"].replace(str(len(text) - 8_192), ""))
    assert line["many"][-1] == "… 9936 more"
    assert line["n"] == "an integer of 16610 bits"


def test_a_number_that_a_cut_would_halve_is_found_first(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", process="api")
    for lead in range(4_080, 4_100):
        structlog.get_logger().info("cut", said="字" * lead + "13812345678" + "字" * 8_000)
    assert not [line for line in lines(capsys) if re.search("138|678", line["said"])]


def test_what_a_library_logs_is_told_as_a_line_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", process="api")
    library = logging.getLogger("some.library")
    library.info("quiet")
    library.warning("asked by %s\n", "zhang@qq.com")
    library.error("broke", exc_info=ValueError("13812345678"))
    # Straight to our handler: pytest's own one raises at arguments that do not fit
    misfit_record = {"name": "l", "levelno": 25, "msg": "two for one %s", "args": ("13812345678", "more")}
    FromLibraries().handle(logging.makeLogRecord(misfit_record))
    warned, broke, misfit = lines(capsys)
    assert (warned["event"], warned["level"], warned["logger"]) == ("asked by [mail]\n", "warning", "some.library")
    assert (misfit["event"], misfit["level"]) == ("two for one %s", "info")
    assert broke["exception"].endswith("ValueError: [phone]")


def test_configuring_twice_tells_a_library_s_words_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", process="serve")
    configure_logs("info", process="api")
    logging.getLogger("some.library").warning("once")
    assert [line["process"] for line in lines(capsys)] == ["api"]
