"""The enroll pages of a course: lists of people, mistakes by line, preview and confirmation."""

from collections.abc import Iterable

import pytest
import sqlalchemy as sa

from campus import Campus
from conftest import Served
from rollbook.store.database.tables import courses, enrollments, group_courses, groups, memberships, users
from visitor import Visitor


@pytest.fixture
def course(campus: Campus) -> int:
    """A course without people."""
    return campus.add(courses, name="First Aid", status="Active")


@pytest.fixture
def people(campus: Campus) -> list[str]:
    """The e-mails of four members of the group North."""
    named = campus.enroll_named(4)
    _join(campus, campus.group_id, map(campus.user_id, named))
    return [*named]


def _join(campus: Campus, group_id: int, user_ids: Iterable[int]) -> None:
    for user_id in user_ids:
        campus.add(memberships, group_id=group_id, user_id=user_id, group_manager=False, manage_group_users=False)


def _enrolled(campus: Campus, course: int) -> dict[str, int]:
    query = sa.select(users.c.email, enrollments.c.group_id).join(users, users.c.id == enrollments.c.user_id)
    with campus.database.read() as connection:
        return dict(map(tuple, connection.execute(query.where(enrollments.c.course_id == course))))


def _rows(owner: Visitor, heading: str) -> list[list[str]]:
    rows = owner.page().xpath(f"//section[h2[@id='{heading}']]//tbody/tr")
    return [[cell.text_content().strip() for cell in row] for row in rows]


def test_list_of_emails_is_previewed_with_mistakes_by_line_and_enrolled_once(
    campus: Campus, owner: Visitor, course: int, people: list[str]
) -> None:
    path = f"/console/courses/{course}/enroll"
    with campus.database.write() as connection:
        connection.execute(users.update().where(users.c.email == people[3]).values(active=False))
    lines = [people[0].upper(), people[1], "nobody@example.org", people[1], people[3], "learner@example.org", "no mail"]
    owner.open(path)
    owner.submit(path, ids="\n".join(lines))
    assert "Enroll 2 people in First Aid?" in owner.text()
    assert [row[:2] for row in _rows(owner, "people-name")] == [
        ["Some Learner", people[0]],
        ["Some Learner", people[1]],
    ]
    assert [(row[0], row[2]) for row in _rows(owner, "bad-name")][:5] == [
        ("line 3", "is the e-mail of no user"),
        ("line 4", "is in the list already: line 2"),
        ("line 5", "is inactive"),
        ("line 6", "is not a member of an active group that has the course"),
        ("line 7", "is not an e-mail: in a table, name the columns in the first line, such as Email,Course"),
    ]
    assert _enrolled(campus, course) == {}
    fields = dict(owner.page().forms[-1].form_values())
    owner.submit(path)
    assert "2 people enrolled." in owner.text()
    assert _enrolled(campus, course) == dict.fromkeys(people[:2], campus.group_id)
    assert campus.audit()[0]["action"] == "enroll"
    owner.post(path, fields)
    owner.follow()
    assert "0 people enrolled. 2 people left out: changed since the preview." in owner.text()
    owner.open(path)
    owner.submit(path, ids="\n".join(people[:2]))
    assert "No one can be enrolled" in owner.text()
    assert {row[2] for row in _rows(owner, "bad-name")} == {"is enrolled in the course already"}


def test_file_and_numbers_are_read_as_what_the_user_says(
    campus: Campus, owner: Visitor, course: int, people: list[str], served: Served
) -> None:
    path, numbers = f"/console/courses/{course}/enroll", [campus.user_id(email) for email in people]
    listed = "\n".join(map(str, [*numbers, 987654321]))
    owner.open(path)
    owner.submit(path, ids=listed)
    assert "employee ids or user ids" in owner.text()
    owner.submit(path, ids=listed, by="id")
    assert "Enroll 4 people" in owner.text()
    assert [row[1:] for row in _rows(owner, "bad-name")] == [["987654321", "is the number of no user"]]
    owner.open(path)
    owner.submit(path, ids=listed, by="employee-id")
    assert "No one can be enrolled" in owner.text()
    with campus.database.read() as connection:
        query = sa.select(users.c.employee_id).where(users.c.id == numbers[0])
        employee = connection.execute(query).scalar_one()
    content = f"EmployeeID;Course\n{employee};First Aid\n{employee};Other\n".encode()
    owner.client.headers.update(owner.said())
    owner.answer = owner.client.post(f"{owner.origin}{path}", files={"file": ("people.csv", content)})
    assert "Enroll 1 person" in owner.text()
    assert [row[2] for row in _rows(owner, "bad-name")] == ["has another course in its row: Other"]


def test_group_decides_about_the_course_as_in_the_api(
    campus: Campus, owner: Visitor, course: int, people: list[str]
) -> None:
    path, south = f"/console/courses/{course}/enroll", campus.add(groups, name="South", active=True)
    campus.add(group_courses, group_id=south, course_id=course, allow_self_enroll=False, auto_enroll=False)
    _join(campus, south, [campus.user_id(people[0])])
    listed = "\n".join(people[:2])
    owner.open(path)
    owner.submit(path, ids=listed, of_group="Suoth")
    assert "No active group is called “Suoth”. " in owner.text()
    owner.submit(path, ids=listed, of_group="North")
    assert {row[2] for row in _rows(owner, "bad-name")} == {"is not a member of the group"}
    owner.open(path)
    owner.submit(path, ids=listed)
    assert _rows(owner, "people-name") == [["Some Learner", people[0], "South"]]
    owner.submit(path)
    assert _enrolled(campus, course) == {people[0]: south}


def test_people_cannot_be_enrolled_in_an_archived_course(campus: Campus, owner: Visitor, people: list[str]) -> None:
    course = campus.add(courses, name="Old", status="Archived")
    owner.open(f"/console/courses/{course}")
    assert "Enroll…" not in owner.text()
    owner.post(f"/console/courses/{course}/enroll", {"people": str(campus.user_id(people[0]))})
    assert owner.answer.status_code == 422
    assert "not active" in owner.text()
    assert _enrolled(campus, course) == {}
