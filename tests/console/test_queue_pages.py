"""The queue and batch pages: pause, remove, filter, download, undo."""

import csv
import io
import re
import time
from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa

from campus import OPERATOR, Campus, forget_workers, read_outcomes
from conftest import Served
from rollbook.model import Actor, UnenrollRequest, utc_now
from rollbook.store.database.tables import enrollments, unenrollments
from rollbook.store.learning.purge import purge_progress
from rollbook.store.operations.audit import list_changes
from rollbook.store.people.api_keys import list_keys, new_key, revoke_key
from rollbook.store.queue.accept import accept_batches
from rollbook.store.queue.workers import note_worker
from visitor import Visitor


def _batch(campus: Campus, ids: list[int]) -> int:
    batch_id = campus.accept(ids).batch_id
    assert batch_id is not None
    return batch_id


def _rows(visitor: Visitor) -> int:
    return len(visitor.page().xpath("//form[@id='items']//tbody/tr"))


def test_queue_is_paused_and_resumed(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(3)
    campus.accept(ids)
    owner.open("/console/queue")
    owner.submit("/console/queue/pause")
    assert "The queue is paused." in owner.text()
    assert "3 items pending" in owner.text()
    campus.drain()
    assert set(campus.queue().values()) == {"Pending"}
    owner.submit("/console/queue/resume")
    assert "The queue is running again." in owner.text()
    campus.drain()
    assert set(campus.queue().values()) == {"Complete"}


def test_only_selected_items_are_removed(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(4)
    campus.accept(ids)
    owner.open("/console/queue/remove", item=ids[:2])
    assert "Remove 2 items from the queue?" in owner.text()
    owner.submit("/console/queue/remove", reason="They stay")
    assert "2 items removed from the queue" in owner.text()
    assert [campus.queue()[id_] for id_ in ids] == ["Removed", "Removed", "Pending", "Pending"]
    assert campus.current() == 4
    owner.open("/console/queue", status="Removed")
    assert owner.text().count("They stay") == 2


def test_remove_filtered_items_spares_later_batches(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(250)
    first, other = _batch(campus, ids[:100]), _batch(campus, ids[100:200])
    owner.open("/console/queue", status="Pending", batch=first)
    assert _rows(owner) == 50
    owner.open("/console/queue/remove", all=1, course="fire")
    assert "Remove 200 items" in owner.text()
    late = ids[200:]
    campus.accept(late)
    owner.submit("/console/queue/remove")
    assert "200 items removed" in owner.text()
    assert {campus.queue()[id_] for id_ in ids[:200]} == {"Removed"}
    assert {campus.queue()[id_] for id_ in late} == {"Pending"}
    assert other > first


def test_queue_is_filtered_by_learner_course_and_batch(served: Served, campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(3)
    campus.accept(ids)
    assert owner.open("/console/queue", learner="SOME learner").status_code == 200
    assert _rows(owner) == 3
    for filters in ({"learner": "100%"}, {"course": "Fire_"}, {"batch": "987654321"}):
        owner.open("/console/queue", **filters)
        assert _rows(owner) == 0
        assert "No items match this filter" in owner.text()


@pytest.mark.parametrize("filters", [{"batch": "12x"}, {"status": "Done"}, {"status": "Pending", "batch": "1.5"}])
def test_invalid_filter_is_an_error_and_shows_no_items(campus: Campus, owner: Visitor, filters: dict[str, str]) -> None:
    campus.accept(campus.enroll(2))
    assert owner.open("/console/queue", **filters).status_code == 422
    assert _rows(owner) == 0
    assert f"“{[*filters.values()][-1]}” is not a" in owner.text()


def test_invalid_selection_never_widens_a_removal_or_an_undo(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(3)
    batch = _batch(campus, ids)
    undo = f"/console/batches/{batch}/undo"
    for path, fields in (
        ("/console/queue/remove", {"all": "1", "batch": "12x"}),
        ("/console/queue/remove", {"all": "1", "through": "x"}),
        ("/console/queue/remove", {"item": [ids[0], "x"]}),
        (undo, {"block": "x"}),
        (undo, {"block": [1, "2x"]}),
    ):
        assert owner.open(path, **fields).status_code == 422, (path, fields)
        assert owner.post(path, fields).status_code == 422, (path, fields)
        assert "x” is not a number" in owner.text()
    assert set(campus.queue().values()) == {"Pending"}


def test_chart_has_a_text_alternative(campus: Campus, owner: Visitor) -> None:
    campus.accept(campus.enroll(5))
    campus.drain()
    campus.accept(campus.enroll(2))
    owner.open("/console/queue")
    (chart,) = owner.page().xpath("//*[local-name()='svg'][@role='img']")
    assert "7 items accepted, 5 unenrolled; 2 pending now" in chart.text_content()


def test_batch_page_and_csv_show_items_and_refusals(served: Served, campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(2)
    answer = served.server.post(campus.package([*ids, "abc"]), {"Rollbook-Reason": "Term over"})
    batch = answer.headers["Rollbook-Batch"]
    campus.drain()
    owner.open("/console/batches")
    assert "Term over" in owner.text()
    owner.open(f"/console/batches/{batch}")
    assert len(owner.page().xpath("//form[@id='items']//tbody/tr")) == 2
    assert "Not valid as the id of an enrollment." in owner.text()
    rows = [*csv.DictReader(io.StringIO(owner.open(f"/console/batches/{batch}/items.csv").text, newline=""))]
    assert [row["Outcome"] for row in rows] == ["Unenrolled", "Unenrolled", "Refused"]
    assert rows[0]["Reason"] == "Term over"


def test_csv_has_every_item_of_a_large_batch(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(2500)
    batch = _batch(campus, ids)
    rows = [*csv.DictReader(io.StringIO(owner.open(f"/console/batches/{batch}/items.csv").text, newline=""))]
    assert sorted(int(row["AccountUserLearningModuleRelID"]) for row in rows) == ids


def test_undo_preview_shows_what_is_restored_and_why_the_rest_is_not(
    served: Served, campus: Campus, owner: Visitor
) -> None:
    ids = campus.enroll(4)
    batch = _batch(campus, ids)
    campus.drain()
    with served.database.write() as connection:
        row = connection.execute(sa.select(enrollments).where(enrollments.c.id == ids[0])).mappings().one()
        again = {name: value for name, value in row.items() if name not in ("id", "unenrolled_at")}
        connection.execute(enrollments.insert().values(again))
        purged = enrollments.update().where(enrollments.c.id == ids[1])
        connection.execute(purged.values(purged_at=row["unenrolled_at"]))
    owner.open(f"/console/batches/{batch}/undo")
    assert "2 enrollments are restored" in owner.text()
    assert "The learner was enrolled in the course again." in owner.text()
    assert "The progress is deleted" in owner.text()
    assert campus.current() == 1
    owner.submit(f"/console/batches/{batch}/undo", reason="A mistake")
    assert "2 enrollments restored" in owner.text()
    assert "2 items could not be undone" in owner.text()
    assert campus.current() == 3
    owner.open(f"/console/batches/{batch}/undo")
    assert "It is restored already." in owner.text()


def test_progress_is_shown_only_where_an_enrollment_has_some(campus: Campus, owner: Visitor) -> None:
    begun, idle = campus.enroll(2)
    campus.import_progress("ID,Progress", f"{begun},Waiting for Grading")
    batches = {id_: _batch(campus, [id_]) for id_ in (begun, idle)}
    for path in ("/console/queue?batch={}", "/console/batches/{}", "/console/queue/remove?all=1&batch={}"):
        owner.open(path.format(batches[begun]))
        assert "Progress" in owner.text()
        assert "Waiting for Grading" in owner.text()
        assert "Waiting for Grading%" not in owner.text()
        owner.open(path.format(batches[idle]))
        assert "Progress" not in owner.text()
        assert "Not Started" not in owner.text()
    campus.drain()
    assert "Waiting for Grading<" in owner.open(f"/console/batches/{batches[begun]}/undo").text
    owner.open(f"/console/batches/{batches[idle]}/undo")
    assert "Not Started" not in owner.text()


def test_single_items_are_undone_and_audited(served: Served, campus: Campus, owner: Visitor) -> None:
    batch = _batch(campus, campus.enroll(3))
    campus.drain()
    owner.open(f"/console/batches/{batch}/undo", block=[2])
    assert "Undo items of batch" in owner.text()
    answer = owner.submit(f"/console/batches/{batch}/undo", reason="Only this one")
    assert answer.status_code == 200
    assert "1 enrollment restored" in owner.text()
    assert campus.current() == 1
    with served.database.read() as connection:
        line = list_changes(connection, campus.account.id)[0]
    assert (line["action"], line["actor"]) == ("restore", "owner@example.org")
    assert line["subject"] == f"batch {batch}"
    assert line["address"] == owner.address
    owner.open("/console/account/audit")
    assert str(line["request_id"]) in owner.text()


def test_second_undo_reports_that_nothing_changed(campus: Campus, owner: Visitor) -> None:
    batch = _batch(campus, campus.enroll(2))
    campus.drain()
    page = f"/console/batches/{batch}/undo"
    for again in (False, True):
        owner.post(page, {"reason": "A mistake"})
        owner.follow()
        assert ("2 enrollments restored" in owner.text()) is not again
        assert ("Nothing was changed. 2 items already restored." in owner.text()) is again
    assert "could not be undone" not in owner.text()
    assert "This batch is undone: 2 enrollments are restored." in owner.text()
    owner.open(page)
    assert "Nothing can be undone; the list says why." in owner.text()


def test_several_batches_are_undone_together(campus: Campus, owner: Visitor) -> None:
    first, second = (_batch(campus, campus.enroll(2)) for _ in range(2))
    campus.drain()
    third = _batch(campus, campus.enroll(1))
    owner.open("/console/batches")
    assert owner.page().xpath("//input[@name='batch']/@value") == [str(id_) for id_ in (third, second, first)]
    page = "/console/batches/undo"
    owner.open(page, batch=[first, third])
    assert "2 enrollments are restored" in owner.text()
    assert "1 pending item is removed" in owner.text()
    owner.submit(page, reason="A mistake")
    assert "2 enrollments restored, with the progress that was kept. 1 pending item removed" in owner.text()
    assert campus.current() == 3
    assert [line["subject"] for line in campus.audit()[:2]] == [f"batch {third}", f"batch {first}"]
    owner.open(page, batch=[first, third])
    assert "Nothing can be undone." in owner.text()
    assert owner.open(page).status_code == 422
    assert owner.open(page, batch=[first, 987654321]).status_code == 404
    assert owner.post(page, {"batch": [str(second), "987654321"]}).status_code == 404
    assert campus.current() == 3


def test_batches_are_searched_by_reason_and_person(served: Served, campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(2)
    for id_, reason, by in ((ids[0], "Term over: 100 %", "owner"), (ids[1], "Left the école", "administrator")):
        with served.database.write() as connection:
            request = UnenrollRequest(Actor(by, campus.user_id(f"{by}@example.org")), [id_], reason)
            accept_batches(connection, campus.account.id, campus.account.policies, [request], utc_now())
    found = {"term": [0], "ÉCOLE": [1], "administrator@": [1], "e": [1, 0], "0 %": [0], "nothing": [], "": [1, 0]}
    for search, wanted in found.items():
        owner.open("/console/batches", search=search)
        reasons = owner.page().xpath("//td[@data-name='Reason']/text()")
        assert reasons == [("Term over: 100 %", "Left the école")[number] for number in wanted], search
    owner.open("/console/batches", search="nothing")
    assert "No batch matches “nothing”." in owner.text()


def test_notice_is_shown_once_and_not_by_an_automatic_refresh(campus: Campus, owner: Visitor) -> None:
    owner.post("/console/queue/pause", {})
    owner.client.get(f"{owner.origin}/console/queue", headers={"Rollbook-Live": "1"})
    owner.open("/console/batches")
    assert "The queue is paused." not in owner.text()
    owner.open("/console/queue")
    assert "The queue is paused." in owner.text()
    owner.open("/console/queue")
    assert "The queue is paused." not in owner.text()


def test_batch_pages_show_until_when_an_undo_is_possible(served: Served, campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(2)
    page = f"/console/batches/{_batch(campus, ids)}"

    def read(path: str = page) -> str:
        owner.open(path)
        return owner.text()

    def read_list() -> str:
        owner.open("/console/batches")
        return str(owner.page().xpath("string(//tbody//td[@data-name='Can be undone'])"))

    assert "2 items are pending and can still be removed. The account keeps progress without limit" in read()
    assert read_list() == "\N{EN DASH}"
    campus.set(retention_days=30)
    day = f"{utc_now() + timedelta(days=30):%Y-%m-%d}"
    assert f"kept for 30 days after an item is processed: this can be undone until {day} or later." in read()
    campus.drain()
    assert f"This can be undone until {day}" in read()
    assert f"This can be undone until {day}" in read(f"{page}/undo")
    assert read_list().startswith(f"until {day}")
    campus.set(retention_days=None)
    assert "This can be undone at any time" in read()
    assert read_list() == "at any time"
    campus.set(retention_days=30)
    _end_earlier(served, campus, timedelta(days=31), ids[:1])
    assert read_list().startswith(f"1 of 2 until {day}")
    _end_earlier(served, campus, timedelta(days=31))
    over = f"{utc_now() - timedelta(days=30):%Y-%m-%d}"
    assert f"2 of 2 unenrollments can no longer be undone: progress of what ended by {over}" in read()
    assert read_list() == "no longer"
    while purge_progress(served.database, utc_now(), 1000):
        pass
    campus.set(retention_days=None)  # restores no progress
    assert "2 of 2 unenrollments can no longer be undone" in read()
    assert "at any time" not in owner.text()


def _end_earlier(served: Served, campus: Campus, by: timedelta, ids: Sequence[int] = ()) -> None:
    """Move the end of these unenrollments, or of all of the account, into the past."""
    with served.database.write() as connection:
        for ended_at, id_ in (
            (enrollments.c.unenrolled_at, enrollments.c.id),
            (unenrollments.c.finished_at, unenrollments.c.enrollment_id),
        ):
            ended = sa.and_(ended_at.table.c.account_id == campus.account.id, ended_at.is_not(None))
            chosen = sa.and_(ended, id_.in_(ids)) if ids else ended
            connection.execute(sa.update(ended_at.table).where(chosen).values({ended_at.name: utc_now() - by}))


def test_shorter_retention_shows_the_lost_undos_and_needs_confirmation(
    served: Served, campus: Campus, owner: Visitor
) -> None:
    campus.accept(campus.enroll(3))
    campus.drain()
    _end_earlier(served, campus, timedelta(days=40))

    def save(**fields: object) -> str:
        owner.open("/console/account")
        owner.submit("/console/account", hold_seconds="0", **fields)
        return owner.text()

    assert "Saved." in save(retention_days="60")
    said = save(retention_days="30")
    assert "3 unenrollments could no longer be undone" in said
    assert f"unenrollments that ended by {utc_now() - timedelta(days=30):%Y-%m-%d}" in said
    assert "Nothing is saved yet." in said
    owner.post("/console/account", {"hold_seconds": "0", "retention_days": "20", "confirmed": "30"})
    assert "3 unenrollments could no longer be undone" in owner.text()
    owner.open("/console/account")
    assert owner.page().xpath("//input[@name='retention_days']/@value") == ["60"]
    owner.submit("/console/account", hold_seconds="0", retention_days="30")
    owner.submit("/console/account")
    assert "Saved." in owner.text()
    assert owner.page().xpath("//input[@name='retention_days']/@value") == ["30"]
    assert "Saved." in save(retention_days="20")  # these undos are lost already


def test_queue_and_pending_batch_show_that_no_worker_runs(served: Served, campus: Campus, owner: Visitor) -> None:
    batch = _batch(campus, campus.enroll(1))

    def said() -> list[str]:
        texts = []
        for path in ("/console/queue", f"/console/batches/{batch}"):
            owner.open(path)
            texts.append(owner.text())
        return texts

    forget_workers(served.database)
    assert all("No worker has been seen yet." in text for text in said())
    note_worker(served.database, "old", utc_now() - timedelta(seconds=30))
    assert all(re.search(r"No worker has been seen for 3\d s\.", text) for text in said())
    note_worker(served.database, "new", utc_now())
    assert not any("No worker has been seen" in text for text in said())
    assert owner.page().xpath("//noscript/meta[@http-equiv='refresh']")
    campus.drain()
    said()
    assert not owner.page().xpath("//noscript/meta[@http-equiv='refresh']")
    assert owner.page().xpath("//a[text()='Undo batch…']")
    owner.open("/console/queue")
    assert owner.page().xpath("//*[@id='latest']//a/@href") == [
        f"/console/batches/{batch}",
        f"/console/batches/{batch}/undo",
    ]
    forget_workers(served.database)


def test_first_steps_of_an_empty_account_are_ticked_as_they_are_done(
    served: Served, campus: Campus, owner: Visitor
) -> None:
    def steps() -> list[bool]:
        owner.open("/console/queue")
        return ["done" in item.text_content() for item in owner.page().xpath("//section[@id='steps']//li")]

    assert steps() == [False, True, False]
    assert f"{owner.origin}/apiv2/" in owner.text()
    with served.database.write() as connection:
        for row in list_keys(connection, campus.account):
            if row["kind"] == "account":
                revoke_key(connection, campus.account, row["id"], by=OPERATOR)
    assert steps() == [False, False, False]
    with served.database.write() as connection:
        campus.account_key = new_key(connection, campus.account, None, by=OPERATOR)
    assert read_outcomes(served.server.post(campus.package(["nonsense"]))) == ["ULM:01"]
    deadline = time.monotonic() + 15  # the use of a key is stored after the response
    while steps() != [False, True, True]:
        assert time.monotonic() < deadline, "the call is not ticked"
        time.sleep(0.05)
    campus.enroll(1)
    assert steps() == []


def test_first_steps_end_with_the_first_batch(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(1)
    owner.open("/console/queue")
    assert "First steps" in owner.text()
    campus.accept(ids)
    owner.open("/console/queue")
    assert "First steps" not in owner.text()
