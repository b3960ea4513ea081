"""The limit of accepting on SQLite: plain sqlite3 in one thread, the statements of the accept path and nothing else.

Runs as a program, in a process of its own, as the server does. `accept_by_sqlite` starts it.
"""

import json
import sqlite3
import subprocess
import sys
import time

from generator import call_ids
from places import Place
from statements import AUDIT, accepting, digests


def accept_by_sqlite(place: Place, first_call: int, calls: int) -> float:
    """Accept by one transaction a call; return how many calls a second."""
    job = {
        "file": place.url.removeprefix("sqlite:///"),
        "statements": accepting("sqlite"),
        "digests": {name: value.hex() for name, value in digests(place.accounts[0]).items()},
        "calls": [list(call_ids(call, place.count, 100)) for call in range(first_call, first_call + calls)],
    }
    done = subprocess.run(
        [sys.executable, __file__], input=json.dumps(job), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return calls / float(done.stdout)


def _run(file: str, statements: dict[str, str], digests: dict[str, str], calls: list[list[int]]) -> float:
    connection = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    keys = {name: bytes.fromhex(value) for name, value in digests.items()}
    now = "2026-01-31 12:00:00.000000"
    given = {"reason": None, "idempotency_key": None, "protect_completed": False, **AUDIT}
    given |= dict.fromkeys(("requested_at", "due_at", "happened_at"), now)
    lists = [json.dumps(ids) for ids in calls]
    started = time.perf_counter()
    for ids in lists:
        found = connection.execute(statements["caller"], keys).fetchone()
        call = given | {"account_id": found[0], "user_id": found[5], "requested_by": found[5], "ids": ids}
        connection.execute("BEGIN IMMEDIATE")
        [(batch_id,)] = connection.execute(statements["batch"], call).fetchall()
        accepted = connection.execute(statements["accept"], call | {"batch_id": batch_id}).fetchall()
        assert len(accepted) == 100
        connection.execute(statements["audit"], call)
        connection.execute("COMMIT")
    return time.perf_counter() - started


if __name__ == "__main__":
    print(_run(**json.load(sys.stdin)))
