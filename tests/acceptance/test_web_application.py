"""A web application that was written for the hosted service runs from end to end."""

from xml.sax.saxutils import escape

import httpx
import pytest
from lxml import etree

from campus import Campus
from conftest import Served

NAME = 'מִרְיָם & "Ädå" <b>'
KEYS_ARE_OLD = 403


class Program:
    """A program with the two keys of an administrator, which speaks XML and nothing of Rollbook's own."""

    def __init__(self, served: Served, campus: Campus) -> None:
        self._served = served
        self._campus = campus

    def call(self, method: str, parameters: str) -> etree._Element:
        """Make one call."""
        answer = self._served.server.post(self._campus.call(method, parameters, self._campus.administrator_key))
        assert answer.status_code == 200
        return etree.fromstring(answer.content)

    def info(self, method: str, parameters: str) -> etree._Element:
        """Make a call that succeeds, and return its Info."""
        root = self.call(method, parameters)
        assert root.findtext("Result") == "Success", etree.tostring(root)
        assert root.find("Errors/Error") is None
        return root.find("Info")  # type: ignore[return-value]

    def error(self, method: str, parameters: str) -> str:
        """Make a call that fails with exactly one error, and return its code."""
        root = self.call(method, parameters)
        assert root.findtext("Result") == "Failed"
        (error,) = root.iterfind("Errors/Error")
        return error.findtext("ErrorID") or ""


@pytest.fixture
def program(served: Served, campus: Campus) -> Program:
    return Program(served, campus)


def _values(element: etree._Element | None) -> dict[str, str]:
    assert element is not None
    return {child.tag: child.text or "" for child in element}


def test_web_application_brings_a_learner_from_the_first_visit_to_the_undo(
    served: Served, campus: Campus, program: Program
) -> None:
    who = "<User><Email>miriam@example.org</Email></User>"
    assert program.error("getUser", who) == "GU:03"

    # The least that a recorded call had.
    person = f"<Email>miriam@example.org</Email><EmployeeID>M&amp;1</EmployeeID><GivenName>{escape(NAME)}</GivenName>"
    created = program.info(
        "createUser",
        f"<User><Info>{person}<Surname>Cohen</Surname></Info><Profile><HomeGroup>North</HomeGroup></Profile>"
        "<Groups><Group><GroupName>North</GroupName></Group></Groups></User>",
    )
    assert _values(created) == {"Email": "miriam@example.org", "EmployeeID": "M&1"}
    user = _values(program.info("getUser", who).find("User"))
    assert (user["GivenName"], user["HomeGroup"], user["Status"]) == (NAME, "North", "Active")
    assert user["Timezone"] == "(GMT+0:00) - UTC"

    enrollment = (
        f"<LearningModuleEnrollment><Enrollment>{who}<GroupName>North</GroupName><LearningModuleID>{campus.course_id}"
        "</LearningModuleID></Enrollment></LearningModuleEnrollment>"
    )
    id_ = program.info("enrollLearningModules", enrollment).findtext(".//AccountUserLearningModuleRelID") or ""
    assert program.error("enrollLearningModules", enrollment) == "ELM:19"

    named = "<UserIdentifier><EmailAddress>miriam@example.org</EmailAddress></UserIdentifier>"
    mine = f"<Filters><Users>{named}</Users></Filters>"
    columns = "".join(f"<ColumnName>{name}</ColumnName>" for name in ("STARTED_DATE", "COMPLETED_DATE", "PROGRESS"))
    report = f"<Report>{mine}<Columns>{columns}</Columns></Report>"

    def rows() -> list[dict[str, str]]:
        return [_values(row) for row in program.info("getLearnerReport", report).iterfind("LearnerReport/Learner")]

    (row,) = rows()
    assert (row["ID"], row["StartedDate"], row["CompletedDate"]) == (id_, "", "")

    program.info(
        "updateEnrollments",
        f"<LearningModuleEnrollment><Enrollment><AccountUserLearningModuleRelID>{id_}</AccountUserLearningModuleRelID>"
        "<EnrollmentStatus>Completed</EnrollmentStatus><Progress>100</Progress><StartedDate>01-Jul-26</StartedDate>"
        "<CompletedDate>2026-07-02</CompletedDate></Enrollment></LearningModuleEnrollment>",
    )
    (row,) = rows()
    assert (row["StartedDate"], row["CompletedDate"]) == ("2026-07-01 00:00:00.0", "2026-07-02 00:00:00.0")
    assert row["Progress"] == "100"
    again = program.info("enrollLearningModules", enrollment).findtext(".//AccountUserLearningModuleRelID") or ""
    assert [row["ID"] for row in rows()] == [id_, again]

    _see_own_page_once(served, program)

    changed = program.info(
        "updateUser",
        "<User><Identifier><Email>miriam@example.org</Email></Identifier><Info><Email>new@example.org</Email></Info>"
        "<Profile/><Groups/><Venues/><Wages/></User>",
    )
    assert _values(changed) == {"Email": "new@example.org", "EmployeeID": "M&1"}
    after = _values(program.info("getUser", "<User><Email>NEW@example.org</Email></User>").find("User"))
    assert {name for name in user if user[name] != after[name]} <= {"Email", "ModifiedDate"}

    mine_now = report.replace("miriam@example.org", "new@example.org")
    report = mine_now
    before = etree.tostring(program.info("getLearnerReport", mine_now))
    items = "".join(
        f"<Unenrollment><AccountUserLearningModuleRelID>{each}</AccountUserLearningModuleRelID></Unenrollment>"
        for each in (id_, again)
    )
    program.info("unenrollLearningModules", f"<LearningModuleEnrollment>{items}</LearningModuleEnrollment>")
    campus.drain()
    assert rows() == []
    program.info("restoreUnenrollments", f"<Unenrollments>{items}</Unenrollments>")
    assert etree.tostring(program.info("getLearnerReport", mine_now)) == before


def _see_own_page_once(served: Served, program: Program) -> None:
    asked = "<Security><Email>miriam@example.org</Email></Security>"
    path = program.info("requestExternalAuthorization", asked).findtext("RedirectPath") or ""
    address = served.server.url.removesuffix("/apiv2/")
    path = path.removeprefix(address)
    with served.server.client() as browser:
        page = browser.get(f"{address}{path}", follow_redirects=True)
        assert page.status_code == 200
        assert "Fire Safety" in page.text
        assert escape(NAME.split(" ", maxsplit=1)[0]) in page.text
        assert browser.get(str(page.url)).status_code == 200
    with served.server.client() as another:
        assert _open(another, f"{address}{path}").status_code == KEYS_ARE_OLD


def _open(client: httpx.Client, url: str) -> httpx.Response:
    return client.get(url, follow_redirects=True)
