"""The breaker by itself, on a clock of its own."""

import asyncio
from collections.abc import Callable

import pytest

from qa_service.client.breaker import Breaker
from qa_service.client.errors import BreakerOpen, DeadlineExceeded, NotFound, Unavailable


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(failures=3, pause_s=5, clock=clock)


def fail(breaker: Breaker, *, counts: bool = True, error: Callable[[str], Exception] = Unavailable) -> None:
    with pytest.raises((Unavailable, NotFound)), breaker.call(counts=counts):
        raise error("away")


def succeed(breaker: Breaker) -> None:
    with breaker.call():
        pass


def test_it_opens_after_so_many_failures_in_a_row(breaker: Breaker) -> None:
    for _ in range(2):
        fail(breaker)
    assert not breaker.is_open()
    fail(breaker, error=DeadlineExceeded)
    assert breaker.is_open()
    with pytest.raises(BreakerOpen) as refused, breaker.call():
        pytest.fail("the call was let through")
    assert refused.value.retry_after_s == 5


@pytest.mark.parametrize("answered", [succeed, lambda breaker: fail(breaker, error=NotFound)])
def test_an_answer_in_between_starts_the_count_anew_and_a_refusal_is_one(
    breaker: Breaker, answered: Callable[[Breaker], None]
) -> None:
    for _ in range(2):
        fail(breaker)
    answered(breaker)
    for _ in range(2):
        fail(breaker)
    assert not breaker.is_open()


def test_after_the_pause_one_call_tries_and_closes_it(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        fail(breaker)
    clock.now += 5
    with breaker.call(), pytest.raises(BreakerOpen), breaker.call():
        pytest.fail("a second call was let through while the first one tries")
    assert not breaker.is_open()
    succeed(breaker)


def test_a_try_that_fails_opens_it_for_another_pause(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        fail(breaker)
    clock.now += 5
    fail(breaker)
    clock.now += 4.9
    with pytest.raises(BreakerOpen), breaker.call():
        pytest.fail("the call was let through")
    clock.now += 0.1
    succeed(breaker)
    assert not breaker.is_open()


def test_a_try_that_is_given_up_leaves_its_place_to_another(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        fail(breaker)
    clock.now += 5
    with pytest.raises(asyncio.CancelledError), breaker.call():
        raise asyncio.CancelledError
    assert breaker.is_open()
    succeed(breaker)
    assert not breaker.is_open()


def test_what_was_sent_before_it_opened_says_nothing_afterwards(breaker: Breaker, clock: Clock) -> None:
    late_success, late_failure = breaker.call(), breaker.call()
    late_success.__enter__()
    late_failure.__enter__()
    for _ in range(3):
        fail(breaker)
    late_success.__exit__(None, None, None)
    assert breaker.is_open()
    clock.now += 4.9
    assert not late_failure.__exit__(Unavailable, Unavailable("late"), None)
    clock.now += 0.1
    succeed(breaker)  # the late failure did not make the pause longer
    assert not breaker.is_open()


def test_a_call_that_was_given_too_little_time_is_not_held_against_the_service(breaker: Breaker) -> None:
    for _ in range(10):
        fail(breaker, counts=False)
    assert not breaker.is_open()
