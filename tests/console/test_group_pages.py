"""Group pages: the list, the members and the courses of a group, and changes of both."""

import csv
import io

import pytest
import sqlalchemy as sa

from campus import Campus
from rollbook.store.database.tables import courses, groups, memberships
from visitor import Visitor


@pytest.fixture
def path(campus: Campus) -> str:
    """The page of the account's group."""
    return f"/console/groups/{campus.group_id}"


def _names(visitor: Visitor) -> list[str]:
    return [text.strip() for text in visitor.page().xpath("//tbody/tr/th//a/text()")]


def _csv(visitor: Visitor, path: str) -> list[list[str]]:
    return [*csv.reader(io.StringIO(visitor.open(path).text))]


def test_groups_are_listed_with_members_and_courses_and_as_csv(campus: Campus, owner: Visitor) -> None:
    for number in range(80):
        campus.add(groups, name=f"@Team {number:02}", active=number > 0)
    campus.auto_enroll(*campus.enroll(2))
    owner.open("/console/groups", sort="-members")
    assert _names(owner)[0] == "North"
    assert owner.page().xpath("//tbody/tr[1]/td/text()")[:3] == ["active", "2", "1"]
    owner.open("/console/groups", page=2)
    assert _names(owner) == ["North"]
    for sort in ("name", "state", "courses", "id"):
        assert owner.open("/console/groups", sort=sort).status_code == 200
    rows = _csv(owner, "/console/groups.csv?q=team")
    assert len(rows) == 81
    assert rows[1][:2] == ["'@Team 00", "inactive"]


def test_user_is_added_and_removed_with_an_audit_line(campus: Campus, owner: Visitor, path: str) -> None:
    campus.auto_enroll()
    first, *_ = campus.enroll_named(2)
    owner.open(path)
    owner.submit(path, named=first.upper())
    assert "Added to the group." in owner.text()
    owner.submit(path, named="learner@example.org")
    assert _names(owner) == ["No name", "Some Learner"]
    owner.open(path, q=first.upper())
    assert _names(owner) == ["Some Learner"]
    owner.submit(path, named=first)
    assert "in the group already" in owner.text()
    owner.submit(path, named="nobody@example.org")
    assert "of no user of this account" in owner.text()
    assert [row[3] for row in _csv(owner, f"{path}/members.csv")[1:]] == ["learner@example.org", first]
    assert campus.current() == 3, "the new member without an enrollment is enrolled in the auto-enroll course"
    owner.open(path, sort="-email")
    box = owner.page().xpath("//input[@name='user']/@value")[0]
    owner.post(path, {"remove": "1", "user": box})
    owner.follow()
    assert "1 user removed" in owner.text()
    assert len(_names(owner)) == 1
    owner.post(path, {"remove": "1"})
    assert "Nothing is selected" in owner.text()
    lines = [line for line in campus.audit() if line["action"] == "update-group"]
    assert [line["details"] for line in lines] == [
        {"group": campus.group_id, **change} for change in ({"left": 1}, {"joined": 1}, {"joined": 1})
    ]


def test_full_group_takes_no_user(campus: Campus, owner: Visitor, path: str) -> None:
    with campus.database.write() as connection:
        connection.execute(sa.update(groups).where(groups.c.id == campus.group_id).values(user_limit=0))
    owner.open(path)
    owner.submit(path, named="learner@example.org")
    assert "as many members as its limit of 0" in owner.text()
    with campus.database.read() as connection:
        mine = sa.select(sa.func.count()).where(memberships.c.group_id == campus.group_id)
        assert connection.execute(mine).scalar_one() == 0


def test_course_is_added_and_removed_with_an_audit_line(campus: Campus, owner: Visitor, path: str) -> None:
    path += "/courses"
    for name in ("First Aid", "Twice", "Twice"):
        campus.add(courses, name=name, status="Active")
    owner.open(path)
    owner.submit(path, course="First Aid", auto_enroll="1")
    assert "First Aid is a course of the group." in owner.text()
    owner.submit(path, course=str(campus.course_id))
    assert [row[2:3] + row[5:6] for row in _csv(owner, f"{path}.csv")[1:]] == [
        ["Fire Safety", "no"],
        ["First Aid", "yes"],
    ]
    owner.open(path)
    owner.submit(path, course="Twice")
    assert "2 courses are called" in owner.text()
    owner.submit(path, course="first")
    assert "Did you mean “First Aid”?" in owner.text()
    owner.open(path)
    owner.post(path, {"remove": "1", "course_id": campus.course_id})
    owner.follow()
    assert _names(owner) == ["First Aid"]
    assert [line["action"] for line in campus.audit()[:3]] == ["update-group"] * 3


def test_group_leads_to_the_unenroll_page_with_the_group_selected(campus: Campus, owner: Visitor, path: str) -> None:
    owner.open(path)
    owner.open(owner.page().xpath("//a[text()='Unenroll its learners…']/@href")[0])
    assert owner.page().xpath("//input[@name='in_group'][@checked]/@value") == [str(campus.group_id)]
