"""`rollbook user grant` grants and withdraws the permissions by which a learner may enroll the members of a group."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from campus import Campus
from commands import Run
from rollbook.store.database.database import Database
from rollbook.store.database.tables import group_courses, groups, memberships

Grant = Callable[[str], tuple[int, str]]


@pytest.fixture
def campus(database: Database) -> Campus:
    return Campus(database)


@pytest.fixture
def grant(campus: Campus, rollbook: Run) -> Grant:
    """Run the command for the account; return its exit code and output."""

    def run(arguments: str) -> tuple[int, str]:
        done = rollbook("user", "grant", *arguments.split(), "--account", campus.name)
        return done.code, done.out + done.err

    return run


def _permissions(campus: Campus) -> list[tuple[bool, bool]]:
    columns = (memberships.c.group_manager, memberships.c.manage_group_users)
    with campus.database.read() as connection:
        query = sa.select(*columns).where(memberships.c.account_id == campus.account.id)
        return [(manager, users) for manager, users in connection.execute(query)]


def test_permissions_are_granted_and_withdrawn_one_by_one(campus: Campus, grant: Grant) -> None:
    steps = [
        ("--group-manager", (True, False)),
        ("--manage-group-users", (True, True)),
        ("--no-group-manager", (False, True)),
        ("--group-manager --no-manage-group-users", (True, False)),
        ("--group-manager", (True, False)),
    ]
    for options, expected in steps:
        assert grant(f"LEARNER@example.org --group North {options}")[0] == 0
        assert _permissions(campus) == [expected]


def test_withdrawing_a_permission_makes_a_member_without_it(campus: Campus, grant: Grant) -> None:
    assert grant("learner@example.org --group North --no-group-manager")[0] == 0
    assert _permissions(campus) == [(False, False)]


def test_who_becomes_a_member_is_enrolled_in_the_auto_enroll_courses(
    campus: Campus, grant: Grant, rollbook: Run
) -> None:
    place = {"group_id": campus.group_id, "course_id": campus.course_id}
    campus.add(group_courses, **place, allow_self_enroll=False, auto_enroll=True)
    for _ in range(2):
        assert grant("learner@example.org --group North --group-manager")[0] == 0
        assert campus.current() == 1
    lines = rollbook("audit", "--account", campus.name, "--action", "enroll", "--format", "json").out
    assert lines.count('"auto_enrolled": 1') == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("learner@example.org --group North", "Name a permission"),
        ("nobody@example.org --group North --group-manager", "has no user nobody@example.org"),
        ("learner@example.org --group Nowhere --group-manager", "has no active group 'Nowhere'"),
        ("learner@example.org --group Closed --group-manager", "has no active group 'Closed'"),
        ("learner@example.org --group Theirs --group-manager", "has no active group 'Theirs'"),
        ("learner@example.org --group Twin --group-manager", "has 2 active groups 'Twin'"),
        ("learner@example.org --group \x07 --group-manager", "group name"),
    ],
)
def test_a_mistake_is_a_sentence_and_changes_nothing(
    campus: Campus, grant: Grant, arguments: str, sentence: str
) -> None:
    for name, active in (("Closed", False), ("Twin", True), ("Twin", True)):
        campus.add(groups, name=name, active=active)
    Campus(campus.database).add(groups, name="Theirs", active=True)
    code, said = grant(arguments)
    assert code == 2
    assert sentence in said
    assert _permissions(campus) == []
