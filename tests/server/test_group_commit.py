"""Calls of one account share a transaction, and each is answered as if it were alone (decision 0013)."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from urllib.parse import urlencode

import httpx
import sqlalchemy as sa
from starlette.datastructures import Headers

from campus import OPERATOR, Campus, read_outcomes
from conftest import on_postgresql
from rollbook.errors import CallError, DatabaseUnavailableError
from rollbook.model import UnenrollRequest, utc_now
from rollbook.server.call.execute import execute_together
from rollbook.server.call.preprocess import AuthenticatedCall, KeyCache, RawRequest, preprocess
from rollbook.server.call.record import Record
from rollbook.server.operations.rate_limits import RateLimits
from rollbook.store.database.database import Database
from rollbook.store.database.deadline import deadline
from rollbook.store.database.tables import audit, batches, refusals, unenrollments
from rollbook.store.queue.accept import accept_batches
from rollbook.wire.answer import Answer, render
from server_process import run_server

HEADERS = Headers({"content-type": "application/x-www-form-urlencoded"})


def _execute_together(
    database: Database, packages: Sequence[str], seconds: Sequence[float] = ()
) -> list[Answer | Exception | None]:
    keys, limits = KeyCache(database), RateLimits(database, {})
    calls: list[tuple[AuthenticatedCall, object]] = []
    for place, package in enumerate(packages):
        with deadline(seconds[place] if seconds else 20):
            context = copy_context()
        raw = RawRequest(urlencode({"Package": package}).encode(), HEADERS, Record("127.0.0.1"), context)
        calls.append((preprocess(raw, keys, limits), context))
    return execute_together(database, calls)  # type: ignore[arg-type]


def _outcomes(answer: Answer | Exception | None) -> list[str]:
    assert isinstance(answer, Answer), answer
    return read_outcomes(httpx.Response(200, content=render(answer)))


def test_calls_with_the_same_ids_share_a_transaction_and_one_is_accepted(database: Database) -> None:
    campus, other = Campus(database), Campus(database)
    first, second, third = campus.enroll(3)
    [foreign] = other.enroll(1)
    lists: list[list[object]] = [
        [third, first],
        [first, "x", second, second, foreign],
        [first],
        [foreign],
        [second, third],
    ]
    answers = _execute_together(database, [campus.package(ids) for ids in lists])
    assert [_outcomes(answer) for answer in answers] == [
        ["accepted", "accepted"],
        ["accepted", "ULM:04", "ULM:01", "ULM:05", "ULM:03"],
        ["ULM:04"],
        ["ULM:03"],
        ["ULM:04", "ULM:04"],
    ]
    numbers = [answer.batch_id for answer in answers if isinstance(answer, Answer)]
    assert [number is not None for number in numbers] == [True, True, False, False, False]
    mine = [table.c.account_id == campus.account.id for table in (batches, unenrollments, refusals, audit)]
    items, refused, lines = unenrollments.c, refusals.c, audit.c
    with database.read() as connection:
        assert connection.execute(sa.select(batches.c.id).where(mine[0])).scalars().all() == numbers[:2]
        accepted = sa.select(items.batch_id, items.block, items.enrollment_id).where(mine[1]).order_by(*items[:2])
        assert [*map(tuple, connection.execute(accepted))] == [
            (numbers[0], 1, third),
            (numbers[0], 2, first),
            (numbers[1], 3, second),
        ]
        kept = sa.select(refused.batch_id, refused.block, refused.code).where(mine[2]).order_by(refused.block)
        assert [*map(tuple, connection.execute(kept))] == [
            (numbers[1], block, code) for block, code in ((1, "ULM:04"), (2, "ULM:01"), (4, "ULM:05"), (5, "ULM:03"))
        ]
        told = sa.select(lines.subject, lines.details).where(mine[3], lines.action == "unenroll").order_by(lines.id)
        assert [*map(tuple, connection.execute(told))] == [
            (f"batch {numbers[0]}", '{"accepted": 2, "refused": 0}'),
            (f"batch {numbers[1]}", '{"accepted": 1, "refused": 4}'),
        ]


def test_call_that_fails_takes_no_other_with_it(database: Database) -> None:
    campus = Campus(database)
    ids = campus.enroll(3)
    packages = [campus.package([id_]) for id_ in ids]
    packages[1] = packages[1].replace("<Unenrollment>", "<Nonsense/><Unenrollment>")
    broken, late = 1, 2
    answers = _execute_together(database, [*packages, packages[0]], [20, 20, 0, 20])
    assert isinstance(answers[broken], CallError)
    assert isinstance(answers[late], DatabaseUnavailableError)
    assert [_outcomes(answers[0]), _outcomes(answers[3])] == [["accepted"], ["ULM:04"]]
    assert campus.queue() == {ids[0]: "Pending"}


# On SQLite no lock is held for long.
@on_postgresql
def test_call_that_waits_for_a_lock_does_not_hold_up_others_of_its_account(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    campus = Campus(database)
    locked, *free = campus.enroll(8)
    together = threading.Barrier(len(free) + 1)
    with run_server(database_url, tmp_path, "--no-worker", call_seconds=20) as server:

        def post(id_: int) -> list[str]:
            with server.client() as client:
                client.get(server.url)
                together.wait(20)
                return read_outcomes(client.post(server.url, data={"Package": campus.package([id_])}))

        with ThreadPoolExecutor(len(free) + 1) as pool:
            with database.write() as connection:
                request = UnenrollRequest(OPERATOR, [locked], reason=None)
                accept_batches(connection, campus.account.id, campus.account.policies, [request], utc_now())
                waiting, *others = [pool.submit(post, id_) for id_ in (locked, *free)]
                assert [other.result(20) for other in others] == [["accepted"]] * len(free)
                assert not waiting.done()
            assert waiting.result(20) == ["ULM:04"]
