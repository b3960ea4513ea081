"""What a sandbox keeps besides its database: the faults, the last calls, and a worker that can be paused."""

import threading
from collections import deque
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from rollbook.console.render import TEMPLATES
from rollbook.sandbox.faults import Faults
from rollbook.sandbox.known import ACCOUNT
from rollbook.sandbox.seed import SANDBOX, fill
from rollbook.settings import Settings
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from rollbook.store.operations.backup import back_up
from rollbook.store.operations.sandbox import advance_holds, restore
from rollbook.store.people.accounts import find_account, set_policies
from rollbook.worker.drain import Worker
from rollbook.worker.purge import Purge

MAX_CALLS = 1000


# The files of a sandbox in its folder: its database, the copy for resets, and a database that is not complete.
LIVE, SEED, NEW = "rollbook.db", "seed.db", "new.db"


def make_seed(folder: Path, file: Path, *, is_roster: bool) -> None:
    """Make the copy for resets from a file, and then the database; errors: UserError."""
    _remove_new(folder)  # of a process that was killed
    try:
        with closing(Database(f"sqlite:///{folder / NEW}")) as database:
            migrate(database)
            fill(database, file, is_roster=is_roster)
        back_up(folder / NEW, folder / SEED, lambda _done, _all: None)
        (folder / NEW).rename(folder / LIVE)
    finally:
        _remove_new(folder)


def _remove_new(folder: Path) -> None:
    for path in folder.glob(f"{NEW}*"):
        path.unlink()


class PausableWorker(Worker):
    """A worker that processes nothing while it is paused, or while its `gate` is held."""

    def __init__(self, database: Database, settings: Settings) -> None:
        purge = Purge(database, settings.drain_step, settings.calls_kept, settings.calls_kept_days)
        super().__init__(database, settings.drain_step, settings.poll_seconds, purge)
        self.gate = threading.Lock()
        self.paused = False

    def drain_once(self) -> bool:
        """Process what is due, unless paused."""
        with self.gate:
            return not self.paused and super().drain_once()

    def pause(self, paused: bool) -> None:
        """Pause or resume; a step that has begun ends before."""
        with self.gate:
            self.paused = paused


class State:
    """The state of a running sandbox; its changes are those that /sandbox/ offers."""

    def __init__(self, database: Database, worker: PausableWorker, folder: Path) -> None:
        self.faults = Faults()
        self.calls: deque[dict[str, Any]] = deque(maxlen=MAX_CALLS)
        self.worker = worker
        self._database = database
        self._folder = folder

    def reset(self) -> None:
        """Go back to the seed: database, faults, calls, worker."""
        with self.worker.gate:
            restore(self._folder / SEED, self._folder / LIVE)
            self.worker.paused = False
        self.faults.waiting.clear()
        self.calls.clear()

    def advance(self, seconds: float) -> None:
        """Let so much time of every hold pass."""
        self._database.transact(lambda connection: advance_holds(connection, timedelta(seconds=seconds)))

    def set_policies(self, policies: dict[str, Any]) -> None:
        """Change policies of the account; errors: UserError."""
        self._database.transact(
            lambda connection: set_policies(connection, find_account(connection, ACCOUNT), policies, by=SANDBOX)
        )


def mark_pages() -> None:
    """Let every page of this process say that it is a sandbox."""
    TEMPLATES.globals["sandbox"] = True
