"""When a delivery is tried again."""

import time
from email.utils import formatdate

import pytest

from qa_service.webhooks.schedule import RETRIES_S, Schedule, retry_after_s, schedule_of


def test_the_waits_are_those_of_the_specification_with_up_to_a_fifth_of_jitter() -> None:
    assert list(RETRIES_S) == [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    for tries, plain in enumerate(RETRIES_S):
        waits = [Schedule().next_wait_s(tries, None) or 0.0 for _ in range(50)]
        assert all(plain <= wait <= plain * 1.2 for wait in waits)
        assert len(set(waits)) > 1 or not plain
    assert Schedule().next_wait_s(len(RETRIES_S), 5.0) is None


def test_a_receivers_wish_is_kept_where_it_is_longer_and_no_longer_than_a_day() -> None:
    assert Schedule().next_wait_s(1, 60.0) == 60.0
    assert (Schedule().next_wait_s(2, 60.0) or 0) >= 300
    assert Schedule().next_wait_s(1, float("inf")) == 86_400


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), (" 0 ", 0), ("", None), ("-1", None), ("soon", None), ("1.5", None), ("٣", None)],
)
def test_seconds_are_read_and_nothing_else(header: str, seconds: float | None) -> None:
    assert retry_after_s(header, time.time()) == seconds


def test_an_http_date_is_read_and_one_in_the_past_means_now() -> None:
    now = 1_800_000_000
    assert retry_after_s(formatdate(now + 90, usegmt=True), now) == 90
    assert retry_after_s(formatdate(now - 90, usegmt=True), now) == 0
    assert retry_after_s("9" * 5000, now) == float("inf")
    assert retry_after_s("Mon, 99 Foo 99999 99:99:99 GMT", now) is None


@pytest.mark.parametrize("text", ["", "a", "0,-1", "0,nan", "0,1e9", ",".join(["1"] * 51)])
def test_a_setting_that_makes_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"seconds|could not convert"):
        schedule_of(text)
