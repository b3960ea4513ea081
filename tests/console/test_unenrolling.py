"""Unenrolling from the console: chosen, seen before it happens, confirmed, queued by a worker batch by batch."""

from collections import Counter

import httpx
import pytest
import sqlalchemy as sa

from campus import OPERATOR, Campus
from conftest import Served
from rollbook.methods.unenroll_learning_modules import REFUSALS
from rollbook.model import EnrollmentStatus, Role, utc_now
from rollbook.store.accounts import set_role
from rollbook.store.runs import queue_next_part
from rollbook.store.tables import courses, enrollments
from rollbook.store.unenrollments import process_due
from visitor import Visitor


def _work(served: Served) -> None:
    """Do what a worker does until no run is under way."""
    while queue_next_part(served.database, utc_now(), REFUSALS):
        pass


def _choose(owner: Visitor, **fields: object) -> httpx.Response:
    owner.open("/console/unenrol")
    forms = [form for form in owner.page().forms if form.action == "/console/unenrol" and form.method == "POST"]
    assert len(forms) == 2
    owner.post("/console/unenrol", {"csrf": owner.csrf(), **fields})
    return owner.follow()


def _start(owner: Visitor, **fields: object) -> str:
    path = owner.answer.url.path
    owner.submit(path, **fields)
    return path


def _queue(served: Served, owner: Visitor, ids: list[int]) -> str:
    """Have a worker queue all of these, and return the path of the run."""
    _choose(owner, ids=" ".join(map(str, ids)))
    path = _start(owner, reason="Term over")
    _work(served)
    return path


def _enroll_again(served: Served, id_: int) -> None:
    """Give the learner of an enrolment that has ended another one in the course."""
    with served.database.write() as connection:
        ended = connection.execute(sa.select(enrollments).where(enrollments.c.id == id_)).mappings().one()
        row = {name: value for name, value in ended.items() if name not in ("id", "unenrolled_at")}
        connection.execute(enrollments.insert().values(row))


def test_a_course_is_unenrolled_after_a_look_at_what_would_happen(
    served: Served, campus: Campus, owner: Visitor
) -> None:
    campus.enroll(3)
    campus.enroll(1, EnrollmentStatus.COMPLETED)
    _choose(owner, in_course=campus.course_id)
    assert "Unenrol 4 enrolments?" in owner.text()
    assert "1 has completed" in owner.text()
    assert "4 of 4 in Fire Safety (100 %)" in owner.text()
    assert "already" not in owner.text()
    assert campus.queue() == {}
    path = _start(owner, reason="Term over")
    assert "Tick the box" in owner.text()
    owner.submit(path, reason="", meant="1")
    assert "Say why" in owner.text()
    assert campus.queue() == {}
    owner.submit(path, reason="Term over", meant="1")
    assert "Being queued: 0 of 4" in owner.text()
    _work(served)
    owner.open(path)
    assert "All queued; 4 items still to be processed" in owner.text()
    _choose(owner, in_course=campus.course_id)
    assert "4 of them wait in the queue already" in owner.text()
    campus.drain()
    owner.open(path)
    assert "Done" in owner.text()
    assert campus.current() == 0


@pytest.mark.parametrize(
    ("choice", "expected"),
    [({"status": "Completed"}, 1), ({"status": ["Completed", "Enrolled"]}, 3), ({"in_group": 1}, 0)],
    ids=["status", "statuses", "another_accounts_group"],
)
def test_status_and_group_narrow_the_choice(
    campus: Campus, owner: Visitor, choice: dict[str, object], expected: int
) -> None:
    campus.enroll(2)
    campus.enroll(1, EnrollmentStatus.COMPLETED)
    campus.enroll(1, EnrollmentStatus.OVERDUE)
    other = campus.add(courses, name="Another", status="Active")
    _choose(owner, in_course=[campus.course_id, other], **choice)
    said = owner.text()
    assert (f"Unenrol {expected} enrolment" in said) if expected else "Nobody is enrolled there" in said


def test_many_ids_become_batches_of_a_hundred_once_however_often_it_is_confirmed(
    served: Served, campus: Campus, owner: Visitor
) -> None:
    ids = campus.enroll(230)
    campus.enroll(300)
    strange = Campus(served.database).enroll(1)
    _choose(owner, ids=" ".join(map(str, [*ids, ids[0], *strange])))
    assert "Unenrol 230 enrolments?" in owner.text()
    assert "1 id is no current enrolment" in owner.text()
    path, csrf = owner.answer.url.path, owner.csrf()
    for _ in range(3):
        assert owner.post(path, {"csrf": csrf, "reason": "Term over"}).status_code == 303
    _work(served)
    assert owner.post(path, {"csrf": csrf, "reason": "Again"}).status_code == 303
    _work(served)
    assert [campus.queue()[id_] for id_ in ids] == ["Pending"] * 230
    assert len(campus.queue()) == 230
    owner.open(path)
    assert len(owner.page().xpath("//table//tbody/tr")) == 3
    assert [fact.text for fact in owner.page().xpath("//dd[@class='big']")] == ["230", "1", "230"]
    owner.open("/console/batches")
    assert owner.text().count("Term over") == 3


def test_an_uploaded_csv_is_read_by_its_column(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(3)
    campus.enroll(9)
    owner.open("/console/unenrol")
    lines = "\ufeffname,ID\r\n" + "".join(f'"a, b",{id_}\r\n' for id_ in ids)
    upload = {"file": ("ids.csv", lines.encode(), "text/csv")}
    url = f"{owner.origin}/console/unenrol"
    owner.answer = owner.client.post(url, data={"csrf": owner.csrf(), "ids": ""}, files=upload)
    owner.follow()
    assert "Unenrol 3 enrolments?" in owner.text()


def test_what_is_no_id_is_named_and_nothing_is_chosen(campus: Campus, owner: Visitor) -> None:
    _choose(owner, ids="12, 1x3 -4 99999999999999999999")
    assert owner.answer.status_code == 422
    assert "“1x3”, “-4”, “99999999999999999999”" in owner.text()
    assert "1x3" in owner.page().xpath("//textarea")[0].text


def test_a_run_stops_when_told_to_and_when_its_user_may_no_more(served: Served, campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(350)
    campus.enroll(400)

    def begin(some: list[int]) -> str:
        _choose(owner, ids=",".join(map(str, some)))
        path = _start(owner, reason="Term over")
        assert queue_next_part(served.database, utc_now(), REFUSALS)
        owner.open(path)
        return path

    path = begin(ids[:150])
    owner.submit(f"{path}/stop")
    assert "The rest was cancelled." in owner.text()
    assert "Stopped after 100 of 150" in owner.text()
    _work(served)
    assert len(campus.queue()) == 100
    begin(ids[150:])
    with served.database.write() as connection:
        set_role(connection, campus.account, "administrator@example.org", Role.OWNER, by=OPERATOR)
        set_role(connection, campus.account, "owner@example.org", Role.LEARNER, by=OPERATOR)
    _work(served)
    assert len(campus.queue()) == 200


def test_a_run_is_undone_as_a_whole(served: Served, campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(250)
    campus.enroll(300)
    path = _queue(served, owner, ids)
    assert process_due(served.database, campus.account.id, utc_now(), 120).complete == 120
    gone = [id_ for id_, status in campus.queue().items() if status == "Complete"]
    _enroll_again(served, gone[0])
    owner.open(path)
    assert "Undo run…" in owner.text()
    owner.open(f"{path}/undo")
    assert "120 enrolments come back" in owner.text()
    assert "130 items still wait and will be taken out of the queue" in owner.text()
    assert campus.current() == 550 - 120 + 1
    owner.submit(f"{path}/undo", reason="The wrong list")
    assert owner.answer.url.path == path
    assert "119 enrolments came back" in owner.text()
    assert "130 items still waited" in owner.text()
    assert "1 item could not be undone" in owner.text()
    assert campus.current() == 550
    assert Counter(campus.queue().values()) == {"Restored": 119, "Removed": 130, "Complete": 1}
    owner.open("/console/account/audit")
    assert owner.page().xpath("count(//tbody//td[normalize-space()='restore'])") == 3
    owner.open(f"{path}/undo")
    owner.submit(f"{path}/undo", reason="Once more")
    assert "0 enrolments came back" in owner.text()


def test_a_run_that_is_being_queued_is_stopped_before_it_is_undone(
    served: Served, campus: Campus, owner: Visitor
) -> None:
    ids = campus.enroll(150)
    campus.enroll(200)
    _choose(owner, ids=" ".join(map(str, ids)))
    path, csrf = owner.answer.url.path, owner.csrf()
    assert owner.open(f"{path}/undo").status_code == 409
    owner.open(path)
    owner.submit(path, reason="Term over")
    assert queue_next_part(served.database, utc_now(), REFUSALS)
    owner.open(path)
    assert "Undo run…" not in owner.text()
    assert owner.post(f"{path}/undo", {"csrf": csrf}).status_code == 409
    assert campus.queue() == dict.fromkeys(ids[:100], "Pending")
    owner.open(path)
    owner.submit(f"{path}/stop")
    owner.open(f"{path}/undo")
    owner.submit(f"{path}/undo", reason="")
    assert campus.queue() == dict.fromkeys(ids[:100], "Removed")


def test_idor_a_run_of_another_account_is_not_there(served: Served, campus: Campus, owner: Visitor) -> None:
    campus.enroll(1)
    _choose(owner, in_course=campus.course_id)
    path, csrf = owner.answer.url.path, owner.csrf()
    other = Campus(served.database)
    _choose(owner, in_course=other.course_id)
    assert "Nobody is enrolled there" in owner.text()
    number = int(path.rpartition("/")[2]) + 1000
    assert owner.open(f"/console/unenrol/{number}").status_code == 404
    assert owner.post(f"/console/unenrol/{number}/stop", {"csrf": csrf}).status_code == 303
    assert owner.open(f"/console/unenrol/{number}/undo").status_code == 404
    assert owner.post(f"/console/unenrol/{number}/undo", {"csrf": csrf}).status_code == 404
