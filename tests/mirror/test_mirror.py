"""`rollbook mirror` copies an account of any server by reading calls alone: all of it, then what has changed."""

import json
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import copies
from campus import OPERATOR, Campus
from conftest import Served
from copies import Copy
from hosted import Hosted
from rollbook import Client, Enrollment, GroupValues, Progress, UserGroup, UserValues
from rollbook.methods.get_learner_report import COLUMNS
from rollbook.model import Account, EnrollmentStatus, utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.tables import audit, batches, courses, enrollments, groups, memberships, sessions, users
from rollbook.store.learning.report import ReportFilter, find_learners
from rollbook.store.people.accounts import add_account
from rollbook.wire.dates import write_time

hosted, copy = copies.hosted, copies.copy
# What no statement decides is tested with one database.
with_a_copy_on_sqlite = pytest.mark.parametrize("served", ["postgresql"], indirect=True)


def client_of(served: Served, campus: Campus) -> Client:
    return Client(served.server.url, campus.account_key, campus.owner_key, ca_file=served.server.ca_file)


def fill(served: Served, campus: Campus) -> list[int]:
    """Enroll learners of every status, with progress, sessions, names and groups of all kinds, a year ago."""
    ids = [id_ for status in EnrollmentStatus for id_ in campus.enroll(3, status)]
    session = campus.add(sessions, course_id=campus.course_id, name="s", starts_at=utc_now(), grade_type="Pass/Fail")
    with campus.database.write() as connection:
        old = {"created_at": utc_now() - timedelta(400), "modified_at": utc_now() - timedelta(365)}
        mine = enrollments.c.account_id == campus.account.id
        connection.execute(sa.update(enrollments).where(mine).values(session_id=session, **old))
    with client_of(served, campus) as client:
        named = UserValues(
            "Zoë@example.org", "=1+1", 'A & "é"', "שלום <b>", title="'T", division="D,", alternate_email="z@example.com"
        )
        client.create_group(GroupValues("Zweite & <Grüne>", "N-1", description="d", tags={"Source": ["A", "B"]}))
        client.create_user(UserValues(**{**vars(named), "groups": [UserGroup("North"), UserGroup(group_id="N-1")]}))
    with campus.database.write() as connection:
        zoe = sa.select(users.c.id).where(users.c.account_id == campus.account.id, users.c.employee_id == "=1+1")
        change = {"user_id": zoe.scalar_subquery(), "grade": "=A", "progress": "50", "points": "7"}
        connection.execute(sa.update(enrollments).where(enrollments.c.id == ids[0]).values(change))
    return ids


def report_of(database: Database, account: Account) -> list[tuple[Any, ...]]:
    """Every row of the learner report with the status, as it is written on the wire."""
    fields = ["id", *(column.field for column in COLUMNS.values() if column.field), "status", "course_name"]
    fields += ["user_id", "course_id", "given_name", "family_name", "created_at", "modified_at"]
    with database.read() as connection:
        rows = find_learners(connection, account.id, ReportFilter(), fields, limit=10**6, offset=0)
    return [
        tuple(write_time(value) if hasattr(value, "astimezone") else str(value or "") for value in row) for row in rows
    ]


def test_copy_is_the_account_with_all_ids_and_again_nothing_changes(
    served: Served, campus: Campus, hosted: Hosted, copy: Copy
) -> None:
    ids = fill(served, campus)
    counts = copy.counts()
    assert counts["enrollments"] == {"listed": len(ids), "read": len(ids), "added": len(ids)}
    assert report_of(copy.database, copy.account) == report_of(campus.database, campus.account)
    assert hosted.at_once == 1
    before = copy.tables()
    hosted.reset()
    again = copy.counts()
    assert again["enrollments"] == {"listed": len(ids)}
    assert [kind for kind, count in again.items() if {"added", "changed", "ended", "restored"} & {*count}] == []
    assert copy.tables() == before
    assert hosted.rows == 0


def changed_kinds(counts: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """What a run has done, without what it has read."""
    done = {
        kind: {what: n for what, n in each.items() if what not in ("listed", "read")} for kind, each in counts.items()
    }
    return {kind: each for kind, each in done.items() if each}


def test_only_what_was_modified_since_travels_and_the_copy_is_equal_again(
    served: Served, campus: Campus, hosted: Hosted, copy: Copy
) -> None:
    ids = fill(served, campus)
    copy.counts()
    hosted.reset()
    with client_of(served, campus) as client:
        list(client.update_enrollments(Progress(id_, grade="B", progress="75") for id_ in ids[3:8]))
        list(client.update_enrollments([Progress(ids[8], "Completed", grade="A")]))
        zoe = UserValues("zoe.new@example.org", alternate_email="", title="Dr", teams=["Red", "Blue"])
        client.update_user(zoe, employee_id="=1+1")
        client.update_group(name="North", values=GroupValues("Nord"))
    campus.enroll(2)
    assert changed_kinds(copy.counts()) == {
        "groups": {"changed": 1},
        "users": {"added": 2, "changed": 1},
        "enrollments": {"added": 2, "changed": 6},
    }
    assert hosted.rows == 6 + 2
    assert report_of(copy.database, copy.account) == report_of(campus.database, campus.account)
    assert changed_kinds(copy.counts()) == {}
    [line] = copy.column(
        sa.select(audit.c.details).where(audit.c.action == "import").order_by(audit.c.id.desc()).limit(1)
    )
    assert "enrollments added" in line


def test_vanished_is_told_and_ended_when_wanted_and_what_comes_back_is_restored(
    served: Served, campus: Campus, hosted: Hosted, copy: Copy
) -> None:
    ids = fill(served, campus)
    copy.counts()
    campus.accept(ids[:5])
    campus.drain()
    with client_of(served, campus) as client:
        learner = copy.column(sa.select(users.c.employee_id).where(users.c.employee_id == "=1+1"))
        [again] = client.enroll([Enrollment(campus.course_id, "Nord" if not learner else "North", employee_id="=1+1")])
        assert again.accepted, again
        told = copy.mirror()
        assert (told.code, {row["kind"]: row["added"] for row in told.json}["enrollments"]) == (1, 0)
        assert (
            "5 enrollments are no longer there and still current here: --end-missing unenrolls them here." in told.err
        )
        assert "1 enrollments could not be copied" in told.err
        ended = copy.counts("--end-missing")
        assert changed_kinds(ended) == {"enrollments": {"added": 1, "ended": 5}}
        assert report_of(copy.database, copy.account) == report_of(campus.database, campus.account)
        assert copy.column(sa.select(batches.c.reason)) == [f"No longer on {hosted.url}"]
        assert changed_kinds(copy.counts("--end-missing")) == {}
        restored = [outcome.accepted for outcome in client.restore(ids[1:5])]
    assert restored == [True] * 4
    assert changed_kinds(copy.counts()) == {"enrollments": {"restored": 4}}
    assert report_of(copy.database, copy.account) == report_of(campus.database, campus.account)


def test_interrupted_at_every_other_call_it_continues_and_reads_no_page_twice(
    served: Served, campus: Campus, hosted: Hosted, copy: Copy
) -> None:
    fill(served, campus)
    stops = {"getLearnerReport": 30, "listUsers": 3, "getGroup": 2}

    def interrupt(_number: int, method: str) -> None:
        if hosted.calls[method] <= stops.get(method, 0) and hosted.calls[method] % 2:
            os.kill(os.getpid(), signal.SIGINT)

    hosted.after = interrupt
    done = copy.mirror()
    times = 0
    while done.code == 130:
        times += 1
        assert "Run the same command again to continue." in done.err
        done = copy.mirror()
    assert (done.code, times > 5, "Continued." in done.err) == (0, True, True)
    assert {row["kind"]: row["added"] for row in done.json}["enrollments"] == 3 * len(EnrollmentStatus)
    assert report_of(copy.database, copy.account) == report_of(campus.database, campus.account)
    assert changed_kinds(copy.counts()) == {}


def test_new_records_here_get_ids_above_the_copied_ones(served: Served, campus: Campus, copy: Copy) -> None:
    ids = fill(served, campus)
    copy.counts()
    largest = max(copy.column(sa.select(users.c.id)))
    here = Campus(copy.database, "Local")
    assert min(here.enroll(2)) > 10**12 > max(ids)
    assert here.course_id > campus.course_id
    assert here.user_id("owner@example.org") > largest


def test_taken_ids_and_other_servers_are_refused_with_a_sentence(
    served: Served, campus: Campus, hosted: Hosted, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(served, campus)
    stamp = {"created_at": utc_now(), "modified_at": utc_now()}
    with copy.database.write() as connection:
        add_account(connection, "Other", "o@example.net", by=OPERATOR)
        row = {"id": campus.course_id, "account_id": copy.account.id + 1, "name": "Own", "status": "Active", **stamp}
        connection.execute(courses.insert(), row)
    done = copy.mirror()
    assert (done.code, done.out) == (2, "")
    assert (
        f"The course {campus.course_id} of {hosted.url} cannot keep its id: the account 'Other' has another" in done.err
    )
    with copy.database.write() as connection:
        connection.execute(courses.delete())
        connection.execute(
            sa.update(users).where(users.c.email == "copier@example.net").values(email="Zoë@EXAMPLE.org")
        )
    done = copy.mirror()
    assert done.code == 2
    assert "has the e-mail 'Zoë@example.org', and so has the user 1 of the account here, who is no copy." in done.err
    monkeypatch.setenv("ROLLBOOK_URL", served.server.url)
    monkeypatch.setenv("ROLLBOOK_CA_FILE", str(served.server.ca_file))
    done = copy.mirror()
    assert (done.code, done.out) == (2, "")
    assert f"The account 'Copy' is a copy of an account of {hosted.url}, not of {served.server.url}." in done.err
    done = copy.run("mirror", "--account", "Nobody")
    assert (done.code, "There is no account 'Nobody'" in done.err) == (2, True)


@with_a_copy_on_sqlite
def test_made_up_names_are_the_same_for_the_same_person_and_lead_to_nobody(
    served: Served, campus: Campus, copy: Copy, tmp_path: Path
) -> None:
    fill(served, campus)
    key = tmp_path / "names.key"
    key.write_bytes(b"0123456789abcdef")
    copy.counts("--pseudonymize", "--pseudonym-key", str(key))
    query = sa.select(users).where(users.c.given_name != "").order_by(users.c.id)

    def people() -> list[tuple[Any, ...]]:
        with copy.database.read() as connection:
            return [tuple(row) for row in connection.execute(query)]

    first = people()
    text = repr(first)
    names = ("Zoë", "example.org", "z@example.com", "=1+1", "é", "שלום", "'Some'", "'Learner'")
    assert [name for name in names if name in text] == []
    assert any("@example.invalid" in (row[3] or "") and row[6] and row[7] for row in first)
    assert changed_kinds(copy.counts()) == {}  # the key is kept, and so are the names
    assert people() == first
    done = copy.mirror("--pseudonymize")
    assert (done.code, "has the made-up names of another key" in done.err) == (2, True)


@with_a_copy_on_sqlite
def test_server_without_lists_is_copied_from_its_report(
    served: Served, campus: Campus, hosted: Hosted, copy: Copy
) -> None:
    fill(served, campus)
    hosted.missing |= {"listGroups", "listUsers", "listLearningModules", "listSessions"}
    done = copy.mirror()
    assert done.code == 0
    assert done.err.count("The server lacks a method that reads") == 4
    assert report_of(copy.database, copy.account) == report_of(campus.database, campus.account)


def test_two_learners_who_have_exchanged_their_addresses_are_copied(served: Served, campus: Campus, copy: Copy) -> None:
    campus.enroll(2)
    with client_of(served, campus) as client:
        for number in (1, 2):
            user = UserValues(f"{number}@example.org", f"E{number}", "A", "B", groups=[UserGroup("North")])
            client.create_user(user)
        copy.counts()
        for old, new in (("1", "x"), ("2", "1"), ("x", "2")):
            client.update_user(UserValues(email=f"{new}@example.org"), email=f"{old}@example.org")
    assert changed_kinds(copy.counts()) == {"users": {"changed": 2}}
    named = sa.select(users.c.email).where(users.c.employee_id.in_(["E1", "E2"])).order_by(users.c.employee_id)
    assert copy.column(named) == ["2@example.org", "1@example.org"]


@with_a_copy_on_sqlite
def test_most_of_the_copy_is_not_ended_without_saying_so(served: Served, campus: Campus, copy: Copy) -> None:
    ids = campus.enroll(4)
    copy.counts()
    campus.accept(ids[:3])
    campus.drain()
    done = copy.mirror("--end-missing")
    assert (done.code, "they are more than --max-percent of the copy, so that none was unenrolled" in done.err) == (
        4,
        True,
    )
    assert copy.column(sa.select(batches.c.id)) == []
    assert changed_kinds(copy.counts("--end-missing", "--max-percent", "75")) == {"enrollments": {"ended": 3}}
    assert copy.mirror("--max-percent", "75").code == 2


def test_profiles_and_permissions_are_read_when_wanted_and_again_only_where_users_changed(
    served: Served, campus: Campus, hosted: Hosted, copy: Copy
) -> None:
    fill(served, campus)
    manager = UserGroup("North", permissions=["MANAGE_GROUP", "MARKER"])
    with client_of(served, campus) as client:
        kept = {"PhonePrimary": "+1 555 0100", "CustomFields": "<Field>x</Field>"}
        zoe = UserValues(groups=[manager], timezone="US/Eastern", supervisors=["boss@example.org"], kept=kept)
        client.update_user(zoe, employee_id="=1+1")
        there = client.get_user(employee_id="=1+1"), client.get_user_groups(employee_id="=1+1")
    copy.counts("--profiles")
    with copy.database.read() as connection:
        row = connection.execute(sa.select(users).where(users.c.employee_id == "=1+1")).one()
        granted = connection.execute(sa.select(memberships).where(memberships.c.user_id == row.id)).all()
    profile = {name: value for name, value in there[0].kept.items() if value is not None}
    assert row.timezone == "US/Eastern"
    assert json.loads(row.profile) == {**profile, "Supervisors": ["boss@example.org"]}
    assert (profile["PhonePrimary"], profile["CustomFields"]) == ("+1 555 0100", "<Field>x</Field>")
    [second] = copy.column(sa.select(groups.c.id).where(groups.c.identifier == "N-1"))
    assert {(each.group_id, each.group_manager, each.marker, each.instructor) for each in granted} == {
        (campus.group_id, True, True, False),
        (second, False, False, False),
    }
    assert {each.is_home: each.group_id for each in granted}[True] == campus.group_id
    hosted.reset()
    assert changed_kinds(copy.counts("--profiles")) == {}
    assert hosted.calls["getUser"] == 0


@with_a_copy_on_sqlite
def test_continued_run_ends_what_has_vanished_when_it_is_asked_to(campus: Campus, hosted: Hosted, copy: Copy) -> None:
    ids = campus.enroll(4)
    copy.counts()
    campus.accept(ids[:1])
    campus.drain()
    campus.enroll(1)
    hosted.reset()
    answers: list[str] = []

    def interrupt(_number: int, method: str) -> None:
        answers.extend([method] if hosted.rows else [])
        if len(answers) == 2:  # the first page of enrollments is written
            os.kill(os.getpid(), signal.SIGINT)

    hosted.after = interrupt
    assert copy.mirror().code == 130
    hosted.reset()
    assert changed_kinds(copy.counts("--end-missing"))["enrollments"] == {"added": 1, "ended": 1}


@with_a_copy_on_sqlite
def test_erased_user_stays_erased(served: Served, campus: Campus, copy: Copy) -> None:
    fill(served, campus)
    copy.counts()
    [number] = copy.column(sa.select(users.c.id).where(users.c.employee_id == "=1+1"))
    assert copy.run("user", "erase", str(number), "--account", "Copy", "--yes").code == 0
    with client_of(served, campus) as client:
        client.update_user(UserValues(family_name="Newname", teams=["Red"]), employee_id="=1+1")
    copy.counts()
    with copy.database.read() as connection:
        row = connection.execute(sa.select(users).where(users.c.id == number)).one()
    assert (row.email, row.family_name, row.employee_id, row.alternate_email) == (None, str(number), None, None)
    assert copy.column(sa.select(memberships.c.group_id).where(memberships.c.user_id == number)) == []
