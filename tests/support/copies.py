"""An account on a server that is not Rollbook, and the local database with a copy of it, of the other kind."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from campus import OPERATOR, Campus
from commands import Done, run_command
from conftest import Served, other_database
from hosted import Hosted, run_hosted
from rollbook.model import Account
from rollbook.store.database.database import Database
from rollbook.store.database.tables import audit, mirrored, mirrors
from rollbook.store.people.accounts import add_account, find_account


class Copy:
    """The local database with the account `Copy`, and the commands that are executed on it."""

    def __init__(self, database: Database, run: Callable[..., Done]) -> None:
        self.database = database
        self.run = run
        with database.write() as connection:
            keys = add_account(connection, "Copy", "copier@example.net", by=OPERATOR)
            self.account: Account = find_account(connection, "Copy")
        self.account_key, self.owner_key = keys

    def mirror(self, *options: str) -> Done:
        return self.run("mirror", "--account", "Copy", "--format", "json", *options)

    def counts(self, *options: str) -> dict[str, dict[str, int]]:
        done = self.mirror(*options)
        assert done.code == 0, done.err
        return {row.pop("kind"): {name: count for name, count in row.items() if count} for row in done.json}

    def column(self, query: sa.Select[Any]) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of the database, but for those about the run of a mirror and the audit."""
        kept = (table for table in audit.metadata.sorted_tables if table not in (audit, mirrors, mirrored))
        with self.database.read() as connection:
            return {table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=str) for table in kept}


@pytest.fixture
def hosted(served: Served) -> Iterator[Hosted]:
    """A server without Rollbook's own methods and headers, before the server that the test run shares."""
    with run_hosted(served.server) as server:
        yield server


@pytest.fixture
def copy(
    request: pytest.FixtureRequest,
    served: Served,
    hosted: Hosted,
    campus: Campus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Copy]:
    """The local database is of the other kind than that of the server."""
    with ExitStack() as opened:
        url = opened.enter_context(other_database(request, served.database_url, tmp_path))
        for name in [name for name in os.environ if name.startswith("ROLLBOOK_")]:
            monkeypatch.delenv(name)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("ROLLBOOK_DATABASE_URL", url)
        keys = {"url": hosted.url, "ca_file": hosted.ca_file}
        keys |= {"account_key": campus.account_key, "user_key": campus.owner_key}
        for name, value in keys.items():
            monkeypatch.setenv(f"ROLLBOOK_{name.upper()}", str(value))
        database = Database(url)
        opened.callback(database.close)
        yield Copy(database, lambda *arguments: run_command(monkeypatch, capsys, *arguments))
