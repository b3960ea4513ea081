"""The extension headers: idempotency keys, dry runs, reasons (D21)."""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from campus import Campus, read_outcomes
from conftest import Served
from rollbook.store.database.tables import answers, batches, metadata


def _contents(served: Served, campus: Campus) -> dict[str, list[sa.Row[Any]]]:
    """Read the account's rows of every table that calls change before they are answered."""
    contents = {}
    with served.database.read() as connection:
        for name, table in metadata.tables.items():
            if name in ("calls", "throttles", "workers", "webhook_passed"):
                continue
            account_id = table.c["account_id" if "account_id" in table.c else "id"]
            # The last use of a key is written with the call log, later.
            columns = [column for column in table.c if column.name != "last_used_at"]
            rows = sa.select(*columns).where(account_id == campus.account.id).order_by(*table.primary_key.columns)
            contents[name] = list(connection.execute(rows).all())
    return contents


def test_idempotency_key_of_20_simultaneous_clients_works_once(served: Served, campus: Campus) -> None:
    ids = campus.enroll(100)
    package = campus.package(ids)
    headers = {"Idempotency-Key": "one-of-twenty"}
    with ThreadPoolExecutor(20) as pool:
        sent = list(pool.map(lambda _: served.server.post(package, headers=headers), range(20)))
    assert {answer.status_code for answer in sent} == {200}
    assert len({answer.content for answer in sent}) == 1
    assert len({answer.headers["Rollbook-Batch"] for answer in sent}) == 1
    assert read_outcomes(sent[0]) == ["accepted"] * 100
    assert list(campus.queue().values()) == ["Pending"] * 100


def test_idempotency_key_with_another_call_is_422_and_does_nothing(served: Served, campus: Campus) -> None:
    one, other = campus.enroll(2)
    headers = {"Idempotency-Key": "x"}
    served.server.post(campus.package([one]), headers=headers)
    answer = served.server.post(campus.package([other]), headers=headers)
    assert answer.status_code == 422
    assert b"SU:9999" in answer.content
    assert campus.queue() == {one: "Pending"}


def test_idempotency_key_belongs_to_one_caller(served: Served, campus: Campus) -> None:
    ids = campus.enroll(1)
    headers = {"Idempotency-Key": "x"}
    served.server.post(campus.package(ids), headers=headers)
    answer = served.server.post(campus.package(ids, campus.administrator_key), headers=headers)
    assert read_outcomes(answer) == ["ULM:04"]


def test_idempotency_key_expires_after_a_day(served: Served, campus: Campus) -> None:
    ids = campus.enroll(1)
    headers = {"Idempotency-Key": "x"}
    served.server.post(campus.package(ids), headers=headers)
    with served.database.write() as connection:
        aged = sa.update(answers).where(answers.c.account_id == campus.account.id)
        a_day_ago = connection.execute(sa.select(answers.c.created_at)).scalars().first()
        assert a_day_ago is not None
        connection.execute(aged.values(created_at=a_day_ago.replace(year=a_day_ago.year - 1)))
    answer = served.server.post(campus.package(ids), headers=headers)
    assert read_outcomes(answer) == ["ULM:04"]


def test_failed_call_does_not_use_its_idempotency_key(served: Served, campus: Campus) -> None:
    ids = campus.enroll(1)
    headers = {"Idempotency-Key": "x"}
    wrong = campus.package(ids).replace("<Unenrollment>", "<Unenrollment><Extra/>")
    assert read_outcomes(served.server.post(wrong, headers=headers)) == ["SU:13"]
    assert read_outcomes(served.server.post(campus.package(ids), headers=headers)) == ["accepted"]


def test_dry_run_answers_as_the_real_call_and_changes_nothing(served: Served, campus: Campus, soaks: bool) -> None:
    turns = 1000 if soaks else 150
    ids = campus.enroll(turns * 3 // 5)
    choices = [*ids, 0, "abc", 2**62, -1]
    dry = {"Rollbook-Dry-Run": "true"}
    with served.server.client() as client:

        def post(package: str, headers: dict[str, str]) -> httpx.Response:
            return client.post(served.server.url, data={"Package": package}, headers=headers)

        for turn in range(turns):
            package = campus.package(random.choices(choices, k=random.randint(1, 5)))
            before = _contents(served, campus) if turn % 20 == 0 else None
            tried = post(package, dry)
            if before is not None:
                assert _contents(served, campus) == before
            real = post(package, {})
            assert tried.content == real.content
            assert "Rollbook-Batch" not in tried.headers
            if turn % 100 == 50:
                campus.drain()


def test_dry_run_names_the_courses_that_a_group_of_a_learner_auto_enrolls(served: Served, campus: Campus) -> None:
    member, other = campus.enroll(2)
    campus.auto_enroll(member)
    dry = {"Rollbook-Dry-Run": "true"}
    for ids, named in (([member, other], str(campus.course_id)), ([other], None), ([0], None)):
        answer = served.server.post(campus.package(ids), headers=dry)
        assert answer.headers.get("Rollbook-Auto-Enroll") == named
    assert "Rollbook-Auto-Enroll" not in served.server.post(campus.package([member])).headers


@pytest.mark.parametrize("method", ["removeUnenrollments", "restoreUnenrollments", "pauseUnenrollments"])
def test_every_changing_method_has_a_dry_run(served: Served, campus: Campus, method: str) -> None:
    ids = campus.enroll(4)
    served.server.post(campus.package(ids[:2]))
    campus.drain()
    batch = served.server.post(campus.package(ids[2:])).headers["Rollbook-Batch"]
    parameters = f"<Unenrollments><BatchID>{batch}</BatchID></Unenrollments>"
    if method == "pauseUnenrollments":
        parameters = "<UnenrollmentQueue/>"
    before = _contents(served, campus)
    answer = served.server.post(campus.call(method, parameters), headers={"Rollbook-Dry-Run": "true"})
    assert b"<Result>Success</Result>" in answer.content
    assert _contents(served, campus) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Idempotency-Key": ""},
        {"Idempotency-Key": "two words"},
        {"Idempotency-Key": "k" * 256},
        {"Rollbook-Dry-Run": "perhaps"},
        {"Rollbook-Reason": "r" * 501},
        {"Rollbook-Reason": "%ff"},
        {"Rollbook-Reason": "two%0Alines"},
    ],
)
def test_invalid_extension_header_is_422(served: Served, campus: Campus, headers: dict[str, str]) -> None:
    answer = served.server.post(campus.package(campus.enroll(1)), headers=headers)
    assert answer.status_code == 422
    assert campus.queue() == {}


@pytest.mark.parametrize("raw", ["Müller, 離職".encode(), b"M%C3%BCller, %E9%9B%A2%E8%81%B7"])
def test_reason_is_utf_8_percent_encoded_or_not(served: Served, campus: Campus, raw: bytes) -> None:
    package = {"Package": campus.package(campus.enroll(1))}
    with served.server.client() as client:
        client.post(served.server.url, data=package, headers=[(b"Rollbook-Reason", raw)])
    with served.database.read() as connection:
        kept = connection.execute(sa.select(batches.c.reason).where(batches.c.account_id == campus.account.id)).scalar()
    assert kept == "Müller, 離職"
