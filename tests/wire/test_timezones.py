"""Time zones come in by name or as shown, and go out as shown, whatever zones the machine has."""

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from rollbook.wire import timezones

SHOWN = {
    "US/Eastern": "(GMT-5:00) - US/Eastern",
    "utc": "(GMT+0:00) - UTC",
    "(GMT+7:00) - asia/kolkata": "(GMT+5:30) - Asia/Kolkata",
    "America/St_Johns": "(GMT-3:30) - America/St_Johns",
    "Australia/Sydney": "(GMT+10:00) - Australia/Sydney",
    "Europe/Dublin": "(GMT+0:00) - Europe/Dublin",
}


@pytest.fixture(params=["zones of the machine", "no zones"])
def _zones(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "no zones":
        zoneinfo.reset_tzpath(to=[])
    timezones.list_names.cache_clear()
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    timezones.list_names.cache_clear()


@pytest.mark.usefixtures("_zones")
def test_zone_is_shown_with_its_standard_offset_in_summer_and_winter() -> None:
    for month in (1, 7):
        now = datetime(2026, month, 15, tzinfo=UTC)
        shown = {text: timezones.show_timezone(timezones.read_timezone(text), now) for text in SHOWN}
        assert shown == SHOWN


@pytest.mark.parametrize("text", ["", "EST5", "localtime", "../etc/passwd", "(GMT-5:00)", "(GMT-5:00) - Nowhere"])
def test_text_that_names_no_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        timezones.read_timezone(text)
