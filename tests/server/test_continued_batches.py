"""Rollbook-Batch: several calls of one caller become one batch (D32)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

import rollbook
from campus import Campus, read_outcomes
from conftest import Served
from rollbook.model import utc_now
from rollbook.store.database.tables import batches
from rollbook.store.queue.history import find_batches, find_refusals


def _post(served: Served, campus: Campus, ids: list[object], **headers: str) -> httpx.Response:
    named = {f"Rollbook-{name}": value for name, value in headers.items()}
    return served.server.post(campus.package(ids), headers=named)


def _client(served: Served, campus: Campus) -> rollbook.Client:
    return rollbook.Client(served.server.url, campus.account_key, campus.owner_key, ca_file=served.server.ca_file)


def _blocks(served: Served, campus: Campus, batch: str) -> list[tuple[int, str]]:
    """Return block and id of every item of the batch, from getUnenrollments."""
    with _client(served, campus) as client:
        items = client.unenrollments(batch_id=int(batch))
        return [(int(item["Block"]), item["AccountUserLearningModuleRelID"]) for item in items]


def test_items_are_appended_and_the_answer_has_the_blocks_of_the_call(served: Served, campus: Campus) -> None:
    ids = campus.enroll(4)
    first = _post(served, campus, [ids[0], "x", ids[1]], Reason="Term over")
    batch = first.headers["Rollbook-Batch"]
    second = _post(served, campus, [ids[2], ids[0], ids[3], "y"], Batch=batch)
    assert second.headers["Rollbook-Batch"] == batch
    assert read_outcomes(second) == ["accepted", "accepted", "ULM:04", "ULM:01"]
    assert '<Unenrollment block="3">' in second.text
    assert _blocks(served, campus, batch) == [(1, str(ids[0])), (3, str(ids[1])), (4, str(ids[2])), (6, str(ids[3]))]
    with served.database.read() as connection:
        kept = find_refusals(connection, campus.account.id, int(batch))
        [one] = find_batches(connection, campus.account.id, None, 10, 0)
    assert [(row.block, row.identifier, row.code) for row in kept] == [
        (2, "x", "ULM:01"),
        (5, str(ids[0]), "ULM:04"),
        (7, "y", "ULM:01"),
    ]
    assert (one.reason, one.pending, one.refused) == ("Term over", 4, 3)


def test_call_with_refused_items_only_is_recorded_but_names_no_batch(served: Served, campus: Campus) -> None:
    one, other = campus.enroll(2)
    batch = _post(served, campus, [one]).headers["Rollbook-Batch"]
    for refused in ([one], ["x"]):
        answer = _post(served, campus, [*refused], Batch=batch)
        assert b"<Result>Failed</Result>" in answer.content
        assert "Rollbook-Batch" not in answer.headers
    _post(served, campus, [other], Batch=batch)
    assert _blocks(served, campus, batch) == [(1, str(one)), (4, str(other))]


@pytest.mark.parametrize("whose", ["another caller", "another account", "old", "unknown", "no number", "import"])
def test_any_other_batch_is_422_and_queues_nothing(served: Served, campus: Campus, whose: str) -> None:
    one, two = campus.enroll(2)
    batch = _post(served, campus, [one]).headers["Rollbook-Batch"]
    by, key = campus, campus.owner_key
    match whose:
        case "another caller":
            key = campus.administrator_key
        case "another account":
            by = Campus(served.database)
            [two] = by.enroll(1)
            key = by.owner_key
        case "old":
            with served.database.write() as connection:
                aged = batches.update().where(batches.c.id == int(batch))
                connection.execute(aged.values(requested_at=utc_now() - timedelta(hours=24, seconds=1)))
        case "unknown":
            batch = "987654321"
        case "no number":
            batch = f"{batch},{batch}"
        case "import":
            batch = str(campus.accept(campus.enroll(1)).batch_id)
    before = by.queue()
    for dry in ({}, {"Rollbook-Dry-Run": "true"}):
        answer = served.server.post(by.package([two], key), headers={"Rollbook-Batch": batch, **dry})
        assert answer.status_code == 422
        assert b"SU:9999" in answer.content
    assert by.queue() == before


def test_another_reason_or_another_method_is_422(served: Served, campus: Campus) -> None:
    one, two = campus.enroll(2)
    batch = _post(served, campus, [one], Reason="Term over").headers["Rollbook-Batch"]
    assert _post(served, campus, [two], Batch=batch, Reason="Another").status_code == 422
    queue = campus.call("getUnenrollmentQueue", "<UnenrollmentQueue/>")
    assert served.server.post(queue, headers={"Rollbook-Batch": batch}).status_code == 422
    assert _post(served, campus, [two], Batch=batch, Reason="Term over").status_code == 200


def test_dry_run_appends_nothing(served: Served, campus: Campus) -> None:
    one, two = campus.enroll(2)
    batch = _post(served, campus, [one]).headers["Rollbook-Batch"]
    answer = served.server.post(campus.package([two]), headers={"Rollbook-Batch": batch, "Rollbook-Dry-Run": "true"})
    assert read_outcomes(answer) == ["accepted"]
    assert _blocks(served, campus, batch) == [(1, str(one))]


def test_20_clients_continue_one_batch_and_each_key_works_once(served: Served, campus: Campus) -> None:
    ids = campus.enroll(101)
    batch = _post(served, campus, [ids[100]]).headers["Rollbook-Batch"]

    def send(number: int) -> list[str]:
        part = ids[number % 10 * 10 : number % 10 * 10 + 10]
        headers = {"Rollbook-Batch": batch, "Idempotency-Key": f"part-{number % 10}"}
        return read_outcomes(served.server.post(campus.package(part), headers=headers))

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(send, range(20)))
    assert outcomes == [["accepted"] * 10] * 20
    found = _blocks(served, campus, batch)
    assert [block for block, _ in found] == list(range(1, 102))
    assert {int(id_) for _, id_ in found} == set(ids)


def test_client_makes_one_batch_of_many_calls_and_one_undo_restores_all(served: Served, campus: Campus) -> None:
    ids = campus.enroll(250)
    with _client(served, campus) as client:
        done = list(client.unenroll([*ids[:120], ids[0], *ids[120:240]], reason="Term over"))
        [batch] = {outcome.batch_id for outcome in done if outcome.accepted}
        assert [outcome.code for outcome in done if not outcome.accepted] == ["ULM:04"]
        assert {outcome.batch_id for outcome in client.unenroll(ids[240:], batch_id=batch)} == {batch}
        campus.drain()
        [shown] = client.batches()
        assert (shown.reason, shown.counts["Complete"]) == ("Term over", 250)
        assert all(outcome.accepted for outcome in client.restore(batch_id=batch))
    assert campus.current() == 250
