"""The main job on real data: a year of a university's registrations in, all its withdrawals out over HTTPS.

The data is the Open University Learning Analytics Dataset (Kuzilek, Hlosta and Zdrahal, 2017, CC BY 4.0), the
presentations of 2013; see the README beside it.
"""

import csv
import itertools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from lxml import etree

from campus import Campus, read_outcomes
from conftest import other_database
from real_copy import copy_real_account
from rollbook import Client, ReportFilters
from rollbook.store.database.database import Database
from server_process import ServerProcess, environment, run_forked, run_server

DATA = Path(__file__).parents[3] / "shared" / "data" / "oulad-2013"
IDENTIFIER = "AccountUserLearningModuleRelID"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real registrations are not on this machine: no {DATA}")


@needs_data
def test_real_term_is_undone_to_the_byte_and_a_year_of_real_withdrawals_is_unenrolled(
    request: pytest.FixtureRequest, database: Database, database_url: str, tmp_path: Path, soaks: bool
) -> None:
    campus = Campus(database, "The Open University")
    ids_file = tmp_path / "ids.csv"
    _rollbook(database_url, tmp_path, "import", "oneroster", str(DATA / "oneroster.zip"), "--ids", str(ids_file))
    assert campus.current() == 13_529
    _rollbook(database_url, tmp_path, "import", "progress", str(DATA / "progress.csv"))
    with ids_file.open(newline="") as file:
        ids = {row["sourcedId"]: row["AccountUserLearningModuleRelID"] for row in csv.DictReader(file)}
    with (DATA / "unregistrations.csv").open(newline="") as file:
        leaving = [ids[f"{row['classSourcedId']}-{row['userSourcedId']}"] for row in csv.DictReader(file)]
    assert len(leaving) == len(set(leaving)) == 3_723

    with run_server(database_url, tmp_path, poll_seconds=0.1) as server:
        _compare_progress(server, campus, ids)
        if soaks:
            with other_database(request, database_url, tmp_path) as copy_url:
                copy_real_account(server, campus, copy_url, tmp_path / "copy")
        _undo_a_term(Term(server, campus))
        assert campus.current() == 13_529 + 2
        campus.set(protect_completed=True)
        assert _unenroll_all(server, campus, leaving) == {"accepted": 3_714, "ULM:03": 9}
        campus.wait_until_drained()
        queue = campus.queue()
        assert Counter(queue[int(id_)] for id_ in leaving if int(id_) in queue)["Complete"] == 3_714
        assert campus.current() == 9_815 + 2
        assert _unenroll_all(server, campus, leaving) == {"ULM:03": 3_723}
    assert campus.current() == 9_815 + 2


def _undo_a_term(term: "Term") -> None:
    """Unenroll half of a course's learners, remove some items, restore the others: the report is as before."""
    newcomers = term.enroll_newcomers(["s23629@example.org", "s25107@example.org"])
    before = term.report()
    ids = [row.findtext("ID") or "" for row in before]
    assert len(ids) == len(set(ids)) == 383 + 2
    assert set(newcomers) < set(ids)

    # A processed batch is no longer in the report.
    first = term.unenroll(ids[:100])
    term.campus.wait_until_drained()
    assert [row.findtext("ID") for row in term.report()] == ids[100:]

    # Another batch waits in the paused queue; half of it is removed, the other half is processed.
    term.call("pauseUnenrollments", "<UnenrollmentQueue/>")
    second = term.unenroll(ids[100:200])
    assert len(term.report()) == len(ids) - 100
    assert term.change("removeUnenrollments", ids[100:150]) == {"Removed": 50}
    term.call("resumeUnenrollments", "<UnenrollmentQueue/>")
    term.campus.wait_until_drained()
    assert [row.findtext("ID") for row in term.report()] == ids[100:150] + ids[200:]

    assert term.change_batch("restoreUnenrollments", second) == {"Restored": 50, "RES:05": 50}
    assert term.change_batch("restoreUnenrollments", first) == {"Restored": 100}
    assert [etree.tostring(row) for row in term.report()] == [etree.tostring(row) for row in before]


COLUMNS = (
    "ALTERNATE_EMAIL COMPLETED_DATE COURSE_DURATION COURSE_SESSION_ID DIVISION DUE_DATE EMPLOYEE_ID ENROLLED_DATE "
    "GRADE GRADE_PERCENTAGE GROUP_ID GROUP_NAME LAST_ACCESSED_DATE POINTS PROGRESS ROLE_ID STARTED_DATE "
    "SUBSCRIPTION_NAME TITLE USER_EMAIL VARIANT_END_DATE VARIANT_NAME VARIANT_START_DATE"
)


class Term:
    """The learners of one real course, by calls alone."""

    COURSE = "AAA 2013J (268 days)"

    def __init__(self, server: ServerProcess, campus: Campus) -> None:
        self.server = server
        self.campus = campus

    def call(self, method: str, parameters: str) -> etree._Element:
        return etree.fromstring(self.server.post(self.campus.call(method, parameters)).content)

    def report(self) -> list[etree._Element]:
        """Read every page of the report of the course, with all columns."""
        columns = "".join(f"<ColumnName>{name}</ColumnName>" for name in COLUMNS.split())
        course = f"<LearningModuleNames><LearningModuleName>{self.COURSE}</LearningModuleName></LearningModuleNames>"
        filters = f"<Filters><LearningModules><LearningModule>{course}</LearningModule></LearningModules></Filters>"
        rows: list[etree._Element] = []
        for page in itertools.count(1):
            paging = f"<Page>{page}</Page><PageSize>90</PageSize>"
            asked = f"<Report>{paging}{filters}<Columns>{columns}</Columns></Report>"
            found = self.call("getLearnerReport", asked).findall("Info/LearnerReport/Learner")
            rows += found
            if not found:
                break
        return rows

    def enroll_newcomers(self, emails: list[str]) -> list[str]:
        """Enroll learners of other courses in this one, by the course's id in the report; give the new ids."""
        course_id = self.report()[0].findtext("LearningModuleID")
        items = "".join(
            f"<Enrollment><User><Email>{email}</Email></User><GroupName>The Open University</GroupName>"
            f"<LearningModuleID>{course_id}</LearningModuleID></Enrollment>"
            for email in emails
        )
        answer = self.call("enrollLearningModules", f"<LearningModuleEnrollment>{items}</LearningModuleEnrollment>")
        enrolled = answer.findall("Info/Enrollments/Enrollment/AccountUserLearningModuleRelID")
        assert len(enrolled) == len(emails), etree.tostring(answer)
        return [element.text or "" for element in enrolled]

    def unenroll(self, ids: list[str]) -> str:
        answer = self.server.post(self.campus.package(ids))
        assert Counter(read_outcomes(answer)) == {"accepted": len(ids)}
        return answer.headers["Rollbook-Batch"]

    def change(self, method: str, ids: list[str]) -> Counter[str]:
        items = "".join(f"<Unenrollment><{IDENTIFIER}>{id_}</{IDENTIFIER}></Unenrollment>" for id_ in ids)
        return self._outcomes(self.call(method, f"<Unenrollments>{items}</Unenrollments>"))

    def change_batch(self, method: str, batch: str) -> Counter[str]:
        return self._outcomes(self.call(method, f"<Unenrollments><BatchID>{batch}</BatchID></Unenrollments>"))

    def _outcomes(self, answer: etree._Element) -> Counter[str]:
        changed = [element.text or "" for element in answer.iterfind("Info/Unenrollments/Unenrollment/Status")]
        return Counter(changed + [element.text or "" for element in answer.iterfind("Errors/Error/ErrorID")])


def _compare_progress(server: ServerProcess, campus: Campus, ids: Mapping[str, str]) -> None:
    """Compare every row of the report, status by status, with what was imported."""
    with (DATA / "progress.csv").open(newline="") as file:
        expected = {ids[row["sourcedId"]]: row for row in csv.DictReader(file)}
    names = ("Progress", "Grade", "Points", "StartedDate", "CompletedDate", "LastAccessedDate")
    columns = ["PROGRESS", "GRADE", "POINTS", "STARTED_DATE", "COMPLETED_DATE", "LAST_ACCESSED_DATE"]
    with Client(server.url, campus.account_key, campus.owner_key, ca_file=server.ca_file) as client:
        for status, count in (("Completed", 9_812), ("In Progress", 2_494), ("Enrolled", 1_223)):
            rows = list(client.learner_report(ReportFilters(statuses=[status]), columns=columns))
            assert len(rows) == count
            assert {expected[row["ID"]]["EnrollmentStatus"] for row in rows} == {status}
            told = [[row[name].removesuffix(" 00:00:00.0") for name in names] for row in rows]
            assert told == [[expected[row["ID"]][name] for name in names] for row in rows]


def _unenroll_all(server: ServerProcess, campus: Campus, identifiers: list[str]) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    with server.client() as client:
        for start in range(0, len(identifiers), 100):
            package = campus.package(identifiers[start : start + 100])
            outcomes.update(read_outcomes(client.post(server.url, data={"Package": package})))
    return outcomes


def _rollbook(database_url: str, data_dir: Path, *arguments: str) -> None:
    done = run_forked([*arguments], environment(database_url, data_dir), data_dir)
    assert done.returncode == 0, done.stderr
