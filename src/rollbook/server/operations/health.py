"""Whether a process can do its work now, part by part: what /readyz says."""

import threading

from rollbook.errors import DatabaseUnavailableError
from rollbook.store.database.database import Database
from rollbook.store.database.deadline import deadline
from rollbook.store.database.schema import can_serve

OK = "ok"
# Who asks does not wait for long, and a database that does not answer is not ready.
LONGEST_SECONDS = 2


class Health:
    """`stopping` is set by whoever runs the process, as soon as it begins to end."""

    def __init__(self, database: Database) -> None:
        self.stopping = threading.Event()
        self._database = database

    def check(self) -> dict[str, str]:
        """Say of each part that it is ok, or what is wrong with it."""
        database, schema = OK, OK
        try:
            with deadline(LONGEST_SECONDS):
                usable = can_serve(self._database)
            if not usable:
                schema = "not the schema of this release; run: rollbook migrate"
        except DatabaseUnavailableError as error:
            database, schema = error.detail, "not known without the database"
        process = "shutting down" if self.stopping.is_set() else OK
        return {"database": database, "schema": schema, "process": process}
