"""Does in a thread of its own, about once a second, what no call shall wait for."""

import threading
from collections.abc import Callable

import structlog

from rollbook.errors import DatabaseUnavailableError

log = structlog.get_logger("rollbook.server")

INTERVAL_SECONDS = 1.0
# How long the end of the server waits for the last round.
STOP_SECONDS = 2


class Rounds:
    """Does `work` by rounds, and a last time when it is stopped; `trouble` is what the log says when that fails."""

    def __init__(self, name: str, work: Callable[[], None], trouble: str) -> None:
        self._work = work
        self._trouble = trouble
        self._unavailable = f"{trouble}: database unavailable"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._available = True

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Do the last round, unless that takes too long; one that was never started does nothing."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_SECONDS):
            self._attempt()
        self._attempt()

    def _attempt(self) -> None:
        try:
            self._work()
            self._available = True
        except DatabaseUnavailableError as error:
            if self._available:  # once for each trouble, not once a second
                log.warning(self._unavailable, detail=error.detail)
            self._available = False
        except Exception:
            log.exception(self._trouble)
