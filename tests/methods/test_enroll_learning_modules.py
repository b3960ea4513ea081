"""enrollLearningModules over HTTPS: permissions, every error of an item, and concurrent calls."""

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import sqlalchemy as sa
from lxml import etree

from campus import OPERATOR, Campus, read_outcomes
from conftest import Served
from driver_statements import counted_statements
from rollbook.methods.enroll_learning_modules import ENROLL_LEARNING_MODULES
from rollbook.model import EnrollmentStatus, Extensions, Role, utc_now
from rollbook.store.database.tables import courses, enrollments, group_courses, groups, memberships, sessions, users
from rollbook.store.people.api_keys import find_caller, new_key
from rollbook.store.people.users import add_user
from rollbook.wire.call import read_call

IDENTIFIER = "AccountUserLearningModuleRelID"
TODAY = datetime.combine(utc_now().date(), datetime.min.time(), UTC)


class Registrar:
    """One account with the group East, of which ada, employee E1, is a member, and the course Chemistry."""

    def __init__(self, served: Served, campus: Campus) -> None:
        self.served = served
        self.campus = campus
        self.east = campus.add(groups, name="East", active=True)
        self.west = campus.add(groups, name="West", active=True)
        self.course = campus.add(courses, name="Chemistry", status="Active")
        self.session = campus.add(sessions, course_id=self.course, name="Monday")
        self.ada = self.add_learner("Ada@example.org", self.east, employee_id="E1")

    def add_learner(self, email: str, *group_ids: int, active: bool = True, employee_id: str | None = None) -> int:
        person = {"given_name": "Some", "family_name": "Learner", "role": "learner", "active": active}
        user_id = self.campus.add(users, email=email, employee_id=employee_id, **person)
        for group_id in group_ids:
            self.join(user_id, group_id)
        return user_id

    def join(self, user_id: int, group_id: int, **permissions: bool) -> None:
        no_permissions = {"group_manager": False, "manage_group_users": False}
        self.campus.add(memberships, user_id=user_id, group_id=group_id, **{**no_permissions, **permissions})

    def manager_key(self, group_id: int, role: Role = Role.LEARNER, **permissions: bool) -> str:
        """A key of a new user with the permissions in the group."""
        with self.campus.database.write() as connection:
            add_user(connection, self.campus.account, "manager@example.org", role, by=OPERATOR)
            key = new_key(connection, self.campus.account, "manager@example.org", by=OPERATOR)
            query = sa.select(users.c.id).where(users.c.account_id == self.campus.account.id)
            user_id = connection.execute(query.where(users.c.email == "manager@example.org")).scalar_one()
        self.join(user_id, group_id, **permissions)
        return key

    def item(
        self, user: str = "<Email>ada@example.org</Email>", group: str = "East", more: str = "", **ids: object
    ) -> str:
        course = ids.get("course", self.course)
        return (
            f"<Enrollment><User>{user}</User><GroupName>{group}</GroupName>"
            f"<LearningModuleID>{course}</LearningModuleID>{more}</Enrollment>"
        )

    def package(self, items: Sequence[str], key: str | None = None) -> str:
        parameters = f"<LearningModuleEnrollment>{''.join(items)}</LearningModuleEnrollment>"
        return self.campus.call("enrollLearningModules", parameters, key)

    def post(self, *items: str, key: str | None = None) -> etree._Element:
        answer = self.served.server.post(self.package(items, key))
        assert answer.status_code == 200
        return etree.fromstring(answer.content)

    def outcomes(self, *items: str, key: str | None = None) -> list[str]:
        """`accepted` or the code of the error for every item, in the order of the call."""
        answer = self.post(*items, key=key)
        accepted = {e.get("block"): "accepted" for e in answer.iterfind("Info/Enrollments/Enrollment")}
        errors = {e.get("block"): e.findtext("ErrorID") or "" for e in answer.iterfind("Errors/Error")}
        assert list(accepted) == sorted(accepted, key=lambda block: int(block or 0))
        assert list(errors) == sorted(errors, key=lambda block: int(block or 0))
        assert answer.findtext("Result") == ("Success" if accepted else "Failed")
        by_block = accepted | errors
        assert len(by_block) == len(accepted) + len(errors)
        if None in by_block:
            return [f"{by_block[None]} for the whole call"]
        return [by_block[str(block)] for block in range(1, len(items) + 1)]

    def rows(self) -> list[dict[str, object]]:
        """The enrollments of the account."""
        query = sa.select(enrollments).where(enrollments.c.account_id == self.campus.account.id)
        with self.campus.database.read() as connection:
            return [row._asdict() for row in connection.execute(query.order_by(enrollments.c.id))]

    def set(self, table: sa.Table, row_id: int, **values: object) -> None:
        with self.campus.database.write() as connection:
            connection.execute(sa.update(table).where(table.c.id == row_id).values(**values))


@pytest.fixture
def registrar(served: Served, campus: Campus) -> Registrar:
    return Registrar(served, campus)


def test_accepted_item_is_an_enrollment_with_exactly_the_sent_values(registrar: Registrar) -> None:
    before = utc_now()
    session = f"<LearningModuleSessionID>{registrar.session}</LearningModuleSessionID>"
    answer = registrar.post(registrar.item(more=f"{session}<EnrollmentTag> a &amp; ü </EnrollmentTag>"))
    (row,) = registrar.rows()
    enrolled_at = row.pop("enrolled_at")
    assert isinstance(enrolled_at, datetime)
    assert before <= enrolled_at <= utc_now()
    expected = {
        "id": int(answer.findtext(f"Info/Enrollments/Enrollment/{IDENTIFIER}") or 0),
        "account_id": registrar.campus.account.id,
        "user_id": registrar.ada,
        "group_id": registrar.east,
        "course_id": registrar.course,
        "session_id": registrar.session,
        "tag": "a & ü",
        "status": "Enrolled",
        "created_at": enrolled_at,
        "modified_at": enrolled_at,
    }
    assert {name: value for name, value in row.items() if value is not None} == expected


def test_item_gets_its_first_error_in_the_documented_order(registrar: Registrar) -> None:
    key = registrar.manager_key(registrar.east, group_manager=True)
    registrar.add_learner("eve@example.org", registrar.west)
    more = "<LearningModuleSessionID>{}</LearningModuleSessionID><DueDateSettings>{}</DueDateSettings>"
    bad_date = "<CompletionAccessDays>soon</CompletionAccessDays>"
    bad, good = more.format("x", bad_date), more.format(registrar.session, bad_date)
    ada, eve, nobody = (f"<Email>{name}@example.org</Email>" for name in ("ADA", "eve", "nobody"))
    assert registrar.outcomes(
        registrar.item(nobody, "Nowhere", bad, course="x"),
        registrar.item(nobody, "West", bad, course="x"),
        registrar.item(nobody, "East", bad, course="x"),
        registrar.item(eve, "East", bad, course="x"),
        registrar.item(ada, "East", bad, course="x"),
        registrar.item(ada, "East", bad),
        registrar.item(ada, "East", good),
        registrar.item(ada, "East"),
        registrar.item(ada, "East"),
        key=key,
    ) == ["ELM:03", "ELM:01", "ELM:02", "ELM:04", "ELM:05", "ELM:06", "ELM:07", "accepted", "ELM:19"]
    assert len(registrar.rows()) == 1


@pytest.mark.parametrize(
    ("user", "outcome"),
    [
        ("<Email> aDA@EXAMPLE.org\n</Email>", "accepted"),
        ("<EmployeeID>E1</EmployeeID>", "accepted"),
        ("<Email/><EmployeeID>E1</EmployeeID>", "accepted"),
        ("<EmployeeID>e1</EmployeeID>", "ELM:02"),
        ("<Email>E1</Email>", "ELM:02"),
        ("<Email/>", "ELM:02"),
        ("<Email>idle@example.org</Email>", "ELM:02"),
        ("<Email>foreign@example.org</Email>", "ELM:02"),
        ("<Email>ada@example.org</Email><EmployeeID>E1</EmployeeID>", "SU:12 for the whole call"),
        ("", "SU:12 for the whole call"),
    ],
)
def test_a_learner_is_an_active_user_of_the_account_by_email_or_employee_id(
    registrar: Registrar, user: str, outcome: str
) -> None:
    registrar.add_learner("idle@example.org", registrar.east, active=False)
    foreign = Registrar(registrar.served, Campus(registrar.served.database))
    foreign.add_learner("foreign@example.org", foreign.east)
    assert registrar.outcomes(registrar.item(user)) == [outcome]


def test_records_of_another_account_do_not_exist(registrar: Registrar) -> None:
    foreign = Registrar(registrar.served, Campus(registrar.served.database))
    foreign.campus.add(groups, name="Theirs", active=True)
    session = f"<LearningModuleSessionID>{foreign.session}</LearningModuleSessionID>"
    items = [registrar.item(group="Theirs"), registrar.item(course=foreign.course), registrar.item(more=session)]
    assert registrar.outcomes(*items) == ["ELM:03", "ELM:05", "ELM:06"]


def test_malformed_course_or_session_number_is_unknown(registrar: Registrar) -> None:
    wrong = ["0", "-1", "+1", "1e3", "٣", "9223372036854775808", "9" * 5000, "9223372036854775807", "abc"]
    by_course = [registrar.item(course=text) for text in ["", *wrong]]
    session = "<LearningModuleSessionID>{}</LearningModuleSessionID>"
    by_session = [registrar.item(more=session.format(text)) for text in wrong]
    assert registrar.outcomes(*by_course, *by_session) == ["ELM:05"] * 10 + ["ELM:06"] * 9


def test_inactive_records_and_sessions_of_other_courses_are_unknown(registrar: Registrar) -> None:
    archived = registrar.campus.add(courses, name="Old", status="Archived")
    inactive = registrar.campus.add(courses, name="Asleep", status="Inactive")
    other = registrar.campus.add(courses, name="Physics", status="Active")
    registrar.join(registrar.ada, registrar.campus.add(groups, name="Closed", active=False))
    session = f"<LearningModuleSessionID>{registrar.session}</LearningModuleSessionID>"
    assert registrar.outcomes(
        registrar.item(course=archived),
        registrar.item(course=inactive),
        registrar.item(course=other, more=session),
        registrar.item(group="Closed"),
        registrar.item(group="east"),
        registrar.item(group=" East\n"),
    ) == ["ELM:05", "ELM:05", "ELM:06", "ELM:03", "ELM:03", "accepted"]


def test_of_groups_with_the_same_name_the_learners_group_counts(registrar: Registrar) -> None:
    first, second, third = (registrar.campus.add(groups, name="Twin", active=True) for _ in range(3))
    registrar.join(registrar.ada, third)
    registrar.join(registrar.ada, second)
    key = registrar.manager_key(first, group_manager=True)
    assert registrar.outcomes(registrar.item(group="Twin"), key=key) == ["ELM:04"]
    assert registrar.outcomes(registrar.item(group="Twin")) == ["accepted"]
    assert [row["group_id"] for row in registrar.rows()] == [second]


def test_course_that_is_in_groups_is_enrolled_only_through_these(registrar: Registrar) -> None:
    flags = {"allow_self_enroll": False, "auto_enroll": False}
    registrar.campus.add(group_courses, group_id=registrar.west, course_id=registrar.course, **flags)
    assert registrar.outcomes(registrar.item(), registrar.item(group="West")) == ["ELM:08", "ELM:04"]
    # Of two groups of the name the learner is in both, and one has the course.
    _, second = (registrar.campus.add(groups, name="Twin", active=True) for _ in range(2))
    for group_id in (second - 1, second, registrar.west):
        registrar.join(registrar.ada, group_id)
    assert registrar.outcomes(registrar.item(group="Twin")) == ["ELM:08"]
    registrar.campus.add(group_courses, group_id=second, course_id=registrar.course, **flags)
    assert registrar.outcomes(registrar.item(group="Twin")) == ["accepted"]
    assert [row["group_id"] for row in registrar.rows()] == [second]
    assert registrar.outcomes(registrar.item(group="West")) == ["ELM:19"]


@pytest.mark.parametrize("permission", [None, "group_manager", "manage_group_users"])
@pytest.mark.parametrize("role", list(Role))
def test_enrolling_needs_a_permission_for_the_group(registrar: Registrar, role: Role, permission: str | None) -> None:
    registrar.join(registrar.ada, registrar.west)
    key = registrar.manager_key(registrar.east, role, **({permission: True} if permission else {}))
    in_west = registrar.item(group="West", course=registrar.campus.add(courses, name="Art", status="Active"))
    outcomes = registrar.outcomes(registrar.item(), in_west, key=key)
    if role is not Role.LEARNER:
        assert outcomes == ["accepted", "accepted"]
    elif permission:
        assert outcomes == ["accepted", "ELM:01"]
    else:
        assert outcomes == ["ELM:01 for the whole call"]


def test_forbidden_caller_gets_no_structure_error(registrar: Registrar) -> None:
    assert registrar.outcomes("<Wrong/>", key=registrar.campus.learner_key) == ["ELM:01 for the whole call"]
    key = registrar.manager_key(registrar.west, manage_group_users=True)
    assert registrar.outcomes("<Wrong/>", key=key) == ["SU:12 for the whole call"]


def test_call_has_1_to_100_items(registrar: Registrar) -> None:
    item = registrar.item()
    assert registrar.outcomes() == ["SU:12 for the whole call"]
    assert registrar.outcomes(*[item] * 101) == ["SU:12 for the whole call"]
    assert registrar.rows() == []
    assert registrar.outcomes(*[item] * 100) == ["accepted"] + ["ELM:19"] * 99


def test_ended_or_completed_enrollment_does_not_prevent_a_new_one(registrar: Registrar) -> None:
    assert registrar.outcomes(registrar.item()) == ["accepted"]
    first = registrar.rows()[0]["id"]
    assert isinstance(first, int)
    for status in EnrollmentStatus:
        registrar.set(enrollments, first, status=status)
        free = status is EnrollmentStatus.COMPLETED
        assert registrar.outcomes(registrar.item()) == (["accepted"] if free else ["ELM:19"])
    second = registrar.rows()[1]["id"]
    assert isinstance(second, int)
    registrar.set(enrollments, second, unenrolled_at=utc_now())
    assert registrar.outcomes(registrar.item()) == ["accepted"]


def test_id_of_the_answer_unenrolls_the_new_enrollment(registrar: Registrar) -> None:
    for _ in range(2):
        answer = registrar.post(registrar.item())
        id_ = answer.findtext(f"Info/Enrollments/Enrollment/{IDENTIFIER}") or ""
        unenrolled = registrar.served.server.post(registrar.campus.package([id_]))
        assert read_outcomes(unenrolled) == ["accepted"]
        registrar.campus.drain()
    assert [row["unenrolled_at"] is None for row in registrar.rows()] == [False, False]


DATES: list[tuple[str, object, object]] = [
    ("", None, None),
    ("<SettingSource>Course</SettingSource><DueDateSetup/><AccessSetup/><CompletionAccessDays/>", None, None),
    ("<DueDateSetup><DueDate>01-Jul-32</DueDate></DueDateSetup>", datetime(2032, 7, 1, tzinfo=UTC), None),
    ("<DueDateSetup><DueDate>01-jul-2032</DueDate></DueDateSetup>", datetime(2032, 7, 1, tzinfo=UTC), None),
    ("<DueDateSetup><DueDate>2032-07-01</DueDate></DueDateSetup>", datetime(2032, 7, 1, tzinfo=UTC), None),
    ("<DueDateSetup><DueDate>0001-01-01</DueDate></DueDateSetup>", datetime(1, 1, 1, tzinfo=UTC), None),
    ("<DueDateSetup><DueDate/><DueDateDays>0</DueDateDays></DueDateSetup>", TODAY, None),
    ("<DueDateSetup><DueDateDays>3650</DueDateDays></DueDateSetup>", TODAY + timedelta(days=3650), None),
    ("<AccessSetup><AccessEndDate>9999-12-31</AccessEndDate></AccessSetup>", None, datetime(9999, 12, 31, tzinfo=UTC)),
    ("<AccessSetup><AccessEndDays>007</AccessEndDays></AccessSetup>", None, TODAY + timedelta(days=7)),
    ("<CompletionAccessDays>3650</CompletionAccessDays>", None, None),
]


@pytest.mark.parametrize(("settings", "due_at", "access_ends_at"), DATES)
def test_date_is_stored_as_the_start_of_its_day(
    registrar: Registrar, settings: str, due_at: object, access_ends_at: object
) -> None:
    assert registrar.outcomes(registrar.item(more=f"<DueDateSettings>{settings}</DueDateSettings>")) == ["accepted"]
    (row,) = registrar.rows()
    assert (row["due_at"], row["access_ends_at"]) == (due_at, access_ends_at)


@pytest.mark.parametrize(
    "place",
    [
        "<DueDateSetup><DueDate>{}</DueDate></DueDateSetup>",
        "<DueDateSetup><DueDateDays>{}</DueDateDays></DueDateSetup>",
        "<AccessSetup><AccessEndDate>{}</AccessEndDate></AccessSetup>",
        "<AccessSetup><AccessEndDays>{}</AccessEndDays></AccessSetup>",
        "<CompletionAccessDays>{}</CompletionAccessDays>",
    ],
    ids=["due date", "due days", "access date", "access days", "completion days"],
)
def test_invalid_date_refuses_the_item(registrar: Registrar, place: str) -> None:
    values = ["soon", "31-Feb-32", "2032-02-30", "20320701", "1-Jul-2032", "-1", "3651", "1.5", "٣", "9" * 5000]
    settings = [f"<DueDateSettings>{place.format(value)}</DueDateSettings>" for value in values]
    assert registrar.outcomes(*(registrar.item(more=text) for text in settings)) == ["ELM:07"] * len(values)
    assert registrar.rows() == []


@pytest.mark.parametrize("kind", ["DueDateSetup DueDate DueDateDays", "AccessSetup AccessEndDate AccessEndDays"])
def test_date_and_number_of_days_together_are_refused(registrar: Registrar, kind: str) -> None:
    setup, day, days = kind.split()
    both = f"<{setup}><{day}>2032-07-01</{day}><{days}>1</{days}></{setup}>"
    item = registrar.item(more=f"<DueDateSettings>{both}</DueDateSettings>")
    assert registrar.outcomes(item) == ["SU:12 for the whole call"]


def test_concurrent_enrolling_of_the_same_learners_enrolls_each_once(registrar: Registrar) -> None:
    names = [f"learner{number}@example.org" for number in range(100)]
    for name in names:
        registrar.add_learner(name, registrar.east)
    new_courses = [registrar.campus.add(courses, name=f"Course {number}", status="Active") for number in range(20)]
    with (
        ThreadPoolExecutor(2) as pool,
        registrar.served.server.client() as one,
        registrar.served.server.client() as two,
    ):

        def post(client: httpx.Client, course: int) -> httpx.Response:
            items = [registrar.item(f"<Email>{name}</Email>", course=course) for name in random.sample(names, 100)]
            return client.post(registrar.served.server.url, data={"Package": registrar.package(items)})

        for course in new_courses:
            answers = list(pool.map(post, (one, two), (course, course)))
            assert [answer.status_code for answer in answers] == [200, 200]
            roots = [etree.fromstring(answer.content) for answer in answers]
            codes = Counter(error.text for root in roots for error in root.iterfind("Errors/Error/ErrorID"))
            assert codes == {"ELM:19": 100}
            assert sum(len(root.findall("Info/Enrollments/Enrollment")) for root in roots) == 100
    assert len(registrar.rows()) == 2000


@pytest.mark.parametrize("by_a_learner", [False, True])
def test_a_call_of_100_costs_the_statements_of_a_call_of_1(registrar: Registrar, by_a_learner: bool) -> None:
    key = registrar.manager_key(registrar.east, group_manager=True) if by_a_learner else registrar.campus.owner_key
    for number in range(100):
        registrar.add_learner(f"learner{number}@example.org", registrar.east)
    counts = []
    for first, last in ((0, 1), (0, 100)):
        items = [registrar.item(f"<Email>learner{number}@example.org</Email>") for number in range(first, last)]
        call = read_call(registrar.package(items, key).encode(), Extensions())
        database = registrar.campus.database
        with database.read() as connection:
            caller = find_caller(connection, call.account_key, call.user_key)
        assert caller is not None
        with counted_statements() as statements, database.write() as connection:
            answer = ENROLL_LEARNING_MODULES.prepare(caller, OPERATOR, call)(connection)
        assert answer.succeeded
        counts.append(len(statements))
    # The items are found, the enrollments are added, the audit is written; a learner's permissions come first.
    assert counts == ([4, 4] if by_a_learner else [3, 3])
