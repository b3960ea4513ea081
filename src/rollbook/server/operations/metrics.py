"""Metrics for Prometheus: counted as calls are answered, or read from the database on request.

With several server processes each writes its counts to files in a shared folder, and the parent adds them up.
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
from rollbook.methods import METHODS
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.operations.webhooks import count_states
from rollbook.store.queue.backlog import read_backlog

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when imported
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# The database is read at most once a second, and for at most 5 % of the time.
MIN_PAUSE_SECONDS = 1.0
PAUSE_FACTOR = 20


class CallMetrics:
    """Counts the calls that one server process answers."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a creation time for each series, of no use here
        labels = ("method", "status", "code")
        self._calls = Counter("rollbook_calls", "Calls answered, by method, HTTP status and first error code.", labels)
        self._seconds = Histogram("rollbook_call_seconds", "Seconds to answer a call.", ["method"], buckets=BUCKETS)
        self._errors = Counter("rollbook_errors", "Errors answered, including those of single items.", ["code"])
        self._unknown_methods = Counter("rollbook_unknown_methods", "Calls of methods that do not exist.")
        self._dropped = Counter("rollbook_last_calls_dropped", "Calls missing in the call log.")

    def count(self, method: str | None, status: int, errors: Mapping[str, int], failed: bool, seconds: float) -> None:
        """Count a call. Only existing methods become a label: callers cannot create series."""
        known = method if method in METHODS else ""
        if method is not None and not known:
            self._unknown_methods.inc()
        self._calls.labels(known, str(status), next(iter(errors), "") if failed else "").inc()
        self._seconds.labels(known).observe(seconds)
        for code, times in errors.items():
            self._errors.labels(code).inc(times)

    def count_dropped(self, calls: int) -> None:
        """Count calls that the call log has lost."""
        self._dropped.inc(calls)


@cache
def call_metrics() -> CallMetrics:
    """Return the metrics of this process; prometheus_client registers them only once."""
    return CallMetrics()


class QueueCollector(Collector):
    """Reads the metrics of the queue on request; `processed` returns the counts of this process's worker."""

    def __init__(self, database: Database, processed: Callable[[], Mapping[str, int]]) -> None:
        self._database = database
        self._processed = processed
        self._lock = threading.Lock()
        self._cached: list[Metric] = []
        self._next_read = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Return nothing: otherwise the registry would call `collect` at registration."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; those of the database may be cached."""
        processed = CounterMetricFamily(
            "rollbook_unenrollments_processed", "Items processed by the worker of this process.", labels=["status"]
        )
        for status, items in self._processed().items():
            processed.add_metric([status], items)
        with self._lock:
            if time.monotonic() >= self._next_read:
                self._cached, pause = self._read_database()
                self._next_read = time.monotonic() + pause
            return [processed, *self._cached]

    def _read_database(self) -> tuple[list[Metric], float]:
        """Return the metrics, and the seconds until the next read."""
        started, now = time.monotonic(), utc_now()
        up = ("rollbook_database_up", "1 when the database answers.")
        try:
            with self._database.read() as connection:
                backlog, states = read_backlog(connection, now), count_states(connection)
        except DatabaseUnavailableError:
            return [GaugeMetricFamily(*up, 0)], MIN_PAUSE_SECONDS
        pending = GaugeMetricFamily("rollbook_unenrollments_pending", "Items in the queue.", labels=["state"])
        for state in ("due", "held", "paused"):
            pending.add_metric([state], getattr(backlog, state))
        webhooks = GaugeMetricFamily("rollbook_webhooks", "Webhooks by state.", labels=["state"])
        for state, number in states.items():
            webhooks.add_metric([state], number)
        oldest, late = _seconds(backlog.oldest_pending_at, now), _seconds(backlog.late_since, now)
        metrics: list[Metric] = [
            pending,
            webhooks,
            GaugeMetricFamily(*up, 1),
            GaugeMetricFamily("rollbook_oldest_pending_seconds", "Age of the oldest pending item.", oldest),
            GaugeMetricFamily("rollbook_late_seconds", "Time since the first due item became due.", late),
            GaugeMetricFamily("rollbook_paused_accounts", "Accounts with a paused queue.", backlog.paused_accounts),
        ]
        return metrics, max(MIN_PAUSE_SECONDS, PAUSE_FACTOR * (time.monotonic() - started))


def _seconds(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def collect_from(database: Database, processed: Callable[[], Mapping[str, int]], shared: Path | None) -> None:
    """Add to this process's metrics those of the queue, and those that server processes write to a shared folder."""
    REGISTRY.register(QueueCollector(database, processed))
    if shared is not None:
        MultiProcessCollector(REGISTRY, str(shared))  # type: ignore[no-untyped-call]


@contextmanager
def shared_folder(wanted: bool) -> Iterator[Path | None]:
    """If `wanted`, create the folder in which server processes started within the block count together."""
    if not wanted:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="rollbook-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder
        yield Path(folder)
