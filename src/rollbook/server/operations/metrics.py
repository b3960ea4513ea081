"""The figures that Prometheus collects: counted here as calls are answered, or read from the database when it asks.

With several server processes each writes its counts to a file of a shared folder, and the parent adds them up.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path

from prometheus_client import REGISTRY, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from rollbook.errors import DatabaseUnavailableError
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.queue.backlog import read_backlog

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when it is imported
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# However often somebody asks, the database spends at most a twentieth of its time on answering.
REST_SECONDS = 1.0
REST_TIMES = 20


class CallMetrics:
    """Counts the calls that one server process answers."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series of times beside each count, which nobody reads
        labels = ("method", "status", "code")
        self._calls = Counter("rollbook_calls", "Calls answered, by first error code.", labels)
        self._seconds = Histogram("rollbook_call_seconds", "Time to answer a call.", ["method"], buckets=BUCKETS)
        self._errors = Counter("rollbook_errors", "Errors answered, also of single items.", ["code"])
        self._not_kept = Counter("rollbook_last_calls_dropped", "Last calls not kept.")

    def count(self, method: str | None, status: int, errors: Mapping[str, int], failed: bool, seconds: float) -> None:
        """Count a call. Only methods that exist may be named, so that strangers cannot make up figures."""
        self._calls.labels(method or "", str(status), next(iter(errors), "") if failed else "").inc()
        self._seconds.labels(method or "").observe(seconds)
        for code, times in errors.items():
            self._errors.labels(code).inc(times)

    def count_dropped(self, calls: int) -> None:
        """Count calls that the record of last calls has lost."""
        self._not_kept.inc(calls)


@cache
def call_metrics() -> CallMetrics:
    """Give this process's own: it has one set of them, whatever number of applications."""
    return CallMetrics()


class QueueCollector(Collector):
    """Reads the queue's figures when Prometheus asks; `processed` gives what a worker of this process has finished."""

    def __init__(self, database: Database, processed: Callable[[], Mapping[str, int]]) -> None:
        self._database = database
        self._processed = processed
        self._lock = threading.Lock()
        self._read: list[Metric] = []
        self._next_read = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Name no figures ahead: the registry would read them to know."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Give the figures, those of the database as they were a moment ago at most."""
        processed = CounterMetricFamily(
            "rollbook_unenrollments_processed", "Items that workers of this process finished.", labels=["status"]
        )
        for status, items in self._processed().items():
            processed.add_metric([status], items)
        with self._lock:
            if time.monotonic() >= self._next_read:
                self._read, rest = self._ask_database()
                self._next_read = time.monotonic() + rest
            return [processed, *self._read]

    def _ask_database(self) -> tuple[list[Metric], float]:
        """Give the figures, and for how many seconds to leave the database alone."""
        started, now = time.monotonic(), utc_now()
        try:
            with self._database.read() as connection:
                backlog = read_backlog(connection, now)
        except DatabaseUnavailableError:
            return [GaugeMetricFamily("rollbook_database_up", "1 when the database answered.", 0)], REST_SECONDS
        pending = GaugeMetricFamily("rollbook_unenrollments_pending", "Items in the queue.", labels=["state"])
        for state in ("due", "held", "paused"):
            pending.add_metric([state], getattr(backlog, state))
        oldest, late = _seconds(backlog.oldest_pending_at, now), _seconds(backlog.late_since, now)
        figures: list[Metric] = [
            pending,
            GaugeMetricFamily("rollbook_database_up", "1 when the database answered.", 1),
            GaugeMetricFamily("rollbook_oldest_pending_seconds", "Since the first pending item was asked for.", oldest),
            GaugeMetricFamily(
                "rollbook_late_seconds", "Since the first item fell due that a worker could finish.", late
            ),
            GaugeMetricFamily("rollbook_paused_accounts", "Accounts with a paused queue.", backlog.paused_accounts),
        ]
        return figures, max(REST_SECONDS, REST_TIMES * (time.monotonic() - started))


def _seconds(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def collect_from(database: Database, processed: Callable[[], Mapping[str, int]], shared: Path | None) -> None:
    """Have this process give the queue's figures too, and those that its server processes write to a shared folder."""
    REGISTRY.register(QueueCollector(database, processed))
    if shared is not None:
        MultiProcessCollector(REGISTRY, str(shared))  # type: ignore[no-untyped-call]


@contextmanager
def shared_folder(wanted: bool) -> Iterator[Path | None]:
    """Make a folder in which the server processes that are started in the block count together, if it is wanted."""
    if not wanted:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="rollbook-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder
        yield Path(folder)
