"""A real server on a place, and calls to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from generator import Measured, make_job, measure
from places import Place
from server_process import ServerProcess, run_server


class Serving:
    """A running `rollbook serve` without a worker."""

    def __init__(self, place: Place, server: ServerProcess) -> None:
        self.place = place
        self.server = server

    def accept(self, connections: int, first_call: int, calls: int) -> float:
        """Unenroll by calls of 100 fresh ids; return how many calls a second."""
        return calls / self.call(connections=connections, first_call=first_call, calls=calls).seconds

    def call(self, *, user_key: str | None = None, **given: int | str) -> Measured:
        """Make calls in the owner's name, or with another key."""
        package = self.place.accounts[0].package(["@", "@"], user_key)
        return measure(make_job(self.server.url, self.server.ca_file, package, table=self.place.count, **given))

    def resident(self) -> int:
        """Give the KiB of memory that the server's processes hold."""
        return sum(_resident(pid) for pid in (self.server.process.pid, *self.server.serving()))


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@contextmanager
def serving(place: Place) -> Iterator[Serving]:
    """Run the server: on PostgreSQL with as many processes as the machine has cores, on SQLite with one."""
    count = 1 if place.on_sqlite else os.cpu_count() or 1
    options = ("--no-worker", "--workers", str(count))
    with (
        TemporaryDirectory(prefix="rollbook-bench-", dir="/var/tmp") as folder,
        run_server(place.url, Path(folder), *options, forked=False, wrong_keys_per_address=0) as server,
    ):
        serving = Serving(place, server)
        # What a process does once, and what a database learns of a table, is behind it.
        serving.call(connections=32, calls=200, user_key="nobody's", expected="SU:10")
        yield serving
