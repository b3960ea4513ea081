"""Databases to measure on: durable, filled with enrollments."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import psycopg

from campus import Campus
from postgresql import PostgresServer, run_cluster
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate

# PostgreSQL's defaults, except for memory and for checkpoints, which would disturb single rounds.
SETTINGS = ("shared_buffers=1GB", "max_wal_size=8GB", "checkpoint_timeout=1h", "fsync=on", "synchronous_commit=on")
COURSES = 100

_FILL = (
    """INSERT INTO courses (account_id, name, status, created_at, modified_at)
       SELECT :account, 'Course ' || i, 'Active', :now, :now FROM {numbers} WHERE i <= {courses}""",
    """INSERT INTO users
           (account_id, external_id, email, given_name, family_name, role, active, created_at, modified_at)
       SELECT :account, 'u' || i, 'u' || i || '@example.org', 'Some', 'Learner', 'learner', {true}, :now, :now
       FROM {numbers} WHERE i <= {count} / {courses}""",
    """INSERT INTO enrollments
           (account_id, external_id, user_id, group_id, course_id, status, enrolled_at, created_at, modified_at)
       SELECT :account, 'e' || i, first_user + (i - 1) / {courses}, :group, first_course + (i - 1) % {courses},
              'Enrolled', :now, :now, :now
       FROM {numbers}, (SELECT MAX(id) - {count} / {courses} + 1 AS first_user FROM users) AS u,
            (SELECT MAX(id) - {courses} + 1 AS first_course FROM courses) AS c""",
)


@dataclass(frozen=True)
class Place:
    """A database whose accounts have `count` enrollments each; ids of the first account start at 1."""

    url: str
    database: Database
    accounts: list[Campus]
    count: int

    @property
    def on_sqlite(self) -> bool:
        """Whether it is SQLite."""
        return self.database.engine.dialect.name == "sqlite"

    def run(self, *statements: str) -> list[tuple[object, ...]]:
        """Run statements, each in its own transaction; return the rows of the last."""
        if self.on_sqlite:
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None)) as plain:
                return [[*map(tuple, plain.execute(statement))] for statement in statements][-1]
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)  # type: ignore[arg-type, unused-ignore]
            return cursor.fetchall() if cursor.description else []

    def forget_queue(self) -> None:
        """Empty the queue, so that every id can be accepted again."""
        if self.on_sqlite:
            self.run("DELETE FROM unenrollments", "DELETE FROM batches", "DELETE FROM audit", "DELETE FROM calls")
        else:
            self.run("TRUNCATE unenrollments, batches, refusals, audit, calls")


@contextmanager
def durable_postgresql() -> Iterator[PostgresServer]:
    """Run a PostgreSQL server on disk, with fsync."""
    options = [word for setting in SETTINGS for word in ("-c", setting)]
    with run_cluster(*options) as server, psycopg.connect(server.url) as connection:
        for name in ("fsync", "synchronous_commit"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)  # type: ignore[arg-type, unused-ignore]
        yield server


@contextmanager
def postgresql_place(server: PostgresServer, count: int, accounts: int = 1) -> Iterator[Place]:
    """Make a database on the server with `count` enrollments in each account."""
    with server.fresh_database() as url, _place(url, accounts, count) as place:
        numbers = f"generate_series(1, {count}) AS numbers(i)"
        with psycopg.connect(url) as connection:
            connection.execute("SET session_replication_role = replica")  # skips foreign keys: the rows are valid
            for campus in place.accounts:
                for statement in _statements(campus, count, numbers, "true"):
                    connection.execute(statement)  # type: ignore[arg-type, unused-ignore]
        migrate(place.database)  # folds the users' names and e-mails, as every way to add users does
        place.run("VACUUM ANALYZE", "CHECKPOINT")
        yield place


@contextmanager
def sqlite_place(count: int) -> Iterator[Place]:
    """Make a database file on disk with `count` enrollments in one account."""
    with (
        TemporaryDirectory(prefix="rollbook-bench-", dir="/var/tmp") as folder,
        _place(f"sqlite:///{folder}/rollbook.db", 1, count) as place,
    ):
        numbers = f"(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {count}) SELECT i FROM n)"
        with sqlite3.connect(f"{folder}/rollbook.db") as connection:
            for statement in _statements(place.accounts[0], count, numbers, "1"):
                connection.execute(statement)
        migrate(place.database)
        place.run("ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)")
        yield place


@contextmanager
def _place(url: str, accounts: int, count: int) -> Iterator[Place]:
    database = Database(url)
    migrate(database)
    try:
        yield Place(url, database, [Campus(database) for _ in range(accounts)], count)
    finally:
        database.close()


def _statements(campus: Campus, count: int, numbers: str, true: str) -> Iterator[str]:
    for statement in _FILL:
        filled = statement.format(numbers=numbers, count=count, courses=COURSES, true=true)
        now = "'2026-01-31 12:00:00.000000'"
        for name, value in {":account": campus.account.id, ":group": campus.group_id, ":now": now}.items():
            filled = filled.replace(name, str(value))
        yield filled
