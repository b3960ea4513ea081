"""The lists of the queue, the batches and the audit: filters by day, and CSV."""

import csv
import io
from datetime import UTC, datetime

from campus import OPERATOR, Campus
from conftest import Visitors
from rollbook.model import Role
from rollbook.store.database.tables import users
from rollbook.store.people.users import add_user
from visitor import Visitor, give_password, shown_secret


def _csv(visitor: Visitor, path: str, **query: str) -> list[list[str]]:
    answer = visitor.open(path, **query)
    assert answer.headers["content-type"].startswith("text/csv"), answer.text
    return [*csv.reader(io.StringIO(answer.text))]


def test_queue_and_batches_are_filtered_by_day_and_sent_as_csv(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(3)
    campus.accept(ids[:1], datetime(2026, 1, 31, 23, 59, tzinfo=UTC))
    campus.accept(ids[1:], datetime(2026, 2, 1, tzinfo=UTC))
    for path, whole, part in (("queue", 3, 1), ("batches", 2, 1)):
        assert len(_csv(owner, f"/console/{path}.csv")) == whole + 1
        assert len(_csv(owner, f"/console/{path}.csv", to="9999-12-31")) == whole + 1
        days = {"from": "2026-01-31", "to": "2026-01-31"}
        assert len(_csv(owner, f"/console/{path}.csv", **days)) == part + 1
        owner.open(f"/console/{path}", **days)
        assert len(owner.page().xpath("//table[contains(@class, 'stacked')]/tbody/tr")) == part
        owner.open(f"/console/{path}", **{"from": "2999-01-01"})
        assert "match" in owner.text()
        assert owner.open(f"/console/{path}", to="31.1.2026").status_code == 422
        assert "“31.1.2026” is not a day like 2026-01-31." in owner.text()
        assert owner.open(f"/console/{path}", **{"from": "2026-02-02", "to": "2026-02-01"}).status_code == 422


def test_queue_and_batches_are_read_from_either_end(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(103)
    for first in range(0, 102, 2):
        campus.accept(ids[first : first + 2])
    batches = [_batches(owner, "batches", sort=sort) for sort in ("batch", "-batch", "")]
    assert batches[0] == sorted(batches[0])
    assert batches[1] == batches[2] == sorted(batches[1], reverse=True)
    assert [batches[0][-1] + 1, batches[1][-1] - 1] == [batches[1][0], batches[0][0]]
    assert _batches(owner, "batches", sort="batch", page="2") == batches[1][:1]
    [column] = owner.page().xpath("//th[@aria-sort='ascending']/a")
    assert column.text == "Batch"
    for page in ("batches", "queue"):
        assert owner.open(f"/console/{page}", sort="reason").status_code == 422
        assert "“reason” is no column by which this list is sorted." in owner.text()
    for status, latest in (("Pending", False), ("Removed", True)):
        turned = "batch" if latest else "-batch"
        found = [_batches(owner, "queue", status=status, sort=sort)[::2] for sort in ("", turned)]
        assert found == [sorted(found[0], reverse=latest), sorted(found[1], reverse=not latest)]
        assert found[0] != found[1]
        owner.open(owner.page().xpath("//a[@rel='next']/@href")[0])
        assert len(owner.page().xpath("//th[@aria-sort]")) == 1
        if not latest:
            owner.open("/console/queue/remove", all="1")
            owner.submit("/console/queue/remove")


def _batches(owner: Visitor, name: str, **query: str) -> list[int]:
    owner.open(f"/console/{name}", **query)
    found = owner.page().xpath("//table[contains(@class, 'stacked')]/tbody/tr//a[contains(@href, '/batches/')]/@href")
    return [int(address.rpartition("/")[2]) for address in found]


def test_days_decide_what_is_removed_from_the_queue(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(2)
    campus.accept(ids[:1], datetime(2026, 1, 31, tzinfo=UTC))
    campus.accept(ids[1:], datetime(2026, 2, 1, tzinfo=UTC))
    owner.open("/console/queue", to="2026-01-31")
    owner.open(owner.page().xpath("//a[contains(@href, 'queue/remove?all=1')]/@href")[0])
    assert "Remove 1 item from the queue?" in owner.text()
    owner.submit("/console/queue/remove")
    assert campus.queue() == {ids[0]: "Removed", ids[1]: "Pending"}


def test_audit_is_filtered_by_day_and_sent_as_csv(campus: Campus, owner: Visitor) -> None:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    rows = _csv(owner, "/console/account/audit.csv", **{"from": today, "action": "add-user"})
    assert rows[0] == ["happened_at", "actor", "action", "subject", "details", "address", "request_id"]
    assert {row[2] for row in rows[1:]} == {"add-user"}
    assert '{"role": "administrator"}' in {row[4] for row in rows}
    assert len(_csv(owner, "/console/account/audit.csv", to="2000-01-01")) == 1
    owner.open("/console/account/audit", to="2000-01-01")
    assert "No lines match" in owner.text()
    assert owner.open("/console/account/audit.csv", action="x").status_code == 422


def test_users_keys_and_webhooks_are_sent_as_csv_without_any_secret(
    campus: Campus, owner: Visitor, visitors: Visitors
) -> None:
    secrets = [campus.administrator_key]
    for page, fields in (
        ("keys", {"email": "owner@example.org", "name": "=Sync"}),
        ("webhooks", {"url": "https://a.b/"}),
    ):
        owner.open(f"/console/account/{page}")
        owner.post(f"/console/account/{page}", fields)
        owner.follow()
        secrets.append(shown_secret(owner))
    with campus.database.write() as connection:
        for number in range(79):
            email = f"{number}@example.org"
            add_user(connection, campus.account, email, Role.ADMINISTRATOR, by=OPERATOR, given_name="Ada")
        connection.execute(users.update().where(users.c.email == "78@example.org").values(active=False))
    paths = [f"/console/account/{page}.csv" for page in ("users", "keys", "webhooks")]
    staff, keys, [names, webhook] = (_csv(owner, path) for path in paths)
    assert staff[0] == ["User", "E-mail", "Name", "Role", "State", "Password", "Second factor since", "Invited until"]
    assert staff[1][1:6] == ["owner@example.org", "No name", "owner", "active", "set"]
    assert staff[-1][1:] == ["78@example.org", "Ada", "administrator", "inactive", "none", "", ""]
    assert len(staff) == 82
    assert len(owner.open("/console/account/users").text.split("<tr>")) == 82
    assert "78@example.org" in owner.open("/console/account/users", page="2").text
    assert keys[0] == ["Key", "Name", "Belongs to", "Created", "Last use", "Expires", "State", "Revoked"]
    assert [keys[1][1:3], keys[1][4:]] == [["'=Sync", "owner@example.org"], ["", "", "active", ""]]
    assert "the account" in [key[2] for key in keys]
    assert dict(zip(names, webhook, strict=True))["URL"] == "https://a.b/"
    assert webhook[2:5] == ["items and progress", "enabled", "0"]
    text = "".join(owner.open(path).text for path in paths)
    assert not any(secret in text for secret in secrets)
    give_password(campus, "administrator@example.org")
    administrator = visitors()
    administrator.sign_in(campus, "administrator@example.org")
    assert {key[2] for key in _csv(administrator, paths[1])[1:]} == {"administrator@example.org"}
