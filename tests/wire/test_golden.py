"""Every code of the contract, as pairs of a request and its answer in tests/wire/cases, posted over HTTPS.

A request is the XML of the package, or with `.request.form` the body of the form itself. `${…}` names an enrollment or
a key of the account that `_values` makes.
"""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template

import pytest
import sqlalchemy as sa
from lxml import etree

from campus import OPERATOR, Campus
from conftest import Served
from rollbook.errors import UNFORESEEN, WireCode
from rollbook.methods import CODES, METHODS
from rollbook.methods.method import Method
from rollbook.model import EnrollmentStatus, Permission, utc_now
from rollbook.store.database.tables import (
    batches,
    courses,
    enrollments,
    group_courses,
    group_tags,
    groups,
    memberships,
    sessions,
    unenrollments,
    user_teams,
    users,
)
from rollbook.store.people.api_keys import new_key
from rollbook.store.people.emails import folded as fold
from rollbook.store.people.memberships import Membership, join_groups
from rollbook.wire.messages import TEXT, Element
from rollbook.wire.read import compile_reader

CASES = Path(__file__).parent / "cases"
REQUESTS = sorted(CASES.glob("*.request.*"))
# What is kept of a user as it came.
PROFILE = {
    "Organization": "Flood & Fire <North>",
    "Language": "Français",
    "AllowFeedback": True,
    "AuthenticationType": "Both",
    "Supervisors": ["Ann & Bo", "<Cy>"],
    "PhonePrimary": "+1 555 0100",
    "SendEmailTo": "Self",
    "Address1": '1 "Main" St.',
    "Country": "Österreich",
    "Website": "https://example.org/?a=1&b=2",
    "SendWeeklyTaskReminder": True,
    "Roles": "<Role>Chef &amp; Koch</Role>",
    "CustomFields": "<CustomField><Name>Größe</Name><Value>&lt;42&gt; &amp; more</Value></CustomField>",
}
# By database and the beginning of a name: an account, and the names of its records.
Accounts = dict[tuple[str, str], tuple[Campus, dict[str, object]]]
QUEUE_METHODS = ("gun", "gub", "guq", "pau", "rsm", "rem", "res")


def _values(served: Served, campus: Campus) -> dict[str, object]:
    """Make enrollments in every state, and name them and the keys."""
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
        "current": current,
        "queued": queued,
        "gone": gone,
        "started": campus.enroll(1, EnrollmentStatus.IN_PROGRESS)[0],
        "completed": campus.enroll(1, EnrollmentStatus.COMPLETED)[0],
    }


def _foreign_values(served: Served, accounts: Accounts) -> dict[str, object]:
    """Make another account, which all cases share, because none can change it."""
    key = (served.database_url, "foreign")
    foreign, _ = accounts[key] = accounts.get(key) or (Campus(served.database), {})
    return {
        "foreign_owner_key": foreign.owner_key,
        "foreign": foreign.enroll(1)[0],
        "foreign_user": foreign.user_id("learner@example.org"),
        "foreign_course": foreign.course_id,
    }


def _enrolling_values(campus: Campus) -> dict[str, object]:
    """Make the groups East and West, employees E1 to E3 in East, E3 in the course, and a manager of East."""
    person = {"given_name": "Some", "family_name": "Learner", "role": "learner", "active": True}
    east, west = (campus.add(groups, name=name, active=True) for name in ("East", "West"))
    course, other = (campus.add(courses, name=name, status="Active") for name in ("Chemistry", "Physics"))
    for number in (1, 2, 3):
        user = campus.add(users, employee_id=f"E{number}", email=f"e{number}@example.org", **person)
        campus.add(memberships, group_id=east, user_id=user, group_manager=False, manage_group_users=False)
    place = {"user_id": user, "group_id": east, "course_id": course}
    campus.add(enrollments, **place, status="Enrolled", enrolled_at=utc_now())
    manager = campus.add(users, email="manager@example.org", **person)
    campus.add(memberships, group_id=east, user_id=manager, group_manager=True, manage_group_users=False)
    with campus.database.write() as connection:
        manager_key = new_key(connection, campus.account, "manager@example.org", by=OPERATOR)
    return {
        "manager_key": manager_key,
        "east": east,
        "west": west,
        "north": campus.group_id,
        "course": course,
        "session": campus.add(sessions, course_id=course, name="Monday"),
        "other_session": campus.add(sessions, course_id=other, name="Monday"),
    }


def _course_of_north(campus: Campus) -> dict[str, object]:
    """Make a course that is in the group North only."""
    biology = campus.add(courses, name="Biology", status="Active")
    flags = {"allow_self_enroll": False, "auto_enroll": False}
    campus.add(group_courses, group_id=campus.group_id, course_id=biology, **flags)
    return {"course_of_north": biology}


def _report_values(campus: Campus) -> dict[str, object]:
    """Make two enrollments of 2022 in the group South: one has everything, the other what none is without."""
    south = campus.add(groups, name="South", active=False)
    ladders = campus.add(courses, name="Ladders & Scaffolds", status="Archived", duration="90 min")
    monday = campus.add(sessions, course_id=ladders, name="Monday")
    zoe = {"email": "zoe@example.org", "alternate_email": "zoe@example.com", "employee_id": "Z-7", "title": "Captain"}
    zoe |= {"given_name": "Zoë", "family_name": "O'Neil", "division": "Rescue"}
    learner = campus.add(users, **zoe, role="learner", active=True)
    other = campus.add(users, given_name="Bo", family_name="<b>Li</b>", role="learner", active=False)
    noon = datetime(2022, 7, 1, 12, tzinfo=UTC)
    row = {"group_id": south, "course_id": ladders, "created_at": noon, "modified_at": noon, "enrolled_at": noon}
    days = ("started_at", "last_accessed_at", "completed_at", "due_at", "grace_period_at")
    times = {name: noon + timedelta(days=place, milliseconds=120) for place, name in enumerate(days, 1)}
    progress = {"progress": "100", "grade": "B+", "grade_percentage": "87.5", "points": "12", "session_id": monday}
    return {
        "report_group": south,
        "report_course": ladders,
        "report_session": monday,
        "report_user": learner,
        "other_report_user": other,
        "reported": campus.add(enrollments, user_id=learner, status="Completed", **row, **progress, **times),
        "also_reported": campus.add(enrollments, user_id=other, status="Enrolled", **row),
    }


def _queue_values(campus: Campus) -> dict[str, object]:
    """Make a batch that is done, of which one learner is back and one was purged, and a batch that is pending."""
    complete, again, purged, pending, also_pending = ids = campus.enroll(5)
    asked = datetime(2026, 7, 1, 8, tzinfo=UTC)
    enrolled = {"enrolled_at": datetime(2026, 1, 7, 9, 0, 0, 500_000, tzinfo=UTC)}
    with campus.database.write() as connection:
        connection.execute(sa.update(enrollments).where(enrollments.c.id.in_(ids)).values(enrolled))
        learner = connection.execute(sa.select(enrollments.c.user_id).where(enrollments.c.id == again)).scalar_one()
    done_batch = campus.accept([complete, again, purged]).batch_id
    with campus.database.write() as connection:  # the items that _values has queued do not interfere
        connection.execute(sa.delete(unenrollments).where(unenrollments.c.batch_id < done_batch, _is_of(campus)))
    campus.drain()
    pending_batch = campus.accept([pending, also_pending]).batch_id
    with campus.database.write() as connection:
        times = {"requested_at": asked, "due_at": asked}
        connection.execute(sa.update(unenrollments).where(_is_of(campus)).values(times))
        finished = {"finished_at": asked + timedelta(seconds=1.25)}
        was_finished = sa.and_(_is_of(campus), unenrollments.c.status == "Complete")
        connection.execute(sa.update(unenrollments).where(was_finished).values(finished))
        connection.execute(sa.update(batches).where(batches.c.id == done_batch).values(requested_at=asked))
        connection.execute(sa.update(enrollments).where(enrollments.c.id == purged).values(purged_at=asked))
    place = {"user_id": learner, "group_id": campus.group_id, "course_id": campus.course_id}
    campus.add(enrollments, **place, status="Enrolled", enrolled_at=asked)
    names = {"complete": complete, "again": again, "purged": purged, "pending": pending, "also_pending": also_pending}
    return names | {"done_batch": done_batch, "pending_batch": pending_batch}


def _people_values(campus: Campus) -> dict[str, object]:
    """Make Zoë with everything, in two groups; Miriam with the least that a user has; a manager of one group."""
    noon = datetime(2022, 7, 1, 12, tzinfo=UTC)
    made = {"created_at": noon, "modified_at": noon + timedelta(hours=1, milliseconds=120)}
    rescue = campus.add(groups, name='R&D "Rescue" <1>', identifier="RD&1", active=True, **made)
    south = campus.add(groups, name="Süd", active=True, **made)
    campus.add(groups, name="Full & closed", active=True, user_limit=0, **made)
    zoe = {"email": "zoë@example.org", "alternate_email": "zoe@example.com", "employee_id": "Z<7>", "title": "Captain"}
    zoe |= {"given_name": "Zoë", "family_name": 'O\'Neil & "Sons"', "division": "<Rescue>", "timezone": "US/Eastern"}
    profile = json.dumps(PROFILE)
    zoe_id = campus.add(users, **zoe, **fold(zoe["email"]), role="learner", active=True, profile=profile, **made)
    for team in ("Blue & White", "Ärzte"):
        campus.add(user_teams, user_id=zoe_id, name=team)
    miriam = {"given_name": "מִרְיָם", "family_name": "כֹּהֵן", "employee_id": "E-2", "active": False}
    miriam_id = campus.add(users, **miriam, role="learner", **made)
    manager = {"given_name": "Max", "family_name": "Manager", "email": "max@example.org", "active": True}
    max_id = campus.add(users, **manager, **fold("max@example.org"), role="learner", **made)
    with campus.database.write() as connection:
        held = {Permission.MANAGE_GROUP: True, Permission.PROCTOR: True}
        wanted = [
            Membership(rescue, zoe_id, held),
            Membership(south, zoe_id, is_home=True),
            Membership(rescue, max_id, {Permission.MANAGE_USERS: True}),
            Membership(campus.group_id, miriam_id),
        ]
        join_groups(connection, campus.account.id, wanted)
        max_key = new_key(connection, campus.account, "max@example.org", by=OPERATOR)
    names = {"zoe": zoe_id, "miriam": miriam_id, "max": max_id, "max_key": max_key, "south": south}
    return names | {"north": campus.group_id}


def _progress_values(campus: Campus) -> dict[str, object]:
    """Make a completed enrollment of two learners who have an open one in the course, and two completed of another."""
    place = {"group_id": campus.group_id, "course_id": campus.course_id, "enrolled_at": utc_now()}
    names = {
        "done_before": ("Ada", "Completed"),
        "open_now": ("Ada", "Enrolled"),
        "done_once": ("Bo", "Completed"),
        "done_twice": ("Bo", "Completed"),
        "opening": ("Cy", "Completed"),
        "closing": ("Cy", "Enrolled"),
    }
    again = {"family_name": "Again", "role": "learner", "active": True}
    ids = {given: campus.add(users, given_name=given, **again) for given in ("Ada", "Bo", "Cy")}
    return {
        name: campus.add(enrollments, user_id=ids[given], **place, status=status)
        for name, (given, status) in names.items()
    }


def _course_values(campus: Campus) -> dict[str, object]:
    """Make an archived course and a past session; name the courses."""
    ladders = campus.add(courses, name='Ladders & "סולמות" <É>', status="Archived")
    with campus.database.read() as connection:
        mine = sa.select(courses.c.name, courses.c.id).where(courses.c.account_id == campus.account.id)
        named = {row.name: row.id for row in connection.execute(mine)}
    noon = datetime(2022, 7, 1, 12, tzinfo=UTC)
    times = {"starts_at": noon, "ends_at": noon + timedelta(minutes=90)}
    grade = 'A & "é" <b> שלום'
    past = campus.add(sessions, course_id=named["Chemistry"], name="Past", status="Active", grade_type=grade, **times)
    return {"ladders": ladders, "past_session": past, "fire": named["Fire Safety"], "physics": named["Physics"]}


def _group_values(campus: Campus) -> dict[str, object]:
    """Make two groups of 2022: one with tags, two members and two courses, and one that has nothing."""
    noon = datetime(2022, 7, 1, 12, tzinfo=UTC)
    times = {"created_at": noon, "modified_at": noon + timedelta(days=1, minutes=30, seconds=15.25)}
    big = campus.add(
        groups,
        name='R&D <Été> "1"',
        identifier="R&D-1",
        active=True,
        description="Where <b>new</b> things are made & broken",
        home_group_message="ברוכים הבאים",
        notification_emails='["head@example.org", "desk@example.org"]',
        **times,
    )
    rtl = campus.add(groups, name="קבוצת הצפון", active=False, **times)
    for number, name, values in ((4, "Size", ""), (3, "Région", "Nord,Ouest & Sud")):
        campus.add(group_tags, group_id=big, tag_id=number, name=name, tag_values=values)
    for email in ("e1@example.org", "administrator@example.org"):
        user = campus.user_id(email)
        campus.add(memberships, group_id=big, user_id=user, group_manager=False, manage_group_users=False)
    with campus.database.read() as connection:
        chemistry = sa.select(courses.c.id).where(
            courses.c.account_id == campus.account.id, courses.c.name == "Chemistry"
        )
        course = connection.execute(chemistry).scalar_one()
    ladders = campus.add(courses, name='Ladders & "סולמות" <é>', status="Archived")
    for number in (ladders, course):
        campus.add(group_courses, group_id=big, course_id=number, allow_self_enroll=False, auto_enroll=False)
    return {"big_group": big, "rtl_group": rtl, "ladders": ladders}


def _twin_values(campus: Campus) -> dict[str, object]:
    """Make two groups of a name, as a roster may bring them."""
    return {name: campus.add(groups, name='Twin & "תאום"', active=True) for name in ("twin", "other_twin")}


# The further records of cases, by the beginning of their names.
MORE_VALUES = {
    **dict.fromkeys(("elm", "ehi", "esh"), (_enrolling_values, _course_of_north)),
    "uen": (_progress_values,),
    **dict.fromkeys(("llm", "lse", "chs"), (_enrolling_values, _course_values)),
    "glr": (_enrolling_values, _report_values),
    **dict.fromkeys(("gg_", "lg_", "ggl", "cg_"), (_enrolling_values, _group_values)),
    "ug_": (_enrolling_values, _group_values, _twin_values),
    **dict.fromkeys(QUEUE_METHODS, (_queue_values,)),
    **dict.fromkeys(("gu_", "gug", "cu_", "uu_", "lu_", "rea"), (_people_values,)),
}


def _is_of(campus: Campus) -> sa.ColumnElement[bool]:
    return unenrollments.c.account_id == campus.account.id


def _new_ids(campus: Campus) -> dict[str, object]:
    """Name what the call may have made: the newest enrollment of each employee, the newest session and group."""
    query = sa.select(users.c.employee_id, enrollments.c.id).join(users, users.c.id == enrollments.c.user_id)
    query = query.where(users.c.account_id == campus.account.id).order_by(enrollments.c.id)
    with campus.database.read() as connection:
        ids: dict[str, object] = {f"enrolled_{employee_id}": id_ for employee_id, id_ in connection.execute(query)}
        for name, table in (("session", sessions), ("group", groups)):
            newest = sa.select(sa.func.max(table.c.id)).where(table.c.account_id == campus.account.id)
            ids[f"newest_{name}"] = connection.execute(newest).scalar_one()
    return ids


def _given_keys(served: Served, answer: str) -> dict[str, object]:
    """Name the keys of the answer, which are random, and the origin of the server."""
    found = re.search(r"<AuthKey>([\w-]{43})</AuthKey>\s*<RequestKey>([\w-]{43})</RequestKey>", answer, re.ASCII)
    auth_key, request_key = found.groups() if found else (None, None)
    return {"auth_key": auth_key, "request_key": request_key, "origin": served.server.url.removesuffix("/apiv2/")}


@pytest.fixture(scope="module")
def accounts() -> Accounts:
    """The accounts of calls that change nothing, which share them, by the beginning of their names."""
    return {}


def _make_account(served: Served, accounts: Accounts, name: str) -> tuple[Campus, dict[str, object]]:
    campus = Campus(served.database)
    values = _values(served, campus) | _foreign_values(served, accounts)
    for more_values in MORE_VALUES.get(name[:3], ()):
        values |= more_values(campus)
    if name.endswith("_protected"):
        campus.set(protect_completed=True)
    return campus, values


@pytest.mark.parametrize("request_file", REQUESTS, ids=lambda path: path.name.split(".")[0])
def test_a_call_is_answered_as_the_contract_says(served: Served, accounts: Accounts, request_file: Path) -> None:
    name, _, kind = request_file.name.split(".")
    template, answer_template = request_file.read_text(), (CASES / f"{name}.answer.xml").read_text()
    found = re.search(r"<Method>\s*(\w+)", template)
    method = METHODS.get(found[1]) if found else None
    refused, reads = "<Result>Failed</Result>" in answer_template, method is not None and not method.changes
    if (refused or reads) and not name.endswith("_protected"):
        key = (served.database_url, name[:3])
        campus, values = accounts[key] = accounts.get(key) or _make_account(served, accounts, name)
    else:
        campus, values = _make_account(served, accounts, name)
    before = set(campus.queue())
    request = Template(template).substitute(values)

    with served.server.connection() as client:
        body = {"content": request} if kind == "form" else {"data": {"Package": request}}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = client.post(served.server.url, headers=headers, **body)
    expected = Template(answer_template).substitute(values | _new_ids(campus) | _given_keys(served, answer.text))

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/xml; charset=UTF-8"
    assert answer.headers["X-Request-ID"]
    assert answer.text.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    assert _canonical(answer.content) == _canonical(expected.encode())
    _check_info(method, answer.content)
    queued = set(campus.queue()) - before
    assert queued == (_accepted(expected) if name.startswith("ulm") else set())
    assert ("Rollbook-Batch" in answer.headers) == bool(queued)


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.code)
def test_every_code_has_a_case_named_after_it_that_answers_it(code: WireCode) -> None:
    if code is UNFORESEEN:  # no request produces it
        return
    cases = CASES.glob(f"{code.code.lower().replace(':', '_')}_*.answer.xml")
    assert any(f"<ErrorID>{code.code}</ErrorID>" in case.read_text() for case in cases)


def _check_info(method: Method | None, answer: bytes) -> None:
    """Check that the answer has exactly the structure that the method gives."""
    info = etree.fromstring(answer).find("Info")
    assert info is not None
    if method and len(info):
        compile_reader(_of_texts(method.gives))(info)


def _of_texts(element: Element) -> Element:
    """Keep only the structure: any value of an answer can be empty."""
    return replace(
        element, kind=element.kind if element.kind.markup else TEXT, children=tuple(map(_of_texts, element.children))
    )


def _canonical(xml: bytes) -> str:
    canonical: str = etree.canonicalize(xml.decode(), strip_text=True)
    return canonical


def _accepted(expected: str) -> set[int]:
    root = etree.fromstring(expected.encode())
    return {int(element.text or "") for element in root.iterfind("Info/Unenrollments//AccountUserLearningModuleRelID")}
