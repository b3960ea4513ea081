"""Rows about the worker: draining compared with psql, and accepting while workers drain."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from campus import Campus
from figures import Figure
from places import Place, durable_postgresql, postgresql_place
from postgresql import postgresql_command
from server_process import environment
from serving import serving
from statements import draining

STEP = 1000
ITEMS = 50_000  # of each account, in each measurement
PAUSE = "UPDATE accounts SET queue_paused_at = now()"
RESUME = "UPDATE accounts SET queue_paused_at = NULL"
PENDING = "SELECT EXISTS (SELECT 1 FROM unenrollments WHERE status = 'Pending')"
CHANGES = "SELECT SUM(last_change) FROM accounts"


def drain(rounds: int) -> Iterator[Figure]:
    """Workers compared with psql and the same statements, each with its own account."""
    one, two = (Figure(f"drain, PostgreSQL, {text}", "items/s", 0.88, 0.95) for text in ("1 worker", "2 workers"))
    table = max(1_000_000, 4 * ITEMS * rounds)  # a round drains four times ITEMS of the first account
    with durable_postgresql() as server, postgresql_place(server, table, accounts=2) as place:
        place.run(PAUSE)
        done = [0, 0]

        def queue(accounts: int) -> list[Campus]:
            for number in range(accounts):
                enqueue(place, number, done[number], ITEMS)
                done[number] += ITEMS
            place.run("VACUUM ANALYZE unenrollments", "CHECKPOINT")
            return place.accounts[:accounts]

        for _ in range(rounds):
            for figure, accounts in ((one, 1), (two, 2)):
                reached = _drain_by_workers(place, len(queue(accounts)))
                figure.add(reached, accounts * ITEMS / drain_by_psql(place, queue(accounts)))
    yield from (one, two)


def accept_while_draining(rounds: int) -> Iterator[Figure]:
    """Accepting while two workers are busy, compared with accepting alone."""
    figure = Figure("accept while two workers drain, of accept alone", "calls/s", 0.60, 0.75)
    with (
        durable_postgresql() as server,
        postgresql_place(server, 1_000_000, accounts=3) as place,
        serving(place) as served,
        running_workers(place, 2),
    ):
        place.run(PAUSE)
        for number in (1, 2):
            enqueue(place, number, 0, 1_000_000)
        place.run("VACUUM ANALYZE unenrollments", "CHECKPOINT")
        calls = min(600, 5_000 // rounds)
        for first in range(0, 2 * rounds * calls, 2 * calls):
            alone = served.accept(8, first, calls)
            place.run(f"{RESUME} WHERE id <> {place.accounts[0].account.id}")
            time.sleep(0.2)
            beside = served.accept(8, first + calls, calls)
            place.run(PAUSE)
            assert place.run("SELECT COUNT(DISTINCT account_id) FROM unenrollments WHERE status = 'Pending'") == [(3,)]
            figure.add(beside, alone)
    yield figure


def enqueue(place: Place, number: int, first: int, count: int) -> None:
    """Queue enrollments of an account in batches of 100, as calls do."""
    account = place.accounts[number].account.id
    start = number * place.count + first
    place.run(
        "INSERT INTO unenrollments (batch_id, block, account_id, enrollment_id, status, requested_at, due_at)"
        f" SELECT {(number + 1) * 10**9 + first} + i / 100, i % 100 + 1, {account}, {start + 1} + i, 'Pending', now(),"
        f" now() FROM generate_series(0, {count - 1}) AS i"
    )


@contextmanager
def running_workers(place: Place, count: int) -> Iterator[None]:
    """Run `count` processes of `rollbook worker`, idle when the block begins."""
    with TemporaryDirectory(prefix="rollbook-bench-", dir="/var/tmp") as folder, ExitStack() as stack:
        log = Path(folder, "log")
        given = environment(place.url, Path(folder), poll_seconds=0.1, drain_step=STEP)
        for _ in range(count):
            command = [sys.executable, "-m", "rollbook", "worker"]
            output = stack.enter_context(log.open("ab"))
            process = stack.enter_context(
                subprocess.Popen(command, env=given, cwd=folder, stdout=output, stderr=output)
            )
            stack.callback(process.terminate)
        deadline = time.monotonic() + 30
        while log.read_text().count("worker started") < count:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        time.sleep(0.5)
        yield


def _drain_by_workers(place: Place, count: int) -> float:
    """Return the items per second between the first step and the last, because an idle worker only polls the queue."""
    with running_workers(place, count), psycopg.connect(place.url, autocommit=True) as connection:

        def steps() -> int:
            [(number,)] = connection.execute(CHANGES).fetchall()
            return int(number)

        before = steps()
        last = before + count * ITEMS // STEP
        connection.execute(RESUME)
        while (first := steps()) == before:
            time.sleep(0.005)
        started = time.perf_counter()
        while left := last - steps():
            time.sleep(0.005 * left)  # less often than once a step: to count takes CPU time from the workers
        seconds = time.perf_counter() - started
        assert place.run(PENDING) == [(False,)]
    place.run(PAUSE)
    return (last - first) * STEP / seconds


def drain_by_psql(place: Place, accounts: list[Campus]) -> float:
    """Process ITEMS of each account with one psql per account; return the seconds."""
    place.run(RESUME)
    scripts = [_script(campus.account.id) for campus in accounts]
    command = [*postgresql_command("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", place.url]
    processes = [subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-2, text=True) for _ in scripts]
    for process in processes:
        assert process.stdin
        assert process.stdout
        process.stdin.write("\\echo ready\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
    started = time.perf_counter()
    for process, script in zip(processes, scripts, strict=True):
        assert process.stdin
        process.stdin.write(script)
        process.stdin.close()
    for process in processes:
        assert process.stdout
        with process.stdout:
            output = process.stdout.read()
        assert process.wait() == 0, output
    seconds = time.perf_counter() - started
    assert place.run(PENDING) == [(False,)]
    place.run(PAUSE)
    return seconds


def _script(account_id: int) -> str:
    given = {"account_id": account_id, "latest_at": "'9999-12-31'"}
    given |= dict.fromkeys(("due_at", "finished_at", "unenrolled_at"), "now()")
    given |= {
        "step": STEP,
        "complete": STEP,
        "failed": 0,
        "first": STEP,
        "status": "'Complete'",
        "notes": "NULL",
        "ids": ":'ids'",
        "change": ":last_change",
    }
    given |= {"protect_completed": "false"}
    turn, claim, change, end, finish = (_fill(sql, given) for sql in draining().values())
    step = f"BEGIN;\n{turn};\n{claim} \\gset\n{change} \\gset\n{end};\n{finish};\nCOMMIT;\n"
    return "\\o /dev/null\n" + step * (ITEMS // STEP)


def _fill(sql: str, given: dict[str, object]) -> str:
    for name, value in given.items():
        sql = sql.replace(f":{name}", str(value)) if name != "ids" else sql.replace("(:ids", f"({value}")
    return sql
