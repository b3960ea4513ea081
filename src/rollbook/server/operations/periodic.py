"""Runs a periodic background task off the request path."""

import threading
from collections.abc import Callable

import structlog

from rollbook.errors import DatabaseUnavailableError

log = structlog.get_logger("rollbook.server")

INTERVAL_SECONDS = 1.0
# How long a stop waits for the last run.
STOP_SECONDS = 2


class PeriodicTask:
    """Runs `task` once a second and a last time when stopped; `failure` is the log event when it raises."""

    def __init__(self, name: str, task: Callable[[], None], failure: str) -> None:
        self._task = task
        self._failure = failure
        self._unavailable = f"{failure}: database unavailable"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._available = True

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Run the task a last time, for STOP_SECONDS at most; no-op when never started."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_SECONDS):
            self._attempt()
        self._attempt()

    def _attempt(self) -> None:
        try:
            self._task()
            self._available = True
        except DatabaseUnavailableError as error:
            if self._available:  # once an outage, not once a second
                log.warning(self._unavailable, detail=error.detail)
            self._available = False
        except Exception:
            log.exception(self._failure)
