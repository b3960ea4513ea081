"""`rollbook init`, `migrate`, `account`, `user` and `key`, and their errors."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from campus import Campus
from commands import Run
from conflicts import deadlock
from rollbook.model import Caller, Policies
from rollbook.store.database.database import Database
from rollbook.store.database.schema import check_schema
from rollbook.store.database.tables import metadata
from rollbook.store.people.api_keys import find_caller

INIT = ("init", "--account", "Acme", "--owner", "ann@acme.example")

# Blanks in an argument are written as underscores.
MISTAKES = [
    ("account add Beta --owner nobody", "'nobody' is not an e-mail address"),
    ("account add Beta --owner a@b@c", "'a@b@c' is not an e-mail address"),
    ("account add Beta --owner @beta.example", "is not an e-mail address"),
    ("account add Beta --owner bea@", "is not an e-mail address"),
    ("account add Beta --owner be_a@beta.example", "is not an e-mail address"),
    ("account add Beta --owner bea\x07@beta.example", "without control characters"),
    ("account add Beta --owner bea\udcff@beta.example", "without control characters"),
    ("account add _ --owner bea@beta.example", "The account name is empty"),
    (f"account add {'x' * 256} --owner bea@beta.example", "at most 255 characters"),
    ("account set Beta --hold-seconds 1", "There is no account 'Beta'. See: rollbook account list"),
    ("account set Acme", "Name a policy"),
    ("account set Acme --hold-seconds -1", "hold_seconds is a number from 0"),
    ("account set Acme --hold-seconds 2147483648", "hold_seconds is a number from 0"),
    ("account set Acme --retention-days 36501", "retention_days is a number from 0"),
    ("account set Acme --retention-days -1", "a number of days, or none"),
    ("account set Acme --retention-days ٣", "a number of days, or none"),
    ("account set Acme --authorization-addresses 192.0.2.7,10.0.0.1/8", "10.0.0.1/8 has host bits set. Give addresses"),
    ("account set Acme --authorization-addresses 192.0.2.7,", "'' does not appear to be"),
    ("user list --account Beta", "There is no account 'Beta'"),
    ("user add ANN@ACME.example", "already"),
    ("user add bo@acme.example --employee-id E-1", "employee id"),
    ("user add bo@acme.example --given-name \x00", "given name"),
    ("user role bo@acme.example owner", "has no user bo@acme.example"),
    ("user role ann@acme.example king", "king"),
    ("key new --user bo@acme.example", "has no user bo@acme.example"),
    ("key new --user idle@acme.example", "not active"),
    ("key new --expires 2020-01-31", "cannot expire at 2020-01-31 00:00 UTC, which is over"),
    ("key new --expires soon", "--expires is a time like"),
    ("key new --name \x00", "name of the key"),
    ("key revoke 9999", "has no key 9999"),
    ("key revoke 9223372036854775808", "'ID'"),
    ("key revoke 1e3", "'ID'"),
]


default_database = pytest.mark.parametrize("database_url", [""], ids=["in the data directory"])


@pytest.fixture
def acme(database: Database, rollbook: Run) -> dict[str, str]:
    """The account Acme of a migrated database, owned by ann@acme.example; gives the two keys."""
    done = rollbook(*INIT, "--format", "json")
    assert done.code == 0, done.err
    keys: dict[str, str] = done.json
    return keys


@pytest.fixture
def open_database(acme: dict[str, str], database: Database) -> Database:
    """The same database, opened directly."""
    return database


def caller_of(database: Database, account_key: str, user_key: str) -> Caller | None:
    """The caller of a call with these keys."""
    with database.read() as connection:
        return find_caller(connection, account_key, user_key)


def everything_in(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with database.read() as connection:
        return {name: [tuple(row) for row in connection.execute(sa.select(t))] for name, t in metadata.tables.items()}


def test_init_makes_two_keys_of_the_accounts_owner(acme: dict[str, str], open_database: Database) -> None:
    assert list(acme) == ["account_key", "user_key"]
    assert all(re.fullmatch("[0-9a-f]{64}", key) for key in acme.values())
    caller = caller_of(open_database, **acme)
    assert caller is not None
    assert (caller.account, caller.email, caller.role) == ("Acme", "ann@acme.example", "owner")
    assert caller.policies == Policies()


def test_init_prints_both_keys_and_the_next_step(rollbook: Run) -> None:
    done = rollbook(*INIT)
    assert done.code == 0
    assert re.search(r"^account key +[0-9a-f]{64}$", done.out, re.MULTILINE)
    assert re.search(r"^user key +[0-9a-f]{64}$", done.out, re.MULTILINE)
    assert "this once" in done.out
    assert "rollbook serve" in done.out


def test_a_second_init_adds_an_account_and_leaves_the_first(
    acme: dict[str, str], rollbook: Run, open_database: Database
) -> None:
    second = rollbook("init", "--account", "Beta", "--owner", "ann@acme.example", "--format", "json")
    assert second.code == 0
    first_caller, second_caller = caller_of(open_database, **acme), caller_of(open_database, **second.json)
    assert first_caller is not None
    assert second_caller is not None
    assert (first_caller.account, second_caller.account) == ("Acme", "Beta")
    assert caller_of(open_database, acme["account_key"], second.json["user_key"]) is None


def test_existing_account_name_is_refused(acme: dict[str, str], rollbook: Run, open_database: Database) -> None:
    before = everything_in(open_database)
    for *command, name in (("init", "--account", " Acme "), ("account", "add", "ACME"), ("init", "--account", "acme")):
        done = rollbook(*command, name, "--owner", "bob@acme.example")
        assert (done.code, done.out) == (2, "")
        assert "'Acme'" in done.err
        assert everything_in(open_database) == before


@default_database
def test_init_runs_without_a_terminal(environment: Path) -> None:
    command = [sys.executable, "-m", "rollbook", *INIT, "--format", "json"]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (first.returncode, first.stderr) == (0, "")
    assert json.loads(first.stdout).keys() == {"account_key", "user_key"}
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith("rollbook: There is an account 'Acme' already.")
    assert "Traceback" not in again.stderr


@default_database
def test_new_data_directory_and_database_are_readable_only_by_their_owner(rollbook: Run, environment: Path) -> None:
    before = os.umask(0o022)
    try:
        assert rollbook(*INIT).code == 0
    finally:
        os.umask(before)
    assert environment.stat().st_mode & 0o777 == 0o700
    assert (environment / "rollbook.db").stat().st_mode & 0o777 == 0o600


@default_database
def test_a_data_directory_that_exists_keeps_its_permissions(rollbook: Run, environment: Path) -> None:
    environment.mkdir()
    environment.chmod(0o755)
    assert rollbook(*INIT).code == 0
    assert environment.stat().st_mode & 0o777 == 0o755


@default_database
def test_a_data_directory_that_cannot_be_made_is_named(rollbook: Run, environment: Path) -> None:
    environment.write_text("a file is in the way")
    done = rollbook(*INIT)
    assert done.code == 2
    assert str(environment) in done.err


def test_migrate_makes_the_schema_and_does_nothing_the_second_time(rollbook: Run, database_url: str) -> None:
    if database_url.startswith("sqlite"):  # the database is there, as on PostgreSQL
        Path(database_url.removeprefix("sqlite:///")).touch()
    first, second = rollbook("migrate"), rollbook("migrate")
    assert (first.code, second.code) == (0, 0)
    assert "before: none" in first.out
    assert "as before" in second.out
    database = Database(database_url)
    check_schema(database)
    database.close()


def test_migrate_keeps_existing_records(acme: dict[str, str], rollbook: Run, open_database: Database) -> None:
    before = everything_in(open_database)
    assert rollbook("migrate").code == 0
    assert everything_in(open_database) == before


@default_database
def test_commands_before_init_name_the_command_to_run(rollbook: Run) -> None:
    done = rollbook("key", "list")
    assert done.code == 2
    assert "rollbook init" in done.err


@default_database
def test_a_wrong_setting_is_named(rollbook: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLBOOK_PORT", "abc")
    for command in (INIT, ("migrate",), ("account", "list")):
        done = rollbook(*command)
        assert done.code == 2
        assert "ROLLBOOK_PORT" in done.err


def test_the_database_holds_no_key(acme: dict[str, str], rollbook: Run, database_url: str) -> None:
    new = rollbook("key", "new", "--user", "ann@acme.example", "--format", "json").json["user_key"]
    secrets = [*acme.values(), new]
    if database_url.startswith("sqlite"):
        path = Path(database_url.removeprefix("sqlite:///"))
        stored = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    else:
        database = Database(database_url)
        stored = repr(everything_in(database)).encode()
        database.close()
    assert b"ann@acme.example" in stored, "the search must be able to find something"
    for key in secrets:
        for form in (key.encode(), key.upper().encode(), bytes.fromhex(key), repr(bytes.fromhex(key)).encode()):
            assert form not in stored


def test_a_list_of_keys_tells_them_apart_and_shows_none(acme: dict[str, str], rollbook: Run) -> None:
    rows = rollbook("key", "list", "--format", "json").json
    assert [(row["kind"], row["user"], row["revoked_at"]) for row in rows] == [
        ("account", None, None),
        ("user", "ann@acme.example", None),
    ]
    times = {"created_at", "last_used_at", "expires_at", "revoked_at"}
    assert rows[0].keys() == {"id", "kind", "user", "name", "state", *times}
    for form in ("table", "json", "csv"):
        shown = rollbook("key", "list", "--format", form)
        assert shown.code == 0
        assert "ann@acme.example" in shown.out
        assert not any(key[:16] in shown.out for key in acme.values())


def test_revoked_key_is_refused_and_a_new_one_works(
    acme: dict[str, str], rollbook: Run, open_database: Database
) -> None:
    new = rollbook("key", "new", "--user", "ANN@acme.example", "--format", "json")
    assert list(new.json) == ["user_key"]
    old_id = str(rollbook("key", "list", "--format", "json").json[1]["id"])
    assert caller_of(open_database, acme["account_key"], new.json["user_key"]) is not None
    assert caller_of(open_database, **acme) is not None, "both keys work while programs change over"

    assert rollbook("key", "revoke", old_id).code == 0
    assert caller_of(open_database, **acme) is None
    assert caller_of(open_database, acme["account_key"], new.json["user_key"]) is not None
    revoked_at = rollbook("key", "list", "--format", "json").json[1]["revoked_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", revoked_at)

    before = everything_in(open_database)["keys"]
    assert rollbook("key", "revoke", old_id).code == 0
    assert everything_in(open_database)["keys"] == before, "the time of the first revocation stays"


def test_key_has_a_name_and_an_expiry(acme: dict[str, str], rollbook: Run) -> None:
    command = ("key", "new", "--user", "ann@acme.example", "--name", "Nightly sync", "--account", "aCME")
    made = rollbook(*command, "--expires", "2999-01-31T08:00")
    assert made.code == 0, made.err
    row = rollbook("key", "list", "--format", "json").json[-1]
    assert (row["name"], row["state"], row["last_used_at"]) == ("Nightly sync", "active", None)
    assert row["expires_at"] == "2999-01-31T08:00:00+00:00"
    assert "Nightly sync" in rollbook("key", "list").out


def test_a_key_of_another_account_cannot_be_revoked(acme: dict[str, str], rollbook: Run) -> None:
    rollbook("account", "add", "Beta", "--owner", "bea@beta.example")
    key_id = rollbook("key", "list", "--account", "Acme", "--format", "json").json[0]["id"]
    done = rollbook("key", "revoke", str(key_id), "--account", "Beta")
    assert done.code == 2
    assert rollbook("key", "list", "--account", "Acme", "--format", "json").json[0]["revoked_at"] is None


def test_a_new_key_of_the_account_works_with_the_users_key(
    acme: dict[str, str], rollbook: Run, open_database: Database
) -> None:
    new = rollbook("key", "new", "--account", "Acme", "--format", "json").json
    assert list(new) == ["account_key"]
    assert caller_of(open_database, new["account_key"], acme["user_key"]) is not None


def test_users_are_added_with_their_role_and_listed(acme: dict[str, str], rollbook: Run) -> None:
    named = ("--given-name", "Bo", "--family-name", "Ek", "--employee-id", "E-7")
    assert rollbook("user", "add", "bo@acme.example", "--role", "administrator", *named).code == 0
    assert rollbook("user", "add", "cy@acme.example").code == 0
    rows = list(csv.DictReader(io.StringIO(rollbook("user", "list", "--format", "csv").out)))
    assert [(row["email"], row["role"]) for row in rows] == [
        ("ann@acme.example", "owner"),
        ("bo@acme.example", "administrator"),
        ("cy@acme.example", "learner"),
    ]
    assert (rows[1]["given_name"], rows[1]["family_name"], rows[1]["employee_id"]) == ("Bo", "Ek", "E-7")


def test_an_account_keeps_its_last_active_owner(acme: dict[str, str], rollbook: Run, open_database: Database) -> None:
    def roles() -> list[str]:
        return [row["role"] for row in rollbook("user", "list", "--format", "json").json]

    rollbook("user", "add", "bo@acme.example", "--role", "owner")
    with open_database.write() as connection:
        connection.execute(sa.text("UPDATE users SET active = FALSE WHERE email = 'bo@acme.example'"))
    refused = rollbook("user", "role", "ann@acme.example", "learner")
    assert refused.code == 2
    assert "last owner" in refused.err
    assert roles() == ["owner", "owner"]

    rollbook("user", "add", "cy@acme.example", "--role", "owner")
    assert rollbook("user", "role", "Ann@acme.example", "learner").code == 0
    assert roles() == ["learner", "owner", "owner"]


def test_changing_one_policy_keeps_the_others(acme: dict[str, str], rollbook: Run, open_database: Database) -> None:
    def policies() -> Policies:
        caller = caller_of(open_database, **acme)
        assert caller is not None
        return caller.policies

    rollbook("account", "add", "Beta", "--owner", "bea@beta.example")
    assert rollbook("account", "set", "Acme", "--protect-completed").code == 0
    assert rollbook("account", "set", "Acme", "--hold-seconds", "60", "--retention-days", "30").code == 0
    assert policies() == Policies(protect_completed=True, hold_seconds=60, retention_days=30)
    assert rollbook("account", "set", "Acme", "--require-second-factor").code == 0
    assert policies() == Policies(True, 60, 30, require_second_factor=True)
    assert rollbook("account", "set", "Acme", "--no-require-second-factor").code == 0
    assert rollbook("account", "set", "Acme", "--no-protect-completed", "--retention-days", "none").code == 0
    assert policies() == Policies(protect_completed=False, hold_seconds=60, retention_days=None)
    shown = rollbook("account", "list", "--format", "json").json
    assert [(row["name"], row["hold_seconds"], row["protect_completed"]) for row in shown] == [
        ("Acme", 60, False),
        ("Beta", 0, False),
    ]


def test_authorization_addresses_are_set_listed_audited_and_taken_away(acme: dict[str, str], rollbook: Run) -> None:
    def shown() -> object:
        (row,) = rollbook("account", "list", "--format", "json").json
        return row["authorization_addresses"]

    assert shown() is None
    assert rollbook("account", "set", "Acme", "--authorization-addresses", "192.0.2.7, 2001:db8::/32").code == 0
    assert shown() == "192.0.2.7, 2001:db8::/32"
    assert rollbook("account", "set", "Acme", "--authorization-addresses", "all").code == 0
    assert shown() is None
    (set_, taken) = rollbook("audit", "--action", "set-policies", "--format", "json").json
    assert set_["details"] == {"authorization_addresses": {"from": None, "to": "192.0.2.7, 2001:db8::/32"}}
    assert taken["details"] == {"authorization_addresses": {"from": "192.0.2.7, 2001:db8::/32", "to": None}}


def test_shorter_retention_shows_the_lost_undos_and_asks(rollbook: Run, database: Database) -> None:
    campus = Campus(database, "Acme")
    campus.accept(campus.enroll(2))
    campus.drain()

    def kept() -> object:
        return rollbook("account", "list", "--format", "json").json[0]["retention_days"]

    assert rollbook("account", "set", "Acme", "--retention-days", "30").code == 0
    refused = rollbook("account", "set", "Acme", "--retention-days", "0", "--hold-seconds", "9")
    assert refused.code == 2
    assert "2 unenrollments that ended by" in refused.err
    assert "can no longer be undone" in refused.err
    assert "pass --yes" in refused.err
    assert kept() == 30
    assert rollbook("account", "set", "Acme", "--hold-seconds", "9").code == 0
    assert rollbook("account", "set", "Acme", "--retention-days", "0", "--yes").code == 0
    assert kept() == 0


def test_the_account_must_be_named_only_when_there_are_several(acme: dict[str, str], rollbook: Run) -> None:
    assert rollbook("user", "list").code == 0
    rollbook("account", "add", "Beta", "--owner", "bea@beta.example")
    done = rollbook("user", "list")
    assert done.code == 2
    assert "Acme, Beta" in done.err
    assert "bea@beta.example" in rollbook("user", "list", "--account", "Beta").out


def test_impossible_request_is_an_error_and_changes_nothing(rollbook: Run, open_database: Database) -> None:
    rollbook("user", "add", "idle@acme.example", "--employee-id", "E-1")
    with open_database.write() as connection:
        connection.execute(sa.text("UPDATE users SET active = FALSE WHERE email = 'idle@acme.example'"))
    before = everything_in(open_database)
    for command, sentence in MISTAKES:
        done = rollbook(*(word.replace("_", " ") for word in command.split(" ")))
        assert (done.code, done.out) == (2, ""), command
        assert sentence in done.err, command
        assert everything_in(open_database) == before, command


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("command", "change", "action"),
    [
        ("account set Acme --protect-completed", "UPDATE accounts SET hold_seconds = 7", "set-policies"),
        ("user role bo@acme.example administrator", "UPDATE users SET given_name = 'Bo'", "set-role"),
    ],
)
def test_command_repeats_a_transaction_after_a_deadlock(
    rollbook: Run, open_database: Database, command: str, change: str, action: str
) -> None:
    rollbook("user", "add", "bo@acme.example")
    with deadlock(open_database, change):
        done = rollbook(*command.split())
    assert (done.code, "rollbook:" in done.err) == (0, False)
    assert [line["action"] for line in rollbook("audit", "--format", "json").json].count(action) == 1
