"""`rollbook unenroll --keep` and `rollbook reenroll`: an undo for a server that has none."""

import csv
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import copies
from campus import Campus
from conftest import Served
from copies import Copy
from hosted import Hosted
from rollbook.store.database.tables import courses, enrollments, memberships, sessions, unenrollments, users

hosted, copy = copies.hosted, copies.copy
# What no statement decides is tested with one database.
with_a_copy_on_sqlite = pytest.mark.parametrize("served", ["postgresql"], indirect=True)

WHEN = datetime(2026, 3, 1, 8, 30, 15, 250_000, UTC)
COMPLETED = {
    "status": "Completed",
    "grade": "A",
    "points": "9",
    "completed_at": WHEN,
    "started_at": WHEN - timedelta(9),
}
RUNNING = {"status": "In Progress", "progress": "50", "grade": "B", "started_at": WHEN, "due_at": WHEN + timedelta(365)}
KEPT = ("user_id", "course_id", "group_id", "session_id", "status", "grade", "enrolled_at")
DATES = ("started_at", "completed_at", "due_at")


def fill(campus: Campus, count: int) -> list[int]:
    """Enroll learners with addresses, in thirds: completed, running, and running or completed in a session."""
    ids = campus.enroll(count)
    led = campus.add(courses, name="Led", status="Active")
    session = campus.add(sessions, course_id=led, name="s", starts_at=WHEN)
    e, u = enrollments.c, users.c
    with campus.database.write() as connection:
        for number, id_ in enumerate(ids):
            change: dict[str, Any] = {"enrolled_at": WHEN - timedelta(number)}
            change |= (COMPLETED, RUNNING, {**COMPLETED, "course_id": led, "session_id": session})[number % 3]
            connection.execute(sa.update(enrollments).where(e.id == id_).values(change))
        people = sa.select(e.user_id).where(e.account_id == campus.account.id).order_by(e.id)
        for number, user_id in enumerate(connection.execute(people).scalars().all()):
            named = {"email": f"l{number}@example.org"} if number % 2 else {"employee_id": f"E{number}"}
            connection.execute(sa.update(users).where(u.id == user_id).values(named))
            member = {"account_id": campus.account.id, "group_id": campus.group_id, "user_id": user_id}
            connection.execute(memberships.insert(), {**member, "group_manager": False, "manage_group_users": False})
    return ids


def rows_of(campus: Campus, names: tuple[str, ...], **chosen: object) -> dict[int, tuple[Any, ...]]:
    """The current enrollments of the account by user, each in tuples of these columns with times in milliseconds."""
    e = enrollments.c
    query = sa.select(e.user_id, *(e[name] for name in names)).where(
        e.account_id == campus.account.id,
        e.unenrolled_at.is_(None),
        *(e[name] == value for name, value in chosen.items()),
    )
    with campus.database.read() as connection:
        rows = connection.execute(query).all()
    assert len({row.user_id for row in rows}) == len(rows), "a learner is enrolled twice"
    return {user_id: tuple(values) for user_id, *values in rows}


def unenroll(copy: Copy, ids: list[int], *options: str) -> Any:
    Path("ids.txt").write_text("\n".join(map(str, ids)))
    keep = ("--keep", "Copy", "--output", "out.csv", "--yes", "--max-percent", "100", "--reason", "Left")
    return copy.run("unenroll", "--file", "ids.txt", *keep, *options)


def lose_answers(hosted: Hosted, *methods: str) -> None:
    """Interrupt the command by Ctrl-C when the server has done the second call of each method."""
    counts: Counter[str] = Counter()

    def interrupt(_number: int, method: str) -> None:
        counts[method] += 1
        if method in methods and counts[method] == 2:
            os.kill(os.getpid(), signal.SIGINT)
            raise ConnectionError

    hosted.after = interrupt


def test_500_learners_are_removed_and_come_back_once_with_status_grade_and_dates(
    served: Served, campus: Campus, hosted: Hosted, copy: Copy
) -> None:
    ids = fill(campus, 500)
    before, dates = rows_of(campus, KEPT), rows_of(campus, DATES, session_id=None)
    lose_answers(hosted, "unenrollLearningModules")
    done = unenroll(copy, ids)
    assert (done.code, "500 are copied into Copy." in done.err) == (130, True)
    done = unenroll(copy, ids)
    assert (done.code, "500 accepted, 0 refused." in done.out) == (0, True), done.err
    campus.drain()
    assert rows_of(campus, KEPT) == {}
    [batch] = copy.column(sa.select(unenrollments.c.batch_id).distinct())
    assert f"rollbook reenroll --batch {batch} --keep Copy" in done.err
    assert copy.column(sa.select(sa.func.count()).where(unenrollments.c.status == "Complete")) == [500]

    lose_answers(hosted, "enrollmentHistoryImport", "enrollSessionHistory")
    back = ("reenroll", "--batch", str(batch), "--keep", "Copy", "--output", "back.csv", "--yes")
    codes: list[int] = []
    while not codes or codes[-1] == 130:
        done = copy.run(*back)
        codes.append(done.code)
    assert (codes, done.out.splitlines()[-1]) == ([130, 130, 0], "500 are enrolled again, 0 are not."), done.err
    assert rows_of(campus, KEPT) == before
    assert rows_of(campus, DATES, session_id=None) == dates
    with Path("back.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == ids
    assert {int(row["new_id"]) for row in rows} == {row[0] for row in rows_of(campus, ("id",)).values()}
    without = Counter(row["without"] for row in rows)
    assert without == {"points": 167, "progress": 167, "points, start, completion date": 166}
    assert copy.run(*back).out == "500 are enrolled again, 0 are not.\n"
    assert len(rows_of(campus, KEPT)) == 500
    mirrored = copy.run("mirror", "--account", "Copy", "--format", "json")
    assert (mirrored.code, mirrored.json[-1]["added"], mirrored.json[-1]["restored"]) == (0, 500, 0), mirrored.err


def test_what_cannot_come_back_is_told_before_and_listed_after(
    served: Served, campus: Campus, hosted: Hosted, copy: Copy
) -> None:
    ids = fill(campus, 9)
    hosted.missing |= {"enrollmentHistoryImport", "enrollSessionHistory"}
    assert unenroll(copy, ids).code == 0
    campus.drain()
    with campus.database.write() as connection:
        gone = sa.update(users).where(users.c.account_id == campus.account.id, users.c.email == "l1@example.org")
        connection.execute(gone.values(active=False))
    [batch] = copy.column(sa.select(unenrollments.c.batch_id).distinct())
    done = copy.run("reenroll", "--batch", str(batch), "--keep", "Copy")
    assert (done.code, "Not a terminal" in done.err) == (2, True)
    assert "Completed    6            not at all" in done.out
    assert "In Progress  3            from its beginning  progress of 3, grade of 3" in done.out
    done = copy.run("reenroll", "--batch", str(batch), "--keep", "Copy", "--yes")
    assert (done.code, done.out.splitlines()[-1]) == (1, "2 are enrolled again, 7 are not.")
    assert f"{ids[1]}: l1@example.org, Fire Safety: ELM:02: Enrollment 1 - The User provided is not valid." in done.err
    assert f"{ids[0]}: E0, Fire Safety: the server takes no history of a completed course" in done.err
    assert {row[4] for row in rows_of(campus, KEPT).values()} == {"Enrolled"}


@with_a_copy_on_sqlite
def test_who_is_still_enrolled_there_is_not_enrolled_a_second_time(campus: Campus, hosted: Hosted, copy: Copy) -> None:
    ids = fill(campus, 6)
    assert unenroll(copy, ids).code == 0  # nothing processes the queue there
    told = copy.run("mirror", "--account", "Copy", "--format", "json")
    assert (told.code, told.json[-1]["restored"]) == (0, 0)
    assert "6 enrollments that `unenroll --keep` has ended here are still current there." in told.err
    [batch] = copy.column(sa.select(unenrollments.c.batch_id).distinct())
    back = ("reenroll", "--batch", str(batch), "--keep", "Copy", "--yes")
    done = copy.run(*back)
    assert (done.code, done.out.splitlines()[-1]) == (1, "0 are enrolled again, 6 are not.")
    assert done.err.count("still enrolled there: the server has not processed the removal") == 6
    assert set(rows_of(campus, ("id",)).values()) == {(id_,) for id_ in ids}
    campus.drain()
    assert copy.run(*back).code == 0
    assert len(rows_of(campus, KEPT)) == 6


@with_a_copy_on_sqlite
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--batch", "77", "--keep", "Copy"), "The account 'Copy' is no copy of an account of"),
        (("--batch", "77", "--keep", "Nobody"), "There is no account 'Nobody'"),
        (("--batch", "0", "--keep", "Copy"), "--batch"),
    ],
)
def test_wrong_accounts_and_batches_are_one_sentence(copy: Copy, options: tuple[str, ...], said: str) -> None:
    done = copy.run("reenroll", *options)
    assert (done.code, done.out, said in done.err) == (2, "", True), done.err


@with_a_copy_on_sqlite
def test_keep_is_refused_where_it_could_not_keep(campus: Campus, copy: Copy) -> None:
    ids = fill(campus, 3)
    done = copy.run("unenroll", str(ids[0]), "--keep", "Copy", "--yes")
    assert (done.code, "--keep needs --output FILE" in done.err) == (2, True)
    assert copy.run("account", "set", "Copy", "--protect-completed").code == 0
    done = unenroll(copy, ids)
    assert (done.code, "protects completed enrollments" in done.err) == (2, True)
    assert copy.run("account", "set", "Copy", "--no-protect-completed").code == 0
    assert copy.run("mirror", "--account", "Copy", "--pseudonymize").code == 0
    done = unenroll(copy, ids)
    assert (done.code, "made-up names" in done.err) == (2, True)
    assert campus.queue() == {}
