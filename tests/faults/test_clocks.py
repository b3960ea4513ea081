"""Clocks that are set back, leave daylight-saving time, or differ from the database's time zone."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from campus import Campus
from load import Load, check_books, report
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from server_process import run_server

# Berlin goes back from 03:00 to 02:00 at this moment.
END_OF_SUMMER = datetime(2026, 10, 25, 1, tzinfo=UTC)


def test_clock_set_back_delays_only_held_items(database: Database, database_url: str, tmp_path: Path) -> None:
    prompt, held = Campus(database), Campus(database)
    held.set(hold_seconds=60)
    ids, held_ids = prompt.enroll(3), held.enroll(3)
    # A clock that is set back finds items that were accepted in its future.
    an_hour_ahead = utc_now() + timedelta(hours=1)
    prompt.accept(ids[:2], an_hour_ahead)
    held.accept(held_ids, an_hour_ahead)
    with run_server(database_url, tmp_path, poll_seconds=0.05) as server:
        prompt.wait_until_drained()
        assert server.post(prompt.package(ids[2:])).status_code == 200
        prompt.wait_until_drained()
    assert set(prompt.queue().values()) == {"Complete"}
    assert set(held.queue().values()) == {"Pending"}


def test_time_zones_of_machine_and_database_change_no_response(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campus = Campus(database)
    [id_] = campus.enroll(1)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE enrollments SET enrolled_at = '2026-07-01 12:00:00.000000'")
    if database.engine.dialect.name == "postgresql":
        name = database_url.split("?", maxsplit=1)[0].rsplit("/", maxsplit=1)[1]
        with database.write() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET timezone = 'America/St_Johns'")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    parameters = "<Report><Filters/><Columns><ColumnName>ENROLLED_DATE</ColumnName></Columns></Report>"
    with run_server(database_url, tmp_path, poll_seconds=0.05) as server:
        answer = server.post(campus.call("getLearnerReport", parameters))
        server.post(campus.package([id_]))
        campus.wait_until_drained()
        items = server.post(campus.call("getUnenrollments", "<Unenrollments/>"))
    assert etree.fromstring(answer.content).findtext("Info//EnrolledDate") == "2026-07-01 12:00:00.0"
    requested = etree.fromstring(items.content).findtext("Info//RequestedDate") or ""
    assert abs(datetime.fromisoformat(requested).replace(tzinfo=UTC) - utc_now()) < timedelta(minutes=5)


@pytest.fixture
def clock(soaks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the offset, in seconds, of the clock of the processes that are started."""
    if not soaks:
        pytest.skip("for make soak: it needs libfaketime")
    found = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
    if not found:
        pytest.fail("CLOCKS ARE NOT SET BACK: install libfaketime (apt-get install libfaketime)")
    file = tmp_path / "clock"
    for name, value in {
        "LD_PRELOAD": found[0],
        "FAKETIME_TIMESTAMP_FILE": file,
        "FAKETIME_NO_CACHE": 1,
        "FAKETIME_DONT_FAKE_MONOTONIC": 1,
        "TZ": "Europe/Berlin",
    }.items():
        monkeypatch.setenv(name, str(value))
    return file


def test_clock_set_back_under_load_and_the_end_of_daylight_saving_time(
    clock: Path, database: Database, database_url: str, tmp_path: Path
) -> None:
    campus = Campus(database)
    ids = campus.enroll(30_000)
    ahead = int((END_OF_SUMMER - utc_now()).total_seconds()) - 15
    clock.write_text(f"{ahead:+d}")
    assert "2026-10-25T02:59" in subprocess.run(["date", "-Is"], capture_output=True, text=True, check=True).stdout
    with run_server(database_url, tmp_path, forked=False, poll_seconds=0.1) as server:
        with Load(campus, server, ids) as load:
            load.wait_for_answers(200)
            while datetime.now(UTC) + timedelta(seconds=ahead) < END_OF_SUMMER + timedelta(seconds=3):
                load.wait_for_answers(50)
            clock.write_text(f"{ahead - 3600:+d}")
            load.wait_for_answers(500)
        books = check_books(load)
        log = server.log.read_text()
    report(f"summer's end, then an hour back, {database.engine.dialect.name}", load, **books)
    assert "2026-10-25T00:00" in log
    assert set(load.statuses) == {200}
