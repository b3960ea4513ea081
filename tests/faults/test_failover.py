"""PostgreSQL fails over to a synchronous replica under load: no answered call is lost, and the server recovers."""

import time
from contextlib import ExitStack
from pathlib import Path

from campus import Campus
from load import Load, check_books, report, wait_until
from postgresql import Cluster, quick_base, run_cluster, short_folder
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from server_process import run_server


def test_failover_to_a_synchronous_replica_loses_no_answered_call(tmp_path: Path, soaks: bool) -> None:
    for _ in range(5 if soaks else 1):
        with ExitStack() as stack:
            primary = stack.enter_context(run_cluster(base=quick_base()))
            replica = Cluster(stack.enter_context(short_folder(quick_base())))
            replica.copy(primary)
            stack.callback(replica.stop)
            replica.start()
            primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.execute("SELECT pg_reload_conf()")
            url = f"{primary.new_database()},{replica.folder}"
            database = Database(url)
            stack.callback(database.close)
            migrate(database)
            _fail_over(database, url, primary, replica, tmp_path)


def _fail_over(database: Database, url: str, primary: Cluster, replica: Cluster, folder: Path) -> None:
    campus = Campus(database)
    ids = campus.enroll(6_000)
    with run_server(url, folder, poll_seconds=0.1, call_seconds=2) as server:
        with Load(campus, server, ids) as load:
            load.wait_for_answers(20)
            with replica.frozen():
                # A commit that the replica has not confirmed is not answered as accepted.
                wait_until(lambda: load.statuses[503] >= 4)
                accepted, answers = len(load.accepted), len(load.calls)
                wait_until(lambda: len(load.calls) > answers + 4)
                assert len(load.accepted) == accepted
            load.wait_for_answers(20)
            primary.kill()
            time.sleep(0.5)
            replica.execute("SELECT pg_promote()")
            recovered = load.wait_for_answers(20)
        books = check_books(load)
    report("fail-over to a replica", load, recovered=recovered, **books)
    assert set(load.statuses) == {200, 503}
    assert load.longest < 4
