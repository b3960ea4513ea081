"""Fixtures: databases (SQLite and a real PostgreSQL), servers, accounts, the command line and console clients."""

import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from campus import Campus
from commands import Done, Run, run_command
from postgresql import Cluster, PostgresServer, quick_base, run_cluster, run_postgresql
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from server_process import ServerProcess, run_server
from visitor import PASSWORD, Visitor, give_password

pytest_plugins = ["console_browser"]

_addresses = itertools.count()
BOTH = ["sqlite", "postgresql"]
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

Visitors = Callable[[], Visitor]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `make soak` and `make package`."""
    parser.addoption(
        "--soak", action="store_true", help="faults for minutes, with figures; many rounds of what chance decides"
    )
    parser.addoption("--package", help="a wheel or sdist that tests/release installs with what it needs from the index")


def pytest_xdist_auto_num_workers() -> int:
    """Start one process more than there are processors, because tests wait a third of their time."""
    return (os.cpu_count() or 1) + 1


def pytest_configure() -> None:
    """Prepare the environment of all processes: files of tests in memory, compiled modules kept.

    Ctrl-C is handled in the background of a shell too: programs that tests start would inherit the ignored signal.
    """
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(quick_base()))
    # Compiling takes a second or two of every process that loads its modules anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole test run."""
    with run_postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server for the tests of one module, which stop, kill or freeze it."""
    with run_cluster(base=quick_base()) as server:
        yield server


@pytest.fixture
def soaks(request: pytest.FixtureRequest) -> bool:
    """Whether tests take their long form: with --soak."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database without rows, which tests copy."""
    path = tmp_path_factory.mktemp("migrated") / "rollbook.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_template(postgresql: PostgresServer) -> Iterator[str]:
    """The name of a migrated PostgreSQL database without rows, which tests use as a template."""
    with postgresql.fresh_database() as url:
        _migrate(url)
        yield urlsplit(url).path.lstrip("/")


def _migrate(url: str) -> None:
    database = Database(url)
    migrate(database)
    database.close()


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of each kind: empty, or migrated for tests that use `database` too."""
    migrated = "database" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "rollbook.db"
        if migrated:
            shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"
    else:
        server: PostgresServer = request.getfixturevalue("postgresql")
        template = {"template": request.getfixturevalue("migrated_template")} if migrated else {}
        with server.fresh_database(**template) as url:
            yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database without rows, of each kind."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture(scope="session", params=BOTH)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Served"]:
    """A server without a worker for the whole run, on each kind of database; tests make their own accounts."""
    folder = tmp_path_factory.mktemp(f"served-{request.param}")
    with empty_database(request, folder) as url:
        yield from _serve(url, folder)


@contextmanager
def empty_database(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database of the requested kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{folder / 'rollbook.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgresql")
        with server.fresh_database() as url:
            yield url


@contextmanager
def other_database(request: pytest.FixtureRequest, database_url: str, folder: Path) -> Iterator[str]:
    """Yield the URL of a migrated database of the other kind, without rows."""
    if database_url.startswith("sqlite"):
        server: PostgresServer = request.getfixturevalue("postgresql")
        with server.fresh_database(request.getfixturevalue("migrated_template")) as url:
            yield url
    else:
        shutil.copyfile(request.getfixturevalue("migrated_file"), folder / "other.db")
        yield f"sqlite:///{folder / 'other.db'}"


class Served:
    """A server and the database behind it."""

    def __init__(self, server: ServerProcess, database: Database, database_url: str) -> None:
        self.server = server
        self.database = database
        self.database_url = database_url


def _serve(database_url: str, folder: Path) -> Iterator[Served]:
    database = Database(database_url)
    migrate(database)
    options = ["--no-worker", "--http-port", "0"]
    with (
        run_server(
            database_url, folder, *options, forked=False, body_seconds=1, trusted_proxies="127.0.0.2", hsts_seconds=60
        ) as server,
        server.keep_connection(),
    ):
        yield Served(server, database, database_url)
    database.close()


@pytest.fixture
def campus(served: Served) -> Campus:
    """A new account on the server that the whole test run shares."""
    return Campus(served.database)


@pytest.fixture
def environment(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sets the database of the test and removes the machine's settings; returns the data directory."""
    for name in [name for name in os.environ if name.startswith("ROLLBOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROLLBOOK_DATABASE_URL", database_url)
    monkeypatch.setenv("ROLLBOOK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ROLLBOOK_SETTINGS_FILE", "")
    return tmp_path / "data"


@pytest.fixture
def rollbook(environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line, on the database of the test."""

    def run(*arguments: str) -> Done:
        return run_command(monkeypatch, capsys, *arguments)

    return run


@pytest.fixture
def visitors(served: Served) -> Iterator[Visitors]:
    """Makes console clients that are not signed in, and closes them at the end.

    Each test has an address of its own, so that no limit counts what another test has done.
    """
    number = next(_addresses)
    address = f"127.1.{number // 250}.{number % 250 + 1}"
    with ExitStack() as opened:
        yield lambda: Visitor(served.server, opened.enter_context(served.server.client(address)), address)


@pytest.fixture
def stranger(visitors: Visitors) -> Visitor:
    """A console client that is not signed in."""
    return visitors()


@pytest.fixture
def owner(visitors: Visitors, campus: Campus) -> Visitor:
    """The owner of the campus, signed in to the console."""
    give_password(campus)
    visitor = visitors()
    fields = {"account": campus.name, "email": "owner@example.org", "password": PASSWORD}
    assert visitor.post("/console/sign-in", fields).is_redirect
    return visitor
