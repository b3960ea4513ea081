"""Concurrent changes: a page that waits for another transaction, and a form that is sent twice at once."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from campus import OPERATOR, Campus
from conflicts import deadlock
from conftest import Served, Visitors
from rollbook.model import utc_now
from rollbook.store.database.tables import drafts, enrollments, invitations, uploads
from rollbook.store.people.invitations import invite
from rosters import V1_1, pack
from visitor import Visitor


@contextmanager
def _meanwhile(served: Served, *acts: Callable[[], object]) -> Iterator[sa.Connection]:
    """Run acts in threads that have to wait for the transaction of the block."""
    threads = [threading.Thread(target=act) for act in acts]
    with served.database.write() as connection:
        yield connection
        for thread in threads:
            thread.start()
        _wait_until_blocked(served, len(threads))
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def _wait_until_blocked(served: Served, count: int) -> None:
    if served.database.engine.dialect.name == "sqlite":
        return time.sleep(0.5)  # SQLite does not tell who waits
    deadline = time.monotonic() + 10
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while True:
        with served.database.read() as connection:
            if connection.execute(sa.text(waiting)).scalar_one() >= count:
                return None
        assert time.monotonic() < deadline, "nothing waits"
        time.sleep(0.02)


@pytest.mark.parametrize("served", ["postgresql"], indirect=True)
@pytest.mark.parametrize("other", ["enrollment", "purge"])
def test_undo_sees_a_concurrent_change(served: Served, campus: Campus, owner: Visitor, other: str) -> None:
    ids = campus.enroll(2)
    batch = campus.accept(ids).batch_id
    campus.drain()
    owner.open(f"/console/batches/{batch}/undo")
    mine = enrollments.c.id == ids[0]
    with _meanwhile(served, lambda: owner.submit(f"/console/batches/{batch}/undo")) as connection:
        if other == "purge":
            connection.execute(enrollments.update().where(mine).values(purged_at=utc_now()))
        else:
            row = dict(connection.execute(sa.select(enrollments).where(mine)).mappings().one())
            del row["id"]
            connection.execute(enrollments.insert().values({**row, "unenrolled_at": None}))
    assert owner.answer.status_code == 200
    assert "1 enrollment restored" in owner.text()
    assert "1 item could not be undone" in owner.text()
    assert campus.queue() == {ids[0]: "Complete", ids[1]: "Restored"}


def test_draft_confirmed_twice_at_once_is_queued_once(
    served: Served, campus: Campus, visitors: Visitors, owner: Visitor
) -> None:
    ids = campus.enroll(3)
    second = visitors()
    second.sign_in(campus)
    owner.open("/console/unenroll")
    owner.submit("/console/unenroll", ids="\n".join(map(str, ids)))
    path = str(owner.answer.url).removeprefix(owner.origin)
    second.open(path)
    forms = [partial(visitor.submit, path, reason="Twice", intended="1") for visitor in (owner, second)]
    with _meanwhile(served, *forms) as connection:
        connection.execute(drafts.update().where(drafts.c.account_id == campus.account.id).values(total=3))
    assert [visitor.answer.status_code for visitor in (owner, second)] == [200, 200]
    assert all("Twice" in visitor.text() for visitor in (owner, second))


def test_file_confirmed_twice_at_once_is_imported_once(
    served: Served, campus: Campus, visitors: Visitors, owner: Visitor
) -> None:
    (id_,) = campus.enroll(1)
    second = visitors()
    second.sign_in(campus)
    file = {"file": ("progress.csv", f"ID,Progress\n{id_},50\n".encode())}
    owner.answer = owner.client.post(f"{owner.origin}/console/import", files=file, headers=owner.said())
    path = str(owner.follow().url).removeprefix(owner.origin)
    second.open(path)
    with _meanwhile(served, *(partial(visitor.submit, path) for visitor in (owner, second))) as connection:
        connection.execute(uploads.update().where(uploads.c.account_id == campus.account.id).values(name="p.csv"))
    assert all("1 row imported" in visitor.text() for visitor in (owner, second))
    assert [line["action"] for line in campus.audit()].count("import") == 1


def test_roster_confirmed_twice_at_once_is_imported_once(
    served: Served, campus: Campus, visitors: Visitors, owner: Visitor, tmp_path: Path
) -> None:
    second = visitors()
    second.sign_in(campus)
    file = {"file": ("roster.zip", pack(tmp_path / "roster.zip", V1_1).read_bytes())}
    owner.answer = owner.client.post(f"{owner.origin}/console/import", files=file, headers=owner.said())
    path = str(owner.follow().url).removeprefix(owner.origin)
    second.open(path)
    with _meanwhile(served, *(partial(visitor.submit, path) for visitor in (owner, second))) as connection:
        connection.execute(uploads.update().where(uploads.c.account_id == campus.account.id).values(name="r.zip"))
    assert all("Roster imported" in visitor.text() for visitor in (owner, second))
    assert [line["action"] for line in campus.audit()].count("import") == 1


def test_invitation_accepted_twice_at_once_sets_one_password(
    served: Served, campus: Campus, visitors: Visitors
) -> None:
    with served.database.write() as connection:
        key = invite(connection, campus.account, "administrator@example.org", utc_now(), by=OPERATOR)
    guests, chosen = [visitors(), visitors()], ["the first password", "the second password"]
    forms = [{"key": key, "new": password, "again": password} for password in chosen]
    pairs = zip(guests, forms, strict=True)
    with _meanwhile(served, *(partial(guest.post, "/console/invitation", form) for guest, form in pairs)) as connection:
        mine = invitations.c.account_id == campus.account.id
        connection.execute(invitations.update().where(mine).values(created_at=utc_now()))
    assert sorted(guest.answer.status_code for guest in guests) == [303, 404]
    for guest, password in zip(guests, chosen, strict=True):
        accepted = guest.answer.status_code == 303
        assert (visitors().sign_in(campus, "administrator@example.org", password).status_code == 200) == accepted


@pytest.mark.parametrize("served", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("path", "fields", "change"),
    [
        ("/console/account", {"hold_seconds": "7"}, "UPDATE accounts SET name = name WHERE id = {}"),
        ("/console/account/users/{}", {"role": "owner"}, "UPDATE users SET title = title WHERE account_id = {}"),
    ],
)
def test_page_repeats_a_change_after_a_deadlock(
    served: Served, campus: Campus, owner: Visitor, path: str, fields: dict[str, str], change: str
) -> None:
    path = path.format(campus.user_id("administrator@example.org"))
    owner.open(path)
    with deadlock(served.database, change.format(campus.account.id)):
        owner.submit(f"{path}/role" if "role" in fields else path, **fields)
    assert owner.answer.status_code == 200
    assert "Saved." in owner.text()
