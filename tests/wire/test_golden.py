"""Every code of the contract, as pairs of a request and its answer in tests/wire/cases, posted over HTTPS.

A request is the XML of the package, or with `.request.form` the body of the form itself. `${…}` names an enrolment or a
key of the account that `_values` makes.
"""

from pathlib import Path
from string import Template

import pytest
import sqlalchemy as sa
from lxml import etree

from campus import Campus
from conftest import Served
from rollbook.model import EnrollmentStatus, utc_now
from rollbook.store.tables import enrollments

CASES = Path(__file__).parent / "cases"
REQUESTS = sorted(CASES.glob("*.request.*"))


def _values(served: Served, campus: Campus) -> dict[str, object]:
    """Make enrolments in every state that a call can meet, and name them and the keys."""
    foreign = Campus(served.database)
    current, queued, gone = campus.enroll(3)
    with served.database.write() as connection:
        ended = sa.update(enrollments).where(enrollments.c.id == gone)
        connection.execute(ended.values(unenrolled_at=utc_now()))
    assert served.server.post(campus.package([queued])).headers["Rollbook-Batch"].isdigit()
    return {
        "account_key": campus.account_key,
        "owner_key": campus.owner_key,
        "administrator_key": campus.administrator_key,
        "learner_key": campus.learner_key,
        "foreign_owner_key": foreign.owner_key,
        "current": current,
        "queued": queued,
        "gone": gone,
        "started": campus.enroll(1, EnrollmentStatus.IN_PROGRESS)[0],
        "completed": campus.enroll(1, EnrollmentStatus.COMPLETED)[0],
        "foreign": foreign.enroll(1)[0],
    }


@pytest.mark.parametrize("request_file", REQUESTS, ids=lambda path: path.name.split(".")[0])
def test_a_call_is_answered_as_the_contract_says(served: Served, campus: Campus, request_file: Path) -> None:
    name, _, kind = request_file.name.split(".")
    values = _values(served, campus)
    if name.endswith("_protected"):
        campus.set(protect_completed=True)
    before = set(campus.queue())
    request = Template(request_file.read_text()).substitute(values)
    expected = Template((CASES / f"{name}.answer.xml").read_text()).substitute(values)

    with served.server.client() as client:
        body = {"content": request} if kind == "form" else {"data": {"Package": request}}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = client.post(served.server.url, headers=headers, **body)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/xml; charset=UTF-8"
    assert answer.headers["X-Request-ID"]
    assert answer.text.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    assert _canonical(answer.content) == _canonical(expected.encode())
    queued = set(campus.queue()) - before
    assert queued == _accepted(expected)
    assert ("Rollbook-Batch" in answer.headers) == bool(queued)


def test_every_code_of_the_contract_has_a_case() -> None:
    contract = {f"su_{number:02}" for number in range(1, 14)} | {f"ulm_{number:02}" for number in range(1, 6)}
    assert contract <= {"_".join(path.name.split("_")[:2]) for path in REQUESTS}


def _canonical(xml: bytes) -> str:
    canonical: str = etree.canonicalize(xml.decode(), strip_text=True)
    return canonical


def _accepted(expected: str) -> set[int]:
    root = etree.fromstring(expected.encode())
    return {int(element.text or "") for element in root.iterfind("Info//AccountUserLearningModuleRelID")}
