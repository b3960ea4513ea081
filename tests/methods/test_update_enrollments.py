"""updateEnrollments through the client and HTTPS: progress comes in, stays, and comes back by an undo."""

from datetime import UTC, date, datetime

from campus import Campus
from conftest import Served
from rollbook import Client, Progress, ReportFilters

COLUMNS = ["PROGRESS", "GRADE", "GRADE_PERCENTAGE", "POINTS", "STARTED_DATE", "COMPLETED_DATE", "LAST_ACCESSED_DATE"]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRADE = 'A & "é" <b> שלום'


def _client(served: Served, campus: Campus) -> Client:
    return Client(served.server.url, campus.account_key, campus.owner_key, ca_file=served.server.ca_file)


def test_progress_of_a_program_is_reported_and_comes_back_after_an_undo(served: Served, campus: Campus) -> None:
    done, half, other = campus.enroll(3)
    with _client(served, campus) as client:
        times = {"started": date(2026, 2, 1), "last_accessed": NOON, "due": NOON, "grace_period": NOON}
        written = [
            Progress(done, "Completed", "100", GRADE, "97.5", "12", completed=NOON, **times),
            Progress(half, "In Progress", "half of it", access_ends=NOON),
        ]
        assert [outcome.status for outcome in client.update_enrollments(written)] == ["accepted", "accepted"]
        before = list(client.learner_report(columns=COLUMNS))
        for status, id_ in (("Completed", done), ("In Progress", half), ("Enrolled", other)):
            assert [row["ID"] for row in client.learner_report(ReportFilters(statuses=[status]))] == [str(id_)]
        assert [row["Grade"] for row in before] == [GRADE, "", ""]
        assert [row["CompletedDate"] for row in before] == ["2026-03-01 12:00:00.0", "", ""]
        assert list(client.update_enrollments(written))  # the same again changes nothing, not even ModifiedDate
        assert list(client.learner_report(columns=COLUMNS)) == before
        list(client.unenroll([done, half, other]))
        assert [outcome.code for outcome in client.update_enrollments([Progress(half, progress="75")])] == [None]
        campus.drain()
        assert [outcome.code for outcome in client.update_enrollments([Progress(half, progress="80")])] == ["UEN:06"]
        list(client.restore([done, half, other]))
        after = list(client.learner_report(columns=COLUMNS))
    assert after[1].pop("ModifiedDate") > before[1].pop("ModifiedDate")
    assert [after[0], after[1], after[2]] == [before[0], {**before[1], "Progress": "75"}, before[2]]


def test_completed_without_a_date_is_completed_now_and_an_empty_element_empties(served: Served, campus: Campus) -> None:
    (id_,) = campus.enroll(1)
    with _client(served, campus) as client:
        begun = datetime.now(UTC).replace(tzinfo=None)
        list(client.update_enrollments([Progress(id_, "Completed", grade="B"), Progress(id_, points="3")]))
        list(client.update_enrollments([Progress(id_, grade="")]))
        (row,) = client.learner_report(ReportFilters(statuses=["Completed"]), columns=COLUMNS)
    assert (row["Grade"], row["Points"]) == ("", "3")
    assert abs((datetime.fromisoformat(row["CompletedDate"]) - begun).total_seconds()) < 60
