"""The permissions of every method, for every role and group permission, on the own and on another account."""

import httpx
import pytest
import sqlalchemy as sa
from lxml import etree

from campus import OPERATOR, Campus, read_outcomes
from conftest import Served
from rollbook.methods import METHODS
from rollbook.model import Permission
from rollbook.store.database.tables import memberships, sessions, users
from rollbook.store.people.accounts import find_account
from rollbook.store.people.api_keys import new_key

# A call of every method, on the records of the caller's account and of another one.
PARAMETERS = {
    "unenrollLearningModules": "<LearningModuleEnrollment><Unenrollment><AccountUserLearningModuleRelID>{id}"
    "</AccountUserLearningModuleRelID></Unenrollment></LearningModuleEnrollment>",
    "enrollLearningModules": "<LearningModuleEnrollment><Enrollment><User><Email>learner@example.org</Email></User>"
    "<GroupName>{group}</GroupName><LearningModuleID>{course}</LearningModuleID></Enrollment></LearningModuleEnrollment>",
    "getLearnerReport": "<Report><Filters><EnrollmentID>{id}</EnrollmentID></Filters></Report>",
    "getUnenrollments": "<Unenrollments><Filters><BatchID>{batch}</BatchID></Filters></Unenrollments>",
    "getUnenrollmentBatches": "<UnenrollmentBatches><BatchID>{batch}</BatchID></UnenrollmentBatches>",
    "getUnenrollmentQueue": "<UnenrollmentQueue/>",
    "pauseUnenrollments": "<UnenrollmentQueue/>",
    "resumeUnenrollments": "<UnenrollmentQueue/>",
    "getGroup": "<Group><GroupID>{group_id}</GroupID></Group>",
    "listGroups": "<Group><Filters><GroupName><MatchType>EXACT</MatchType><Value>{group}</Value></GroupName></Filters>"
    "</Group>",
    "getGroupLearningModules": "<Group><GroupID>{group_id}</GroupID></Group>",
    "createGroup": "<Group><Name>New</Name><Status>Active</Status><Description/><HomeGroupMessage/>"
    "<NotificationEmails/><Users/><LearningModules><LearningModule><ID>{course}</ID></LearningModule></LearningModules>"
    "</Group>",
    "updateGroup": "<Group><Identifier><GroupID>{group_id}</GroupID></Identifier><Status>Active</Status></Group>",
    "removeUnenrollments": "<Unenrollments><BatchID>{batch}</BatchID></Unenrollments>",
    "listLearningModules": "<LearningModule/>",
    "listSessions": "<LearningModule><LearningModuleID>{course}</LearningModuleID></LearningModule>",
    "createHistoricalSession": "<LearningModule><CourseSession><LearningModuleID>{course}</LearningModuleID><StartDate>"
    "01-Jul-22</StartDate></CourseSession></LearningModule>",
    "enrollmentHistoryImport": "<LearningModuleEnrollment><Enrollment><User><Email>learner@example.org</Email></User>"
    "<Group><GroupName>{group}</GroupName></Group><LearningModuleID>{course}</LearningModuleID><EnrollmentStatus>Completed"
    "</EnrollmentStatus></Enrollment></LearningModuleEnrollment>",
    "enrollSessionHistory": "<LearningModuleEnrollment><Enrollment><User><Email>learner@example.org</Email></User>"
    "<Group><GroupName>{group}</GroupName></Group><LearningModuleID>{course}</LearningModuleID><LearningModuleSessionID>"
    "{session}</LearningModuleSessionID><EnrollmentStatus>Attended</EnrollmentStatus></Enrollment>"
    "</LearningModuleEnrollment>",
    "updateEnrollments": "<LearningModuleEnrollment><Enrollment><AccountUserLearningModuleRelID>{id}"
    "</AccountUserLearningModuleRelID><Progress>50</Progress></Enrollment></LearningModuleEnrollment>",
    "restoreUnenrollments": "<Unenrollments><BatchID>{batch}</BatchID></Unenrollments>",
    "getUser": "<User><ID>{user}</ID></User>",
    "createUser": "<User><Info><Email>new@example.org</Email><GivenName>A</GivenName><Surname>B</Surname></Info>"
    "<Profile><HomeGroup>{group}</HomeGroup></Profile></User>",
    "updateUser": "<User><Identifier><EmployeeID>{employee}</EmployeeID></Identifier></User>",
    "listUsers": "<User><Filters><GroupName>{group}</GroupName></Filters></User>",
    "getUserGroups": "<User><ID>{user}</ID></User>",
    "requestExternalAuthorization": "<Security><EmployeeID>{employee}</EmployeeID></Security>",
}
# The code for records of another account; without one the answer is empty.
FOREIGN = {
    "unenrollLearningModules": "ULM:03",
    "enrollLearningModules": "ELM:03",
    "getGroup": "GG:03",
    "getGroupLearningModules": "GGLM:03",
    "createGroup": "CG:06",
    "updateGroup": "UG:03",
    "removeUnenrollments": "REM:04",
    "restoreUnenrollments": "RES:04",
    "getUser": "GU:03",
    "createUser": "CU:07",
    "updateUser": "UU:03",
    "getUserGroups": "GUG:03",
    "requestExternalAuthorization": "REA:02",
    "listSessions": "LSE:02",
    "createHistoricalSession": "CHS:02",
    "enrollmentHistoryImport": "EHI:03",
    "enrollSessionHistory": "ESH:03",
    "updateEnrollments": "UEN:06",
}
USERS = {Permission.MANAGE_GROUP, Permission.MANAGE_GROUP_USERS, Permission.MANAGE_USERS}
GROUPS = {Permission.MANAGE_GROUP, Permission.MANAGE_GROUP_COURSES, Permission.MANAGE_GROUP_USERS}
ENROLLING = {Permission.MANAGE_GROUP, Permission.MANAGE_GROUP_USERS}
# The permissions of the contract with which a learner may call a method; no permission is enough for any other.
PERMITTED = {
    **dict.fromkeys(("getUser", "getUserGroups", "createUser", "updateUser", "listUsers"), USERS),
    **dict.fromkeys(("getGroup", "listGroups", "createGroup", "updateGroup", "getGroupLearningModules"), GROUPS),
    **dict.fromkeys(("enrollLearningModules", "enrollmentHistoryImport", "enrollSessionHistory"), ENROLLING),
    "listLearningModules": ENROLLING,
}
# The elements of records that a call on another account must not show.
RECORDS = ("Learner", "BatchID", "Group", "User")
CALLERS = ["owner", "administrator", "learner", "group_manager", "manage_group_users"]


def test_table_has_every_method() -> None:
    assert set(METHODS) == set(PARAMETERS) >= set(FOREIGN)


@pytest.mark.parametrize("own", [True, False], ids=["own_account", "other_account"])
@pytest.mark.parametrize("caller", CALLERS)
def test_permissions_of_every_method(served: Served, campus: Campus, caller: str, own: bool) -> None:
    things, key = _things(campus if own else Campus(served.database)), _key(campus, caller)
    answers = {
        # A dry run: the calls do not change the records of one another.
        method: served.server.post(campus.call(method, text.format(**things), key), {"Rollbook-Dry-Run": "true"})
        for method, text in PARAMETERS.items()
    }
    outcomes = {name: _outcome(answer) for name, answer in answers.items()}
    wrong = {name: found for name, found in outcomes.items() if found not in _expected(name, caller, own=own)}
    assert wrong == {}


def _outcome(answer: httpx.Response) -> str:
    """Return the code of a refusal, or whether an answer has records."""
    found = etree.fromstring(answer.content)
    if found.findtext("Result") != "Success":
        return found.findtext("Errors/Error/ErrorID") or ""
    return "records" if any(True for _ in found.iter(*RECORDS)) else "no records"


def _expected(name: str, caller: str, *, own: bool) -> set[str]:
    manages_a_group = caller in ("group_manager", "manage_group_users")
    if caller not in ("owner", "administrator") and not (manages_a_group and METHODS[name].allowed.permissions):
        return {METHODS[name].forbidden.code}
    return {"records", "no records"} if own else {FOREIGN.get(name, "no records")}


def test_each_permission_of_a_learner_opens_the_methods_of_the_contract(served: Served, campus: Campus) -> None:
    parameters = {method: text.format(**_things(campus)) for method, text in PARAMETERS.items()}
    opened: dict[str, set[Permission]] = {}
    for permission in Permission:
        key = _key(campus, permission.column)
        for method, text in parameters.items():
            # A dry run: a learner who adds a group would be its manager.
            answer = served.server.post(campus.call(method, text, key), headers={"Rollbook-Dry-Run": "true"})
            if read_outcomes(answer) != [METHODS[method].forbidden.code]:
                opened.setdefault(method, set()).add(permission)
    assert opened == PERMITTED


def _things(campus: Campus) -> dict[str, object]:
    """Make the records of a call: an enrollment, a pending batch, a group with a learner, a course."""
    (id_,) = campus.enroll(1)
    (queued,) = campus.enroll(1)
    batch = campus.accept([queued]).batch_id
    with campus.database.write() as connection:
        connection.execute(sa.text("UPDATE groups SET name = :name WHERE id = :id"), _named(campus))
        _join(campus, connection, "learner@example.org", {})
    place = {"group": _named(campus)["name"], "group_id": campus.group_id, "course": campus.course_id}
    session = campus.add(sessions, course_id=campus.course_id, name="Monday")
    learner = {"user": campus.user_id("learner@example.org"), "employee": f"E of {campus.name}"}
    with campus.database.write() as connection:
        connection.execute(sa.text("UPDATE users SET employee_id = :employee WHERE id = :user"), learner)
    return {"id": id_, "batch": batch, **learner, "session": session, **place}


def _named(campus: Campus) -> dict[str, object]:
    return {"name": f"Group of {campus.name}", "id": campus.group_id}


def _key(campus: Campus, caller: str) -> str:
    keys = {"owner": campus.owner_key, "administrator": campus.administrator_key}
    if caller in keys:
        return keys[caller]
    with campus.database.write() as connection:
        granted = {} if caller == "learner" else {caller: True}
        _join(campus, connection, "learner@example.org", granted)
        return new_key(connection, find_account(connection, campus.name), "learner@example.org", by=OPERATOR)


def _join(campus: Campus, connection: sa.Connection, email: str, granted: dict[str, bool]) -> None:
    user = sa.select(users.c.id).where(users.c.account_id == campus.account.id, users.c.email == email)
    user_id = connection.execute(user).scalar_one()
    place = sa.and_(memberships.c.user_id == user_id, memberships.c.group_id == campus.group_id)
    connection.execute(memberships.delete().where(place))
    values = {"group_manager": False, "manage_group_users": False} | granted
    row = {"account_id": campus.account.id, "group_id": campus.group_id, "user_id": user_id, **values}
    connection.execute(memberships.insert(), row)
