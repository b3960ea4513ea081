"""CPU time of the client compared with the server's, and memory of `rollbook unenroll`: part of `make bench`.

Every figure is a ratio within one run. Prints a table and writes bench/client.json.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from campus import Campus
from rollbook import Client
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from server_process import ServerProcess, run_server

CALLS = 200
ROUNDS = 5
FEW, MANY = 1_000, 100_000


def main() -> None:
    """Measure, print and write."""
    with tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder:
        url = f"sqlite:///{folder}/rollbook.db"
        database = Database(url)
        migrate(database)
        campus = Campus(database)
        with run_server(url, Path(folder), "--no-worker", forked=False) as server:
            rounds = [_client_cost(server, campus) for _ in range(ROUNDS)]
            cost, bare = (statistics.median(ratios) for ratios in zip(*rounds, strict=True))
            memory = _peak_memory(server, campus, Path(folder), MANY) / _peak_memory(server, campus, Path(folder), FEW)
        database.close()
    rows: list[dict[str, Any]] = [
        {"what": "client's time a call, of the server's (CPU, 100 fresh ids)", "reached": cost, "at most": 0.40},
        {"what": "of that, httpx and TLS alone, sending the same bodies", "reached": bare, "at most": None},
        {"what": f"memory of rollbook unenroll, {MANY:,} ids of {FEW:,}", "reached": memory, "at most": 1.10},
    ]
    for row in rows:
        limit = "" if row["at most"] is None else f"  (at most {row['at most']:.2f})"
        print(f"{row['what']:<62} {row['reached']:.2f}{limit}")
    Path(__file__).with_suffix(".json").write_text(json.dumps(rows, indent=2) + "\n")


def _client_cost(server: ServerProcess, campus: Campus) -> tuple[float, float]:
    """Unenroll with calls of 100 ids; return the CPU times of client and bare httpx as ratios to the server's."""
    ids = campus.enroll(CALLS * 100)
    with Client(server.url, campus.account_key, campus.owner_key, ca_file=server.ca_file) as client:
        next(client.unenroll(ids[:1]))  # the connection is open now
        before, server_before = time.process_time(), _cpu_seconds(server.process.pid)
        accepted = sum(outcome.accepted for outcome in client.unenroll(ids[1:]))
        client_time, server_time = time.process_time() - before, _cpu_seconds(server.process.pid) - server_before
    assert accepted == len(ids) - 1
    body = urlencode({"Package": campus.package(ids[:100])})
    with server.client() as bare:
        bare.get(server.url)
        before = time.process_time()
        for _ in range(CALLS):
            bare.post(server.url, headers={"Content-Type": "application/x-www-form-urlencoded"}, content=body)
        bare_time = time.process_time() - before
    return client_time / server_time, bare_time / server_time


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_memory(server: ServerProcess, campus: Campus, folder: Path, count: int) -> int:
    """Run the command with `count` ids in a file; return its peak memory in KiB."""
    (folder / "ids.txt").write_text("\n".join(map(str, range(10**9, 10**9 + count))))
    keys = {"ROLLBOOK_ACCOUNT_KEY": campus.account_key, "ROLLBOOK_USER_KEY": campus.owner_key}
    address = {"ROLLBOOK_URL": server.url, "ROLLBOOK_CA_FILE": str(server.ca_file)}
    command = [sys.executable, "-m", "rollbook", "unenroll", "--file", "ids.txt", "--yes", "--output", f"{count}.csv"]
    process = subprocess.Popen(command, cwd=folder, env=os.environ | keys | address, stdout=-3, stderr=-3)
    _, _, usage = os.wait4(process.pid, 0)
    assert (folder / f"{count}.csv").read_text().count("\n") == count + 1
    return usage.ru_maxrss


main()
