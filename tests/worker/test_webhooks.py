"""Webhooks: every change arrives at least once, in order and signed, whatever the receiver and the workers do."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from campus import OPERATOR, Campus
from conftest import on_postgresql, on_sqlite
from load import wait_until
from receiver import (
    Receiver,
    change_webhook,
    delivering,
    read_webhook,
    run_receiver,
    subscribe,
)
from rollbook.actions import undo_batch, update_progress
from rollbook.actions.unenroll import unenroll
from rollbook.model import Acceptance, Action, Actor, EnrollmentStatus, Policies, UnenrollRequest, utc_now
from rollbook.server.network.tls import self_signed_certificate
from rollbook.store.database.database import Database
from rollbook.store.database.tables import audit, batches, webhook_passed
from server_process import ForkedProcess, environment

DOCUMENT = Path(__file__).parents[2] / "docs" / "webhooks.md"
LONG_AGO = utc_now() - timedelta(hours=25)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on the loopback address."""
    with run_receiver() as running:
        yield running


def _unenroll(campus: Campus, ids: list[int], reason: str | None = None) -> Acceptance:
    policies = Policies(protect_completed=False)
    owner = Actor("owner@example.org", campus.user_id("owner@example.org"))
    with campus.database.write() as connection:
        request = UnenrollRequest(owner, ids, reason)
        return unenroll(connection, campus.account.id, policies, request, codes={}, now=utc_now())


def _undo(campus: Campus, batch_id: int | None, action: Action = Action.RESTORE) -> None:
    with campus.database.write() as connection:
        undo_batch(connection, OPERATOR, campus.account.id, action, batch_id or 0, reason="Sorry", now=utc_now())


def test_every_change_arrives_in_order_with_batch_who_why_and_counts(database: Database, receiver: Receiver) -> None:
    campus = Campus(database)
    before = campus.enroll(3)
    _unenroll(campus, before)  # before the webhook
    campus.drain()
    completed = campus.enroll(1, EnrollmentStatus.COMPLETED)
    subscribe(campus, receiver)
    ids = campus.enroll(230)
    with delivering(database):
        batch = _unenroll(campus, [*ids, *completed], "Term over").batch_id
        wait_until(lambda: receiver.types() == ["batch.queued"])
        campus.set(protect_completed=True)
        campus.drain()
        wait_until(lambda: receiver.types()[-1] == "batch.finished")
        _undo(campus, batch)
        wait_until(lambda: receiver.types().count("batch.finished") == 2)
        with database.write() as connection:
            wanted = {before[0]: {"progress": "5"}, ids[0]: {"progress": "50"}}
            update_progress(connection, OPERATOR, campus.account.id, wanted, refused=1, now=utc_now())
        wait_until(lambda: receiver.types()[-1] == "enrollments.changed")
    assert receiver.items() == [
        *((id_, "unenrolled") for id_ in ids),
        (completed[0], "failed"),
        *((id_, "restored") for id_ in ids),
    ]
    assert receiver.types() == [
        "batch.queued",
        *(["items.unenrolled"] * 3 + ["items.failed"]),
        "batch.finished",
        *["items.restored"] * 3,
        "batch.finished",
        "enrollments.changed",
    ]
    told = [event["data"] for _, event in receiver.accepted]
    about = told[0]["batch"]
    assert (about["id"], about["requested_by"], about["reason"]) == (batch, "owner@example.org", "Term over")
    assert all(data["batch"] == about for data in told[:-1])
    none = dict.fromkeys(("pending", "unenrolled", "removed", "failed", "restored", "refused"), 0)
    assert told[0]["counts"] == none | {"pending": 231}
    assert told[5]["counts"] == none | {"unenrolled": 230, "failed": 1}
    assert told[9]["counts"] == none | {"restored": 230, "failed": 1}
    assert [data["count"] for data in told[1:5]] == [100, 100, 30, 1]
    assert told[6]["notes"] == "Sorry"
    assert told[6]["items"][0]["course"] == "Fire Safety"
    assert told[10]["enrollment_ids"] == [ids[0]]
    assert told[10]["counts"] == {"refused": 2}
    assert all(data["account"] == campus.name for data in told)
    documented = json.loads(re.findall(r"```json\n(.+?)```", DOCUMENT.read_text(), re.DOTALL)[0])
    assert _names(documented) == _names(receiver.accepted[6][1])


def _names(event: Any) -> list[list[str]]:
    data = event["data"]
    return [[*event], [*data], [*data["batch"]], [*data["items"][0]]]


def test_webhook_for_batches_tells_that_one_is_queued_and_that_none_of_its_items_is_pending(
    database: Database, receiver: Receiver
) -> None:
    campus = Campus(database)
    subscribe(campus, receiver, items=False)
    ids = campus.enroll(30)
    with delivering(database):
        first = _unenroll(campus, ids[:20]).batch_id
        campus.drain()
        second = _unenroll(campus, ids[20:]).batch_id
        wait_until(lambda: len(receiver.accepted) == 3)
        _undo(campus, second, Action.REMOVE)
        wait_until(lambda: len(receiver.accepted) == 4)
    told = [(event["type"], event["data"]["batch"]["id"]) for _, event in receiver.accepted]
    assert sorted(told[:3]) == sorted([("batch.queued", first), ("batch.finished", first), ("batch.queued", second)])
    assert told.index(("batch.queued", first)) < told.index(("batch.finished", first))
    assert told[3] == ("batch.finished", second)
    assert receiver.accepted[3][1]["data"]["counts"]["removed"] == 10


@on_sqlite
def test_receiver_that_fails_hangs_or_answers_late_gets_the_same_event_again(
    database: Database, receiver: Receiver
) -> None:
    campus = Campus(database)
    number = subscribe(campus, receiver)
    receiver.answers = ["late", 500, "drop", "hang", "redirect", 404]
    ids = campus.enroll(250)
    pauses = []
    with delivering(database, seconds=1):
        _unenroll(campus, ids)
        wait_until(lambda: bool(receiver.accepted))
        campus.drain()
        for failures in range(1, 6):
            wait_until(lambda wanted=failures: read_webhook(database, number).failures == wanted)  # type: ignore[misc]
            failed = read_webhook(database, number)
            pauses.append(round((failed.next_attempt_at - failed.failed_at).total_seconds()))
            change_webhook(database, number, next_attempt_at=utc_now())
        assert failed.failure == "The receiver answered 404."
        wait_until(lambda: receiver.types()[-1] == "batch.finished")
    assert pauses == [5, 10, 20, 40, 80]
    assert [id_ for id_, _ in receiver.arrived[1:7]] == [receiver.arrived[1][0]] * 6
    assert receiver.arrived[1] == receiver.arrived[6]
    assert receiver.items() == [(id_, "unenrolled") for id_ in ids]
    assert read_webhook(database, number).failing_since is None


@on_sqlite
def test_answer_without_end_is_not_read(database: Database, receiver: Receiver) -> None:
    campus = Campus(database)
    subscribe(campus, receiver)
    receiver.answers = ["endless"]
    with delivering(database):
        for _ in range(2):
            _unenroll(campus, campus.enroll(1))
        wait_until(lambda: receiver.types() == ["batch.queued"] * 2)


@on_sqlite
def test_hanging_receiver_delays_no_other_and_no_step_of_the_worker(database: Database, receiver: Receiver) -> None:
    campus, other = Campus(database), Campus(database)
    with run_receiver() as hanging:
        number = subscribe(other, hanging)
        hanging.answers = ["hang"] * 9
        subscribe(campus, receiver)
        with delivering(database, seconds=1):
            _unenroll(other, other.enroll(1))
            wait_until(lambda: len(hanging.arrived) == 1)
            for _ in range(3):
                campus.accept(campus.enroll(5))
                campus.drain()
            wait_until(lambda: len(receiver.items()) == 15)
            wait_until(lambda: read_webhook(database, number).failures == 1)
    assert read_webhook(database, number).failure == "There was no answer within 1 s."


def test_two_workers_deliver_each_event_once_and_never_two_at_once(database: Database, receiver: Receiver) -> None:
    campus = Campus(database)
    subscribe(campus, receiver)
    ids = campus.enroll(600)
    _unenroll_in_parts(campus, ids[:300])  # many batches wait when the workers begin
    with delivering(database), delivering(database):
        _unenroll_in_parts(campus, ids[300:])
        wait_until(lambda: len(receiver.items()) == len(ids))
        wait_until(lambda: receiver.types()[-1] == "batch.finished")
    assert receiver.items() == [(id_, "unenrolled") for id_ in ids]
    assert receiver.at_once == 1
    assert len(receiver.arrived) == len({id_ for id_, _ in receiver.arrived})
    told = [(event["data"]["batch"]["id"], event["type"]) for _, event in receiver.accepted]
    for batch in {batch for batch, _ in told}:
        mine = [type_ for each, type_ in told if each == batch]
        assert (mine[0], mine[-1]) == ("batch.queued", "batch.finished")


def _unenroll_in_parts(campus: Campus, ids: list[int]) -> None:
    for start in range(0, len(ids), 15):
        campus.accept(ids[start : start + 15])
        campus.drain()


def test_killed_workers_lose_no_change_and_keep_the_order(
    database: Database, database_url: str, tmp_path: Path, soaks: bool
) -> None:
    certificate = self_signed_certificate(tmp_path)
    campus = Campus(database)
    ids = campus.enroll(10_000 if soaks else 1000)
    with run_receiver((certificate.cert, certificate.key)) as receiver:
        number = subscribe(campus, receiver)
        receiver.pause = 0.02

        def kill_after(arrived: int) -> None:
            with ExitStack() as running:
                for _ in range(2):
                    running.enter_context(_worker(database_url, tmp_path, certificate.cert))
                wait_until(lambda: len(receiver.arrived) >= arrived)
            change_webhook(database, number, claimed_until=utc_now())  # half a minute later

        batch = campus.accept(ids).batch_id
        for _ in range(20 if soaks else 1):
            kill_after(len(receiver.arrived) + 3)
        with _worker(database_url, tmp_path, certificate.cert):
            wait_until(lambda: len(receiver.items()) == len(ids), 120)
            _undo(campus, batch)
            wait_until(lambda: len(receiver.items()) == 2 * len(ids), 120)
    assert receiver.items() == [(id_, word) for word in ("unenrolled", "restored") for id_ in ids]
    assert receiver.accepted[0][0] == f"batch_{batch}_queued"
    places = [tuple(map(int, id_.split("_")[2:4])) for id_, _ in receiver.accepted if id_.startswith("items")]
    assert list(dict.fromkeys(places)) == sorted(set(places))
    assert receiver.hosts == {receiver.url.removeprefix("https://").removesuffix("/hook")}


@contextmanager
def _worker(database_url: str, folder: Path, trusted: Path) -> Iterator[ForkedProcess]:
    env = environment(database_url, folder, webhook_addresses="127.0.0.0/8,::1", poll_seconds=0.05, drain_step=100)
    log = folder / "worker.log"
    log.touch()
    process = ForkedProcess(["worker"], env | {"SSL_CERT_FILE": str(trusted)}, folder, log, log)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@on_postgresql
def test_batch_that_becomes_visible_late_is_told_before_its_items(database: Database, receiver: Receiver) -> None:
    campus = Campus(database)
    subscribe(campus, receiver)
    late, soon = campus.enroll(1), campus.enroll(1)
    numbered, go_on = threading.Event(), threading.Event()

    def commit_late() -> None:
        with database.write() as connection:
            request = UnenrollRequest(OPERATOR, late, reason="late")
            unenroll(connection, campus.account.id, Policies(), request, codes={}, now=utc_now())
            numbered.set()
            go_on.wait(30)

    with delivering(database):
        thread = threading.Thread(target=commit_late)
        thread.start()
        numbered.wait(30)
        _unenroll(campus, soon, "soon")
        wait_until(lambda: len(receiver.accepted) == 1)
        go_on.set()
        thread.join()
        campus.drain()
        wait_until(lambda: receiver.types().count("batch.finished") == 2)
    told = [(event["type"], event["data"]["batch"]["reason"]) for _, event in receiver.accepted]
    assert told[:2] == [("batch.queued", "soon"), ("batch.queued", "late")]
    assert len(told) == 6


def test_old_batches_and_audit_lines_are_passed_by_one_number(database: Database, receiver: Receiver) -> None:
    campus = Campus(database)
    (id_,) = campus.enroll(1)
    subscribe(campus, receiver)
    with delivering(database):
        _unenroll(campus, campus.enroll(2))
        with database.write() as connection:
            wanted = {id_: {"progress": "50"}}
            update_progress(connection, OPERATOR, campus.account.id, wanted, refused=0, now=utc_now())
        wait_until(lambda: len(receiver.accepted) == 2)
    assert _count_passed(database) == 2
    hour_ago = utc_now() - timedelta(hours=1)
    with database.write() as connection:
        connection.execute(batches.update().values(requested_at=hour_ago))
        connection.execute(audit.update().values(happened_at=hour_ago))
    with delivering(database):
        wait_until(lambda: _count_passed(database) == 0)
        _unenroll(campus, campus.enroll(1))
        wait_until(lambda: len(receiver.accepted) >= 3)
    assert receiver.types()[2:] == ["batch.queued"]


def _count_passed(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(webhook_passed)).scalar_one()


@on_sqlite
def test_clock_that_was_set_back_delays_nothing(database: Database, receiver: Receiver) -> None:
    campus = Campus(database)
    number = subscribe(campus, receiver)
    ahead = utc_now() + timedelta(hours=3)
    held = {"claimed_by": "a worker", "claimed_until": ahead, "next_attempt_at": ahead}
    change_webhook(database, number, created_at=ahead, failures=1, failing_since=ahead, **held)
    with delivering(database):
        _unenroll(campus, campus.enroll(1))
        wait_until(lambda: receiver.types() == ["batch.queued"])


@pytest.mark.parametrize("status", [500, 410])
@on_sqlite
def test_webhook_is_disabled_after_a_day_of_failures_or_when_its_receiver_is_gone(
    database: Database, receiver: Receiver, status: int
) -> None:
    campus = Campus(database)
    number = subscribe(campus, receiver)
    receiver.answers = [status]
    if status == 500:
        change_webhook(database, number, failing_since=LONG_AGO, failures=30)
    with delivering(database):
        _unenroll(campus, campus.enroll(2))
        wait_until(lambda: read_webhook(database, number).disabled_at is not None)
        campus.drain()
    assert len(receiver.arrived) == 1
    assert read_webhook(database, number).failure == f"The receiver answered {status}."


@on_sqlite
def test_receiver_with_an_untrusted_certificate_gets_no_event(database: Database, tmp_path: Path) -> None:
    certificate = self_signed_certificate(tmp_path)
    campus = Campus(database)
    with run_receiver((certificate.cert, certificate.key)) as receiver:
        number = subscribe(campus, receiver)
        with delivering(database):
            _unenroll(campus, campus.enroll(1))
            wait_until(lambda: read_webhook(database, number).failures == 1)
    assert "certificate verify failed" in read_webhook(database, number).failure
    assert receiver.arrived == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@on_sqlite
def test_private_address_is_not_connected_to_unless_the_setting_names_it(
    database: Database, receiver: Receiver, host: str
) -> None:
    campus = Campus(database)
    receiver.url = receiver.url.replace("127.0.0.1", host).replace("http:", "https:")
    number = subscribe(campus, receiver)
    with delivering(database, "10.0.0.0/8"):
        _unenroll(campus, campus.enroll(1))
        wait_until(lambda: read_webhook(database, number).failures == 1)
    failure = read_webhook(database, number).failure
    assert failure.startswith(host)
    assert "is not a public address, and ROLLBOOK_WEBHOOK_ADDRESSES does not name it." in failure
    assert receiver.arrived == []
