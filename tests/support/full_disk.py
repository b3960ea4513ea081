"""Fills the small disk of a server in a mount namespace: run by test_full_disk."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from campus import Campus
from load import Load, check_books, report, wait_until
from postgresql import Cluster, run_cluster
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from server_process import run_server


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fill the disk for the length of the block."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    try:
        yield
    finally:
        ballast.unlink()


def fill_and_empty(kind: str, url: str, disk: Path, folder: Path, rounds: int, ending: Cluster | None = None) -> None:
    """Send calls while the disk is full and while it has space, for so many rounds.

    `ending` is a PostgreSQL that ends when it is full, and has to be started again.
    """
    database = Database(url)
    migrate(database)
    campus = Campus(database)
    ids = campus.enroll(6_000 + 4_000 * rounds)
    recovered = []
    with run_server(url, folder, forked=False, poll_seconds=0.1) as server:
        with Load(campus, server, ids, size=20) as load:
            for _ in range(rounds):
                load.wait_for_answers()
                wanted = load.statuses[503] + 10
                with full(disk):
                    wait_until(lambda wanted=wanted: load.statuses[503] > wanted)  # type: ignore[misc]
                    if ending:
                        ending.wait_until_ended()
                if ending:
                    ending.start()
                recovered.append(load.wait_for_answers())
            load.wait_for_answers(30)
        books = check_books(load)
        log = server.log.read_text()
        cause = ending.log.read_text() if ending else log
    database.close()
    report(f"disk full, {kind}", load, recovered=max(recovered), **books)
    assert set(load.statuses) == {200, 503}, load.statuses
    assert "disk is full" in cause or "No space left on device" in cause, cause[-3000:]
    assert "Traceback" not in log, log[max(0, log.index("Traceback") - 1000) :][:5000]


def main(kind: str, disk: Path, rounds: int) -> None:
    """Place the SQLite database, the tables of PostgreSQL or its write-ahead log on the disk."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind == "sqlite":
            fill_and_empty(kind, f"sqlite:///{disk / 'rollbook.db'}", disk, folder, rounds)
        elif kind == "postgresql-tables":
            with run_cluster() as cluster:
                (disk / "tables").mkdir()
                cluster.execute(f"CREATE TABLESPACE small LOCATION '{disk / 'tables'}'")
                cluster.execute("CREATE DATABASE small TABLESPACE small")
                fill_and_empty(kind, cluster.url.replace("/postgres?", "/small?"), disk, folder, rounds)
        else:
            log = ("--wal-segsize=1", f"--waldir={disk / 'log'}")
            # It must not recycle old log segments, which would let it continue.
            greedy = ("-c", "wal_recycle=off", "-c", "max_wal_size=1GB", "-c", "checkpoint_timeout=1h")
            with run_cluster(*greedy, making=log) as cluster:
                fill_and_empty(kind, cluster.new_database(), disk, folder, rounds, ending=cluster)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
