"""A batch of any size is removed and undone as a whole, by one call or in the console."""

import itertools
from collections import Counter

import pytest
import sqlalchemy as sa
from lxml import etree

from campus import Campus
from conftest import Served
from rollbook import Client
from rollbook.model import utc_now
from rollbook.store.database.bulk_load import load_rows
from rollbook.store.database.tables import enrollments, users
from visitor import Visitor

IDENTIFIER = "AccountUserLearningModuleRelID"
_names = itertools.count(1)


def _enroll(campus: Campus, count: int) -> list[int]:
    """Add learners with one enrollment each, as an import does: the database has no statistics of them yet."""
    now = str(utc_now().replace(tzinfo=None))
    start = next(_names) * 1_000_000
    person = [campus.account.id, "Some", "Learner", "learner", True, now, now]
    place = [campus.account.id, campus.group_id, campus.course_id, "Enrolled", now, now, now]
    with campus.database.write() as connection:
        numbers = range(start, start + count)
        names = ["account_id", "given_name", "family_name", "role", "active", "created_at", "modified_at"]
        load_rows(connection, users, ([*person, str(n)] for n in numbers), [*names, "external_id"])
        known = sa.select(users.c.id).where(users.c.account_id == campus.account.id, users.c.external_id.is_not(None))
        people = connection.execute(known.order_by(users.c.id)).scalars().all()
        names = ["account_id", "group_id", "course_id", "status", "enrolled_at", "created_at", "modified_at"]
        load_rows(connection, enrollments, ([*place, id_] for id_ in people), [*names, "user_id"])
        mine = sa.select(enrollments.c.id).where(enrollments.c.account_id == campus.account.id)
        return list(connection.execute(mine.order_by(enrollments.c.id)).scalars())


def _change(served: Served, campus: Campus, method: str, batch_id: int | None) -> dict[str, int]:
    """Remove or restore a batch; gives the counts of its answer."""
    call = campus.call(method, f"<Unenrollments><BatchID>{batch_id}</BatchID></Unenrollments>")
    answer = served.server.post(call)
    assert answer.status_code == 200, answer.text
    root = etree.fromstring(answer.content)
    assert len(root.findall("Errors/Error")) == min(1000, int(root.findtext("Info/*/Refused") or 0))
    return {count.tag: int(count.text or "") for count in root.iterfind("Info/Unenrollments/*")}


@pytest.fixture
def size(soaks: bool) -> int:
    return 300_000 if soaks else 6_000


def test_large_batch_is_removed_and_undone_by_one_call(served: Served, campus: Campus, size: int) -> None:
    ids = _enroll(campus, size)
    waiting = campus.accept(ids).batch_id
    assert _change(served, campus, "removeUnenrollments", waiting) == {"Restored": 0, "Removed": size, "Refused": 0}
    gone = campus.accept(ids).batch_id
    campus.drain()
    assert campus.current() == 0
    assert _change(served, campus, "restoreUnenrollments", gone) == {"Restored": size, "Removed": 0, "Refused": 0}
    assert campus.current() == size


def test_response_about_a_large_batch_has_counts_and_at_most_1000_errors(served: Served, campus: Campus) -> None:
    ids = _enroll(campus, 2_500)
    batch = campus.accept(ids).batch_id
    for part in range(0, 1_200, 100):
        items = "".join(f"<Unenrollment><{IDENTIFIER}>{id_}</{IDENTIFIER}></Unenrollment>" for id_ in ids[part:][:100])
        served.server.post(campus.call("removeUnenrollments", f"<Unenrollments>{items}</Unenrollments>"))
    campus.drain()
    counts = {"Restored": 1_300, "Removed": 0, "Refused": 1_200}
    keys = (campus.account_key, campus.owner_key)
    with Client(served.server.url, *keys, ca_file=served.server.ca_file) as client:
        tried = Counter((o.status, o.code) for o in client.restore(batch_id=batch, dry_run=True))
        assert tried == {("Restored", None): 1_300, ("refused", "RES:05"): 1_000, ("refused", None): 200}
        assert _change(served, campus, "restoreUnenrollments", batch) == counts
        again = list(client.restore(batch_id=batch, dry_run=True))
    assert Counter(outcome.accepted for outcome in again) == {False: 2_500}
    assert campus.current() == 2_500


def test_small_batch_of_a_large_account_is_undone(served: Served, campus: Campus, size: int) -> None:
    ids = _enroll(campus, size)
    batch = campus.accept(ids[:: size // 2_000]).batch_id
    campus.drain()
    assert _change(served, campus, "restoreUnenrollments", batch) == {"Restored": 2_000, "Removed": 0, "Refused": 0}
    assert campus.current() == size


def test_large_batch_is_previewed_and_undone_in_the_console(campus: Campus, owner: Visitor, size: int) -> None:
    batch = campus.accept(_enroll(campus, size)).batch_id
    campus.drain()
    owner.open(f"/console/batches/{batch}/undo")
    assert f"{size:,} enrollments are restored" in owner.text()
    assert campus.current() == 0
    owner.submit(f"/console/batches/{batch}/undo")
    assert owner.answer.status_code == 200
    assert f"{size:,}" in owner.text()
    assert campus.current() == size
