"""Every search finds names in any order and case, with or without accents and apostrophes."""

import pytest

from campus import Campus
from rollbook.model import utc_now
from rollbook.store.database.tables import courses, enrollments, groups, users
from visitor import Visitor

MIRIAM = {"given_name": "Miriam-Zoé", "family_name": "O'Brien Łukasz", "email": "m.obrien77@example.org"}
FOUND = ["O\u2019BRIEN miriam", "obrien", "zoe LUKASZ", "Brien, Zoé", "ZOÉ", "obrien77@", "k-4711", "lukasz k-4711"]
NOT_FOUND = ["obrien ann", "K-47119", "%", "_", "'", "miriam  nobody"]


@pytest.fixture
def miriam(campus: Campus) -> int:
    """A learner with an accent, an apostrophe and a hyphen, enrolled in a course with an accent."""
    course = campus.add(courses, name="Éclairage d'urgence", term="Spring", status="Active")
    group = campus.add(groups, name="Zürich Office", active=True)
    learner = campus.add(users, **MIRIAM, employee_id="K-4711", role="learner", active=True)
    place = {"user_id": learner, "group_id": group, "course_id": course, "status": "Enrolled"}
    campus.accept([campus.add(enrollments, **place, enrolled_at=utc_now()), *campus.enroll(2)])
    return learner


@pytest.mark.parametrize("page", ["/learners?q=", "/queue?learner=", "/courses/{course}?q="])
def test_person_is_found_by_words_in_any_order_and_case(campus: Campus, owner: Visitor, miriam: int, page: str) -> None:
    owner.open("/console/courses", q="ECLAIRAGE")
    path = page.format(course=owner.page().xpath("//tbody//a/@href")[0].rpartition("/")[2])
    for part in FOUND:
        owner.open(f"/console{path}{part}")
        assert owner.page().xpath("//tbody/tr/th/a/text()") == ["Miriam-Zoé O'Brien Łukasz"], part
    for part in NOT_FOUND:
        owner.open(f"/console{path.replace('?', '?x=1&')}{part}".replace("%", "%25"))
        assert "Miriam" not in owner.text(), part


def test_change_of_a_name_is_found_at_once(campus: Campus, owner: Visitor, miriam: int) -> None:
    owner.open("/console/learners", q="obrien")
    with campus.database.write() as connection:
        connection.execute(users.update().where(users.c.id == miriam).values(family_name="Ångström"))
    assert "Ångström" in owner.open("/console/learners", q="angstrom").text
    owner.open("/console/learners", q="lukasz")
    assert "No user of this account matches" in owner.text()


def test_whole_employee_id_stands_first(campus: Campus, owner: Visitor) -> None:
    for number in (7001, 7002, 7):
        campus.add(
            users, given_name="Ann", family_name=str(number), employee_id=str(number), role="learner", active=True
        )
    owner.open("/console/learners", q="7")
    assert owner.page().xpath("//tbody/tr/th/a/text()")[0] == "Ann 7"


SEARCHES = ["learners?q", "learners.csv?q", "queue?learner", "queue?course", "queue/remove?all=1&learner", "courses?q"]
SEARCHES += ["groups?q", "batches?search", "batches.csv?search", "account/audit?actor", "unenroll?course"]


def test_search_that_is_too_long_is_refused_and_not_shortened(owner: Visitor) -> None:
    for search in SEARCHES:
        assert owner.open(f"/console/{search}={'x' * 255}").status_code in (200, 422), search
        assert "at most 255 characters" not in owner.answer.text, search
        assert owner.open(f"/console/{search}={'x' * 256}").status_code == 422, search
        assert "at most 255 characters, not 256" in owner.text(), search


@pytest.mark.parametrize(
    ("path", "part"),
    [("courses", "urgence eclairage"), ("courses", "spring"), ("groups", "OFFICE zurich"), ("groups", "zürich")],
)
def test_course_and_group_are_found_by_words_and_id(
    campus: Campus, owner: Visitor, miriam: int, path: str, part: str
) -> None:
    owner.open(f"/console/{path}", q=part)
    [address] = owner.page().xpath("//tbody/tr/th/a/@href")
    owner.open(f"/console/{path}", q=address.rpartition("/")[2])
    assert address in owner.page().xpath("//tbody/tr/th/a/@href")


def test_batches_are_found_by_words_of_the_reason_and_the_person(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(1)
    owner.post("/console/unenroll", {"ids": str(ids[0])})
    owner.follow()
    owner.submit(owner.answer.url.path, reason="Left the Company", intended="1")
    for part in ("company LEFT", "OWNER@example.org"):
        owner.open("/console/batches", search=part)
        assert "Left the Company" in owner.text()
    owner.open("/console/batches", search="left nobody")
    assert "No batch matches" in owner.text()
