"""The lists of the queue, the batches and the audit: filters by day, and CSV."""

import csv
import io
from datetime import UTC, datetime

from campus import Campus
from visitor import Visitor


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
