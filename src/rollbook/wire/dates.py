"""Reads and writes the dates and times of the wire, all in UTC (protocol §6)."""

import re
from datetime import UTC, date, datetime, time
from functools import lru_cache

# English in every locale, unlike strptime's.
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

# Two-digit years from here on are in the 20th century: programs write "since the beginning" as 01-Jan-70 (D22).
FIRST_OF_LAST_CENTURY = 70

_NAMED_MONTH = re.compile(r"([0-9]{2})-([A-Za-z]{3})-([0-9]{2}|[0-9]{4})")
_SLASHED = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(rf"{_ISO_DATE.pattern} [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(\.[0-9]{{1,6}})?")


def read_date(text: str) -> date:
    """Read `dd-Mon-yy` of the years 1970 to 2069, `dd-Mon-yyyy` or `yyyy-mm-dd`; errors: ValueError."""
    if named := _NAMED_MONTH.fullmatch(text):
        day, month, digits = named.groups()
        year = int(digits)
        if len(digits) == 2:
            year += 1900 if year >= FIRST_OF_LAST_CENTURY else 2000
        return date(year, MONTHS.index(month.lower()) + 1, int(day))
    if _ISO_DATE.fullmatch(text):
        return date.fromisoformat(text)
    raise ValueError("neither dd-Mon-yy, dd-Mon-yyyy nor yyyy-mm-dd")


def read_slashed_date(text: str) -> date:
    """Read a date as `read_date` does, or `dd/mm/yyyy`; errors: ValueError."""
    if slashed := _SLASHED.fullmatch(text):
        day, month, year = map(int, slashed.groups())
        return date(year, month, day)
    return read_date(text)


@lru_cache(maxsize=4096)  # many records of a file share their times
def read_time(text: str) -> datetime:
    """Read a time as `write_time` writes it, with or without its fraction, or a date: the first moment of that day.

    Errors: ValueError.
    """
    if _TIME.fullmatch(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    return datetime.combine(read_date(text), time.min, UTC)


def write_time(moment: datetime) -> str:
    """Write an aware time as `yyyy-mm-dd hh:mm:ss.fff`, its fraction without trailing zeros but never empty."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "milliseconds")
    seconds, fraction = text.split(".")
    return f"{seconds}.{fraction.rstrip('0') or '0'}"


def write_date(day: date) -> str:
    """Write `dd-Mon-yy`, which every server reads; ISO for years outside 1970 to 2069."""
    if not 0 <= day.year - 1900 - FIRST_OF_LAST_CENTURY < 100:
        return date(day.year, day.month, day.day).isoformat()
    return f"{day.day:02}-{MONTHS[day.month - 1].title()}-{day.year % 100:02}"


def write_moment(moment: date) -> str:
    """Write a time, or a day in place of one."""
    return write_time(moment) if isinstance(moment, datetime) else moment.isoformat()
