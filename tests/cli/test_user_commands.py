"""`rollbook user deactivate`, `activate`, `rename` and `erase`."""

import json
from typing import Any

import pytest
import sqlalchemy as sa

from campus import OPERATOR, Campus
from commands import Run
from rollbook.model import Permission, utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.tables import audit, calls, enrollments, login_sessions, metadata, user_teams, users
from rollbook.store.people.api_keys import find_caller, new_key
from rollbook.store.people.invitations import find_invitation
from rollbook.store.people.login_sessions import begin_login_session
from rollbook.store.people.memberships import Membership, join_groups
from rollbook.store.people.second_factors import begin_factor, find_factor
from rollbook.store.queue.history import find_batches

ZOE = {
    "email": "zoe@riverside.example",
    "external_id": "sourced-zoe-77",
    "alternate_email": "zoe@home.example",
    "employee_id": "EMP-4242",
    "given_name": "Zoë-Marie",
    "family_name": "O'Hara-Smythe",
    "title": "Fire marshal Zo",
    "division": "Zo's rescue",
    "timezone": "Pacific/Chatham",
    "profile": json.dumps({"City": "Zwolle", "PhonePrimary": "+1 555 0142"}),
}
OLD_EMAIL = "zoe.before@riverside.example"
PERSONAL = (*(value for name, value in ZOE.items() if name != "profile"), "Zwolle", "555 0142", "Zo's team", OLD_EMAIL)
ADDRESS = "192.0.2.77"


def _works(campus: Campus, key: str) -> bool:
    with campus.database.read() as connection:
        return find_caller(connection, campus.account_key, key) is not None


def test_inactive_user_has_no_keys_and_no_sessions_until_activated(rollbook: Run, database: Database) -> None:
    campus = Campus(database)
    id_ = campus.user_id("administrator@example.org")
    with database.write() as connection:
        begin_login_session(connection, campus.account.id, id_, utc_now())
    assert _works(campus, campus.administrator_key)
    done = rollbook("user", "deactivate", "ADMINISTRATOR@example.org")
    assert (done.code, "Keys and login sessions have stopped working" in done.out) == (0, True)
    assert not _works(campus, campus.administrator_key)
    assert _count(database, login_sessions) == 0
    assert rollbook("user", "activate", str(id_)).code == 0
    assert _works(campus, campus.administrator_key)
    assert [line["action"] for line in campus.audit()[:2]] == ["activate-user", "deactivate-user"]
    for command in ("deactivate", "erase"):
        refused = rollbook("user", command, "owner@example.org", *(["--yes"] if command == "erase" else []))
        assert refused.code == 2
        assert "owner@example.org is the last owner of the account" in refused.err
    assert _works(campus, campus.owner_key)


def test_operator_invites_an_administrator_by_a_link_that_the_latest_replaces(
    rollbook: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    campus = Campus(database)
    id_ = campus.user_id("administrator@example.org")
    monkeypatch.setenv("ROLLBOOK_HOST", "::1")
    first = rollbook("user", "invite", "Administrator@example.org")
    assert (first.code, first.out.partition("=")[0]) == (0, "https://[::1]:8443/console/invitation?key")
    assert "shown only this once" in first.err
    monkeypatch.setenv("ROLLBOOK_PUBLIC_URL", "https://lms.example.org/")
    second = rollbook("user", "invite", str(id_), "--format", "json")
    link, key = second.json["link"], second.json["link"].partition("?key=")[2]
    assert (second.json, link) == (
        {"user": str(id_), "link": link},
        f"https://lms.example.org/console/invitation?key={key}",
    )
    with database.read() as connection:
        assert find_invitation(connection, first.out.strip().partition("=")[2], utc_now()) is None
        invited = find_invitation(connection, key, utc_now())
    assert invited is not None
    assert (invited.user_id, invited.account.name) == (id_, campus.name)
    assert [(line["action"], line["subject"]) for line in campus.audit()[:1]] == [
        ("invite-user", "administrator@example.org")
    ]
    refused = rollbook("user", "invite", "learner@example.org")
    assert (refused.code, refused.out) == (2, "")
    assert "Only an active administrator or owner with an e-mail can be invited." in refused.err
    added = rollbook("user", "add", "new@example.org", "--role", "owner")
    assert "--user new@example.org; for the console: rollbook user invite new@example.org" in added.out


def test_operator_resets_a_second_factor(rollbook: Run, database: Database) -> None:
    campus = Campus(database)
    id_ = campus.user_id("owner@example.org")
    with database.write() as connection:
        begin_factor(connection, campus.account.id, id_, utc_now())
        begin_login_session(connection, campus.account.id, id_, utc_now(), verified=True)
    done = rollbook("user", "reset-second-factor", "Owner@example.org", "--format", "json")
    assert (done.code, done.json) == (0, {"user": "owner@example.org", "second_factor": False})
    assert _count(database, login_sessions) == 0
    with database.read() as connection:
        assert find_factor(connection, id_) is None
    assert (campus.audit()[0]["action"], campus.audit()[0]["subject"]) == ("reset-second-factor", f"user {id_}")
    again = rollbook("user", "reset-second-factor", "owner@example.org")
    assert (again.code, again.err) == (2, "rollbook: owner@example.org has no second factor.\n")


def test_rename_changes_what_it_names_and_refuses_what_another_user_has(rollbook: Run, database: Database) -> None:
    campus = Campus(database)
    id_ = campus.user_id("learner@example.org")
    renamed = rollbook("user", "rename", "learner@example.org", "--email", "Jörg@example.org", "--given-name", "Jörg")
    assert renamed.code == 0
    assert rollbook("user", "rename", "JÖRG@example.org", "--employee-id", "E-1").code == 0
    user = _user(database, id_)
    assert [user[name] for name in ("email", "given_name", "employee_id")] == ["Jörg@example.org", "Jörg", "E-1"]
    for arguments, message in (
        (["jörg@example.org", "--email", "OWNER@example.org"], "Another user"),
        (["owner@example.org", "--employee-id", "E-1"], "has the employee id 'E-1'"),
        (["jörg@example.org", "--email", "nobody"], "'nobody' is not an e-mail address"),
        (["jörg@example.org", "--given-name", ""], "The given name is empty"),
        (["jörg@example.org"], "Name what to change"),
        (["999999", "--given-name", "A"], "has no user 999999"),
    ):
        refused = rollbook("user", "rename", *arguments)
        assert (refused.code, message in refused.err) == (2, True), refused.err


def _zoe(campus: Campus) -> int:
    """Make a user with personal data in every table that can hold some."""
    id_ = campus.add(users, **ZOE, role="learner", active=True)
    campus.add(user_teams, user_id=id_, name="Zo's team")
    place = {"user_id": id_, "group_id": campus.group_id, "course_id": campus.course_id}
    campus.add(enrollments, **place, status="Enrolled", progress="40", enrolled_at=utc_now())
    call = {"user_id": id_, "status": 200, "result": "Success", "request_id": "1", "milliseconds": 1.0}
    campus.add(calls, **call, address=ADDRESS, answered_at=utc_now())
    for line in (
        {"actor": ZOE["email"], "user_id": id_, "action": "enroll", "address": ADDRESS},
        {"actor": "owner@example.org", "action": "grant", "subject": ZOE["email"], "details": '{"group": "North"}'},
        {
            "actor": "owner@example.org",
            "action": "update-user",
            "subject": f"user {id_}",
            "details": json.dumps({"email": {"from": OLD_EMAIL, "to": ZOE["email"]}}),
        },
        {"actor": "owner@example.org", "action": "add-user", "subject": OLD_EMAIL},
    ):
        campus.add(audit, **line, happened_at=utc_now())
    with campus.database.write() as connection:
        join_groups(connection, campus.account.id, [Membership(campus.group_id, id_, {Permission.MARKER: True})])
    return id_


def test_erase_leaves_no_personal_data_and_keeps_the_history(rollbook: Run, database: Database) -> None:
    campus = Campus(database)
    id_ = _zoe(campus)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE users SET email_folded = email, email_folded_from = email"))
        key = new_key(connection, campus.account, str(ZOE["email"]), by=OPERATOR)
        begin_login_session(connection, campus.account.id, id_, utc_now())
        begin_factor(connection, campus.account.id, id_, utc_now())
    dump = _dump(database)
    assert [text for text in (*PERSONAL, ADDRESS) if text not in dump] == []

    shown = rollbook("user", "erase", str(ZOE["email"]), "--dry-run")
    assert shown.code == 0
    assert f"{ZOE['email']} is user {id_}." in shown.err
    assert "1 keys, 1 login sessions, 1 teams, 1 memberships of groups" in shown.err
    assert "Kept: 1 enrollments" in shown.err
    unasked = rollbook("user", "erase", str(ZOE["email"]))
    assert (unasked.code, "pass --yes" in unasked.err) == (2, True)
    assert _dump(database) == dump

    done = rollbook("user", "erase", str(ZOE["email"]), "--yes")
    assert (done.code, f"who is User {id_} from now on" in done.out) == (0, True)
    dump = _dump(database)
    assert [text for text in (*PERSONAL, ADDRESS) if text in dump] == []
    assert not _works(campus, key)
    with database.read() as connection:
        assert find_factor(connection, id_) is None
    user = _user(database, id_)
    assert (user["given_name"], user["family_name"], user["active"]) == ("User", str(id_), False)
    assert user["erased_at"] is not None
    lines = campus.audit()
    assert (lines[0]["action"], lines[0]["subject"]) == ("erase-user", f"user {id_}")
    assert {line["actor"] for line in lines if line["user_id"] == id_} == {f"User {id_}"}
    assert {line["subject"] for line in lines if line["action"] in ("grant", "add-user")} >= {f"User {id_}"}
    with database.read() as connection:
        enrolled = connection.execute(sa.select(enrollments.c.progress).where(enrollments.c.user_id == id_)).all()
    assert [row.progress for row in enrolled] == ["40"]
    for command in (["erase", "--yes"], ["activate"], ["rename", "--given-name", "Zoë"]):
        refused = rollbook("user", command[0], str(id_), *command[1:])
        assert (refused.code, f"User {id_} has been erased" in refused.err) == (2, True)


def test_erased_administrator_is_a_number_in_the_history(rollbook: Run, database: Database) -> None:
    campus = Campus(database)
    assert campus.administrator_key  # has left its line in the history
    id_ = campus.user_id("administrator@example.org")
    batch = campus.accept(campus.enroll(1)).batch_id
    with database.write() as connection:
        connection.execute(sa.text("UPDATE batches SET requested_by = :id"), {"id": id_})
    assert rollbook("user", "erase", "administrator@example.org", "--yes").code == 0
    with database.read() as connection:
        (row,) = find_batches(connection, campus.account.id, batch, 1, 0)
    assert row.requested_by_email == f"User {id_}"


def _user(database: Database, id_: int) -> dict[str, Any]:
    with database.read() as connection:
        return connection.execute(sa.select(users).where(users.c.id == id_)).one()._asdict()


def _count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        counted = connection.execute(sa.select(sa.func.count()).select_from(table))
        return counted.scalar_one()


def _dump(database: Database) -> str:
    """Give everything that the database holds as one text."""
    with database.read() as connection:
        return "\n".join(
            str(tuple(row)).replace("\\\\", "\\")
            for table in metadata.sorted_tables
            for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))
        )
