"""A stopwatch adds up the time of each stage."""

import time

import pytest

from qa_service.domain.stopwatch import Stopwatch


def test_a_new_one_has_no_stage() -> None:
    assert Stopwatch().ms == {}


def test_it_counts_milliseconds_and_adds_up_what_is_repeated() -> None:
    watch = Stopwatch()
    with watch("first"):
        time.sleep(0.02)
    once = watch.ms["first"]
    with watch("first"):
        time.sleep(0.02)
    assert 20 <= once < 1000
    assert watch.ms["first"] >= once + 20


def test_stages_stand_in_the_order_in_which_they_were_entered_first() -> None:
    watch = Stopwatch()
    for stage in ("b", "a", "b", "c"):
        with watch(stage):
            pass
    assert list(watch.ms) == ["b", "a", "c"]


def test_a_stage_that_failed_took_its_time_too_and_hides_no_error() -> None:
    watch = Stopwatch()

    def fail() -> None:
        time.sleep(0.005)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), watch("broken"):
        fail()
    assert watch.ms["broken"] >= 5


def test_two_watches_share_nothing() -> None:
    one, other = Stopwatch(), Stopwatch()
    with one("stage"):
        pass
    assert other.ms == {}
