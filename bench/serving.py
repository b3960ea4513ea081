"""A server on a database to measure on, and calls to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from generator import Measured, make_job, measure
from places import Place
from rollbook import Client
from server_process import ServerProcess, run_server


class Serving:
    """A running `rollbook serve` without a worker."""

    def __init__(self, place: Place, server: ServerProcess) -> None:
        self.place = place
        self.server = server

    def accept(self, connections: int, first_call: int, calls: int) -> float:
        """Unenroll with calls of 100 new ids; return calls per second."""
        return calls / self.call(connections=connections, first_call=first_call, calls=calls).seconds

    def call(self, *, user_key: str | None = None, **given: int | str) -> Measured:
        """Make calls as the owner, or with another key."""
        package = self.place.accounts[0].package(["@", "@"], user_key)
        return measure(make_job(self.server.url, self.server.ca_file, package, table=self.place.count, **given))

    def client(self) -> Client:
        """Make a client with the keys of the owner."""
        campus = self.place.accounts[0]
        return Client(self.server.url, campus.account_key, campus.owner_key, ca_file=self.server.ca_file)

    def resident(self) -> int:
        """Return the resident memory of the server's processes in KiB."""
        return sum(_resident(pid) for pid in (self.server.process.pid, *self.server.serving()))


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@contextmanager
def serving(place: Place) -> Iterator[Serving]:
    """Run the server: on PostgreSQL with one process per core, on SQLite with one process."""
    count = 1 if place.on_sqlite else os.cpu_count() or 1
    options = ("--no-worker", "--workers", str(count))
    with (
        TemporaryDirectory(prefix="rollbook-bench-", dir="/var/tmp") as folder,
        run_server(place.url, Path(folder), *options, forked=False, wrong_keys_per_address=0) as server,
    ):
        serving = Serving(place, server)
        # Warm-up: imports, connections, statistics.
        serving.call(connections=32, calls=200, user_key="wrong", expected="SU:10")
        yield serving
