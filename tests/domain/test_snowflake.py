import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.domain.personal_numbers import is_bank_card, is_resident_id
from qa_service.domain.redaction import findings
from qa_service.domain.snowflake import EPOCH_MS, MAX_WORKERS, Snowflake, created_at_ms, wall_clock_ms

NOON_MS = 1_780_000_000_000


class Clock:
    def __init__(self, now_ms: int = NOON_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def make(ids: Snowflake, count: int) -> list[int]:
    return [int(ids.next_id()) for _ in range(count)]


def assert_strictly_increasing(made: list[int]) -> None:
    assert all(one < next_one for one, next_one in itertools.pairwise(made))


@pytest.mark.parametrize("back_ms", [5, 20, 2_000, 3_600_000], ids=["5ms", "20ms", "2s", "1h"])
def test_a_clock_that_is_set_back_gives_no_id_twice_and_none_smaller(back_ms: int) -> None:
    clock = Clock()
    ids = Snowflake(7, clock)
    made: list[int] = []
    for step in range(30_000):
        clock.now_ms += -back_ms if step % 10_000 == 9_999 else step % 2
        made.append(int(ids.next_id()))
    assert_strictly_increasing(made)


@given(st.lists(st.tuples(st.integers(-4_000_000, 4_000_000), st.integers(1, 50)), max_size=50))
def test_whatever_the_clock_does_ids_only_grow(steps: list[tuple[int, int]]) -> None:
    clock = Clock()
    ids = Snowflake(0, clock)
    made = []
    for step_ms, count in steps:
        clock.now_ms += step_ms
        made += make(ids, count)
    assert_strictly_increasing(made)


def test_100_000_ids_in_one_frozen_millisecond_are_all_different() -> None:
    made = make(Snowflake(7, Clock()), 100_000)
    assert_strictly_increasing(made)
    assert created_at_ms(str(made[-1])) == NOON_MS + 100_000 // 4_096


def test_workers_share_no_id_at_the_same_instant() -> None:
    workers = [0, 1, 511, 512, 1023]
    made = [make(Snowflake(worker, Clock()), 20_000) for worker in workers]
    assert len(set(itertools.chain(*made))) == 20_000 * len(workers)


@given(st.integers(0, MAX_WORKERS - 1), st.integers(EPOCH_MS, EPOCH_MS + (1 << 41) - 1))
def test_an_id_holds_its_instant_and_its_worker_and_fits_64_bits(worker: int, now_ms: int) -> None:
    made = Snowflake(worker, Clock(now_ms)).next_id()
    assert created_at_ms(made) == now_ms
    assert int(made) >> 12 & 1023 == worker
    assert 0 <= int(made) < 1 << 63


@pytest.mark.parametrize("worker", [-1, 1024, 10**9])
def test_a_worker_number_out_of_range_is_refused(worker: int) -> None:
    with pytest.raises(ValueError, match="between 0 and 1023"):
        Snowflake(worker)


def test_on_the_real_clock_an_id_says_when_it_was_made() -> None:
    before_ms = wall_clock_ms()
    made = Snowflake(1).next_id()
    assert before_ms <= created_at_ms(made) <= wall_clock_ms()
    assert made.isdecimal()


def first_ms_of(number: int) -> int:
    """The millisecond at which ids begin to read like a number."""
    return (number >> 22) + EPOCH_MS


@pytest.mark.parametrize(
    ("number", "worker"),
    [(110_101_199_001_010_000, 3), (320_102_198_512_120_000, 9), (622_202_000_000_000_000, 0)],
    ids=["ids of Beijing", "ids of Jiangsu", "cards"],
)
def test_numbers_that_read_as_an_id_or_a_card_are_passed_over(number: int, worker: int) -> None:
    now_ms = first_ms_of(number)
    first = now_ms - EPOCH_MS << 22 | worker << 12
    # The clock makes 4,096 numbers a millisecond, of which these two kinds are passed over.
    naive = [str(first + (step // 4096 << 22) + step % 4096) for step in range(50_000)]
    skipped = [one for one in naive if is_resident_id(one) or is_bank_card(one)]
    ids = Snowflake(worker, Clock(now_ms))
    assert [ids.next_id() for _ in range(len(naive) - len(skipped))] == [one for one in naive if one not in skipped]
    if worker == 0:
        assert len(skipped) > 4_000  # of cards one in ten


def test_100_000_ids_of_the_month_in_which_every_number_may_be_a_card_pass_the_redactor_whole() -> None:
    made = [Snowflake(7, Clock(first_ms_of(622_202_000_000_000_000) + day * 86_400_000)) for day in range(10)]
    assert not [one for ids in made for one in (ids.next_id() for _ in range(10_000)) if findings(f"session {one} of")]


def test_an_id_that_would_be_a_resident_id_is_passed_over() -> None:
    personal = 110101199003077854
    assert is_resident_id(str(personal))
    ids = Snowflake(personal >> 12 & 1023, Clock(first_ms_of(personal)))
    made = [int(ids.next_id()) for _ in range(4_000)]
    assert made[0] <= personal <= made[-1]
    assert personal not in made
