"""A share of the questions: about as large as it says, and always the same questions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.domain.errors import SettingsError
from qa_service.domain.share import Share, parse_share


def test_no_share_is_an_empty_text() -> None:
    assert parse_share("") is None


@pytest.mark.parametrize(
    ("text", "version", "percent"),
    [
        ("v2:5%", "v2", 5),
        ("v2:1%", "v2", 1),
        ("v2:100%", "v2", 100),
        (" 20261123T161215.829666Z-b3523f84:25% \n", "20261123T161215.829666Z-b3523f84", 25),
    ],
)
def test_a_share_is_a_version_and_a_percentage(text: str, version: str, percent: int) -> None:
    assert parse_share(text) == Share(version=version, percent=percent)


@pytest.mark.parametrize(
    "text",
    [
        *("v2", "v2:", ":5%", "v2:5", "5%", "v2:5%%", "v2:0%", "v2:000%", "v2:101%", "v2:1000%", "v2:-5%", "v2:0.5%"),
        *("v2:5 %", "v2: 5%", "v2:five%", "../v2:5%", ".v2:5%", "-v2:5%", "v 2:5%", "v2:5%,v3:5%", "v2:5%\nv3", "   "),
    ],
)
def test_anything_else_is_a_setting_without_sense_and_quoted(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_share(text)
    assert repr(text) in caught.value.detail
    assert "VERSION:N%" in caught.value.detail


@pytest.mark.parametrize("percent", [1, 5, 25, 50, 99])
def test_about_that_share_of_ten_thousand_questions_goes_to_the_version(percent: int) -> None:
    share = Share(version="v2", percent=percent)
    gone = sum(share.version_for(f"第 {n} 个问题", "v1") == "v2" for n in range(10_000))
    assert abs(gone / 100 - percent) < 2  # four standard deviations of a fair coin


def test_all_of_the_questions_are_all() -> None:
    share = Share(version="v2", percent=100)
    assert {share.version_for(f"q{n}", "v1") for n in range(1000)} == {"v2"}


@given(text=st.text(max_size=30), percent=st.integers(1, 100))
def test_the_same_question_always_goes_the_same_way(text: str, percent: int) -> None:
    first, again = (parse_share(f"v2:{percent}%") for _ in range(2))
    assert first is not None
    assert again is not None
    assert first.version_for(text, "v1") == again.version_for(text, "v1")


@given(text=st.text(max_size=30), less=st.integers(1, 99))
def test_who_is_in_a_share_stays_in_it_when_it_grows(text: str, less: int) -> None:
    small, large = Share(version="v2", percent=less), Share(version="v2", percent=less + 1)
    assert (small.version_for(text, "v1"), large.version_for(text, "v1")) != ("v2", "v1")
