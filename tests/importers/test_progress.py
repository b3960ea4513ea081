"""`rollbook import progress` writes what a file says of enrollments, or names by line what it cannot."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from campus import Campus
from commands import Done, run_command
from conftest import Served
from rollbook import Client, Progress, ReportFilters
from rollbook.methods.get_learner_report import COLUMNS
from rollbook.spreadsheets import Writer
from rollbook.store.database.tables import audit, courses, enrollments, users
from workbooks import write_workbook

Import = Callable[..., Done]


@pytest.fixture
def rollbook(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Import:
    """A command on the server's database, in a folder of its own."""
    monkeypatch.setenv("ROLLBOOK_DATABASE_URL", served.database_url)
    monkeypatch.setenv("ROLLBOOK_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run_command(monkeypatch, capsys, *arguments)


@pytest.fixture
def bring(rollbook: Import, campus: Campus) -> Import:
    """The import of a file with these lines into the campus."""

    def run(lines: str | bytes, *options: str) -> Done:
        Path("p.csv").write_bytes(lines if isinstance(lines, bytes) else lines.encode())
        return rollbook("import", "progress", "p.csv", "--account", campus.name, "--format", "json", *options)

    return run


def _client(served: Served, campus: Campus) -> Client:
    return Client(served.server.url, campus.account_key, campus.owner_key, ca_file=served.server.ca_file)


def _counts(rows: int, changed: int, refused: int = 0) -> list[dict[str, int]]:
    return [{"rows": rows, "changed": changed, "unchanged": rows - changed - refused, "refused": refused}]


def _write(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = Writer(text)
    writer.write(rows[0])
    for row in rows:
        writer.write(row.values())
    return text.getvalue()


def test_what_the_report_writes_is_read_and_changes_nothing(served: Served, campus: Campus, bring: Import) -> None:
    ids = campus.enroll(4)
    with _client(served, campus) as client:
        grades = ("=1+1", 'A & "é", שלום', "'quoted'", "'=1+1")
        list(client.update_enrollments(Progress(id_, grade=grade) for id_, grade in zip(ids, grades, strict=True)))
        list(client.update_enrollments([Progress(ids[0], "Completed", "100", "=1+1", "97.5", "12")]))
        before = list(client.learner_report(columns=list(COLUMNS)))
        assert bring(_write(before)).json == _counts(4, 0)
        assert list(client.learner_report(columns=list(COLUMNS))) == before
        list(client.update_enrollments([Progress(ids[0], grade="F"), Progress(ids[2], grade="F")]))
        assert bring(_write(before)).json == _counts(4, 2)
        after = list(client.learner_report(columns=list(COLUMNS)))
    assert [row["Grade"] for row in after] == [row["Grade"] for row in before] == list(grades)


def test_columns_come_in_any_order_and_case_and_others_are_ignored_and_named(
    served: Served, campus: Campus, bring: Import
) -> None:
    (id_,) = campus.enroll(1)
    done = bring(f"\ufeffMood,progress,ENROLLMENTSTATUS,id,Grade\nhappy,50,In Progress,{id_},\n")
    assert (done.code, done.json) == (0, _counts(1, 1))
    assert "Columns that are ignored: Mood." in done.err
    with _client(served, campus) as client:
        (row,) = client.learner_report(ReportFilters(statuses=["In Progress"]), columns=["PROGRESS"])
    assert row["Progress"] == "50"


def test_each_row_changes_its_own_columns_and_no_others(served: Served, campus: Campus, bring: Import) -> None:
    first, second, third = campus.enroll(3)
    with _client(served, campus) as client:
        list(client.update_enrollments(Progress(id_, "In Progress", "10", "C") for id_ in (first, second, third)))
        lines = (f"{first},In Progress,10,B", f"{second},Completed,,", f"{third},,20,C")
        assert bring("\n".join(["ID,EnrollmentStatus,Progress,Grade", *lines, ""])).json == _counts(3, 3)
        rows = client.learner_report(columns=["PROGRESS", "GRADE", "COMPLETED_DATE"])
        held = {int(row["ID"]): (row["Progress"], row["Grade"], bool(row["CompletedDate"])) for row in rows}
    assert held == {first: ("10", "B", False), second: ("10", "C", True), third: ("20", "C", False)}


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("sourcedId", "s-1"),
        ("EmployeeID,CourseName", "E&1,Fire Safety"),
        ("EmployeeID,LearningModuleID", "E&1,{course}"),
        ("LearnerEmail,CourseName", "ÄDA@Example.org,Fire Safety"),
    ],
)
def test_enrollment_is_named_by_each_key(campus: Campus, bring: Import, header: str, row: str) -> None:
    (id_,) = campus.enroll(1)
    with campus.database.write() as connection:
        learner = sa.select(enrollments.c.user_id).where(enrollments.c.id == id_).scalar_subquery()
        connection.execute(
            sa.update(users).where(users.c.id == learner).values(employee_id="E&1", email="äda@example.org")
        )
        connection.execute(sa.update(enrollments).where(enrollments.c.id == id_).values(external_id="s-1"))
    campus.add(courses, name="Another", status="Active")
    row = row.format(course=campus.course_id)
    assert bring(f"{header},Points\n{row},7\n").json == _counts(1, 1)
    assert bring(f"{header},Points\n{row},7\n").json == _counts(1, 0)


def test_every_bad_row_is_named_and_nothing_is_written(served: Served, campus: Campus, bring: Import) -> None:
    good, gone, done, again = campus.enroll(4)
    (foreign,) = Campus(served.database).enroll(1)
    with campus.database.write() as connection:
        ended = sa.update(enrollments).where(enrollments.c.id == gone)
        connection.execute(ended.values(unenrolled_at=sa.func.current_timestamp()))
    with _client(served, campus) as client:
        list(client.update_enrollments([Progress(done, "Completed")]))
    learner = sa.select(enrollments.c.user_id).where(enrollments.c.id == done).scalar_subquery()
    with campus.database.write() as connection:
        connection.execute(sa.update(enrollments).where(enrollments.c.id == again).values(user_id=learner))
    lines = [
        "ID,EnrollmentStatus,Progress,StartedDate",
        f"{good},In Progress,50,2026-02-01",
        f"{good},Passed,50,",
        f"{good},,101,",
        f"{good},,,31-Feb-26",
        f"{gone},,1,",
        f"{foreign},,1,",
        "x7,,1,",
        f"{good},,1",
        f"{done},In Progress,,",
    ]
    answer = bring("\n".join(lines))
    assert answer.code == 1
    assert answer.out == ""
    assert sorted(answer.err.splitlines()) == sorted(
        [
            "p.csv:3: EnrollmentStatus: 'Passed' is no status of an enrollment",
            "p.csv:4: Progress: '101' is no number from 0 to 100, or text of at most 40 characters",
            "p.csv:5: StartedDate: '31-Feb-26' is no day or time",
            "p.csv:6: no current enrollment",
            "p.csv:7: no current enrollment",
            "p.csv:8: ID: 'x7' names no enrollment",
            "p.csv:9: 3 fields, where the header has 4",
            "p.csv:10: the learner has another enrollment in the course that is open",
            "Nothing was imported. Correct the rows, or leave them out with --skip-bad-rows.",
        ]
    )
    dry = bring("\n".join(lines), "--skip-bad-rows", "--dry-run")
    assert (dry.code, dry.json) == (1, _counts(9, 1, 8))
    assert "This was a dry run" in dry.err
    assert bring("\n".join(lines), "--skip-bad-rows").json == _counts(9, 1, 8)
    assert bring("\n".join(lines[:2])).json == _counts(1, 0)
    with campus.database.read() as connection:
        said = sa.select(audit.c.details).where(audit.c.account_id == campus.account.id, audit.c.action == "import")
        assert len(connection.execute(said).all()) == 1  # none for what was rolled back, or changed nothing


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "it is empty"),
        ("Name,Progress\nAda,5\n", "names no enrollment. Add a column ID, sourcedId, EmployeeID or Email"),
        ("EmployeeID,Progress\nE1,5\n", "names learners and no course. Add a column CourseName or LearningModuleID"),
        ("ID,Mood\n1,happy\n", "p.csv has no progress. Its columns can be EnrollmentStatus, Progress"),
        ("ID,Progress,progress\n1,5,6\n", "the column Progress stands in it twice"),
        ("ID;Progress\n1;5\n", "separates its fields by semicolons. A file of progress separates them by commas"),
        ("ID,Progress\n1,5\n".encode("utf-16"), "is in UTF-16"),
        (write_workbook({"A": [["ID", "Progress"], ["1", "5"]]}), "is a workbook or an archive. Save the sheet as CSV"),
        (b"ID,Grade\n1,\xff\n", "p.csv:2: Grade: not in UTF-8"),
        (b"ID,Grade\n1,\0\n", "p.csv:2: Grade: the character U+0000 is no text"),
    ],
)
def test_file_that_says_nothing_certain_is_refused(bring: Import, lines: str | bytes, said: str) -> None:
    done = bring(lines)
    assert done.code in (1, 2)
    assert said in done.err
    assert "Traceback" not in done.err


def test_file_that_is_missing_is_one_sentence(rollbook: Import, campus: Campus) -> None:
    done = rollbook("import", "progress", "none.csv", "--account", campus.name)
    assert (done.code, done.err) == (2, "rollbook: none.csv cannot be read: No such file or directory.\n")
