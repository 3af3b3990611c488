"""The closed list of dates: what is on it becomes one certain moment, and anything else is a question."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.planners.dates import looks_like_date, read_date, zone_named
from tests.planners.definitions import NOW, asked, propose, steps


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-01 14:00 UTC", "2026-05-01T14:00:00.000Z"),
        ("2026-05-01T14:00Z", "2026-05-01T14:00:00.000Z"),
        ("2026-05-01T14:00:30+02:00", "2026-05-01T12:00:30.000Z"),
        ("today at 23:15 UTC", "2026-03-04T23:15:00.000Z"),
        ("Tomorrow 09:30 Europe/Paris", "2026-03-05T08:30:00.000Z"),
        ("on thursday at 08:00 +01:00", "2026-03-05T07:00:00.000Z"),
        ("Wednesday, 08:00 UTC", "2026-03-11T08:00:00.000Z"),
        ("tuesday 08:00 -0500", "2026-03-10T13:00:00.000Z"),
        ("friday 08:00 utc+02:00", "2026-03-06T06:00:00.000Z"),
        ("tomorrow 09:30 europe/paris", "2026-03-05T08:30:00.000Z"),
    ],
)
def test_a_date_on_the_list_is_one_moment(text: str, moment: str) -> None:
    """A weekday is its next occurrence after today; local times become UTC."""
    assert read_date(text, NOW, None) == moment


def test_today_is_the_day_in_the_zone_meant() -> None:
    """Near midnight the zone decides which day "today" is, not UTC."""
    late = datetime(2026, 3, 4, 23, 30, tzinfo=UTC)
    assert read_date("today 12:00 Asia/Tokyo", late, None) == "2026-03-05T03:00:00.000Z"
    assert read_date("thursday 12:00 Asia/Tokyo", late, None) == "2026-03-12T03:00:00.000Z"


def test_the_callers_zone_counts_where_none_is_named() -> None:
    """A named zone wins over the context's, which wins over nothing."""
    assert read_date("tomorrow 09:30", NOW, "Europe/Paris") == "2026-03-05T08:30:00.000Z"
    assert read_date("tomorrow 09:30 UTC", NOW, "Europe/Paris") == "2026-03-05T09:30:00.000Z"


@pytest.mark.parametrize(
    "text",
    [
        "next week", "in two hours", "noon", "tomorrow", "friday", "tomorrow 9:30 UTC", "tomorrow 9am UTC", "03/04/2026 10:00 UTC",
        "next friday 10:00 UTC", "2026-02-30 10:00 UTC", "2026-05-01 25:00 UTC", "2026-05-01 10:61 UTC", "2026-05-01 10:00",
        "2026-05-01 10:00 EST", "2026-05-01 10:00 Mars/Base", "2026-05-01 10:00 +15:00", "2026-05-01 10:00 +01:75",
        "2026-05-01 10:00 pm", "2026-05-01 10:00 ../etc", "9999-12-31 23:59 -14:00", "0001-01-01 00:00 +14:00", "",
        "٢٠٢٦-05-01 10:00 UTC", "tomorrow 10:00 posix/Europe/Paris", "tomorrow 10:00 localtime",
    ],
)  # fmt: skip
def test_any_other_date_is_refused(text: str) -> None:
    """No shape, day, time or zone is guessed or repaired."""
    with pytest.raises(ValueError, match=r"\.$"):
        read_date(text, NOW, None)


def test_a_time_that_the_clocks_skip_or_show_twice_is_asked_about() -> None:
    """On both nights of clock change, one hour is not certain and its neighbours are."""
    for text in ("2026-03-29 02:30 Europe/Paris", "2026-10-25 02:30 Europe/Paris"):
        with pytest.raises(ValueError, match="clocks change"):
            read_date(text, NOW, None)
    assert read_date("2026-03-29 03:30 Europe/Paris", NOW, None) == "2026-03-29T01:30:00.000Z"
    assert read_date("2026-10-25 03:30 Europe/Paris", NOW, None) == "2026-10-25T02:30:00.000Z"


@given(st.text(), st.text())
def test_no_text_raises_anything_else(text: str, zone: str) -> None:
    """Whatever is typed, there is a moment or a ``ValueError``."""
    looks_like_date(text)
    zone_named(zone)
    for sentence in (text, f"tomorrow 09:30 {text}"):
        with contextlib.suppress(ValueError):
            assert read_date(sentence, NOW, zone).endswith("Z")


def test_a_sentence_with_a_date_becomes_a_step_or_a_question() -> None:
    """The slot takes the words up to the end; a missing zone is asked for, and the answer fills it in."""
    prompt = "remind me of the meeting on friday at 10:00"
    assert asked(propose(prompt)) == ["at"]
    expected = [("clock.remind", {"text": "the meeting", "at": "2026-03-06T10:00:00.000Z"})]
    assert steps(propose(prompt, answers={"at": "friday 10:00 UTC"})) == expected
    assert steps(propose(prompt, time_zone="UTC")) == expected
    assert asked(propose(prompt, time_zone="Nowhere/Else")) == ["at"]
    assert asked(propose("remind me of it on next monday or so")) == ["text", "at"]
