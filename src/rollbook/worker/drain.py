"""Drains the unenrollment queue: finishes what is due, step by step, and sees to the end of retention."""

import os
import socket
import threading
import time
from collections.abc import Callable
from secrets import token_hex

import structlog

from rollbook.errors import DatabaseUnavailableError
from rollbook.model import UnenrollmentStatus, utc_now
from rollbook.store.database.database import Database
from rollbook.store.queue.process import find_due_accounts, process_due
from rollbook.store.queue.workers import note_worker
from rollbook.worker.purge import Purge

# Of each account that has more than one step, before it is asked again who has anything due.
STEPS = 10
# Well below SILENT_SECONDS, after which a worker is taken to be gone.
BEAT_SECONDS = 5

log = structlog.get_logger("rollbook.worker")


class Worker:
    """Works until it is told to stop; any number of workers may share a PostgreSQL database.

    `step` is how many items one transaction finishes, `poll_seconds` how long an idle worker waits.
    """

    def __init__(self, database: Database, step: int, poll_seconds: float, purge: Purge) -> None:
        self._database = database
        self._step = step
        self._poll_seconds = poll_seconds
        self._purge = purge
        self._stopping = threading.Event()
        self._name = f"{socket.gethostname()} {os.getpid()} {token_hex(4)}"
        self._next_beat = time.monotonic()
        self._processed: dict[str, int] = {UnenrollmentStatus.COMPLETE: 0, UnenrollmentStatus.FAILED: 0}

    def processed(self) -> dict[str, int]:
        """Tell how many items this worker has finished so far, by their status."""
        return dict(self._processed)

    def stop(self) -> None:
        """Let the step under way come to its end, then leave `run`."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped."""
        log.info("worker started", step=self._step)
        duties = (self.drain_once, self._purge.run_step)
        while not self._stopping.is_set():
            busy = [self._attempt(duty) for duty in duties]
            if not any(busy):
                self._rest()
        log.info("worker stopped")

    def _rest(self) -> None:
        """Wait for the next look at the queue, and be seen meanwhile."""
        end = time.monotonic() + self._poll_seconds
        while not self._stopping.wait(max(0, min(BEAT_SECONDS, end - time.monotonic()))) and time.monotonic() < end:
            self._attempt(lambda: None)

    def _beat(self) -> None:
        """Let others see, every few seconds, that this worker is at work."""
        if time.monotonic() >= self._next_beat:
            note_worker(self._database, self._name, utc_now())
            self._next_beat = time.monotonic() + BEAT_SECONDS

    def _attempt(self, duty: Callable[..., object], *about: object) -> bool:
        """Do something and tell whether there was anything to do; trouble is logged, and keeps from nothing else."""
        try:
            self._beat()
            return bool(duty(*about))
        except DatabaseUnavailableError as error:
            log.warning("database unavailable", detail=error.detail)
        except Exception:
            log.exception("worker failed; it goes on")
        return False

    def drain_once(self) -> bool:
        """Finish some steps of every account that has due items, by turns; False when nothing was finished."""
        before = sum(self._processed.values())
        due = find_due_accounts(self._database, utc_now())
        for _ in range(STEPS):
            due = [account for account in due if self._attempt(self._drain, account)]
        return sum(self._processed.values()) > before

    def _drain(self, account_id: int) -> bool:
        """Finish one step; True when it was a whole one, so that there may be more."""
        if self._stopping.is_set():
            return False
        step = process_due(self._database, account_id, utc_now(), self._step)
        if step.finished:
            log.info("unenrollments processed", account=account_id, complete=step.complete, failed=step.failed)
        self._processed[UnenrollmentStatus.COMPLETE] += step.complete
        self._processed[UnenrollmentStatus.FAILED] += step.failed
        return step.finished >= self._step
