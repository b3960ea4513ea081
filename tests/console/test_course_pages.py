"""Course pages: the list, the people of a course, and the way into the unenroll preview."""

import csv
import io

import pytest
import sqlalchemy as sa

from campus import Campus
from rollbook.model import EnrollmentStatus
from rollbook.store.database.tables import courses, enrollments, groups, users
from visitor import Visitor

LONG = "Long " * 50


def _names(visitor: Visitor) -> list[str]:
    return [text.strip() for text in visitor.page().xpath("//tbody/tr/th//a/text()")]


def _csv(visitor: Visitor, path: str, **query: str) -> list[list[str]]:
    answer = visitor.open(path, **query)
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    return [*csv.reader(io.StringIO(answer.text))]


def test_courses_are_listed_with_their_people_sorted_by_each_column_and_as_csv(campus: Campus, owner: Visitor) -> None:
    campus.enroll(3)
    for name in ("=1+1", LONG, "Évacuation", *(f"Module {number:02}" for number in range(79))):
        campus.add(courses, name=name, term="Spring", status="Inactive")
    owner.open("/console/courses")
    assert _names(owner)[:2] == ["=1+1", "Évacuation"]
    assert "83 courses" in owner.text()
    owner.open(owner.page().xpath("//a[@rel='next']/@href")[0])
    assert len(_names(owner)) == 3
    owner.open("/console/courses", sort="-enrolled")
    assert _names(owner)[0] == "Fire Safety"
    for sort in ("id", "-term", "status", "-name"):
        assert owner.open("/console/courses", sort=sort).status_code == 200
    assert owner.open("/console/courses", sort="grade").status_code == 422
    rows = _csv(owner, "/console/courses.csv")
    assert [row[1] for row in rows[:2]] == ["Course", "'=1+1"]
    assert [str(campus.course_id), "Fire Safety", "", "Active", "3"] in rows


@pytest.fixture
def people(campus: Campus) -> dict[str, int]:
    """90 people of the course, of whom one has completed it, in another group."""
    named = campus.enroll_named(90)
    [done] = campus.enroll(1, EnrollmentStatus.COMPLETED)
    other = campus.add(groups, name="Zürich", active=True)
    with campus.database.write() as connection:
        connection.execute(sa.update(enrollments).where(enrollments.c.id == done).values(group_id=other))
    return named


def test_people_of_a_course_are_filtered_sorted_and_sent_as_csv(
    campus: Campus, owner: Visitor, people: dict[str, int]
) -> None:
    path = f"/console/courses/{campus.course_id}"
    owner.open(path)
    assert len(_names(owner)) == 80
    owner.open(owner.page().xpath("//a[@rel='next']/@href")[0])
    assert len(_names(owner)) == 11
    owner.open(path, status="Completed", group="ZURICH")
    assert len(_names(owner)) == 1
    first, *_ = people
    owner.open(path, q=first.upper())
    assert str(people[first]) in owner.text()
    owner.open(path, sort="-email")
    assert max(people) in owner.page().xpath("//tbody/tr[1]/td/text()")
    owner.open(path, **{"from": "2999-01-01"})
    assert "No one in this course matches" in owner.text()
    for wrong, said in (
        ({"from": "soon"}, "not a day"),
        ({"status": "Passed"}, "not a status"),
        ({"sort": "x"}, "sort"),
    ):
        assert owner.open(path, **wrong).status_code == 422
        assert said in owner.text()
    rows = _csv(owner, f"{path}/people.csv", status="Enrolled")
    assert {row[2] for row in rows[1:]} == set(people)
    assert len(_csv(owner, f"{path}/people.csv")) == 92


def test_selected_people_and_all_who_match_are_unenrolled_through_the_preview(
    campus: Campus, owner: Visitor, people: dict[str, int]
) -> None:
    path, two = f"/console/courses/{campus.course_id}", sorted(people.values())[:2]
    owner.open(path)
    owner.submit(path)
    assert "No one is selected" in owner.text()
    owner.submit(path, enrollment=two)
    assert "Unenroll 2 enrollments?" in owner.text()
    owner.submit(owner.answer.url.path, reason="Moved")
    assert campus.queue() == dict.fromkeys(two, "Pending")
    owner.open(path)
    assert "Pending" in owner.text()
    owner.open(path, status="Completed")
    owner.submit(path, all="1")
    assert "Unenroll 1 enrollment?" in owner.text()
    owner.open(path)
    owner.submit(path, all="1")
    assert "Unenroll 89 enrollments?" in owner.text()
    assert "2 enrollments are in the queue already" in owner.text()
    assert "More than 50 % of a course" in owner.text()
    owner.open(path, q="nobody")
    owner.post(path, {"all": "1", "q": "nobody"})
    assert owner.answer.status_code == 422


def test_change_of_a_selection_keeps_what_was_selected_on_the_page_of_a_course(
    campus: Campus, owner: Visitor, people: dict[str, int]
) -> None:
    owner.post(f"/console/courses/{campus.course_id}", {"enrollment": sorted(people.values())[:2]})
    owner.follow()
    owner.open(owner.page().xpath("//a[text()='Change selection']/@href")[0])
    assert owner.page().xpath("//textarea/text()")[0].split() == [str(id_) for id_ in sorted(people.values())[:2]]


def test_course_of_another_account_does_not_exist(campus: Campus, owner: Visitor) -> None:
    other = Campus(campus.database)
    [id_] = other.enroll(1)
    path = f"/console/courses/{other.course_id}"
    for page in (
        path,
        f"{path}/people.csv",
        f"/console/groups/{other.group_id}",
        f"/console/groups/{other.group_id}/courses",
    ):
        assert owner.open(page).status_code == 404
    assert owner.post(path, {"all": "1"}).status_code == 404
    owner.post(f"/console/courses/{campus.course_id}", {"enrollment": id_})
    owner.follow()
    assert "Nothing can be unenrolled" in owner.text()
    assert owner.post(f"/console/groups/{other.group_id}", {"named": "owner@example.org"}).status_code == 404
    assert owner.open("/console/learners", q=other.name).status_code == 200
    with campus.database.read() as connection:
        theirs = (
            connection.execute(sa.select(users.c.id).where(users.c.account_id == other.account.id)).scalars().first()
        )
    assert owner.post(f"/console/learners/{theirs}/state", {"active": "0"}).status_code == 404
