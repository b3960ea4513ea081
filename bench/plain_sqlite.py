"""The limit of accepting on SQLite: plain sqlite3 in one thread with the statements of the accept path.

As a program, in its own process like the server, it reads a job as JSON from stdin and writes seconds to stdout.
"""

import json
import sqlite3
import sys
import time
from typing import Any


def _run(
    file: str, statements: dict[str, str], digests: dict[str, str], given: dict[str, Any], calls: list[list[int]]
) -> float:
    connection = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    keys = {name: bytes.fromhex(value) for name, value in digests.items()}
    lists = [json.dumps(ids) for ids in calls]
    batch = json.dumps([{"requested_by": None, "reason": None, "idempotency_key": None}])
    started = time.perf_counter()
    for ids in lists:
        found = connection.execute(statements["caller"], given | keys).fetchone()
        call = given | {"account_id": found[0]}
        connection.execute("BEGIN IMMEDIATE")
        [(batch_id,)] = connection.execute(statements["batch"], call | {"rows": batch}).fetchall()
        items = json.dumps([{"batch_id": batch_id, "before": 0, "ids": ids}])
        accepted = connection.execute(statements["accept"], call | {"rows": items}).fetchall()
        assert len(accepted) == 100
        connection.execute(statements["audit"], call)
        connection.execute("COMMIT")
    return time.perf_counter() - started


if __name__ == "__main__":
    print(_run(**json.load(sys.stdin)))
