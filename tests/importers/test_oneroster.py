"""`rollbook import oneroster` does what docs/import-oneroster.md promises, on archives of every kind."""

import csv
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rosters
from campus import Campus
from rollbook.store.database import tables
from rosters import (
    ADDED,
    UNCHANGED,
    V1_1,
    V1_2,
    Files,
    Import,
    appended,
    changed,
    e1_of,
    everything_in,
    members,
    pack,
    rows_of,
)

REAL = Path(__file__).parents[3] / "shared" / "data" / "oulad-2013" / "oneroster.zip"
FUZZED = Path(__file__).parents[2] / "fuzz" / "corpus" / "archive"
database_url, database, campus, run = rosters.database_url, rosters.database, rosters.campus, rosters.run
DEMO = Path(__file__).parents[2] / "demo" / "roster"


@pytest.mark.parametrize(("files", "version"), [(V1_1, "1.1"), (V1_1, "1.1.1"), (V1_2, "1.2")])
def test_a_roster_becomes_groups_courses_users_and_enrollments(
    files: Files, version: str, campus: Campus, run: Import, tmp_path: Path
) -> None:
    assert run(pack(tmp_path / "r.zip", files, version=version)) == (0, ADDED, [])
    assert rows_of(campus, tables.groups, "external_id", "name", "active") == [
        ("s1", "North School", True),
        ("s2", "South School", True),
    ]
    assert rows_of(campus, tables.courses, "external_id", "name", "term", "status") == [
        ("c1", "Algebra", "Autumn, Spring", "Active"),
        ("c2", "Geometry", "Spring", "Active"),
    ]
    columns = ("external_id", "given_name", "family_name", "email", "employee_id", "active", "role")
    assert rows_of(campus, tables.users, *columns) == [
        ("u1", "Ann", "One", "ann@example.org", "E1", True, "learner"),
        ("u2", "Bo", "Two", None, None, False, "learner"),
        ("u3", "Cy", "Three", "cy@example.org", None, True, "learner"),
    ]
    begin, end = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
    rows = rows_of(campus, tables.enrollments, "external_id", "status", "enrolled_at", "access_ends_at", "created_at")
    assert rows == [
        ("e1", "Enrolled", begin, end, rows[0][4]),
        ("e2", "Enrolled", rows[1][4], None, rows[1][4]),
        ("e4", "Enrolled", begin, None, rows[2][4]),
    ]
    assert members(campus) == {("s1", "u1"), ("s2", "u1"), ("s2", "u2"), ("s1", "u3")}


@pytest.mark.parametrize(("files", "version"), [(V1_1, "1.1"), (V1_2, "1.2")])
def test_importing_the_same_archive_again_changes_nothing(
    files: Files, version: str, campus: Campus, run: Import, tmp_path: Path
) -> None:
    archive = pack(tmp_path / "r.zip", files, version=version)
    run(archive)
    before = everything_in(campus)
    assert run(archive) == (0, UNCHANGED, [])
    assert everything_in(campus) == before
    assert [line["action"] for line in campus.audit()].count("import") == 1


@pytest.mark.parametrize(
    ("file", "line", "kind", "table", "column", "value"),
    [
        ("orgs", "s1,East School,school", "groups", tables.groups, "name", "East School"),
        ("academicSessions", "t2,Winter", "courses", tables.courses, "term", "Winter, Spring"),
        ("classes", 'c1,Logic,k1,s1,"t2,t1"', "courses", tables.courses, "name", "Logic"),
        ("users", "u1,true,s1,student,Ann,Uno,ann@example.org,E1,", "users", tables.users, "family_name", "Uno"),
        ("users", "u1,false,s1,student,Ann,One,ann@example.org,E1,", "users", tables.users, "active", False),
        ("users", "u1,true,s1,student,Ann,One,,E1,", "users", tables.users, "email", None),
        (
            *("enrollments", "e1,c1,s1,u1,student,2026-03-01,2026-07-01", "enrollments"),
            *(tables.enrollments, "enrolled_at", datetime(2026, 3, 1, tzinfo=UTC)),
        ),
        ("enrollments", "e1,c1,s1,u1,student,2026-02-01,", "enrollments", tables.enrollments, "access_ends_at", None),
    ],
)
def test_changed_row_updates_only_its_record(
    file: str,
    line: str,
    kind: str,
    table: sa.Table,
    column: str,
    value: object,
    campus: Campus,
    run: Import,
    tmp_path: Path,
) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    before = dict(rows_of(campus, table, "external_id", "modified_at"))
    expected = UNCHANGED | {kind: {"unchanged": ADDED[kind]["added"] - 1, "updated": 1}}
    assert run(pack(tmp_path / "r.zip", changed(file, line))) == (0, expected, [])
    assert rows_of(campus, table, column)[0] == (value,)
    after = dict(rows_of(campus, table, "external_id", "modified_at"))
    assert [key for key in after if after[key] > before[key]] == [min(after)]


def test_rows_that_are_missing_in_a_later_archive_are_left_alone(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    before = everything_in(campus)
    assert run(pack(tmp_path / "r.zip", {name: lines[:1] for name, lines in V1_1.items()}))[0] == 0
    assert everything_in(campus) == before


def test_partial_archive_can_refer_to_existing_records(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    part = {
        "classes": [V1_1["classes"][0], "c1,Logic,k1,s1,t1"],
        "users": [V1_1["users"][0], "u4,true,d1,student,Di,Four,,,"],
        "enrollments": [V1_1["enrollments"][0], "e5,c2,s1,u4,student,,", "e6,c2,s1,u2,student,,"],
    }
    code, counts, said = run(pack(tmp_path / "r.zip", part))
    assert (code, said) == (0, [])
    assert counts == {"groups": {}, "courses": {"updated": 1}, "users": {"added": 1}, "enrollments": {"added": 2}}
    assert rows_of(campus, tables.courses, "name", "term")[0] == ("Logic", "Autumn, Spring")


def test_a_file_that_the_manifest_calls_absent_is_not_read(campus: Campus, run: Import, tmp_path: Path) -> None:
    broken = V1_1 | {"enrollments": ["this,is", "no roster"]}
    code, counts, said = run(pack(tmp_path / "r.zip", broken, enrollments="absent"))
    assert (code, counts["enrollments"], said) == (0, {}, [])
    assert rows_of(campus, tables.enrollments, "id") == []


def test_a_csv_never_changes_a_role_and_adopts_a_user_with_the_same_email(
    campus: Campus, run: Import, tmp_path: Path
) -> None:
    owner = "o1,true,s1,administrator,Olga,Owner,OWNER@example.org,,"
    _, counts, _ = run(pack(tmp_path / "r.zip", appended("users", owner)))
    assert counts["users"] == {"added": 3, "updated": 1}
    columns = ("external_id", "given_name", "email", "role")
    assert rows_of(campus, tables.users, *columns)[0] == ("o1", "Olga", "owner@example.org", "owner")
    assert run(pack(tmp_path / "r.zip", appended("users", owner)))[1]["users"] == {"unchanged": 4}


def test_a_roster_never_locks_an_owner_out(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", appended("users", "o1,false,s1,administrator,Olga,Owner,owner@example.org,,")))
    assert rows_of(campus, tables.users, "role", "active")[0] == ("owner", True)


def test_an_enrollment_made_in_rollbook_is_adopted(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    with campus.database.write() as connection:
        query = sa.update(tables.enrollments).where(tables.enrollments.c.account_id == campus.account.id)
        connection.execute(query.values(external_id=None))
    assert run(pack(tmp_path / "r.zip", V1_1))[1]["enrollments"] == {"updated": 3}
    assert rows_of(campus, tables.enrollments, "external_id") == [("e1",), ("e2",), ("e4",)]


def test_an_unenrolled_learner_stays_unenrolled(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    ended = datetime(2026, 5, 1, tzinfo=UTC)
    with campus.database.write() as connection:
        query = sa.update(tables.enrollments).where(*e1_of(campus))
        connection.execute(query.values(unenrolled_at=ended))
    before = everything_in(campus)
    later = changed("enrollments", "e1,c1,s1,u1,student,2026-03-01,2026-08-01")
    assert run(pack(tmp_path / "r.zip", later)) == (0, UNCHANGED, [])
    assert everything_in(campus) == before
    anew = appended("enrollments", "e5,c1,s1,u1,student,,")
    assert run(pack(tmp_path / "r.zip", anew))[1]["enrollments"] == {"unchanged": 3, "added": 1}


def test_deleted_records_return_with_the_next_roster(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    deleted = {
        "orgs": ["status,sourcedId,name,type", "tobedeleted,s1,,"],
        "classes": [f"status,{V1_1['classes'][0]}", "tobedeleted,c1,,,,"],
        "users": [f"status,{V1_1['users'][0]}", "tobedeleted,u1,,,,,,,,"],
    }
    run(pack(tmp_path / "gone.zip", deleted, mode="delta"))
    counts = run(pack(tmp_path / "r.zip", V1_1))[1]
    assert [counts[kind]["updated"] for kind in ("groups", "courses", "users")] == [1, 1, 1]
    assert rows_of(campus, tables.groups, "active")[0] == (True,)
    assert rows_of(campus, tables.courses, "status")[0] == ("Active",)
    assert rows_of(campus, tables.users, "active")[0] == (True,)


def test_delta_archives_deactivates_or_queues_deleted_records(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    campus.set(hold_seconds=60)
    deleted = {
        "orgs": ["sourcedId,status,name,type", "s2,tobedeleted,,", "s9,tobedeleted,,"],
        "classes": [f"{V1_1['classes'][0]},status", "c2,,,,,tobedeleted", "c9,,,,,tobedeleted"],
        "users": [f"{V1_1['users'][0]},status", "u1,,,,,,,,,tobedeleted", "u9,,,,,,,,,tobedeleted"],
        "enrollments": [
            f"{V1_1['enrollments'][0]},status",
            *("e1,,,,,,,tobedeleted", "e4,,,,,,,tobedeleted", "e9,,,,,,,tobedeleted"),
            "e5,c2,s1,u2,student,,,active",
        ],
    }
    archive = pack(tmp_path / "leavers.zip", deleted, mode="delta")
    once = {"ended": 1, "ignored": 1}
    ended = {"added": 1, "queued": 2, "ignored": 1}
    assert run(archive) == (0, {"groups": once, "courses": once, "users": once, "enrollments": ended}, [])
    assert rows_of(campus, tables.groups, "active") == [(True,), (False,)]
    assert rows_of(campus, tables.courses, "status") == [("Active",), ("Archived",)]
    assert rows_of(campus, tables.users, "active") == [(False,), (False,), (True,)]
    assert list(campus.queue().values()) == ["Pending", "Pending"]
    assert campus.current() == 4
    with campus.database.read() as connection:
        batch = connection.execute(
            sa.select(tables.batches).where(tables.batches.c.account_id == campus.account.id)
        ).one()
    assert (batch.reason, batch.requested_by) == ("OneRoster import leavers.zip", None)

    again = {"unchanged": 1, "ignored": 1}
    same = {"unchanged": 3, "ignored": 1}
    assert run(archive) == (0, {"groups": again, "courses": again, "users": again, "enrollments": same}, [])
    assert len(campus.queue()) == 2


def test_an_import_with_bad_rows_queues_nothing(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    rows = [f"{V1_1['enrollments'][0]},status", "e1,,,,,,,tobedeleted", "e5,c9,s1,u2,student,,,active"]
    archive = pack(tmp_path / "r.zip", {"enrollments": rows}, mode="delta")
    assert run(archive)[0] == 1
    assert campus.queue() == {}
    assert run(archive, "--skip-bad-rows")[1]["enrollments"] == {"queued": 1, "skipped": 1}
    assert len(campus.queue()) == 1


# The archive, and every line of the report in its order.
BAD: dict[str, tuple[Files, list[str]]] = {
    "no value": (
        appended("enrollments", ",c2,s1,u2,student,,", "e6,,s1,u2,student,,"),
        [
            "enrollments.csv:6: sourcedId: the value is missing",
            "enrollments.csv:7: classSourcedId: the value is missing",
        ],
    ),
    "several in a row": (
        appended("enrollments", "e5,c9,s9,u9,boss,2026-02-30,1/2/2026"),
        [
            "enrollments.csv:6: beginDate: '2026-02-30' is not a date like 2026-01-31",
            "enrollments.csv:6: classSourcedId: no class 'c9'",
            "enrollments.csv:6: endDate: '1/2/2026' is not a date like 2026-01-31",
            "enrollments.csv:6: role: 'boss' is none of administrator, proctor, student, teacher, ext:",
            "enrollments.csv:6: schoolSourcedId: no school 's9'",
            "enrollments.csv:6: userSourcedId: no user 'u9'",
        ],
    ),
    "compact date": (
        appended("enrollments", "e5,c2,s1,u2,student,20260201,"),
        ["enrollments.csv:6: beginDate: '20260201' is not a date like 2026-01-31"],
    ),
    "enabledUser": (
        appended("users", "u4,yes,s1,student,Di,Four,,,"),
        ["users.csv:5: enabledUser: 'yes' is none of true, false"],
    ),
    "org type": (
        appended("orgs", "s4,West,college"),
        ["orgs.csv:5: type: 'college' is none of department, school, district, local, state, national, ext:"],
    ),
    "sourcedId twice": (
        appended("users", "u1,true,s1,student,Ann,Again,ann@example.org,E1,"),
        ["users.csv:5: sourcedId: the same as in line 2"],
    ),
    "not a school": (
        appended("classes", "c3,Sets,k1,d1,t1"),
        ["classes.csv:4: schoolSourcedId: 'd1' is not a school"],
    ),
    "unknown references": (
        appended("users", "u4,true,s9,student,Di,Four,,,", base=appended("classes", "c3,Sets,k9,s9,t9")),
        [
            "classes.csv:4: courseSourcedId: no course 'k9'",
            "classes.csv:4: schoolSourcedId: no school 's9'",
            "classes.csv:4: termSourcedIds: no term 't9'",
            "users.csv:5: orgSourcedIds: no org 's9'",
        ],
    ),
    "number of fields": (
        appended("enrollments", "e5,c2,s1,u2,student", "e6,c2,s1,u2,student,,,,x"),
        [
            "enrollments.csv:6: the row has 5 fields, the header has 7",
            "enrollments.csv:7: the row has 9 fields, the header has 7",
        ],
    ),
    "not UTF-8, NUL": (
        appended("users", "u4,true,s1,student,Jos\xe9,Four,,,", "u5,true,s1,student,Ed,Five,,F\0ve,"),
        [
            "users.csv:5: givenName: the value is not in UTF-8",
            "users.csv:6: identifier: the value has a line break or another control character",
        ],
    ),
    "CSV": (
        appended("users", '"u4"x,true,s1,student,Di,Four,,,'),
        ["users.csv:5: not in CSV format: ',' expected after '\"'"],
    ),
    "too long": (
        appended("users", f"u4,true,s1,student,{'x' * 256},{'x' * 255},,,"),
        ["users.csv:5: givenName: the value is longer than 255 characters"],
    ),
    "line of a record over several lines": (
        appended("orgs", 's4,"North\n\nEast",school', "s5,,school"),
        ["orgs.csv:8: name: the value is missing"],
    ),
    "same identifier": (
        appended("users", "u4,true,s1,student,Di,Four,,E1,"),
        ["users.csv:5: identifier: the same as in line 2"],
    ),
    "second open enrollment": (
        appended("enrollments", "e5,c2,s1,u1,student,2026-03-01,"),
        ["enrollments.csv:6: sourcedId: the learner and class of line 5, at the same time"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_every_bad_row_is_reported_with_its_place_and_nothing_is_imported(
    case: str, campus: Campus, run: Import, tmp_path: Path
) -> None:
    files, problems = BAD[case]
    before = everything_in(campus)
    code, counts, said = run(pack(tmp_path / "r.zip", files))
    assert (code, counts) == (1, {})
    assert said[:-1] == problems
    assert "--skip-bad-rows" in said[-1]
    assert everything_in(campus) == before


def test_values_of_another_user_or_enrollment_are_reported(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    other = {
        "users": [f"{V1_1['users'][0]},status", "u9,true,s1,student,Ed,Five,,E1,,active"],
        "enrollments": [
            f"{V1_1['enrollments'][0]},status",
            *("e9,c2,s1,u1,student,,,active", "e1,c2,s1,u1,student,,,active", "e2,c1,s2,u1,student,,,active"),
        ],
    }
    code, _, said = run(pack(tmp_path / "r.zip", other, mode="delta"))
    assert code == 1
    assert said[:-1] == [
        "enrollments.csv:2: sourcedId: the learner has that class already, by 'e4'",
        "enrollments.csv:3: classSourcedId: the enrollment is one of class 'c1'",
        "enrollments.csv:4: userSourcedId: the enrollment is one of user 'u2'",
        "users.csv:2: identifier: user 'u1' has it",
    ]


def test_bad_roles_of_version_1_2_are_reported(run: Import, tmp_path: Path) -> None:
    rows = ("r1,u1,primary,student,s1", "r5,u9,primary,student,s9", "r6,u1,primary,king,s1")
    code, _, said = run(pack(tmp_path / "r.zip", appended("roles", *rows, base=V1_2), version="1.2"))
    assert code == 1
    assert [line.split(" none of ")[0] for line in said[:-1]] == [
        "roles.csv:5: sourcedId: the same as in line 2",
        "roles.csv:6: orgSourcedId: no org 's9'",
        "roles.csv:6: userSourcedId: no user 'u9'",
        "roles.csv:7: role: 'king' is",
    ]


def test_a_delta_needs_a_status_in_every_row(run: Import, tmp_path: Path) -> None:
    files = {"orgs": ["status,sourcedId,name,type", ",s1,North,school", "gone,s2,South,school"]}
    _, _, said = run(pack(tmp_path / "r.zip", files, mode="delta"))
    assert said[:-1] == [
        "orgs.csv:2: status: the value is missing",
        "orgs.csv:3: status: 'gone' is none of active, tobedeleted",
    ]
    code, _, said = run(pack(tmp_path / "r.zip", {"orgs": ["sourcedId,name,type"]}, mode="delta"))
    assert (code, said) == (2, ["rollbook: orgs.csv has no column status. Its first row is: sourcedId, name, type"])


def test_skip_bad_rows_also_leaves_out_rows_that_depend_on_them(campus: Campus, run: Import, tmp_path: Path) -> None:
    files = changed("orgs", "s2,,school", base=appended("users", "u4,no,s1,student,Di,Four,,,"))
    archive = pack(tmp_path / "r.zip", appended("enrollments", "e5,c1,s1,u4,student,,", base=files))
    assert run(archive)[2][:-1] == [
        "orgs.csv:4: name: the value is missing",
        "users.csv:5: enabledUser: 'no' is none of true, false",
    ]
    code, counts, said = run(archive, "--skip-bad-rows")
    assert code == 1
    assert said == [
        "classes.csv:3: schoolSourcedId: school 's2' is left out",
        "enrollments.csv:3: schoolSourcedId: school 's2' is left out",
        "enrollments.csv:3: userSourcedId: user 'u2' is left out",
        "enrollments.csv:5: classSourcedId: class 'c2' is left out",
        "enrollments.csv:5: schoolSourcedId: school 's2' is left out",
        "enrollments.csv:6: userSourcedId: user 'u4' is left out",
        "orgs.csv:4: name: the value is missing",
        "users.csv:3: orgSourcedIds: org 's2' is left out",
        "users.csv:5: enabledUser: 'no' is none of true, false",
    ]
    one = {"added": 1, "skipped": 1}
    users, enrollments = {"added": 2, "skipped": 2}, {"added": 1, "skipped": 3}
    assert counts == {"groups": one, "courses": one, "users": users, "enrollments": enrollments}
    assert members(campus) == {("s1", "u1"), ("s1", "u3")}


def test_the_ids_file_names_every_current_enrollment_of_the_archive(
    campus: Campus, run: Import, tmp_path: Path
) -> None:
    run(pack(tmp_path / "all.zip", V1_1))
    query = sa.update(tables.enrollments).where(*e1_of(campus))
    with campus.database.write() as connection:
        connection.execute(query.values(unenrolled_at=datetime(2026, 5, 1, tzinfo=UTC)))
    part = V1_1 | {"enrollments": V1_1["enrollments"][:3]}
    (tmp_path / "ids.csv").write_text("what was there before\n" * 100)
    run(pack(tmp_path / "part.zip", part), "--ids", "ids.csv")
    known = dict(rows_of(campus, tables.enrollments, "external_id", "id"))
    assert (tmp_path / "ids.csv").read_text() == f"sourcedId,AccountUserLearningModuleRelID\ne2,{known['e2']}\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.zip", None, "missing.zip cannot be read: No such file"),
        ("no.zip", b"PK but not really", "no.zip is not a zip archive"),
    ],
)
def test_file_that_is_not_an_archive_is_an_error(
    name: str, content: bytes | None, said: str, run: Import, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, _, lines = run(tmp_path / name)
    assert code == 2
    assert said in lines[0]


@pytest.mark.parametrize(
    ("version", "declared", "said"),
    [
        ("1.0", {}, "oneroster.version is '1.0'"),
        ("1.10", {}, "oneroster.version is '1.10'"),
        ("", {}, "oneroster.version is ''"),
        ("1.1", {"orgs": "full"}, "file.orgs is 'full'"),
        ("1.2", {"roles": "bulk"}, "lists roles.csv, which the archive does not contain"),
    ],
)
def test_invalid_manifest_is_an_error(
    version: str, declared: dict[str, str], said: str, run: Import, tmp_path: Path
) -> None:
    code, _, lines = run(pack(tmp_path / "r.zip", V1_1, version=version, **declared))
    assert code == 2
    assert said in lines[0]


def test_wrong_usage_has_a_reason(run: Import, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bare.zip", "w") as archive:
        archive.writestr("orgs.csv", "sourcedId,name,type")
    with zipfile.ZipFile(tmp_path / "overlong.zip", "w") as archive:
        archive.writestr("manifest.csv", "1" * 200_000)
    good = pack(tmp_path / "good.zip", V1_1)
    damaged = good.read_bytes().replace(b"North School", b"Wrong School")
    (tmp_path / "damaged.zip").write_bytes(damaged)
    for path, options, said in [
        (tmp_path / "bare.zip", [], "no manifest.csv"),
        (tmp_path / "overlong.zip", [], "manifest.csv:1: a field of this row has no end"),
        (tmp_path / "damaged.zip", [], "not a zip archive that can be read"),
        *((FUZZED / name, [], "not a zip archive that can be read") for name in ("bzip2_damaged", "name_not_utf_8")),
        (good, ["--account", "Nobody"], "There is no account 'Nobody'"),
        (good, ["--ids", "nowhere/ids.csv"], "nowhere/ids.csv cannot be written"),
        (good, ["--ids", "."], ". cannot be written"),
    ]:
        code, _, lines = run(path, *options)
        assert (code, said in lines[0]) == (2, True), lines


def test_accounts_do_not_see_each_others_rosters(campus: Campus, run: Import, tmp_path: Path) -> None:
    other = Campus(campus.database)
    archive = pack(tmp_path / "r.zip", V1_1)
    assert run(archive, "--account", campus.name)[1] == ADDED
    assert run(archive, "--account", other.name)[1] == ADDED
    run(pack(tmp_path / "r.zip", changed("orgs", "s1,East School,school")))
    assert rows_of(campus, tables.groups, "name")[0] == ("East School",)
    assert rows_of(other, tables.groups, "name")[0] == ("North School",)


FIELD = st.sampled_from(
    ["", "e1", "c1", "c2", "s1", "u1", "u2", "d1", "student", "2026-02-01", "\0", "é", '"', "\n", "'"]
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(rows=st.lists(st.lists(FIELD, min_size=1, max_size=9).map(",".join), max_size=4))
def test_any_rows_are_imported_or_reported(rows: list[str], run: Import, tmp_path: Path) -> None:
    files = V1_1 | {"enrollments": [V1_1["enrollments"][0], *rows]}
    code, counts, said = run(pack(tmp_path / "r.zip", files))
    assert bool(counts) == (code == 0)
    assert said or code == 0
    assert all(line.startswith(("enrollments.csv:", "rollbook: enrollments.csv:")) for line in said[: max(1, code - 1)])


def test_the_roster_of_the_demo_is_complete(campus: Campus, run: Import, tmp_path: Path) -> None:
    files = {path.stem: path.read_text().splitlines() for path in DEMO.glob("*.csv") if path.stem != "manifest"}
    code, counts, said = run(pack(tmp_path / "demo.zip", files))
    assert (code, said) == (0, [])
    assert counts == {
        "groups": {"added": 1},
        "courses": {"added": 4},
        "users": {"added": 14},
        "enrollments": {"added": 28},
    }


def test_a_year_of_real_registrations_is_imported_and_then_unchanged(
    campus: Campus, run: Import, tmp_path: Path
) -> None:
    if not REAL.exists():
        pytest.skip(f"the real registrations are not on this machine: no {REAL}")
    counts = {"groups": 1, "courses": 9, "users": 13_327, "enrollments": 13_529}
    expected = {kind: {"added": count} for kind, count in counts.items()}
    assert run(REAL, "--ids", "ids.csv") == (0, expected, [])
    assert campus.current() == 13_529
    with (tmp_path / "ids.csv").open(newline="") as file:
        ids = {row["sourcedId"]: int(row["AccountUserLearningModuleRelID"]) for row in csv.DictReader(file)}
    assert ids == dict(rows_of(campus, tables.enrollments, "external_id", "id"))
    assert run(REAL)[1] == {kind: {"unchanged": count} for kind, count in counts.items()}


def test_new_member_of_a_group_is_enrolled_in_its_auto_enroll_courses_unless_there_is_or_was_an_enrollment(
    campus: Campus, run: Import, tmp_path: Path
) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    with campus.database.read() as connection:
        mine = tables.groups.c.account_id == campus.account.id
        schools = dict(connection.execute(sa.select(tables.groups.c.external_id, tables.groups.c.id).where(mine)).all())
        mine = tables.courses.c.account_id == campus.account.id
        rows = connection.execute(sa.select(tables.courses.c.external_id, tables.courses.c.id).where(mine)).all()
        classes = dict(rows)
    flags = {"allow_self_enroll": False, "auto_enroll": True}
    for group, course in (("s1", "c2"), ("s2", "c1"), ("s2", "c2")):
        campus.add(tables.group_courses, group_id=schools[group], course_id=classes[course], **flags)
    # u3 is in s1 already; u4 joins it; u5 joins s2, and c1 by the roster itself.
    more = changed(
        "users",
        "u3,true,s1,teacher,Cy,Three,cy@example.org,,",
        "u4,true,s1,student,Di,Four,,,",
        "u5,true,s2,student,Ed,Five,,,",
    )
    more = appended("enrollments", "e5,c1,s2,u5,student,,", base=more)
    code, counts, remarks = run(pack(tmp_path / "r.zip", more))
    assert (code, counts["enrollments"]["added"]) == (0, 1)
    assert [remark for remark in remarks if "auto-enrolled" in remark] == [
        "enrollments.csv: 2 auto-enrolled: new members of a group, in its auto-enroll courses"
    ]
    columns = (tables.users.c.external_id, tables.enrollments.c.course_id)
    added = sa.select(*columns).join(tables.users, tables.users.c.id == tables.enrollments.c.user_id)
    added = added.where(
        tables.enrollments.c.account_id == campus.account.id, tables.enrollments.c.external_id.is_(None)
    )
    with campus.database.read() as connection:
        assert {tuple(row) for row in connection.execute(added)} == {("u4", classes["c2"]), ("u5", classes["c2"])}
    run(pack(tmp_path / "r.zip", more))  # nobody is new
    with campus.database.read() as connection:
        assert len(connection.execute(added).all()) == 2
