"""The call log: what it keeps, for how long, and that no call waits for it."""

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from campus import Campus
from conftest import Served, on_sqlite
from rollbook.model import utc_now
from rollbook.server.operations.call_log import MAX_QUEUE, CallLog
from rollbook.store.database.database import Database
from rollbook.store.database.tables import calls
from rollbook.store.operations.call_log import AnsweredCall, CallFilter, find_calls, keep_calls, purge_calls
from server_process import run_server
from visitor import Visitor, give_password

EVERY = CallFilter()


def _kept(database: Database, campus: Campus, count: int) -> list[Any]:
    deadline = time.monotonic() + 15
    while True:
        with database.read() as connection:
            found = [SimpleNamespace(**call) for call in find_calls(connection, campus.account.id, EVERY, 100).calls]
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, f"only {len(found)} calls were kept"
        time.sleep(0.05)


def test_call_log_keeps_authenticated_calls_only(served: Served, campus: Campus) -> None:
    ids = campus.enroll(2)
    refused = served.server.post(campus.package(ids).replace(campus.account_key, "0" * 64))
    accepted = served.server.post(campus.package([*ids, 0, "x", 999_999_999]))
    wrong = served.server.post(campus.call("noSuchMethod", "<X/>", campus.administrator_key))
    later, first = _kept(served.database, campus, 2)
    assert [call.request_id for call in (first, later)] == [
        answer.headers["X-Request-ID"] for answer in (accepted, wrong)
    ]
    assert first.key_id == later.key_id - 1  # in the order in which the campus makes keys
    assert (first.method, first.status, first.result) == ("unenrollLearningModules", 200, "Success")
    assert first.errors == {"ULM:01": 2, "ULM:03": 1}
    assert first.batch_id == int(accepted.headers["Rollbook-Batch"])
    assert first.address == "127.0.0.1"
    assert 0 < first.milliseconds < 60_000
    assert 0 <= (utc_now() - first.answered_at).total_seconds() < 60
    assert (later.method, later.result, later.errors) == ("noSuchMethod", "Failed", {"SU:11": 1})
    assert later.detail is not None
    assert later.detail.startswith("SmarterU/Method")
    assert later.user_id != first.user_id
    assert "SU:10" in refused.text


def test_unknown_method_is_named_in_the_log_and_on_the_page_of_last_calls(served: Served, campus: Campus) -> None:
    asked = {"getCourseCatalog": "getCourseCatalog", "a\n&#x202e;b" + "c" * 100: "a??b" + "c" * 76}
    request_ids = [served.server.post(campus.call(name, "<X/>")).headers["X-Request-ID"] for name in asked]
    _kept(served.database, campus, 2)
    log = served.server.log.read_text().splitlines()
    lines = [json.loads(line) for id_ in request_ids for line in log if id_ in line]
    assert [(line["method"], line["errors"]) for line in lines] == [(name, {"SU:11": 1}) for name in asked.values()]
    give_password(campus)
    with served.server.client() as client:
        visitor = Visitor(served.server, client)
        visitor.sign_in(campus)
        visitor.open("/console/account/calls")
        shown = visitor.page().xpath("//td[@data-name='Method']/text()")
    assert shown == [*reversed(asked.values())]


@pytest.mark.parametrize(
    ("method", "parameters", "detail"),
    [
        ("getLearnerReport", "<Report>\n<Page>x</Page></Report>", "/Report/Page, line 2: expected number from 1 to"),
        ("getLearnerReport", "<Report>\n<Pages/></Report>", "/Report/Pages, line 2"),
        (
            "removeUnenrollments",
            "<Unenrollments>\n<Unenrollment/></Unenrollments>",
            "/Unenrollment, line 2: no ",
        ),
        ("restoreUnenrollments", "<Unenrollments/>", "/Unenrollments, line 1: none of BatchID, Unenrollment"),
    ],
)
def test_log_and_call_log_name_the_wrong_element_its_line_and_what_is_expected(
    served: Served, campus: Campus, method: str, parameters: str, detail: str
) -> None:
    answer = served.server.post(campus.call(method, parameters))
    (kept,) = _kept(served.database, campus, 1)
    (line,) = (line for line in served.server.log.read_text().splitlines() if answer.headers["X-Request-ID"] in line)
    logged = json.loads(line)["detail"]
    assert kept.detail == logged
    assert logged.startswith("SmarterU/Parameters/")
    assert detail in logged


@on_sqlite
def test_call_log_never_delays_a_call_loses_none_at_a_stop_and_can_be_off(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    campus = Campus(database)
    seeing = campus.call("getUnenrollmentQueue", "<UnenrollmentQueue/>")
    with run_server(database_url, tmp_path, "--no-worker") as server:
        with database.write():  # no other connection can write
            server.post(seeing)
            time.sleep(1.1)  # the first write of the call log fails meanwhile
            assert b"<Result>Success</Result>" in server.post(seeing).content
        server.post(seeing)
        assert server.stop() == 0
    with database.read() as connection:
        assert len(find_calls(connection, campus.account.id, EVERY, 10).calls) == 3
    with run_server(database_url, tmp_path, calls_kept=0) as server:
        server.post(seeing)
        # Its worker deletes the calls that the other server kept.
        deadline = time.monotonic() + 15
        while _count(database):
            assert time.monotonic() < deadline, "the calls are not deleted"
            time.sleep(0.05)
        assert server.stop() == 0
    assert _count(database) == 0


def _count(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(calls)).scalar_one()


def test_call_log_keeps_the_latest_calls_of_each_account(database: Database) -> None:
    busy, quiet = Campus(database), Campus(database)
    with database.write() as connection:
        keep_calls(
            connection,
            [_call(busy.account.id, str(number)) for number in range(25)] + [_call(quiet.account.id, "quiet")],
        )
    while purge_calls(database, utc_now(), 7, most=4, limit=10):
        pass
    with database.read() as connection:
        mine, theirs = (find_calls(connection, each.account.id, EVERY, 100) for each in (busy, quiet))
        latest = find_calls(connection, busy.account.id, EVERY, 2)
        older = find_calls(connection, busy.account.id, EVERY, 2, latest.older)
    assert [call["request_id"] for call in mine.calls] == ["24", "23", "22", "21"]
    assert [call["request_id"] for call in [*latest.calls, *older.calls]] == ["24", "23", "22", "21"]
    assert (mine.older, older.older) == (None, None)
    assert [call["request_id"] for call in theirs.calls] == ["quiet"]
    while purge_calls(database, utc_now(), 0, most=4, limit=10):
        pass
    assert _count(database) == 0


def test_calls_that_an_unreachable_database_cannot_keep_are_counted() -> None:
    dropped: list[int] = []
    call_log = CallLog(Database("postgresql://127.0.0.1:1/none"), dropped.append)
    for number in range(MAX_QUEUE + 5):
        call_log.add(_call(1, str(number)))
    assert dropped == [1] * 5
    call_log.start()
    call_log.stop()
    assert sum(dropped) == MAX_QUEUE + 5


def _call(account_id: int, request_id: str) -> AnsweredCall:
    return AnsweredCall(
        account_id=account_id,
        user_id=1,
        key_id=2,
        method="getLearnerReport",
        status=200,
        result="Success",
        errors={},
        detail=None,
        batch_id=None,
        address="127.0.0.1",
        request_id=request_id,
        milliseconds=1.5,
        answered_at=utc_now(),
    )
