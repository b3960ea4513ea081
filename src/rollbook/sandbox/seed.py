"""Fills the database of a new sandbox by the product's own actions: from a CSV file of enrollments, or a roster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from unicodedata import category

from sqlalchemy import Connection

from rollbook import actions
from rollbook.errors import UserError
from rollbook.importers.apply_progress import import_progress
from rollbook.importers.csv_file import read_csv
from rollbook.importers.oneroster import open_archive
from rollbook.importers.progress import VALUES, ProgressFile
from rollbook.model import Account, Actor, Permission, Remark, Role, fold_email, suggest, utc_now
from rollbook.sandbox.known import ACCOUNT, ACCOUNT_KEY, PASSWORD, PEOPLE
from rollbook.store.database.database import Database
from rollbook.store.database.sql import write_time
from rollbook.store.learning.courses import list_courses
from rollbook.store.learning.progress import Key, find_ids
from rollbook.store.operations.sandbox import find_first_group, set_known_key, set_sessions
from rollbook.store.people.accounts import add_account, find_account
from rollbook.store.people.api_keys import new_key
from rollbook.store.people.memberships import Membership
from rollbook.store.people.passwords import ADMINISTERING, set_password
from rollbook.store.people.users import add_user, find_user
from rollbook.store.roster.apply import Options
from rollbook.store.roster.staging import stage_rows
from rollbook.wire.dates import read_time

MAX_BYTES = 16 << 20
DEFAULT = Path(__file__).with_name("seed.csv")
REQUIRED = ("Email", "GroupName", "CourseName")
COLUMNS = (*REQUIRED, "GivenName", "FamilyName", "EmployeeID", "EnrolledDate", "SessionStart")
SESSION_LENGTH = timedelta(hours=3)
MAX_NAMED = 20
MAX_YEAR = 9999  # the calendar ends there, and a session after it
SANDBOX = Actor("sandbox")

Row = dict[str, str]
Staged = tuple[str, Sequence[object]]
Describe = Callable[[Remark], str]


def fill(database: Database, file: Path, *, is_roster: bool) -> None:
    """Make the account, its people and keys, and import the file; errors: UserError for a mistake in the file."""
    content = b"" if is_roster else _load(file)
    rows = [] if is_roster else _read(file, content)
    with database.write() as connection:
        account = _add_people(connection)
    if is_roster:
        with open_archive(file) as archive:
            staged = archive.read_rows(lambda stream: stream)
            _import(
                database,
                account,
                staged,
                file.name,
                archive.complete,
                lambda r: f"{file}: {r.file}:{r.line}: {r.column} {r.reason}",
            )
    else:
        _import(database, account, _stage(file, rows), file.name, frozenset(), lambda r: f"{file}:{r.line}: {r.reason}")
        if any(name in VALUES for name in rows[0][1]):
            progress = ProgressFile(file.name, BytesIO(content))
            done = import_progress(database, account, progress, skip_bad_rows=False, dry_run=False, by=SANDBOX)
            _refuse(done.problems, lambda r: f"{file}:{r.line}: {r.column} {r.reason}")
    with database.write() as connection:
        _add_sessions(connection, account, file, rows)
        _join_first_group(connection, account)


def _add_people(connection: Connection) -> Account:
    account_key, owner_key = add_account(connection, ACCOUNT, PEOPLE["owner"][1], by=SANDBOX)
    made = {ACCOUNT_KEY: account_key, PEOPLE["owner"][2]: owner_key}
    account = find_account(connection, ACCOUNT)
    for name, (role, email, key) in PEOPLE.items():
        if role is not Role.OWNER:
            add_user(connection, account, email, role, by=SANDBOX, given_name="Sandbox", family_name=name.title())
            made[key] = new_key(connection, account, email, by=SANDBOX)
        if role in ADMINISTERING:
            set_password(connection, account, email, PASSWORD, by=SANDBOX)
    for known, key in made.items():
        set_known_key(connection, key, known)
    return account


def _load(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)  # a device has no end
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from None
    if len(content) > MAX_BYTES:
        raise UserError(f"{file} has more than {MAX_BYTES >> 20} MiB, and a seed is smaller. Import it as a roster.")
    return content


def _read(file: Path, content: bytes) -> list[tuple[int, Row]]:
    """Read the rows with their lines and the columns in lower case; errors: UserError."""
    header, records = read_csv(str(file), BytesIO(content), "A seed")
    known = {name.lower(): name for name in (*COLUMNS, *(element.name for element in VALUES.values()))}
    names = [name.lower() for name in header]
    for name in header:
        if name.lower() not in known:
            raise UserError(f"{file}: the column {name!r} is unknown.{suggest(name, known.values())}")
        if names.count(name.lower()) > 1:
            raise UserError(f"{file}: the column {name!r} stands in it twice.")
    if missing := [name for name in REQUIRED if name.lower() not in names]:
        raise UserError(f"{file} has no column {', '.join(missing)}.")
    rows = [(line, _named(file, line, names, record)) for line, record in records]
    if not rows:
        raise UserError(f"{file} has no rows.")
    return rows


def _named(file: Path, line: int, names: Sequence[str], record: list[str] | str) -> Row:
    if isinstance(record, str):
        raise UserError(f"{file}:{line}: {record}.")
    if len(record) != len(names):
        raise UserError(f"{file}:{line}: {len(record)} fields, where the header has {len(names)}.")
    if any(category(character) in ("Cc", "Cs") for character in "".join(record)):
        raise UserError(f"{file}:{line}: a control character, or text that is not in UTF-8.")
    row = {name: field.strip() for name, field in zip(names, record, strict=True)}
    # The import of progress finds the enrollment by the employee id, if there is that column.
    if empty := [name for name in (*REQUIRED, "EmployeeID") if row.get(name.lower()) == ""]:
        raise UserError(f"{file}:{line}: {empty[0]} is empty.")
    return row


def _read_moment(file: Path, line: int, column: str, text: str) -> datetime:
    with suppress(ValueError):
        if (moment := read_time(text)).year < MAX_YEAR:
            return moment
    raise UserError(f"{file}:{line}: {column} {text!r} is no time such as 2026-01-31 or 2026-01-31 09:00:00.")


def _stage(file: Path, rows: Sequence[tuple[int, Row]]) -> Iterator[Staged]:
    """Yield the rows of the staging tables: each group, course and person at the first row that names it."""
    staged: set[tuple[str, str]] = set()
    for line, row in rows:
        group, course, person = row["groupname"], row["coursename"], fold_email(row["email"])
        names = (row.get("givenname", ""), row.get("familyname", ""))
        for table, key, values in (
            ("orgs", group, (group, True)),
            ("classes", course, (course, None, group)),
            ("users", person, (True, *names, row["email"], row.get("employeeid") or None)),
        ):
            if (table, key) not in staged:
                staged.add((table, key))
                yield table, (line, key, False, *values)
        day = row.get("enrolleddate")
        begins_at = write_time(_read_moment(file, line, "EnrolledDate", day)) if day else None
        yield "enrollments", (line, f"line {line}", False, course, group, person, True, begins_at, None)


def _import(
    database: Database,
    account: Account,
    rows: Iterator[Staged],
    name: str,
    complete: frozenset[str],
    describe: Describe,
) -> None:
    with database.session() as connection:
        stage_rows(connection, rows)
        options = Options(complete, match=None, skip_bad_rows=False, dry_run=False)
        done = actions.import_roster(connection, SANDBOX, account, f"Seed {name}", options, codes={})
    _refuse(done.problems, describe)


def _refuse(problems: Sequence[Remark], describe: Describe) -> None:
    if problems:
        raise UserError("\n".join(map(describe, problems[:MAX_NAMED])))


def _add_sessions(connection: Connection, account: Account, file: Path, rows: Sequence[tuple[int, Row]]) -> None:
    """Add a session for each course and SessionStart, and put the enrollments of these rows into it."""
    numbers = {course["name"]: course["id"] for course in list_courses(connection, account.id)}
    made: dict[tuple[str, str], int] = {}
    placed = [(line, row) for line, row in rows if row.get("sessionstart")]
    for line, row in placed:
        key = course, start = row["coursename"], row["sessionstart"]
        if key not in made:
            begins = _read_moment(file, line, "SessionStart", start)
            ends = begins + SESSION_LENGTH
            made[key] = actions.add_session(
                connection, SANDBOX, account.id, numbers[course], starts_at=begins, ends_at=ends
            )
    found = find_ids(connection, account.id, Key.EXTERNAL_ID, [{"external_id": f"line {line}"} for line, _ in placed])
    sessions = [made[row["coursename"], row["sessionstart"]] for _, row in placed]
    set_sessions(
        connection, [{"id": found[block][0], "session_id": number} for block, number in enumerate(sessions, 1)]
    )


def _join_first_group(connection: Connection, account: Account) -> None:
    group = find_first_group(connection, account.id)
    if group is None:
        return
    manager, learner = (find_user(connection, account, PEOPLE[name][1]).id for name in ("manager", "learner"))
    joined = [Membership(group, manager, {Permission.MANAGE_GROUP: True}), Membership(group, learner)]
    actions.join_groups(connection, SANDBOX, account.id, joined, utc_now())
