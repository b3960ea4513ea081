"""Time zones: read by name or as shown, `(GMT-5:00) - US/Eastern`, and shown with the zone's standard offset."""

import re
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from rollbook.wire.messages import Kind

DEFAULT = "UTC"
_SHOWN = re.compile(r"\(GMT[^)]*\)\s*-\s*(.*)")


@cache
def list_names() -> dict[str, str]:
    """Name every zone by its name in lower case, except those that stand for whatever a machine is set to."""
    return {name.lower(): name for name in available_timezones() - {"localtime", "Factory"}}


def read_timezone(text: str) -> str:
    """Read the name of a zone in any case, or its shown form, whose offset does not count; errors: ValueError."""
    shown = _SHOWN.fullmatch(text)
    name = list_names().get((shown[1] if shown else text).lower())
    if name is None:
        raise ValueError("no time zone has this name")
    return name


def show_timezone(name: str | None, now: datetime) -> str:
    """Show a zone, or the default one, with the offset that it has in the year of `now` without daylight saving."""
    zone = ZoneInfo(name or DEFAULT)
    offsets = [datetime(now.year, month, 1, tzinfo=zone).utcoffset() or timedelta() for month in (1, 7)]
    minutes = min(offsets) // timedelta(minutes=1)
    hours, rest = divmod(abs(minutes), 60)
    return f"(GMT{'-' if minutes < 0 else '+'}{hours}:{rest:02}) - {name or DEFAULT}"


TIMEZONE = Kind("name of a time zone, or its shown form", "US/Eastern", read_timezone)
