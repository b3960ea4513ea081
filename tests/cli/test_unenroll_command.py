"""`rollbook unenroll`, `remove` and `restore` by lists: done as requested, or refused with a reason."""

import csv
import io
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from campus import Campus
from commands import Done, run_command
from conftest import Served
from rollbook.model import utc_now
from rollbook.store.database.tables import courses, enrollments, groups
from workbooks import write_workbook

pytestmark = pytest.mark.parametrize("served", ["sqlite"], indirect=True)


class Desk:
    """The command line of a user with a key of the campus, in its own folder."""

    def __init__(self, served: Served, campus: Campus, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.campus = campus
        self.folder = folder
        self._capsys = capsys
        server = served.server
        keys = {"ROLLBOOK_ACCOUNT_KEY": campus.account_key, "ROLLBOOK_USER_KEY": campus.owner_key}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ROLLBOOK_")},
            "ROLLBOOK_URL": server.url,
            "ROLLBOOK_CA_FILE": str(server.ca_file),
            "HOME": str(folder),
            **keys,
        }

    def run(self, *arguments: str, stdin: bytes = b"", expect: int = 0) -> Done:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "environ", self.environment)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patch.chdir(self.folder)
            done = run_command(patch, self._capsys, *arguments)
        assert done.code == expect, done.out + done.err
        return done

    def outcomes(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def desk(served: Served, campus: Campus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(served, campus, tmp_path, capsys)


READ = {
    "plain": "{a}\r\n{b}\r\n{c}\r\n",
    "several_a_line": "{a}\n{b}, {c}\n",
    "one_line": "{a};{b};{c}",
    "mark": "\ufeff{a}\r\n{b}\r\n{c}\r\n",
    "mark_and_column": "\ufeffAccountUserLearningModuleRelID\r\n{a}\r\n{b}\r\n{c}\r\n",
    "mark_and_columns": "\ufeffAccountUserLearningModuleRelID,Name\r\n{a},Ada\r\n{b},Bo\r\n{c},Cy\r\n",
    "semicolons": "AccountUserLearningModuleRelID;Name\r\n{a};Ada\r\n{b};Bo\r\n{c};Cy\r\n",
    "semicolons_without_header": "{a};Ada\r\n{b};Bo\r\n{c};Cy\r\n",
    "trailing_semicolons": "ID;\r\n{a};\r\n{b};\r\n{c};\r\n",
    "separator_line": "sep=;\r\nID;Name\r\n{a};Ada\r\n{b};Bo\r\n{c};Cy\r\n",
    "tabs": "Name\tid\r\nAda\t{a}\r\nBo\t{b}\r\nCy\t{c}\r\n",
    "decimal_commas": "ID;Grade\r\n{a};3,5\r\n{b};1,0\r\n{c};2,5\r\n",
    "header_in_another_language": "Kennung\n{a}\n{b}\n{c}\n",
    "title_and_blank_lines": "\r\nLeaving, March 2026,,\r\n\r\nName,ID,\r\nAda,{a},\r\n,,\r\nBo,{b},\r\nCy,{c},\r\n,,",
    "no_break_spaces": "ID\n\u00a0{a}\u00a0\n {b}\n\u202f{c}\t\n",
    "quoted": '"ID","Note"\n"{a}","say ""no"""\n"{b}","two\nlines"\n"{c}",","\n',
    "twice": "{a}\n{b}\n{c}\n{a}\n0{b}\n",
    "old_line_ends": "ID\r{a}\r{b}\r{c}\r",
}

REFUSED = {
    "thousands": ("999\r\n1,000\r\n", "line 2: '1,000' has a thousands separator"),
    "thousands_everywhere": ("1,001\n1,002\n1,003\n", "line 1: '1,001' has a thousands separator"),
    "thousands_quoted": ('998\r\n999\r\n"1,000"\r\n', "line 3: '1,000' has a thousands separator"),
    "thousands_below_a_header": ("ID\r\n999\r\n1,000\r\n", "line 3: '1,000' has a thousands separator"),
    "thousands_of_other_countries": ("999\n1.000\n1 000\n1\u00a0000\n1'000\n", "4 without an id"),
    "decimal": ("ID\n2001.0\n", "line 2: '2001.0' is a decimal number"),
    "exponent": ("2001\n2.0E+03\n", "line 2: '2.0E+03' was rounded by a spreadsheet"),
    "mistyped_first": ("20O1\n2002\n", "line 1: '20O1' is not an id"),
    "missing": ("Name,ID\nAda,2001\nBo,\n", "line 3: the id is missing"),
    "shifted": ("Name,ID\nDoe, Ada,2001\n", "line 2: 'Doe,Ada,2001' has 3 fields, and the header 2"),
    "open_quote": ('ID,Note\r\n2001,"left\r\n2002,x\r\n2003,y\r\n', "line 2: a quotation mark opens there"),
    "open_quote_closed_later": ('ID,Note\n2001,"left\n2002,x\n2003,y"\n', "makes one row of lines 2 to 4"),
    "two_id_columns": ("ID,EnrollmentID\n1,2\n", "2 columns of ids: ID (column 1) and EnrollmentID (column 2)"),
    "numbers_without_header": ("2001,5\n2002,6\n", "has no header, and numbers in columns 1 and 2"),
    "several_numbers_without_header": ("2001,2002 2003\n2004,\n", "has no header, and numbers in columns 1 and 2"),
    "numbers_at_two_separators": ("2001;\r\n2002;3,5\r\n", "has no header, and numbers in columns 1 and 2"),
    "other_numbers_without_header": ("2001.0,5\n2002.0,\n", "has no header, and numbers in columns 1 and 2"),
    "ragged_without_header": ("2001,,\n2002,Ada\n", "line 1: an empty field in a list without a header"),
    "no_id_column": ("UserID,Name\n2001,Ada\n", "It has: UserID, Name. Name the one of ids or e-mails with --column."),
    "damaged_workbook": ("PK\x03\x04rest", "is not a workbook (.xlsx) that can be read"),
    "old_workbook": ("\xd0\xcf\x11\xe0", "is an old workbook (.xls), or one with a password"),
    "html": ("<html><table>", "is HTML or XML"),
    "empty": ("", "is empty"),
}


@pytest.mark.parametrize("name", READ)
def test_every_id_of_a_list_is_read_from_a_file_and_through_a_pipe(desk: Desk, name: str) -> None:
    a, b, c = ids = desk.campus.enroll(3)
    desk.campus.enroll(7)
    data = READ[name].format(a=a, b=b, c=c).encode()
    (desk.folder / "list").write_bytes(data)
    desk.run("unenroll", "--file", "list", "--dry-run", "--output", "out.csv")
    assert [(row["id"], row["outcome"]) for row in desk.outcomes("out.csv")] == [
        (str(id_), "would be accepted") for id_ in ids
    ]
    done = desk.run("unenroll", "--file", "-", "--yes", stdin=data)
    assert "3 accepted, 0 refused" in done.out
    assert [*desk.campus.queue()] == ids


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_list_is_refused_with_a_reason_before_the_first_call(desk: Desk, name: str) -> None:
    data, sentence = REFUSED[name]
    given = data.encode("latin-1" if name == "old_workbook" else "utf-8")
    (desk.folder / "list").write_bytes(given)
    from_file = desk.run("unenroll", "--file", "list", "--yes", "--output", "out.csv", expect=2)
    through_pipe = desk.run("unenroll", "--file", "-", "--yes", stdin=given, expect=2)
    assert sentence in from_file.err
    assert sentence in through_pipe.err
    assert desk.campus.queue() == {}
    assert [path.name for path in desk.folder.iterdir()] == ["list"]


def test_other_encodings_are_refused_in_one_sentence(desk: Desk) -> None:
    for data, sentence in (
        ("ID\n1\n".encode("utf-16"), "UTF-16"),
        ("ID\n1\n".encode("utf-16-le"), "UTF-16"),
        ("ID,Name\n1,Jörg\n".encode("latin-1"), "line 2: not text in UTF-8"),
    ):
        said = desk.run("unenroll", "--file", "-", "--yes", stdin=data, expect=2).err
        assert sentence in said
        assert said.count("\n") == 1


def test_bad_rows_are_listed_and_left_out_on_demand(desk: Desk) -> None:
    ids = desk.campus.enroll(3)
    desk.campus.enroll(7)
    bad = "".join(f"x{number}\n" for number in range(23))
    (desk.folder / "list").write_text("ID\n" + "".join(f"{id_}\n" for id_ in ids) + "1,000\n" + bad + f"{ids[0]}\n")
    said = desk.run("unenroll", "--file", "list", "--yes", expect=2).err
    assert "24 without an id" in said
    assert "line 5: '1,000'" in said
    assert "'x18'" in said
    assert "'x19'" not in said
    assert "and 4 more" in said
    assert desk.campus.queue() == {}
    done = desk.run("unenroll", "--file", "list", "--yes", "--skip-bad-rows")
    assert "24 without an id, left out" in done.err
    assert f"1 repeated, sent once: {ids[0]} (line 29)" in done.err
    assert "3 ids from column ID" in done.err
    assert [*desk.campus.queue()] == ids


def test_a_column_is_taken_by_name_or_number_and_only_with_a_file(desk: Desk) -> None:
    a, b = ids = desk.campus.enroll(2)
    desk.campus.enroll(5)
    (desk.folder / "list").write_text(f"7;{a}\n8;{b}\n")
    assert "2 ids from column 2" in desk.run("unenroll", "--file", "list", "--column", "2", "--yes").err
    (desk.folder / "one").write_text("ID\n999999\n")
    assert ": 1 id from column ID." in desk.run("unenroll", "--file", "one", "--dry-run", expect=1).err
    assert [*desk.campus.queue()] == ids
    (desk.folder / "list").write_text(f"UserID,Enrolment\n7,{a}\n8,{b}\n")
    assert "It has: UserID, Enrolment." in desk.run("remove", "--file", "list", "--column", "x", expect=2).err
    assert "2 removed" in desk.run("remove", "--file", "list", "--column", "enrolment", "--yes").out
    assert "need --file" in desk.run("unenroll", str(a), "--column", "x", expect=2).err


def test_list_of_people_is_unenrolled_and_its_mistakes_are_named(desk: Desk) -> None:
    named = desk.campus.enroll_named(500)
    people, wide = [*named], ["--max-percent", "100", "--yes"]
    wrong = [f"gone.{number}@example.org" for number in range(8)]
    lines = [f"{person},Fire Safety" for person in [*people[:490], *wrong]]
    lines += [f"{people[490]},Fire Safty", f"{people[0].upper()},Fire Safety", f"{people[491]},"]
    (desk.folder / "people.csv").write_text("LearnerEmail,CourseName\n" + "\n".join(lines) + "\n")
    said = desk.run("unenroll", "--file", "people.csv", *wide, "--output", "out.csv", expect=2).err
    assert "10 without exactly one enrollment, so nothing was done" in said
    assert f"line 492: '{wrong[0]}' is the e-mail of no current enrollment" in said
    assert f"line 500: '{people[490]}' is not enrolled in 'Fire Safty'. Is it 'Fire Safety'?" in said
    assert f"line 502: '{people[491]}' lacks the course" in said
    assert [path.name for path in desk.folder.iterdir()] == ["people.csv"]
    skip = ["--file", "people.csv", "--skip-bad-rows", "--output", "out.csv"]
    braked = desk.run("unenroll", *skip, "--yes", "--plan", "plan.csv", expect=4)
    assert "98 % of 'Fire Safety' is more" in braked.err
    assert f"Learners:\n  Some Learner <{people[0]}>, Fire Safety\n" in braked.out
    assert "\n  and 485 more\n" in braked.out
    assert [row["LearnerEmail"] for row in desk.outcomes("plan.csv")] == people[:490]
    assert "plan.csv exists already" in desk.run("unenroll", *skip, "--yes", "--plan", "plan.csv", expect=2).err
    done = desk.run("unenroll", *skip, *wide)
    assert "490 ids from column LearnerEmail, with column CourseName" in done.err
    assert f"1 repeated, sent once: {named[people[0]]} (line 501)" in done.err
    assert [*desk.campus.queue()] == [*named.values()][:490]
    desk.campus.drain()
    assert "490 restored" in desk.run("restore", "--file", "out.csv", "--yes").out
    assert desk.campus.current() == 500


def test_plan_has_every_id_and_says_which_of_them_the_report_lacks(desk: Desk) -> None:
    ids = desk.campus.enroll(3)
    other = desk.campus.add(courses, name="First Aid", status="Active")
    with desk.campus.database.write() as connection:
        connection.execute(enrollments.update().where(enrollments.c.id == ids[2]).values(course_id=other))
    desk.run("unenroll", str(ids[0]), "999999999", "--dry-run", "--plan", "ids.csv", expect=1)
    assert [(row["ID"], row["CourseName"], row["GroupName"], row["Note"]) for row in desk.outcomes("ids.csv")] == [
        (str(ids[0]), "Fire Safety", "North", ""),
        ("999999999", "", "", "not in the report"),
    ]
    said = desk.run(
        "unenroll", "--course", "First Aid", "--dry-run", "--max-percent", "100", "--plan", "course.csv"
    ).out
    assert said.splitlines()[2].split() == ["First", "Aid", "1", "1", "100"]
    assert [row["ID"] for row in desk.outcomes("course.csv")] == [str(ids[2])]


def test_few_ids_of_a_long_report_have_the_same_preview(desk: Desk) -> None:
    ids = desk.campus.enroll(305)
    aid, rare = (desk.campus.add(courses, name=name, status="Active") for name in ("First Aid", "Rare"))
    with desk.campus.database.write() as connection:
        for course_id, chosen in ((aid, ids[:70]), (rare, ids[70:72])):
            move = enrollments.update().where(enrollments.c.id.in_(chosen))
            connection.execute(move.values(course_id=course_id, progress="50"))
    asked = (str(ids[0]), str(ids[70]), "999999999")
    done = desk.run("unenroll", *asked, "--dry-run", "--plan", "ids.csv", expect=1)
    assert [line.split() for line in done.out.splitlines()[2:4]] == [
        ["First", "Aid", "1", "70", "1", "1", "0"],
        ["Rare", "1", "2", "50", "1", "0"],
    ]
    assert [row["Note"] for row in desk.outcomes("ids.csv")] == ["", "", "not in the report"]
    said = desk.run("unenroll", *asked, "--dry-run", "--max-percent", "49", expect=4).err
    assert said.endswith("Stopped before the first call: 50 % of 'Rare' is more than --max-percent 49.\n")


def test_people_are_told_by_employee_id_with_one_course_beside_the_file(desk: Desk) -> None:
    named = desk.campus.enroll_named(2)
    desk.campus.enroll(5)
    rows = desk.run("report", "--course", "Fire Safety", "--column", "EMPLOYEE_ID", "--format", "json").json
    numbers = [row["EmployeeID"] for row in rows if row["EmployeeID"]]
    (desk.folder / "list").write_text("Nr;Name\n" + "".join(f"{number};Ann\n" for number in numbers))
    course = ["--course", "Fire Safety", "--dry-run"]
    base = ["unenroll", "--file", "list", "--column", "Nr", "--by", "employee-id"]
    assert "2 would be accepted" in desk.run(*base, *course).out
    assert (
        "2 would be accepted" in desk.run("unenroll", "--employee-id", numbers[0], "--email", [*named][1], *course).out
    )
    assert "names learners by employee id and no course" in desk.run(*base, "--dry-run", expect=2).err
    assert "--by needs --file" in desk.run("unenroll", "7", "--by", "email", expect=2).err
    assert "It has: Nr, Name. Name the one of employee ids" in desk.run(*base[:3], *base[5:], *course, expect=2).err
    (desk.folder / "list").write_text("\n".join(named))
    assert "give either it or ids" in desk.run(*base[:3], "7", *course, expect=2).err
    assert "2 would be accepted" in desk.run(*base[:3], *course).out


def test_at_a_terminal_a_piped_list_is_confirmed_there(desk: Desk) -> None:
    ids = desk.campus.enroll(1)
    desk.campus.enroll(5)
    command = f"echo {ids[0]} | {sys.executable} -m rollbook unenroll --file -"
    child, terminal = pty.fork()
    if child == 0:
        os.execve("/bin/sh", ["sh", "-c", command], desk.environment)  # noqa: S606
    said = b""
    with suppress(OSError):  # the child has closed its end
        while more := os.read(terminal, 1000):
            said += more
            if more.endswith(b"[y/N]: "):
                os.write(terminal, b"y\n")
    os.close(terminal)
    assert os.waitpid(child, 0)[1] == 0, said
    assert b"[y/N]" in said
    assert [*desk.campus.queue()] == ids


def test_without_a_terminal_a_piped_list_asks_for_yes(desk: Desk) -> None:
    ids = desk.campus.enroll(1)
    assert (
        "pass --yes" in desk.run("unenroll", "--file", "-", "--max-percent", "100", stdin=b"%d" % ids[0], expect=2).err
    )
    assert desk.campus.queue() == {}


def test_names_that_no_enrollment_has_are_refused_with_the_nearest(desk: Desk) -> None:
    ids = desk.campus.enroll(3)
    said = desk.run("unenroll", "--course", "Fire Safty", "--yes", expect=2).err
    assert "No enrollment has the course 'Fire Safty'. Is it 'Fire Safety'?" in said
    said = desk.run(
        "unenroll", "--course", "Fire Safety", "--group", "North", "--group", "Nroth", "--yes", expect=2
    ).err
    assert "No enrollment has the group 'Nroth'. Is it 'North'?" in said
    said = desk.run("unenroll", "--email", "nobody@example.org", "--yes", expect=2).err
    assert "No enrollment has the email 'nobody@example.org'." in said
    assert "--course is empty" in desk.run("unenroll", "--course", "", "--yes", expect=2).err
    assert desk.campus.queue() == {}
    done = desk.run("unenroll", "--course", "Fire Safety", "--status", "Completed", "--yes")
    assert "Of course 'Fire Safety' nothing is selected" in done.err
    assert "0 accepted" in done.out
    assert len(ids) == desk.campus.current()


def test_report_refuses_names_that_no_enrollment_has(desk: Desk) -> None:
    desk.campus.enroll(3)
    for option, name, nearest in (
        ("course", "Fire Safty", " Is it 'Fire Safety'?"),
        ("group", "Nroth", " Is it 'North'?"),
        ("email", "nobody@example.org", ""),
        ("employee-id", "E0", ""),
    ):
        done = desk.run("report", "--course", "Fire Safety", f"--{option}", name, "--format", "csv", expect=2)
        assert f"No enrollment has the {option} '{name}'.{nearest}" in done.err
        assert done.out == ""
    assert "--group is empty" in desk.run("report", "--group", " ", expect=2).err
    listed = desk.run("report", "--course", "Fire Safety", "--status", "Completed", "--format", "json")
    assert (listed.json, listed.err) == ([], "")


def test_progress_is_shown_only_where_there_is_any(desk: Desk) -> None:
    ids = desk.campus.enroll(3)
    desk.campus.import_progress("ID,Progress,EnrollmentStatus", f"{ids[1]},20,", f"{ids[2]},100,Completed")
    assert "started" not in desk.run("unenroll", str(ids[0]), "--dry-run").out
    said = desk.run("unenroll", *map(str, ids), "--dry-run", "--max-percent", "100").out.splitlines()
    assert (said[1].split()[-2:], said[2].split()[-2:]) == (["started", "completed"], ["2", "1"])
    batches = [desk.campus.accept([id_]).batch_id for id_ in ids[:2]]
    assert "Progress" not in desk.run("batch", str(batches[0])).out
    assert "20%" in desk.run("batch", str(batches[1])).out
    assert desk.run("batch", str(batches[0]), "--format", "json").json[0]["Progress"] == "Not Started"


def test_outcome_of_unenroll_says_until_when_it_can_be_undone(desk: Desk) -> None:
    first, *others = desk.campus.enroll(30)
    terms = [(None, "without limit"), (0, "only until it is processed"), (90, "until {} UTC")]
    for id_, (days, term) in zip((first, *others), terms, strict=False):
        desk.campus.set(retention_days=days)
        before = utc_now()
        said = desk.run("unenroll", str(id_), "--yes").err
        ends = [moment + timedelta(days=days or 0) for moment in (before, utc_now())]
        batch = desk.run("batches", "--format", "json").json[0]["batch"]
        wanted = [
            f"Batch {batch} can be undone {term.format(f'{end:%Y-%m-%d %H:%M}')}: rollbook restore" for end in ends
        ]
        assert any(sentence in said for sentence in wanted), said


def test_several_batches_are_undone_or_none_of_them_is(desk: Desk) -> None:
    ids = desk.campus.enroll(6)
    first, second = (desk.campus.accept(part).batch_id for part in (ids[:2], ids[2:4]))
    desk.campus.accept(ids[4:])
    desk.campus.drain()
    batches = ["--batch", str(first), "--batch", str(second)]
    said = desk.run("restore", *batches, "--batch", "999999999", "--yes", expect=2).err
    assert "no batch 999999999" in said
    assert desk.campus.current() == 0
    assert "4 would be restored" in desk.run("restore", *batches, "--dry-run").out
    assert "4 restored" in desk.run("restore", *batches, *batches, "--yes").out
    assert desk.campus.current() == 4


def test_the_output_of_a_run_undoes_that_run_and_no_other(desk: Desk) -> None:
    ids = desk.campus.enroll(6)
    desk.campus.accept(ids[:2])
    desk.campus.drain()
    (desk.folder / "list").write_text("\n".join(map(str, ids)))
    wide = ["--max-percent", "100"]
    desk.run("unenroll", "--file", "list", *wide, "--yes", "--output", "result.csv", expect=1)
    desk.campus.drain()
    desk.run("unenroll", "--file", "list", *wide, "--dry-run", "--output", "tried.csv", expect=1)
    assert (
        "2 left out: their outcome is none of accepted" in desk.run("restore", "--file", "result.csv", "--dry-run").err
    )
    assert "4 restored" in desk.run("restore", "--file", "result.csv", "--yes").out
    assert desk.campus.current() == 4
    assert "names no enrollment" in desk.run("restore", "--file", "tried.csv", "--yes", expect=2).err


def test_interrupted_run_continues_only_with_the_same_options(desk: Desk) -> None:
    ids = desk.campus.enroll(1000)
    others_there = desk.campus.enroll(1000)
    (desk.folder / "list").write_text("\n".join(map(str, ids)))
    (desk.folder / "other").write_text("\n".join(map(str, ids[:999])))
    base = ["unenroll", "--file", "list", "--output", "r.csv", "--yes"]
    wide = ["--max-percent", "60"]
    command = [sys.executable, "-m", "rollbook", *base, *wide, "--reason", "Term over"]
    with subprocess.Popen(command, env=desk.environment, cwd=desk.folder, stderr=subprocess.PIPE) as process:
        output = desk.folder / "r.csv"
        while not output.exists() or output.read_text().count("\n") < 101:
            assert process.poll() is None
            time.sleep(0.01)
        with desk.campus.database.write():  # blocks the next call, in which the run is interrupted
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            assert b"Run the same command again" in process.communicate()[1]
    done = len(desk.campus.queue())
    assert 0 < done < 1000
    for others, named in (
        ([*base[:1], "--file", "other", *base[3:], *wide], "another list of ids"),
        ([*base, *wide, "--reason", "Another"], "another --reason"),
        ([*base, *wide, "--max", "5000"], "another --max"),
        (base, "another --max-percent"),
        (["unenroll", "--course", "Fire Safety", *base[3:], *wide], "another list of ids, another --course"),
    ):
        said = desk.run(*others, expect=2).err
        assert named in said
        assert "remove r.csv.plan and choose another --output" in said
    assert len(desk.campus.queue()) <= done + 100  # the interrupted call
    assert "exists already" in desk.run(*base[:-1], *wide, "--dry-run", expect=2).err
    plan = desk.folder / "r.csv.plan"
    for path in (plan, output):
        kept = path.read_text()
        path.write_text(kept.replace(f"\n{ids[7]}", "\n7", 1))
        assert "do not fit together" in desk.run(*base, *wide, expect=2).err
        path.write_text(kept)
    output.unlink()
    assert "its output cannot be read" in desk.run(*base, *wide, expect=2).err
    output.write_text(kept)
    desk.campus.accept(others_there)
    desk.campus.drain()
    braked = desk.run(*base, *wide, expect=4)
    assert "100 % of 'Fire Safety' is more than --max-percent 60" in braked.err
    desk.campus.enroll(1000)
    went_on = desk.run(*base, *wide)
    assert "Continued:" in went_on.err
    assert "Reason: Term over." in went_on.err
    assert "Fire Safety" in went_on.out
    assert [row["id"] for row in desk.outcomes("r.csv")] == [str(id_) for id_ in ids]
    assert {row["outcome"] for row in desk.outcomes("r.csv")} == {"accepted"}
    mine = {row["batch"] for row in desk.outcomes("r.csv")}
    batches = [batch for batch in desk.run("batches", "--format", "json").json if str(batch["batch"]) in mine]
    assert [batch["reason"] for batch in batches] == ["Term over"]


def test_preview_names_the_courses_that_a_group_of_the_learners_auto_enrolls(desk: Desk, campus: Campus) -> None:
    ids = [str(id_) for id_ in campus.enroll(2)]
    wide = ["--max-percent", "100"]
    assert "Auto-enrolled" not in desk.run("unenroll", *ids, *wide, "--dry-run").err
    campus.auto_enroll(int(ids[0]))
    sentence = "Auto-enrolled by a group of the learners: 'Fire Safety'."
    assert sentence in desk.run("unenroll", *ids, *wide, "--dry-run").err
    assert sentence in desk.run("unenroll", *ids, *wide, expect=2).err  # where it would ask
    assert sentence not in desk.run("unenroll", ids[1], *wide, "--dry-run").err
    assert campus.queue() == {}


def test_filters_narrow_a_list_of_people_or_ids_and_say_how_many_they_exclude(desk: Desk) -> None:
    named = desk.campus.enroll_named(6)
    desk.campus.enroll(20)
    people, ids = [*named], [*named.values()]
    south = desk.campus.add(groups, name="South", active=True)
    with desk.campus.database.write() as connection:
        mine = enrollments.c.id.in_(ids[3:])
        connection.execute(enrollments.update().where(mine).values(group_id=south))
    desk.campus.import_progress("ID,EnrollmentStatus", f"{ids[0]},Completed", f"{ids[5]},Completed")
    (desk.folder / "people").write_text("Email,Course\n" + "".join(f"{person},Fire Safety\n" for person in people))
    (desk.folder / "ids").write_text("\n".join(map(str, ids)))
    for arguments, left in (
        (["--file", "people", "--status", "Enrolled"], ids[1:5]),
        (["--file", "ids", "--status", "Enrolled", "--group", "South"], ids[3:5]),
        ([*map(str, ids), "--group", "South"], ids[3:]),
        (["--file", "ids", "--course", "Fire Safety"], ids),
    ):
        done = desk.run("unenroll", *arguments, "--dry-run", "--output", "out.csv")
        assert [int(row["id"]) for row in desk.outcomes("out.csv")] == left
        said = f"{6 - len(left)} of 6 left out: the other options exclude them."
        assert (said in done.err) == (len(left) < 6)
        (desk.folder / "out.csv").unlink()
    place = {"course_id": desk.campus.course_id, "group_id": south, "enrolled_at": utc_now(), "status": "Overdue"}
    again = desk.campus.add(enrollments, user_id=desk.campus.user_id(people[5]), **place)
    assert "has 2 enrollments" in desk.run("unenroll", "--file", "people", "--dry-run", expect=2).err
    desk.run("unenroll", "--file", "people", "--status", "Overdue", "--dry-run", "--output", "out.csv")
    assert [int(row["id"]) for row in desk.outcomes("out.csv")] == [again]
    none = desk.run("unenroll", "--file", "ids", "--group", "South", "--enrolled-before", "2000-01-01", expect=2)
    assert "None of the 6 enrollments in the list matches the other options." in none.err
    assert (
        "No enrollment has the group 'Sout'. Is it 'South'?"
        in desk.run("unenroll", "--file", "people", "--group", "Sout", expect=2).err
    )
    assert (
        "has a column Course. Leave --course out"
        in desk.run("unenroll", "--file", "people", "--course", "Fire Safety", expect=2).err
    )
    assert desk.campus.queue() == {}


def test_workbook_is_read_by_its_first_or_a_named_sheet(desk: Desk) -> None:
    named = desk.campus.enroll_named(4)
    desk.campus.enroll(9)
    people, ids = [*named], [*named.values()]
    sheets = {
        "People": [["Leaving in March"], ["E-mail", "Course"], *([person, "Fire Safety"] for person in people[:2])],
        "Ids": [["ID"], *([f"<><v>{id_}.0</v>"] for id_ in ids[2:])],
    }
    sheets["People"].append(["who@example.org", "Fire Safety"])
    (desk.folder / "leaving.xlsx").write_bytes(write_workbook(sheets))
    refused = desk.run("unenroll", "--file", "leaving.xlsx", "--yes", expect=2)
    assert "row 5: 'who@example.org' is the e-mail of no current enrollment" in refused.err
    done = desk.run("unenroll", "--file", "leaving.xlsx", "--skip-bad-rows", "--yes")
    assert "2 ids from sheet People (the first of 2), column E-mail, with column Course" in done.err
    assert [*desk.campus.queue()] == ids[:2]
    desk.run("unenroll", "--file", "leaving.xlsx", "--sheet", "Ids", "--yes")
    assert [*desk.campus.queue()] == ids
    assert (
        "no sheet Others. Its visible ones are: People, Ids"
        in desk.run("unenroll", "--file", "leaving.xlsx", "--sheet", "Others", expect=2).err
    )
    desk.run("remove", "--file", "leaving.xlsx", "--sheet", "Ids", "--yes")
    assert "need --file" in desk.run("unenroll", "1", "--sheet", "Ids", expect=2).err
