"""A small roster, archives of it, the command that imports them, and the rows of an account.

A module takes the fixtures by assigning them to its own names.
"""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from campus import Campus
from commands import run_command
from postgresql import PostgresServer
from rollbook.store.database import tables
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate

Files = dict[str, list[str]]
Import = Callable[..., tuple[int, dict[str, dict[str, int]], list[str]]]

V1_1: Files = {
    "orgs": ["sourcedId,name,type", "d1,The District,district", "s1,North School,school", "s2,South School,school"],
    "academicSessions": ["sourcedId,title", "t1,Spring", "t2,Autumn"],
    "courses": ["sourcedId,title", "k1,Mathematics"],
    "classes": [
        "sourcedId,title,courseSourcedId,schoolSourcedId,termSourcedIds",
        'c1,Algebra,k1,s1,"t2, t1"',
        "c2,Geometry,k1,s2,t1",
    ],
    "users": [
        "sourcedId,enabledUser,orgSourcedIds,role,givenName,familyName,email,identifier,unknownColumn",
        'u1,true,"s1,d1",student,Ann,One,ann@example.org,E1,x',
        "u2,FALSE,s2,student,Bo,Two,,,x",
        "u3,true,s1,teacher,Cy,Three,cy@example.org,,x",
    ],
    "enrollments": [
        "sourcedId,classSourcedId,schoolSourcedId,userSourcedId,role,beginDate,endDate",
        "e1,c1,s1,u1,student,2026-02-01,2026-07-01",
        "e2,c1,s2,u2,student,,",
        "e3,c1,s1,u3,teacher,,",
        "e4,c2,s2,u1,student,2026-02-01,",
    ],
}
V1_2: Files = V1_1 | {
    "users": [
        "sourcedId,enabledUser,givenName,familyName,email,identifier",
        "u1,true,Ann,One,ann@example.org,E1",
        "u2,false,Bo,Two,,",
        "u3,true,Cy,Three,cy@example.org,",
    ],
    "roles": [
        "sourcedId,userSourcedId,roleType,role,orgSourcedId",
        "r1,u1,primary,student,s1",
        "r2,u1,secondary,ext:monitor,d1",
        "r3,u3,primary,teacher,s1",
    ],
}


def pack(path: Path, files: Files, *, version: str = "1.1", mode: str = "bulk", **declared: str) -> Path:
    """Write an archive; `declared` overrides the mode of a file in the manifest."""
    modes = dict.fromkeys(files, mode) | declared
    manifest = ["propertyName,value", f"oneroster.version,{version}", *(f"file.{f},{m}" for f, m in modes.items())]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.csv", "\r\n".join(manifest))
        for name, lines in files.items():
            # Latin-1 lets a test write any byte; everything else here is ASCII.
            archive.writestr(f"{name}.csv", b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode("latin-1"))
    return path


def changed(file: str, *lines: str, base: Files = V1_1) -> Files:
    """Add lines to a file, or replace those with the same first field."""
    new = {line.split(",")[0]: line for line in lines}
    kept = [new.pop(line.split(",")[0], line) for line in base[file]]
    return base | {file: [*kept, *new.values()]}


def appended(file: str, *lines: str, base: Files = V1_1) -> Files:
    """Add lines to a file."""
    return base | {file: [*base[file], *lines]}


def rows_of(campus: Campus, table: sa.Table, *columns: str) -> list[tuple[Any, ...]]:
    """Return the imported rows of the account, by external id."""
    query = sa.select(*(table.c[column] for column in columns))
    query = query.where(table.c.account_id == campus.account.id, table.c.external_id.is_not(None))
    with campus.database.read() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(table.c.external_id))]


def members(campus: Campus) -> set[tuple[str, str]]:
    """Return the memberships of the account."""
    joined = tables.memberships.join(tables.groups).join(
        tables.users, tables.memberships.c.user_id == tables.users.c.id
    )
    query = sa.select(tables.groups.c.external_id, tables.users.c.external_id).select_from(joined)
    with campus.database.read() as connection:
        rows = connection.execute(query.where(tables.memberships.c.account_id == campus.account.id))
        return {(row[0], row[1]) for row in rows}


def everything_in(campus: Campus) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the account except the audit."""
    with campus.database.read() as connection:
        return {
            name: sorted(
                (
                    tuple(row)
                    for row in connection.execute(table.select().where(table.c.account_id == campus.account.id))
                ),
                key=str,
            )
            for name, table in tables.metadata.tables.items()
            if "account_id" in table.c and name != "audit"
        }


def e1_of(campus: Campus) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions that select the account's enrollment e1."""
    return (tables.enrollments.c.account_id == campus.account.id, tables.enrollments.c.external_id == "e1")


ADDED = {"groups": {"added": 2}, "courses": {"added": 2}, "users": {"added": 3}, "enrollments": {"added": 3}}
UNCHANGED = {kind: {"unchanged": count["added"]} for kind, count in ADDED.items()}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One database of each kind for the module; every test has its own account."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('rosters') / 'rollbook.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgresql")
        with server.fresh_database() as url:
            yield url


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    """The migrated database."""
    database = Database(database_url)
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def campus(database: Database) -> Campus:
    """An account with an owner and no imported rows."""
    return Campus(database)


@pytest.fixture
def run(
    campus: Campus,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Import:
    """Runs the command; returns its exit code, counts by kind, and the lines of stderr."""
    monkeypatch.setenv("ROLLBOOK_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)

    def run(archive: Path, *options: str) -> tuple[int, dict[str, dict[str, int]], list[str]]:
        account = [] if "--account" in options else ["--account", campus.name]
        done = run_command(
            monkeypatch, capsys, "import", "oneroster", str(archive), *account, "--format", "json", *options
        )
        rows = done.json if done.out else []
        counts = {row.pop("kind"): {name: count for name, count in row.items() if count} for row in rows}
        return done.code, counts, done.err.splitlines()

    return run
