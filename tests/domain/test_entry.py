from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.domain.entry import Entry, EntryKind

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 11, 12, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


def entry(valid_from: datetime | None = None, valid_until: datetime | None = None) -> Entry:
    return Entry(id="e1", question="双十一怎么满减", valid_from=valid_from, valid_until=valid_until)


@pytest.mark.parametrize(
    ("moment", "valid"),
    [
        (START - INSTANT, False),
        (START, True),
        (START + timedelta(days=5), True),
        (END - INSTANT, True),
        (END, False),
        (END + INSTANT, False),
    ],
    ids=["just-before", "at-its-start", "within", "just-before-its-end", "at-its-end", "after"],
)
def test_an_entry_is_valid_from_its_start_until_just_before_its_end(moment: datetime, *, valid: bool) -> None:
    assert entry(START, END).is_valid_at(moment) is valid


@given(MOMENTS)
def test_an_entry_without_limits_is_always_valid(moment: datetime) -> None:
    assert entry().is_valid_at(moment)


@given(MOMENTS, MOMENTS)
def test_of_two_entries_that_meet_at_an_instant_exactly_one_is_valid(meeting: datetime, moment: datetime) -> None:
    assert entry(valid_until=meeting).is_valid_at(moment) != entry(valid_from=meeting).is_valid_at(moment)


def test_validity_is_a_matter_of_instants_not_of_time_zones() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert entry(datetime(2026, 11, 1, 8, tzinfo=shanghai)).is_valid_at(START)
    assert not entry(datetime(2026, 11, 1, 8, 1, tzinfo=shanghai)).is_valid_at(START)


def test_a_moment_without_a_zone_is_an_error_not_a_guess() -> None:
    with pytest.raises(TypeError):
        entry(START, END).is_valid_at(START.replace(tzinfo=None))


def test_an_entry_is_found_under_its_question_first_and_then_its_similar_wordings() -> None:
    found = Entry(id="e1", question="怎么退货", similar=("退货流程", "如何退货"), not_for=("怎么换货",))
    assert found.wordings == ("怎么退货", "退货流程", "如何退货")
    assert entry().wordings == ("双十一怎么满减",)


def test_an_entry_is_an_faq_unless_it_says_otherwise_and_cannot_be_changed() -> None:
    assert entry().kind is EntryKind.FAQ
    with pytest.raises(AttributeError):
        entry().question = "怎么换货"  # type: ignore[misc]  # the point of the test
