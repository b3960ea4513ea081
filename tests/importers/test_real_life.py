"""Real rosters: saved by spreadsheets, with people who leave, return, and share or reassign addresses."""

import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

import rosters
from campus import Campus
from conflicts import deadlock
from rollbook.model import Action, EnrollmentStatus, utc_now
from rollbook.store.database import tables
from rollbook.store.operations.audit import list_changes
from rosters import ADDED, UNCHANGED, V1_1, V1_2, Files, Import, appended, changed, e1_of, everything_in, pack, rows_of

database_url, database, campus, run = rosters.database_url, rosters.database, rosters.campus, rosters.run

USERS = V1_1["users"][0]
ENROLLMENTS = V1_1["enrollments"][0]


def day(offset: int) -> str:
    """Write the date so many days from now."""
    return f"{utc_now() + timedelta(days=offset):%Y-%m-%d}"


def delta(path: Path, **rows: list[str]) -> Path:
    """Write an archive of changes: each row with its status at the end."""
    files = {name: [f"{V1_1[name][0]},status", *lines] for name, lines in rows.items()}
    return pack(path, files, mode="delta")


def addresses(campus: Campus) -> dict[str, tuple[str | None, str | None]]:
    """E-mail and employee id of the campus's users by external id."""
    rows = rows_of(campus, tables.users, "external_id", "email", "employee_id")
    return {row[0]: (row[1], row[2]) for row in rows}


def rewrite(path: Path, file: str, content: bytes, files: Files = V1_1) -> Path:
    """Write an archive in which one file has exactly this content."""
    pack(path, {name: lines for name, lines in files.items() if name != file}, **{file: "bulk"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{file}.csv", content)
    return path


def test_a_manifest_saved_by_a_spreadsheet_is_read(run: Import, tmp_path: Path) -> None:
    path = pack(tmp_path / "plain.zip", V1_1)
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        for name in plain.namelist():
            content = plain.read(name)
            archive.writestr(name, content.replace(b"\r\n", b",,\r\n") if name == "manifest.csv" else content)
    assert run(tmp_path / "r.zip") == (0, ADDED, [])


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("users", "\n".join(V1_1["users"]).encode("utf-16"), "users.csv is in UTF-16"),
        ("users", "\n".join(V1_1["users"]).encode("utf-16-be"), "users.csv is in UTF-16"),
        ("users", "\n".join(V1_1["users"]).replace(",", ";").encode(), "users.csv separates its fields by semicolons"),
        ("users", "\n".join(V1_1["users"]).replace(",", "\t").encode(), "users.csv separates its fields by tabs"),
        ("users", b"sourcedId\nu1\nu2", "has no column enabledUser, givenName, familyName, orgSourcedIds, role. Its"),
        ("users", b"", "users.csv:1: it is empty"),
        ("orgs", b"sourcedId,name,type,name\ns1,a,school,b", "orgs.csv has more than one column name"),
        ("orgs", b'"sourcedId"x,name,type', "orgs.csv:1: not in CSV format"),
        ("enrollments", (ENROLLMENTS + '\ne1,c1,s1,"u1').encode(), "enrollments.csv:2: a field of this row has no end"),
        (
            "enrollments",
            (ENROLLMENTS + '\ne1,c1,s1,"u1\n' + "e2,c1,s1,u1\n" * 50_000).encode(),
            "enrollments.csv:2: a field of this row has no end",
        ),
    ],
)
def test_mistake_of_a_whole_file_is_one_error(
    file: str, content: bytes, said: str, campus: Campus, run: Import, tmp_path: Path
) -> None:
    before = everything_in(campus)
    code, counts, lines = run(rewrite(tmp_path / "r.zip", file, content), "--skip-bad-rows")
    assert (code, counts, len(lines)) == (2, {}, 1)
    assert said in lines[0]
    assert everything_in(campus) == before


def test_all_files_with_a_mistake_as_a_whole_are_listed(run: Import, tmp_path: Path) -> None:
    files = V1_1 | {"orgs": ["sourcedId;name;type"], "users": ["sourcedId"]}
    code, _, lines = run(pack(tmp_path / "r.zip", files))
    assert (code, len(lines)) == (2, 2)
    assert "semicolons" in lines[0]
    assert "users.csv has no column" in lines[1]


def test_a_manifest_with_semicolons_says_what_separates_the_fields(run: Import, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.writestr("manifest.csv", "propertyName;value\r\noneroster.version;1.1\r\n")
    code, _, said = run(tmp_path / "r.zip")
    assert (code, len(said)) == (2, 1)
    assert "manifest.csv separates its fields by semicolons" in said[0]


def test_rows_of_commas_and_fields_beyond_the_header_are_a_spreadsheets(run: Import, tmp_path: Path) -> None:
    files = {name: [f"{line},," if i else line for i, line in enumerate(lines)] for name, lines in V1_1.items()}
    files = {name: [*lines, ",,,,,,,", " , ,"] for name, lines in files.items()}
    assert run(pack(tmp_path / "r.zip", files)) == (0, ADDED, [])


def test_line_breaks_and_control_characters_in_names_become_blanks(campus: Campus, run: Import, tmp_path: Path) -> None:
    files = changed("users", 'u1,true,s1,student,"Ann\r\nMarie",O\0ne\x1f,ann@example.org,E1,')
    assert run(pack(tmp_path / "r.zip", changed("orgs", 's1,"North\n\nSchool",school', base=files))) == (0, ADDED, [])
    assert rows_of(campus, tables.users, "given_name", "family_name")[0] == ("Ann Marie", "O ne")
    assert rows_of(campus, tables.groups, "name")[0] == ("North School",)


def test_a_row_of_long_values_is_read_as_a_short_one_is(campus: Campus, run: Import, tmp_path: Path) -> None:
    longest = "N" * 255
    rows = f"u1, true ,s1,student, {longest} ,{longest}, ,E1,", "u2, true ,s1,student, Bo ,Two, ,E2,"
    code, _, lines = run(pack(tmp_path / "r.zip", changed("users", *rows)))
    assert (code, lines) == (0, [])
    assert rows_of(campus, tables.users, "given_name", "family_name", "email", "employee_id", "active")[:2] == [
        (longest, longest, None, "E1", True),
        ("Bo", "Two", None, "E2", True),
    ]


def test_a_learner_who_left_and_came_back_has_the_running_stay(campus: Campus, run: Import, tmp_path: Path) -> None:
    stays = [
        f"e1,c1,s1,u1,student,{day(-300)},{day(-200)}",
        f"e5,c1,s1,u1,student,{day(-100)},{day(100)}",
        f"e6,c1,s1,u1,student,{day(100)},",
    ]
    archive = pack(tmp_path / "r.zip", changed("enrollments", *stays))
    note = ["enrollments.csv: earlier or later stays of learners in a class that are not imported: 2"]
    assert run(archive) == (0, ADDED | {"enrollments": {"added": 3, "ignored": 2}}, note)
    assert [row[0] for row in rows_of(campus, tables.enrollments, "external_id")] == ["e2", "e4", "e5"]
    assert run(archive) == (0, UNCHANGED | {"enrollments": {"unchanged": 3, "ignored": 2}}, note)


def test_stay_continued_with_another_id_keeps_its_enrollment_and_progress(
    campus: Campus, run: Import, tmp_path: Path
) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    with campus.database.write() as connection:
        connection.execute(
            sa.update(tables.enrollments).where(*e1_of(campus)).values(progress="40", status="In Progress")
        )
    before = dict(rows_of(campus, tables.enrollments, "external_id", "id"))
    back = changed("enrollments", f"e1,c1,s1,u1,student,{day(-300)},{day(-200)}")
    code, counts, _ = run(
        pack(tmp_path / "r.zip", appended("enrollments", f"e5,c1,s1,u1,student,{day(-10)},", base=back))
    )
    assert (code, counts["enrollments"]) == (0, {"updated": 1, "unchanged": 2, "ignored": 1})
    assert rows_of(campus, tables.enrollments, "external_id", "id", "progress")[-1] == ("e5", before["e1"], "40")
    rows = ["e5,,,,,,,tobedeleted", f"e7,c1,s1,u1,student,{day(-1)},,active"]
    code, counts, said = run(delta(tmp_path / "d.zip", enrollments=rows))
    assert (code, counts["enrollments"], said) == (0, {"updated": 1, "ignored": 1}, [])
    assert dict(rows_of(campus, tables.enrollments, "external_id", "id"))["e7"] == before["e1"]
    assert campus.queue() == {}


def test_a_stay_beside_one_that_waits_in_the_queue_is_refused_and_the_rest_imported(
    campus: Campus, run: Import, tmp_path: Path
) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    campus.set(hold_seconds=60)
    run(delta(tmp_path / "d.zip", enrollments=["e1,,,,,,,tobedeleted"]))
    number = dict(rows_of(campus, tables.enrollments, "external_id", "id"))["e1"]
    code, counts, said = run(
        delta(tmp_path / "d.zip", enrollments=["e5,c1,s1,u1,student,,,active", "e6,c2,s1,u2,student,,,active"])
    )
    assert (code, counts["enrollments"]) == (1, {"added": 1, "refused": 1})
    assert said == [
        f"enrollments.csv:2: sourcedId: the learner's enrollment {number} in that class is in the unenrollment queue"
    ]


YEAR_2 = ["u9,true,s1,student,Ann,Nine,ANN@example.org,E1,"]


@pytest.mark.parametrize("left", ["is not named", "is inactive", "leaves"])
def test_address_of_an_inactive_learner_can_be_reassigned(
    left: str, campus: Campus, run: Import, tmp_path: Path
) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    who = {"is not named": "who is not in this roster", "is inactive": "who is not active"}
    if left == "is not named":
        code, _, said = run(pack(tmp_path / "r.zip", {"users": [USERS, *YEAR_2]}))
    elif left == "is inactive":
        run(delta(tmp_path / "d.zip", users=["u1,,,,,,,,,tobedeleted"]))
        code, _, said = run(delta(tmp_path / "d.zip", users=[f"{YEAR_2[0]},active"]))
    else:
        code, _, said = run(delta(tmp_path / "d.zip", users=[f"{YEAR_2[0]},active", "u1,,,,,,,,,tobedeleted"]))
    from_whom = f"taken from user 'u1', {who.get(left, 'who leaves with this roster')}"
    assert (code, said) == (0, [f"users.csv:2: email: {from_whom}", f"users.csv:2: identifier: {from_whom}"])
    assert (addresses(campus)["u1"], addresses(campus)["u9"]) == ((None, None), ("ANN@example.org", "E1"))


def test_addresses_and_identifiers_can_be_swapped_in_a_ring(campus: Campus, run: Import, tmp_path: Path) -> None:
    people = [f"u{n},true,s1,student,P,{n},p{n}@example.org,E{n}," for n in range(1, 5)]
    ring = [f"u{n},true,s1,student,P,{n},p{n % 4 + 1}@example.org,E{n % 4 + 1}," for n in range(1, 5)]
    swapped = [f"u{n},true,s1,student,P,{n},p{n ^ 1}@example.org,E{n ^ 1}," for n in range(1, 5)]
    run(pack(tmp_path / "r.zip", {"orgs": V1_1["orgs"], "users": [USERS, *people]}))
    for state in (ring, people, [swapped[1], swapped[2], people[0].replace("1", "5", 1), *swapped[3:]]):
        assert (
            run(pack(tmp_path / "r.zip", {"users": [USERS, *state]}))[0::2] in [(0, []), (0, [])] or state is not ring
        )
        wanted = {line.split(",")[0]: (line.split(",")[6], line.split(",")[7]) for line in state}
        assert {key: addresses(campus)[key] for key in wanted} == wanted


def test_active_learner_outside_a_delta_keeps_the_identifier(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", appended("users", "u4,true,s1,student,Di,Four,,E4,")))
    chain = ["u4,true,s1,student,Di,Four,,E1,,active", "u5,true,s1,student,Ed,Five,,E4,,active"]
    archive = delta(tmp_path / "d.zip", users=chain)
    before = everything_in(campus)
    code, _, said = run(archive)
    assert (code, said[:-1]) == (1, ["users.csv:2: identifier: user 'u1' has it"])
    code, counts, said = run(archive, "--skip-bad-rows")
    assert (code, counts["users"]) == (1, {"skipped": 2})
    assert said[1] == "users.csv:3: identifier: user 'u4' is left out"
    assert everything_in(campus) == before


def test_of_siblings_with_one_address_the_second_is_imported_without_it(
    campus: Campus, run: Import, tmp_path: Path
) -> None:
    archive = pack(tmp_path / "r.zip", appended("users", "u0,true,s1,student,Al,One,Ann@Example.org,,"))
    note = ["users.csv:5: email: the same as in line 2: imported without it"]
    assert run(archive) == (0, ADDED | {"users": {"added": 4}}, note)
    assert (addresses(campus)["u0"][0], addresses(campus)["u1"][0]) == (None, "ann@example.org")
    # The holder keeps it, wherever the row is, also if a delta does not list the holder.
    first = V1_1 | {"users": [USERS, "u0,true,s1,student,Al,One,ann@example.org,,", *V1_1["users"][1:]]}
    code, counts, said = run(pack(tmp_path / "r.zip", first))
    assert (code, counts, said) == (
        *(0, UNCHANGED | {"users": {"unchanged": 4}}),
        ["users.csv:2: email: the same as in line 3: imported without it"],
    )
    code, _, said = run(delta(tmp_path / "d.zip", users=["u7,true,s1,student,Cy,One,ann@example.org,,,active"]))
    assert (code, said) == (0, ["users.csv:2: email: user 'u1' has it: imported without it"])
    assert addresses(campus)["u7"] == (None, None)


def test_addresses_match_in_upper_and_lower_case(campus: Campus, run: Import, tmp_path: Path) -> None:
    def written(text: str) -> str:
        return text.encode().decode("latin-1")  # as pack writes it

    first = changed("users", written("u1,true,s1,student,Ann,One,JÖRG@example.org,E1,"))
    run(pack(tmp_path / "r.zip", first))
    second = {"users": [f"{USERS},status", written("u9,true,s1,student,Jo,Nine,jörg@example.org,,,active")]}
    code, _, said = run(pack(tmp_path / "d.zip", second, mode="delta"))
    assert (code, said) == (0, ["users.csv:2: email: user 'u1' has it: imported without it"])
    again = {"users": [USERS, written("u1,true,s1,student,Ann,One,,E1,"), second["users"][1].removesuffix(",active")]}
    assert run(pack(tmp_path / "r.zip", again))[0::2] == (0, [])
    assert (addresses(campus)["u1"][0], addresses(campus)["u9"][0]) == (None, "jörg@example.org")


def test_reassigning_every_address_takes_seconds(run: Import, tmp_path: Path, soaks: bool) -> None:
    size = 20_000 if soaks else 2_000

    def people(shift: int) -> Path:
        rows = (
            f"u{n},true,s1,student,A,B,p{(n + shift) % size}@example.org,E{(n + shift) % size}," for n in range(size)
        )
        return pack(tmp_path / "r.zip", {"orgs": V1_1["orgs"], "users": [USERS, *rows]})

    run(people(0))
    begun = time.monotonic()
    assert run(people(1))[1]["users"] == {"updated": size}
    assert time.monotonic() - begun < 60  # each row compared with every other takes minutes


def test_a_roster_changes_no_owners_address_role_or_activity_and_says_so(
    campus: Campus, run: Import, tmp_path: Path
) -> None:
    def owner(email: str, enabled: str = "true") -> Path:
        row = f"a1,{enabled},s1,administrator,Olu,Ade,{email},9001,"
        return pack(tmp_path / "r.zip", appended("users", row))

    def kept() -> list[tuple[object, ...]]:
        return rows_of(campus, tables.users, "external_id", "email", "role", "active", "given_name")[:1]

    stays = "users.csv:5: email: an import does not change the address of an owner: it stays 'owner@example.org'"
    assert run(owner("OWNER@example.org"))[0::2] == (0, [])
    assert run(owner("olu.ade@example.org"))[0::2] == (0, [stays])
    assert run(owner(""))[0::2] == (0, [stays])
    assert run(owner("owner@example.org", "false"))[0::2] == (0, ["users.csv:5: enabledUser: an owner stays active"])
    code, counts, said = run(delta(tmp_path / "d.zip", users=["a1,,,,,,,,,tobedeleted"]))
    assert (code, counts["users"], said) == (0, {"unchanged": 1}, ["users.csv:2: status: an owner stays active"])
    assert kept() == [("a1", "owner@example.org", "owner", True, "Olu")]
    # Nor does anyone else get the address.
    code, _, said = run(pack(tmp_path / "r.zip", appended("users", "u0,true,s1,student,Al,One,owner@example.org,,")))
    assert (code, said) == (0, ["users.csv:5: email: user 'a1' has it: imported without it"])
    assert kept() == [("a1", "owner@example.org", "owner", True, "Olu")]


def test_a_students_row_never_takes_over_an_owner_or_administrator(campus: Campus, run: Import, tmp_path: Path) -> None:
    child = "u0,true,s1,student,Al,One,administrator@example.org,,"
    code, counts, said = run(pack(tmp_path / "r.zip", appended("users", child)))
    assert (code, counts["users"]) == (0, {"added": 4})
    assert said == ["users.csv:5: email: user 'administrator@example.org' has it: imported without it"]
    assert rows_of(campus, tables.users, "external_id", "role")[0] == ("u0", "learner")


def test_an_administrator_is_never_left_without_an_address(campus: Campus, run: Import, tmp_path: Path) -> None:
    def administrator(email: str) -> list[str]:
        row = f"a1,true,s1,administrator,Ada,Min,{email},,"
        return run(pack(tmp_path / "r.zip", appended("users", row)))[2]

    assert administrator("administrator@example.org") == []
    assert administrator("ada@example.org") == []
    assert administrator("") == [
        "users.csv:5: email: an import does not empty the address of an administrator: it stays 'ada@example.org'"
    ]
    assert rows_of(campus, tables.users, "email", "role")[0] == ("ada@example.org", "administrator")


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_people_without_a_role_of_student_or_staff_are_not_imported_and_counted(
    version: str, campus: Campus, run: Import, tmp_path: Path
) -> None:
    if version == "1.1":
        people = [f"g{n},true,s1,{role},Gil,One,ann@example.org,," for n, role in enumerate(("guardian", "parent"))]
        files = appended("users", *people)
    else:
        people = [f"g{n},true,Gil,One,ann@example.org," for n in range(2)]
        files = appended("users", *people, base=appended("roles", "r8,g0,primary,relative,s1", base=V1_2))
    said = ["users.csv: people without the role of a student or of staff who are not imported: 2"]
    assert run(pack(tmp_path / "r.zip", files, version=version)) == (
        0,
        ADDED | {"users": {"added": 3, "ignored": 2}},
        said,
    )
    assert [row[0] for row in rows_of(campus, tables.users, "external_id")] == ["u1", "u2", "u3"]


@pytest.mark.parametrize("by", ["email", "identifier"])
def test_a_change_of_the_schools_system_takes_people_over_on_demand(
    by: str, campus: Campus, run: Import, tmp_path: Path
) -> None:
    files = changed(
        "users", "u2,true,s2,student,Bo,Two,bo@example.org,E2,", "u3,true,s1,teacher,Cy,Three,cy@example.org,E3,"
    )
    run(pack(tmp_path / "r.zip", files))
    before = dict(rows_of(campus, tables.users, "external_id", "id"))
    new = {
        name: [line.replace("u1,", "n1,").replace("u2,", "n2,").replace("u3,", "n3,") for line in lines]
        for name, lines in files.items()
    }
    archive = pack(tmp_path / "new.zip", new)
    notes = [f"users.csv:{n + 1}: sourcedId: takes over user 'u{n}'" for n in (1, 2, 3)]
    matched = UNCHANGED | {"users": {"updated": 3, "matched": 3}}
    kept = everything_in(campus)
    dry = run(archive, "--match", by, "--dry-run")
    assert dry == (0, matched, [*notes, "This was a dry run: nothing was imported."])
    assert everything_in(campus) == kept
    assert run(archive, "--match", by) == (0, matched, notes)
    assert dict(rows_of(campus, tables.users, "external_id", "id")) == {f"n{n}": before[f"u{n}"] for n in (1, 2, 3)}
    assert run(archive) == (0, UNCHANGED, [])


def test_matching_refuses_to_guess_between_two_people(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    twins = [USERS, *(f"n{n},true,s1,student,Ann,One,ann@example.org,," for n in (1, 2))]
    code, _, said = run(pack(tmp_path / "r.zip", {"users": twins}), "--match", "email")
    assert code == 1
    assert said[:-1] == [f"users.csv:{n}: email: 2 persons of this roster could be user 'u1'" for n in (2, 3)]


def test_enrollments_of_a_deleted_class_are_reported(campus: Campus, run: Import, tmp_path: Path) -> None:
    files = {
        name: [f"{line},status" if not i else f"{line},active" for i, line in enumerate(lines)]
        for name, lines in V1_1.items()
    }
    files["classes"] = [files["classes"][0], *V1_1["classes"][1:2], "c2,,,,,tobedeleted"]
    files["classes"][1] += ",active"
    code, _, said = run(pack(tmp_path / "r.zip", files))
    assert (code, said[:-1]) == (
        *(1, ["enrollments.csv:5: classSourcedId: class 'c2' is tobedeleted in line 3 of classes.csv"]),
    )
    run(pack(tmp_path / "r.zip", V1_1))
    code, counts, said = run(
        delta(tmp_path / "d.zip", classes=["c1,,,,,tobedeleted"], enrollments=["e1,,,,,,,tobedeleted"])
    )
    assert (code, counts["courses"]) == (0, {"ended": 1})
    assert said == ["classes.csv:2: status: the course is archived; enrollments that stay current: 1"]


def test_a_protected_completed_enrollment_is_refused_reported_and_kept_with_the_batch(
    campus: Campus, run: Import, tmp_path: Path
) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    campus.set(protect_completed=True)
    with campus.database.write() as connection:
        query = sa.update(tables.enrollments).where(*e1_of(campus))
        connection.execute(
            query.values(status=EnrollmentStatus.COMPLETED, completed_at=datetime(2026, 5, 1, tzinfo=UTC))
        )
    archive = delta(tmp_path / "d.zip", enrollments=["e1,,,,,,,tobedeleted", "e2,,,,,,,tobedeleted"])
    said = ["enrollments.csv:2: status: the course was completed, and the account protects completed enrollments"]
    code, counts, lines = run(archive, "--dry-run")
    assert (code, counts["enrollments"], lines[:-1]) == (1, {"queued": 1, "refused": 1}, said)
    assert campus.queue() == {}
    code, counts, lines = run(archive)
    assert (code, counts["enrollments"], lines) == (1, {"queued": 1, "refused": 1}, said)
    number = dict(rows_of(campus, tables.enrollments, "external_id", "id"))["e1"]
    with campus.database.read() as connection:
        kept = connection.execute(
            sa.select(tables.refusals.c.identifier, tables.refusals.c.code).where(
                tables.refusals.c.account_id == campus.account.id
            )
        ).all()
    assert [tuple(row) for row in kept] == [(str(number), "ULM:03")]
    with campus.database.read() as connection:
        audited = list_changes(connection, campus.account.id, actor=None, action=Action.UNENROLL, since=None, limit=9)
    assert [line["details"] for line in audited] == [{"accepted": 1, "refused": 1}]
    assert run(archive)[1]["enrollments"] == {"refused": 1, "unchanged": 1}


def test_dry_run_of_an_import_has_the_same_outcome_and_changes_nothing(
    campus: Campus, run: Import, tmp_path: Path
) -> None:
    archive = pack(tmp_path / "r.zip", V1_1)
    before = everything_in(campus)
    assert run(archive, "--dry-run") == (0, ADDED, ["This was a dry run: nothing was imported."])
    assert everything_in(campus) == before
    code, _, said = run(archive, "--dry-run", "--ids", "ids.csv")
    assert (code, "exclude each other" in said[0]) == (2, True)
    assert not (tmp_path / "ids.csv").exists()


def test_first_thousand_problems_are_listed_and_others_counted(campus: Campus, run: Import, tmp_path: Path) -> None:
    many = 30_000
    rows = "\n".join([ENROLLMENTS, *(f"x{n}" for n in range(many)), *V1_1["enrollments"][1:]]).encode()
    archive = rewrite(tmp_path / "r.zip", "enrollments", rows)
    code, _, said = run(archive)
    assert (code, len(said)) == (1, 1002)
    assert said[-2] == f"and {many - 1000:,} more problems"
    code, counts, said = run(archive, "--skip-bad-rows")
    assert (code, counts["enrollments"], len(said)) == (1, {"added": 3, "skipped": many}, 1001)
    # Rows that refer to a counted bad row are left out, and not reported as unknown.
    users = "\n".join([USERS, *(f"x{n}" for n in range(1001)), "z1,maybe,s1,student,A,B,,,"]).encode()
    archive = rewrite(tmp_path / "r.zip", "users", users, appended("enrollments", "e9,c1,s1,z1,student,,"))
    code, counts, said = run(archive, "--skip-bad-rows")
    assert (code, counts["users"]) == (1, {"skipped": 1002})
    assert "enrollments.csv:6: userSourcedId: user 'z1' is left out" in said


def test_millions_of_bad_rows_take_little_memory(
    campus: Campus, database_url: str, tmp_path: Path, soaks: bool
) -> None:
    if campus.database.engine.dialect.name != "sqlite":
        pytest.skip("the rows are staged in the server then")
    many = 4_000_000 if soaks else 300_000
    path = pack(
        tmp_path / "r.zip", {name: lines for name, lines in V1_1.items() if name != "enrollments"}, enrollments="bulk"
    )
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("enrollments.csv", ENROLLMENTS + "\n" + "e1,c1\n" * many)
    program = (
        "import pathlib, re, sys\nfrom rollbook.cli import main\nsys.argv = sys.argv[1:]\n"
        "try: main()\n"  # ru_maxrss begins with the memory of the forking process
        "except SystemExit: print(re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1])"
    )
    command = [sys.executable, "-c", program, "rollbook", "import", "oneroster", str(path), "--account", campus.name]
    environment = {"ROLLBOOK_DATABASE_URL": database_url, "ROLLBOOK_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(done.stderr) < 200_000
    assert f"and {many - 1:,} more problems" in done.stderr  # the rows that were read have the same sourcedId as well
    assert int(done.stdout.split()[-1]) < 200_000  # kB


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_import_repeats_after_a_deadlock(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", V1_1))
    archive = pack(tmp_path / "new.zip", changed("orgs", "s2,West School,school"))
    change = "UPDATE groups SET modified_at = modified_at WHERE account_id = {}"
    with deadlock(campus.database, change.format(campus.account.id)):
        code, counts, lines = run(archive)
    assert (code, lines) == (0, [])
    assert sum(count.get("updated", 0) for count in counts.values()) == 1
