"""Every date and time is read as it was written, and other text is refused."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbook.wire.dates import read_date, read_time, write_time

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# Not at the ends of the calendar, where a time has no date in another zone.
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)
spellings = st.sampled_from([str, str.lower, str.upper, str.swapcase])


@given(day=st.dates(date(1970, 1, 1), date(2069, 12, 31)), spell=spellings)
def test_a_date_with_a_month_name_is_read_in_any_case(day: date, spell: type[str]) -> None:
    assert read_date(spell(f"{day.day:02}-{MONTHS[day.month - 1]}-{day.year % 100:02}")) == day


@given(day=st.dates(), spell=spellings)
def test_a_date_with_a_month_name_and_four_digits_is_of_exactly_that_year(day: date, spell: type[str]) -> None:
    assert read_date(spell(f"{day.day:02}-{MONTHS[day.month - 1]}-{day.year:04}")) == day


@given(day=st.dates())
def test_an_iso_date_is_read(day: date) -> None:
    assert read_date(day.isoformat()) == day
    assert read_time(day.isoformat()) == datetime(day.year, day.month, day.day, tzinfo=UTC)


@given(moment=moments)
def test_a_time_that_was_written_is_read_as_the_same_millisecond(moment: datetime) -> None:
    assert read_time(write_time(moment)) == moment - timedelta(microseconds=moment.microsecond % 1000)


@given(moment=moments)
def test_written_time_is_utc_with_at_most_one_trailing_zero(moment: datetime) -> None:
    seconds, fraction = write_time(moment).split(".")
    assert seconds == str(moment.astimezone(UTC).replace(tzinfo=None, microsecond=0))
    assert 1 <= len(fraction) <= 3
    assert fraction == "0" or not fraction.endswith("0")


@pytest.mark.parametrize(
    ("microsecond", "fraction"),
    [(0, "0"), (999, "0"), (1000, "001"), (10_999, "01"), (120_000, "12"), (500_000, "5"), (999_999, "999")],
)
def test_fraction_is_truncated_to_milliseconds(microsecond: int, fraction: str) -> None:
    moment = datetime(2022, 7, 1, 12, 0, 0, microsecond, UTC)
    assert write_time(moment) == f"2022-07-01 12:00:00.{fraction}"


def test_a_time_is_read_with_or_without_its_fraction() -> None:
    assert read_time("2022-07-01 12:30:15") == datetime(2022, 7, 1, 12, 30, 15, tzinfo=UTC)
    assert read_time("2022-07-01 12:30:15.5") == datetime(2022, 7, 1, 12, 30, 15, 500_000, UTC)
    assert read_time("01-Jul-22") == datetime(2022, 7, 1, tzinfo=UTC)


NONSENSE = (
    "",
    "today",
    "1-Jul-22",
    "01-Jul-022",
    "01-Jul-0000",
    "01-July-22",
    "01 Jul 22",
    "01-Jux-22",
    "01-Mär-22",
    "32-Jul-22",
    "00-Jul-22",
    "29-Feb-23",
    "\u0660\u0661-Jul-22",
    "01-Jul-22 ",
    "01-Jul-22\n",
    "2022-02-29",
    "2022-7-1",
    "20220701",
    "2022-W26-5",
    "0000-01-01",
)
NO_TIMES = (
    "2022-07-01T12:00:00",
    "2022-07-01 12:00",
    "2022-07-01 24:00:00",
    "2022-07-01 12:60:00",
    "2022-07-01 12:00:00Z",
    "2022-07-01 12:00:00+02:00",
    "2022-07-01 12:00:00.",
    "2022-07-01 12:00:00.1234567",
    "01-Jul-22 12:00:00",
)


@pytest.mark.parametrize("text", [*NONSENSE, "2022-07-01 12:00:00.0"])
def test_other_text_than_a_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_date(text)


@pytest.mark.parametrize("text", [*NONSENSE, *NO_TIMES])
def test_other_text_than_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_time(text)


@given(text=st.text() | st.from_regex(r"\A[0-9]{1,4}-[0-9A-Za-z]{1,3}-[0-9]{1,4}( [0-9:.]{1,12})?\Z"))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_date, read_time):
        try:
            read(text)
        except ValueError:
            continue
