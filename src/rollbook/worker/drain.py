"""Drains the unenrollment queue step by step, and purges expired rows between the steps."""

import math
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex

import structlog

from rollbook.errors import DatabaseUnavailableError
from rollbook.model import UnenrollmentStatus, utc_now
from rollbook.store.database.database import Database
from rollbook.store.queue.process import find_due_accounts, process_due
from rollbook.store.queue.workers import note_worker
from rollbook.worker.purge import Purge

# Per account, until the next search for accounts with due items.
MAX_STEPS = 10
# Well below SILENT_SECONDS, after which a worker counts as stopped.
HEARTBEAT_SECONDS = 1
# No task takes longer, unless it hangs: heartbeats end.
MAX_TASK_SECONDS = 300

log = structlog.get_logger("rollbook.worker")


class Worker:
    """Processes the queue until stopped; any number of workers may share a PostgreSQL database.

    `step` is the number of items in a transaction, `poll_seconds` the pause of an idle worker.
    """

    def __init__(self, database: Database, step: int, poll_seconds: float, purge: Purge) -> None:
        self._database = database
        self._step = step
        self._poll_seconds = poll_seconds
        self._purge = purge
        self._stopping = threading.Event()
        self._name = f"{socket.gethostname()} {os.getpid()} {token_hex(4)}"
        self._begun = time.monotonic()  # of the present task
        self._processed: dict[str, int] = {UnenrollmentStatus.COMPLETE: 0, UnenrollmentStatus.FAILED: 0}

    def processed(self) -> dict[str, int]:
        """Return how many items this worker has processed, by status."""
        return dict(self._processed)

    def stop(self) -> None:
        """Let `run` return after the current step."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped."""
        log.info("worker started", step=self._step)
        heart = threading.Thread(target=self._send_heartbeats, name="heartbeat")
        heart.start()
        while not self._stopping.is_set():
            self._begun = time.monotonic()
            busy = [self._attempt(task) for task in (self.drain_once, self._purge.run_step)]
            if not any(busy):
                self._begun = math.inf
                self._stopping.wait(self._poll_seconds)
        heart.join()
        log.info("worker stopped")

    def _send_heartbeats(self) -> None:
        """Record every second that this worker runs, also during a long step, until it stops or hangs."""
        while not self._stopping.is_set():
            if time.monotonic() - self._begun < MAX_TASK_SECONDS:
                self._attempt(self._send_heartbeat)
            self._stopping.wait(HEARTBEAT_SECONDS)

    def _send_heartbeat(self) -> None:
        with suppress(DatabaseUnavailableError):  # which the drain logs
            note_worker(self._database, self._name, utc_now())

    def _attempt(self, task: Callable[..., object], *given: object) -> bool:
        """Run a task and return whether it did anything. Errors are logged and do not stop the loop."""
        try:
            return bool(task(*given))
        except DatabaseUnavailableError as error:
            log.warning("database unavailable", detail=error.detail)
        except Exception:
            log.exception("worker error; continuing")
        return False

    def drain_once(self) -> bool:
        """Process up to MAX_STEPS of every account with due items, in rotation; False when nothing was processed."""
        before = sum(self._processed.values())
        due = find_due_accounts(self._database, utc_now())
        for _ in range(MAX_STEPS):
            due = [account for account in due if self._attempt(self._drain, account)]
        return sum(self._processed.values()) > before

    def _drain(self, account_id: int) -> bool:
        """Process one step; True when it was a full one, so that more may follow."""
        if self._stopping.is_set():
            return False
        self._begun = time.monotonic()
        step = process_due(self._database, account_id, utc_now(), self._step)
        if step.finished:
            log.info("unenrollments processed", account=account_id, complete=step.complete, failed=step.failed)
        self._processed[UnenrollmentStatus.COMPLETE] += step.complete
        self._processed[UnenrollmentStatus.FAILED] += step.failed
        return step.finished >= self._step
