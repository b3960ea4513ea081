"""The client's calls about courses, sessions and history, over real HTTPS."""

from datetime import UTC, date, datetime

import pytest

from campus import Campus
from conftest import Served
from rollbook import Client, PastEnrollment
from rollbook.store.database.tables import memberships, users

NOON = datetime(2022, 7, 1, 12, tzinfo=UTC)


def test_history_of_another_system_comes_in_with_its_sessions(served: Served, campus: Campus) -> None:
    person = {"given_name": "Ada", "family_name": "L & M", "role": "learner", "active": True}
    learner = campus.add(users, email="ada@example.org", employee_id="E1", **person)
    rights = {"group_manager": False, "manage_group_users": False}
    campus.add(memberships, user_id=learner, group_id=campus.group_id, **rights)
    here = {"course_id": campus.course_id, "group": "North"}
    with Client(served.server.url, campus.account_key, campus.owner_key, ca_file=served.server.ca_file) as client:
        session_id = client.add_past_session(campus.course_id, NOON, minutes=90, instructors=["owner@example.org"])
        (session,) = client.sessions(campus.course_id)
        assert (session.id, session.starts_at, session.ends_at) == (session_id, NOON, NOON.replace(hour=13, minute=30))
        past = [
            PastEnrollment(status="Completed", email="ada@example.org", session_id=session_id, grade="<B>", **here),
            PastEnrollment(status="Completed", employee_id="E1", completed=date(2023, 7, 1), **here),
            PastEnrollment(status="In Progress", employee_id="E1", enrolled=date(2024, 7, 1), **here),
            PastEnrollment(status="Enrolled", employee_id="E1", **here),
        ]
        outcomes = list(client.import_history(past))
        assert [outcome.code for outcome in outcomes] == [None, None, None, "EHI:19"]
        rows = list(client.learner_report(columns=["GRADE", "COMPLETED_DATE", "COURSE_SESSION_ID"]))
        assert [row["ID"] for row in rows] == [outcome.new_id for outcome in outcomes[:3]]
        ends = ["2022-07-01 13:30:00.0", "2023-07-01 00:00:00.0", ""]
        assert [row["CompletedDate"] for row in rows] == ends
        assert [row["Grade"] for row in rows] == ["<B>", "", ""]
        assert [row["Type"] for row in client.courses(contains="fire", status="Active")] == ["Instructor-Led"]


def test_past_enrollment_that_no_call_can_say_is_refused_before_the_first_call() -> None:
    with pytest.raises(ValueError, match="no date but enrolled"):
        PastEnrollment(1, "Completed", group="North", email="a@example.org", session_id=7, completed=date(2022, 7, 1))
    with pytest.raises(ValueError, match="either a group or a group_id"):
        PastEnrollment(1, "Completed", email="a@example.org")
