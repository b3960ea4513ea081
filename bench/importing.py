"""The rows about imports: `rollbook import` compared with bulk loading and updating the same rows."""

import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from figures import Figure
from places import COURSES, Place, durable_postgresql, postgresql_place, sqlite_place
from rollbook.model import Actor
from rollbook.store.database.bulk_load import load_rows
from rollbook.store.database.tables import enrollments
from rollbook.store.people.accounts import add_account
from server_process import environment

ROWS = 1_000_000
COLUMNS = (
    *("account_id", "external_id", "user_id", "group_id", "course_id"),
    *("status", "enrolled_at", "created_at", "modified_at"),
)
NOW = "2026-01-31 12:00:00.000000"
PROGRESS_COLUMNS = ("ID", "EnrollmentStatus", "Progress", "Grade", "StartedDate", "LastAccessedDate")
STARTED = "2026-02-01 10:30:00.000000"


def import_roster(rounds: int) -> Iterator[Figure]:
    """Importing, compared with COPY or executemany into the same empty table; one measurement for five rounds."""
    with TemporaryDirectory(prefix="rollbook-bench-", dir="/var/tmp") as folder:
        archive = _write_archive(Path(folder))
        with durable_postgresql() as server, postgresql_place(server, ROWS) as place:
            yield _measure(place, "PostgreSQL", archive, max(1, rounds // 5))
        with sqlite_place(ROWS) as place:
            yield _measure(place, "SQLite", archive, max(1, rounds // 5))


def import_progress(rounds: int) -> Iterator[Figure]:
    """Importing progress of every enrollment, compared with COPY and one UPDATE, or with executemany, of the same rows.

    One measurement for five rounds.
    """
    with TemporaryDirectory(prefix="rollbook-bench-", dir="/var/tmp") as folder:
        with durable_postgresql() as server, postgresql_place(server, ROWS) as place:
            yield _measure_progress(place, "PostgreSQL", Path(folder), max(1, rounds // 5))
        with sqlite_place(ROWS) as place:
            yield _measure_progress(place, "SQLite", Path(folder), max(1, rounds // 5))


def _measure_progress(place: Place, name: str, folder: Path, rounds: int) -> Figure:
    figure = Figure(f"import of progress of {ROWS:,} enrollments, {name}", "rows/s", 0.25, 0.50)
    first = int(str(place.run("SELECT MIN(id) FROM enrollments")[0][0]))
    for number in range(rounds):
        limit = _update_bare(place, first, 2 * number)
        if not place.on_sqlite:
            place.run("VACUUM ANALYZE enrollments", "CHECKPOINT")
        file = folder / "progress.csv"
        with file.open("w") as lines:
            lines.write(",".join(PROGRESS_COLUMNS) + "\n")
            lines.writelines(",".join(map(str, row)) + "\n" for row in _progress_rows(first, 2 * number + 1))
        given = ["progress", str(file), "--account", place.accounts[0].account.name]
        seconds = _run(place, folder, *given)
        assert place.run(f"SELECT COUNT(*) FROM enrollments WHERE progress = '{2 * number + 1}'") == [(ROWS,)]
        figure.add(ROWS / seconds, ROWS / limit)
    return figure


def _progress_rows(first: int, progress: int) -> Iterator[tuple[object, ...]]:
    for id_ in range(first, first + ROWS):
        yield id_, "In Progress", progress, "B+", STARTED, STARTED


def _update_bare(place: Place, first: int, progress: int) -> float:
    columns = "status, progress, grade, started_at, last_accessed_at"
    rows = [(*map(str, row[1:]), NOW, row[0]) for row in _progress_rows(first, progress)]
    started = time.perf_counter()
    if place.on_sqlite:
        with closing(sqlite3.connect(place.url.removeprefix("sqlite:///"))) as plain, plain:
            plain.execute("PRAGMA synchronous = FULL")
            values = "(?, ?, ?, ?, ?, ?)"
            plain.executemany(f"UPDATE enrollments SET ({columns}, modified_at) = {values} WHERE id = ?", rows)
    else:
        with psycopg.connect(place.url) as connection, connection.cursor() as cursor:
            cursor.execute(
                "CREATE TEMPORARY TABLE given (status text, progress text, grade text, started_at timestamptz, "
                "last_accessed_at timestamptz, modified_at timestamptz, id bigint)"
            )
            with cursor.copy("COPY given FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            taken = ", ".join(f"given.{name}" for name in columns.split(", "))
            cursor.execute(
                f"UPDATE enrollments SET ({columns}, modified_at) = ({taken}, given.modified_at) "
                "FROM given WHERE enrollments.id = given.id"
            )
    return time.perf_counter() - started


def _measure(place: Place, name: str, archive: Path, rounds: int) -> Figure:
    figure = Figure(f"import of {ROWS:,} enrollments, {name}", "rows/s", 0.50, 0.70)
    empty = "DELETE FROM enrollments" if place.on_sqlite else "TRUNCATE enrollments"
    for number in range(rounds):
        place.run(empty)
        limit = _load_bare(place)
        place.run(empty)
        figure.add(ROWS / _import(place, archive, f"Roster {number}"), ROWS / limit)
    return figure


def _import(place: Place, archive: Path, account: str) -> float:
    with place.database.write() as connection:
        add_account(connection, account, "owner@example.org", by=Actor("bench"))
    seconds = _run(place, archive.parent, "oneroster", str(archive), "--account", account)
    assert place.run("SELECT COUNT(*) FROM enrollments") == [(ROWS,)]
    return seconds


def _run(place: Place, folder: Path, *arguments: str) -> float:
    command = [sys.executable, "-m", "rollbook", "import", *arguments]
    given = environment(place.url, folder)
    started = time.perf_counter()
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stderr
    return seconds


def _load_bare(place: Place) -> float:
    account = place.accounts[0]
    mine = f"account_id = {account.account.id}"
    courses = place.run(f"SELECT id FROM courses WHERE {mine} ORDER BY id DESC LIMIT {COURSES}")
    users = place.run(f"SELECT id FROM users WHERE {mine} ORDER BY id DESC LIMIT {ROWS // COURSES}")
    pairs = ((user, course) for (user,) in users for (course,) in courses)
    rows = [
        (account.account.id, f"e{number}", user, account.group_id, course, "Enrolled", NOW, NOW, NOW)
        for number, (user, course) in enumerate(pairs)
    ]
    started = time.perf_counter()
    with place.database.write() as connection:
        load_rows(connection, enrollments, rows, COLUMNS)
    return time.perf_counter() - started


def _write_archive(folder: Path) -> Path:
    users, classes = range(ROWS // COURSES), range(COURSES)
    files = {
        "orgs": ["sourcedId,name,type", "s1,North School,school"],
        "academicSessions": ["sourcedId,title", "t1,Spring"],
        "courses": ["sourcedId,title", "k1,Mathematics"],
        "classes": [
            "sourcedId,title,courseSourcedId,schoolSourcedId,termSourcedIds",
            *(f"c{number},Class {number},k1,s1,t1" for number in classes),
        ],
        "users": [
            "sourcedId,enabledUser,orgSourcedIds,role,givenName,familyName,email,identifier",
            *(f"u{number},true,s1,student,Some,Learner,u{number}@example.org,E{number}" for number in users),
        ],
        "enrollments": [
            "sourcedId,classSourcedId,schoolSourcedId,userSourcedId,role,beginDate,endDate",
            *(f"e{user}-{number},c{number},s1,u{user},student,2026-02-01," for user in users for number in classes),
        ],
    }
    manifest = ["propertyName,value", "oneroster.version,1.1", *(f"file.{name},bulk" for name in files)]
    archive = folder / "roster.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, lines in {"manifest": manifest, **files}.items():
            packed.writestr(f"{name}.csv", "\r\n".join([*lines, ""]))
    return archive
