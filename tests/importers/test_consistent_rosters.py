"""For any two rosters whose final states are consistent, the second can be imported after the first."""

import sys
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rosters
from campus import Campus
from rollbook.store.database import tables
from rosters import V1_1, Import, pack, rows_of

database_url, database, campus, run = rosters.database_url, rosters.database, rosters.campus, rosters.run

EXAMPLES = 200 if "--soak" in sys.argv else 10


class Person(NamedTuple):
    """A user in a roster."""

    email: str
    identifier: str
    active: bool


class Roster(NamedTuple):
    """A state of a school's system: people, classes, and the number of the stay by person and class."""

    people: dict[str, Person]
    classes: set[str]
    stays: dict[tuple[str, str], int]


def _written(value: str, numbers: int) -> st.SearchStrategy[list[str]]:
    """Draw distinct values, or none, for every person."""
    given = st.permutations(range(numbers))
    blank = st.lists(st.booleans(), min_size=numbers, max_size=numbers)
    written = st.lists(st.sampled_from([value, value.upper()]), min_size=numbers, max_size=numbers)
    return st.builds(
        lambda order, empty, form: [
            "" if no else text.format(n) for n, no, text in zip(order, empty, form, strict=True)
        ],
        *(given, blank, written),
    )


@st.composite
def some_rosters(draw: st.DrawFn) -> Roster:
    """Draw a consistent state of a small school."""
    size = 5
    emails, identifiers = draw(_written("p{}@example.org", size)), draw(_written("E{}", size))
    active = draw(st.lists(st.sampled_from([True, True, False]), min_size=size, max_size=size))
    named = draw(st.sets(st.sampled_from(range(size))))
    people = {f"u{n}": Person(emails[n], identifiers[n], active[n]) for n in sorted(named)}
    classes = draw(st.sets(st.sampled_from(["c1", "c2"])))
    pairs = [(person, course) for person in people for course in sorted(classes)]
    taken = draw(st.lists(st.sampled_from([0, 1, 2]), min_size=len(pairs), max_size=len(pairs)))
    return Roster(people, classes, {pair: stay for pair, stay in zip(pairs, taken, strict=True) if stay})


def _stay_id(pair: tuple[str, str], stay: int) -> str:
    return f"{'-'.join(pair)}-{stay}"


def write(path: Path, now: Roster, before: Roster | None = None) -> Path:
    """Write an archive of the state, or with the state before one of all changes since then."""
    people = [
        f"{key},{str(p.active).lower()},s1,student,A,B,{p.email},{p.identifier}," for key, p in now.people.items()
    ]
    classes = [f"{key},Class,k1,s1,t1" for key in sorted(now.classes)]
    stays = [f"{_stay_id(pair, stay)},{pair[1]},s1,{pair[0]},student,," for pair, stay in now.stays.items()]
    files = {"classes": classes, "users": people, "enrollments": stays}
    if before is None:
        return pack(path, V1_1 | {name: [V1_1[name][0], *rows] for name, rows in files.items()})
    ids = {_stay_id(pair, stay) for pair, stay in before.stays.items()}
    gone = {
        "classes": before.classes - now.classes,
        "users": before.people.keys() - now.people.keys(),
        "enrollments": ids - {_stay_id(pair, stay) for pair, stay in now.stays.items()},
    }
    changes = {
        name: [
            f"status,{V1_1[name][0]}",
            *(f"active,{row}" for row in rows),
            *(f"tobedeleted,{key}{',' * V1_1[name][0].count(',')}" for key in sorted(gone[name])),
        ]
        for name, rows in files.items()
    }
    return pack(path, changes, mode="delta")


def check(campus: Campus, now: Roster) -> None:
    """Compare the account with the state."""
    rows = rows_of(campus, tables.users, "external_id", "email", "employee_id", "active")
    known = {row[0]: Person(row[1] or "", row[2] or "", row[3]) for row in rows}
    assert {key: known[key] for key in now.people} == now.people
    current = sa.select(tables.enrollments.c.external_id).where(
        tables.enrollments.c.account_id == campus.account.id, tables.enrollments.c.unenrolled_at.is_(None)
    )
    with campus.database.read() as connection:
        open_stays = set(connection.execute(current).scalars())
    assert {_stay_id(pair, stay) for pair, stay in now.stays.items()} <= open_stays


@settings(deadline=None, max_examples=EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck))
@given(first=some_rosters(), second=some_rosters(), in_full=st.booleans())
def test_the_second_of_two_consistent_rosters_is_imported_after_the_first(
    first: Roster, second: Roster, in_full: bool, campus: Campus, run: Import, tmp_path: Path
) -> None:
    school = Campus(campus.database)
    options = ("--account", school.name)
    code, _, said = run(write(tmp_path / "first.zip", first), *options)
    assert (code, said) == (0, [])
    check(school, first)
    archive = write(tmp_path / "second.zip", second, None if in_full else first)
    code, _, said = run(archive, *options)
    assert code == 0, said
    check(school, second)
    code, counts, said = run(archive, *options)
    assert (code, [kind for kind, count in counts.items() if count.keys() - {"unchanged", "ignored"}]) == (0, []), said
