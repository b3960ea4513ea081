"""A learner's page: unenroll from chosen courses, undo of items, deactivate and activate."""

import pytest
import sqlalchemy as sa

from campus import OPERATOR, Campus, read_outcomes
from conftest import Served
from rollbook.model import Role, utc_now
from rollbook.store.database.tables import courses, enrollments, users
from rollbook.store.people.users import set_role
from visitor import Visitor


@pytest.fixture
def path(campus: Campus) -> str:
    """The page of a learner with an enrollment in the course of the account."""
    [email] = campus.enroll_named(1)
    return f"/console/learners/{campus.user_id(email)}"


def _enrollments(campus: Campus, path: str) -> list[int]:
    query = sa.select(enrollments.c.id).where(enrollments.c.user_id == int(path.rpartition("/")[2]))
    with campus.database.read() as connection:
        return sorted(connection.execute(query).scalars())


def test_chosen_courses_are_unenrolled_through_the_preview_and_undone_from_the_page(
    campus: Campus, owner: Visitor, path: str
) -> None:
    course = campus.add(courses, name="First Aid", status="Active")
    place = {"user_id": int(path.rpartition("/")[2]), "group_id": campus.group_id, "status": "Enrolled"}
    campus.add(enrollments, course_id=course, enrolled_at=utc_now(), **place)
    first, second = _enrollments(campus, path)
    owner.open(path)
    owner.submit(path)
    assert "No one is selected" in owner.text()
    owner.submit(path, enrollment=second)
    assert "Unenroll 1 enrollment?" in owner.text()
    assert "enrollments of Some Learner" in owner.text()
    owner.submit(owner.answer.url.path, reason="Moved", intended="1")
    assert campus.queue() == {second: "Pending"}
    owner.open(path)
    assert owner.page().xpath("//input[@name='enrollment']/@value") == [str(first)]
    owner.open(owner.page().xpath("//a[contains(., 'Remove First Aid')]/@href")[0])
    owner.submit("/console/queue/remove")
    assert campus.queue() == {second: "Removed"}
    owner.open(path)
    owner.submit(path, enrollment=[first, second])
    owner.submit(owner.answer.url.path, reason="Moved", intended="1")
    campus.drain()
    owner.open(path)
    owner.open(owner.page().xpath("//a[contains(., 'Undo Fire Safety')]/@href")[0])
    owner.submit(owner.page().xpath("//form[@method='post' and contains(@action, 'undo')]/@action")[0])
    assert campus.current() == 1


def test_learner_is_deactivated_and_activated_with_an_audit_line(
    campus: Campus, owner: Visitor, served: Served
) -> None:
    path = f"/console/learners/{campus.user_id('learner@example.org')}"
    call = campus.call("getUnenrollmentQueue", "<Queue/>", campus.learner_key)
    owner.open(path)
    owner.submit(f"{path}/state")
    assert "learner@example.org is inactive." in owner.text()
    assert read_outcomes(served.server.post(call)) == ["SU:10"]
    owner.submit(f"{path}/state")
    assert "learner@example.org is active." in owner.text()
    assert read_outcomes(served.server.post(call)) != ["SU:10"]
    assert [line["action"] for line in campus.audit()[:2]] == ["activate-user", "deactivate-user"]
    assert campus.audit()[0]["actor"] == "owner@example.org"


def test_administrators_and_owners_are_not_deactivated_on_the_page_of_a_learner(campus: Campus, owner: Visitor) -> None:
    path = f"/console/learners/{campus.user_id('administrator@example.org')}"
    owner.open(path)
    assert "Deactivate" not in owner.text()
    owner.post(f"{path}/state", {"active": "0"})
    assert owner.answer.status_code == 422
    assert "Only learners" in owner.text()
    with campus.database.write() as connection:
        set_role(connection, campus.account, "administrator@example.org", Role.LEARNER, by=OPERATOR)
    owner.open(path)
    assert "Deactivate" in owner.text()


def test_users_are_listed_sorted_and_sent_as_csv(campus: Campus, owner: Visitor) -> None:
    for name in ("=HYPERLINK()", "b", "A"):
        campus.add(users, given_name=name, family_name="Person", role="learner", active=name != "b")
    owner.open("/console/learners", q="person", sort="-name")
    names = [text.strip() for text in owner.page().xpath("//tbody/tr/th/a/text()")]
    assert names == ["b Person", "A Person", "=HYPERLINK() Person"]
    for sort in ("email", "employee_id", "role", "state"):
        assert owner.open("/console/learners", sort=sort).status_code == 200
    lines = owner.open("/console/learners.csv", q="PERSON").text.splitlines()
    assert lines[0] == "User,Learner,E-mail,Employee id,Role,State"
    assert [line.split(",", 1)[1] for line in lines[1:]] == [
        "'=HYPERLINK() Person,,,learner,active",
        "b Person,,,learner,inactive",
        "A Person,,,learner,active",
    ]
