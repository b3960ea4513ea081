"""createGroup and updateGroup over HTTPS: what is asked for happens, or is refused by its code and nothing happens."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from lxml import etree

from campus import OPERATOR, Campus
from conftest import Served
from driver_statements import counted_statements
from rollbook.methods import METHODS
from rollbook.model import Extensions, Permission
from rollbook.store.database.tables import audit, courses, enrollments, group_courses, groups, memberships, users
from rollbook.store.people.api_keys import find_caller, new_key
from rollbook.wire.call import read_call

NAME = 'R&amp;D &lt;b&gt;"Été"&lt;/b&gt; מחקר'


class School:
    """An account with two learners and two courses, and calls about its groups."""

    def __init__(self, served: Served, campus: Campus) -> None:
        self.served, self.campus = served, campus
        for name in ("ada", "ben"):
            person = {"given_name": name, "family_name": "Learner", "role": "learner", "active": True}
            campus.add(users, email=f"{name}@example.org", employee_id=f"E-{name}", **person)
        self.fire = campus.course_id
        self.first_aid = campus.add(courses, name="First Aid", status="Active")

    def call(self, method: str, group: str, key: str | None = None) -> str:
        """Make a call; give the GroupID, or the code of the one error."""
        answer = self.served.server.post(self.campus.call(method, f"<Group>{group}</Group>", key))
        root = etree.fromstring(answer.content)
        errors = [error.text or "" for error in root.iterfind("Errors/Error/ErrorID")]
        assert (root.findtext("Result") == "Success") == (not errors)
        assert len(errors) <= 1
        return errors[0] if errors else root.findtext("Info/GroupID") or ""

    def create(
        self, more: str = "", users: str = "", courses: str = "", name: str = NAME, key: str | None = None
    ) -> str:
        """Create a group that has every needed element."""
        needed = "<Status>Active</Status><Description/><HomeGroupMessage/><NotificationEmails/>"
        lists = f"<Users>{users}</Users><LearningModules>{courses}</LearningModules>"
        return self.call("createGroup", f"<Name>{name}</Name>{more}{needed}{lists}", key)

    def update(self, group_id: str, changes: str, key: str | None = None) -> str:
        """Change a group."""
        return self.call("updateGroup", f"<Identifier><GroupID>{group_id}</GroupID></Identifier>{changes}", key)

    def members(self, group_id: str) -> dict[str, set[str]]:
        """Give the permissions of the members of a group that has no GroupID of its own, by e-mail."""
        query = sa.select(memberships, users.c.email).join(users, users.c.id == memberships.c.user_id)
        with self.campus.database.read() as connection:
            rows = connection.execute(query.where(memberships.c.group_id == int(group_id))).mappings().all()
        flags = [column.name for column in memberships.columns if isinstance(column.type, sa.Boolean)]
        return {row["email"].split("@")[0]: {name for name in flags if row[name]} for row in rows}

    def enrolled(self) -> set[tuple[str, int]]:
        """Give who is enrolled in what, by e-mail and course."""
        query = sa.select(users.c.email, enrollments.c.course_id).join(users, users.c.id == enrollments.c.user_id)
        query = query.where(enrollments.c.account_id == self.campus.account.id, enrollments.c.unenrolled_at.is_(None))
        with self.campus.database.read() as connection:
            return {(email.split("@")[0], course) for email, course in connection.execute(query)}

    def count(self, table: sa.Table) -> int:
        """Count the rows of the account in a table."""
        query = sa.select(sa.func.count()).select_from(table).where(table.c.account_id == self.campus.account.id)
        with self.campus.database.read() as connection:
            return connection.execute(query).scalar_one()

    def audited(self) -> list[tuple[str, str]]:
        """Give action and details of the audit lines of calls."""
        query = sa.select(audit.c.action, audit.c.details).where(
            audit.c.account_id == self.campus.account.id, audit.c.request_id.is_not(None)
        )
        with self.campus.database.read() as connection:
            return [(row.action, row.details) for row in connection.execute(query.order_by(audit.c.id))]

    def learner_key(self, group_id: str, **permissions: bool) -> str:
        """Give the learner permissions in a group, and the key."""
        granted = {"group_manager": False, "manage_group_users": False} | permissions
        user = self.campus.user_id("learner@example.org")
        self.campus.add(memberships, group_id=int(group_id), user_id=user, **granted)
        with self.campus.database.write() as connection:
            return new_key(connection, self.campus.account, "learner@example.org", by=OPERATOR)


def _user(name: str, action: str = "", permissions: str = "") -> str:
    acting = f"<UserAction>{action}</UserAction>" if action else ""
    return f"<User><Email>{name}@EXAMPLE.org</Email>{acting}<Permissions>{permissions}</Permissions></User>"


def _grant(code: str, action: str = "") -> str:
    return f"<Permission>{action and f'<Action>{action}</Action>'}<Code>{code}</Code></Permission>"


def _course(id_: object, action: str = "", auto: str = "1") -> str:
    acting = f"<LearningModuleAction>{action}</LearningModuleAction>" if action else ""
    return f"<LearningModule><ID>{id_}</ID>{acting}<AutoEnroll>{auto}</AutoEnroll></LearningModule>"


@pytest.fixture
def school(served: Served, campus: Campus) -> School:
    """An account with learners and courses."""
    return School(served, campus)


def test_created_group_has_members_permissions_and_courses_and_its_members_are_enrolled(school: School) -> None:
    members = _user("ada", permissions=_grant("MARKER") + _grant("manage_users")) + _user("ben")
    group = school.create(users=members, courses=_course(school.fire) + _course(school.first_aid, auto="0"))
    assert school.members(group) == {"ada": {"marker", "manage_users"}, "ben": set()}
    assert school.enrolled() == {("ada", school.fire), ("ben", school.fire)}
    assert [action for action, _ in school.audited()] == ["enroll", "add-group"]
    assert '"joined": 2' in school.audited()[1][1]
    assert '"MARKER": true' in school.audited()[1][1]


def test_update_adds_and_removes_and_leaves_alone_what_it_does_not_name(school: School) -> None:
    group = school.create(users=_user("ada", permissions=_grant("MARKER")), courses=_course(school.fire))
    before = school.served.server.post(school.campus.call("getGroup", f"<Group><GroupID>{group}</GroupID></Group>"))
    lines = len(school.audited())
    assert school.update(group, f"<Users>{_user('ada', 'Add')}</Users>") == group
    assert school.update(group, f"<Users>{_user('ben', 'Remove')}</Users><SubscriptionVariants/>") == group
    after = school.served.server.post(school.campus.call("getGroup", f"<Group><GroupID>{group}</GroupID></Group>"))
    assert after.content == before.content
    assert len(school.audited()) == lines

    granted = _grant("MARKER", "Deny") + _grant("PROCTOR", "Grant") + _grant("INSTRUCTOR")
    changes = f"<Users>{_user('ben', 'add')}{_user('ada', 'Add', granted)}</Users>"
    changes += f"<LearningModules>{_course(school.first_aid, 'Add')}{_course(school.fire, 'REMOVE')}</LearningModules>"
    assert school.update(group, changes + "<Description>&lt;new&gt;</Description>") == group
    assert school.members(group) == {"ada": {"proctor", "instructor"}, "ben": set()}
    # The new member is enrolled in the new course, and who was there before is not.
    assert school.enrolled() == {("ada", school.fire), ("ben", school.first_aid)}
    assert school.update(group, f"<Users>{_user('ada', 'Remove')}</Users><Status>inactive</Status>") == group
    assert school.members(group) == {"ben": set()}
    assert ("ada", school.fire) in school.enrolled()
    assert "active" in school.audited()[-1][1]


def test_unenrolled_member_who_joins_again_is_not_enrolled_again_unless_restored(school: School) -> None:
    group = school.create(users=_user("ada") + _user("ben"), courses=_course(school.fire))
    with school.campus.database.read() as connection:
        mine = sa.select(enrollments.c.id).where(enrollments.c.account_id == school.campus.account.id)
        ids = list(connection.execute(mine.order_by(enrollments.c.id)).scalars())
    school.campus.accept(ids)
    school.campus.drain()
    assert school.enrolled() == set()
    for action in ("Remove", "Add", "Add"):
        assert school.update(group, f"<Users>{_user('ada', action)}{_user('ben', action)}</Users>") == group
    other = school.create(name="Other", users=_user("ada"), courses=_course(school.fire) + _course(school.first_aid))
    assert school.enrolled() == {("ada", school.first_aid)}  # a course that the learner was never in
    restored = school.campus.call(
        "restoreUnenrollments",
        f"<Unenrollments><Unenrollment><AccountUserLearningModuleRelID>{ids[0]}</AccountUserLearningModuleRelID>"
        "</Unenrollment></Unenrollments>",
    )
    assert b"Success" in school.served.server.post(restored).content
    assert school.enrolled() == {("ada", school.first_aid), ("ada", school.fire)}
    # By name the learner is enrolled all the same.
    item = f"<User><EmployeeID>E-ben</EmployeeID></User><GroupName>{NAME}</GroupName>"
    item += f"<LearningModuleID>{school.fire}</LearningModuleID>"
    package = f"<LearningModuleEnrollment><Enrollment>{item}</Enrollment></LearningModuleEnrollment>"
    assert b"Success" in school.served.server.post(school.campus.call("enrollLearningModules", package)).content
    assert other != group


def test_refused_calls_change_nothing(school: School) -> None:
    limited = "<UserLimit><Enabled>1</Enabled><Amount>1</Amount></UserLimit>"
    group = school.create(users=_user("ada"), more=limited + "<GroupID>G</GroupID>")
    assert group == "G"
    tables = (groups, memberships, group_courses, audit)
    before = [school.count(table) for table in tables]
    assert school.create() == "CG:03"
    assert school.create(name="Two", more="<GroupID>G</GroupID>") == "CG:04"
    assert school.create(name="Two", more=f"<GroupID>{school.campus.group_id}</GroupID>") == "CG:04"
    assert school.create(name="Two", users=_user("ada") + _user("nobody")) == "CG:05"
    assert school.create(name="Two", courses=_course("7x")) == "CG:06"
    assert school.create(name="Two", more=limited, users=_user("ada") + _user("ben")) == "CG:07"
    assert school.create(name="Two", more="<Tags2><Tag2><TagID>1</TagID></Tag2></Tags2>") == "CG:08"
    assert school.create(name="Two", more="<UserLimit><Enabled>true</Enabled></UserLimit>") == "CG:09"
    assert school.create(name="") == "CG:02"
    lines = "<GroupID>a&#13;b</GroupID>", "<Tags2><Tag2><TagName>a\tb</TagName></Tag2></Tags2>"
    assert {school.create(name="a\nb"), *(school.create(name="Two", more=more) for more in lines)} == {"SU:12"}
    assert school.update("G", f"<Users>{_user('ben', 'Add')}</Users>") == "UG:09"
    assert school.update("G", "<Name>North</Name>") == "UG:05"
    assert [school.count(table) for table in tables] == before
    # Who takes the place of another is not one too many.
    assert school.update("G", f"<Users>{_user('ben', 'Add')}{_user('ada', 'Remove')}</Users>") == "G"


def test_a_roster_may_bring_two_groups_of_a_name_and_an_update_by_it_is_refused(school: School) -> None:
    twins = [school.campus.add(groups, name="Twin", active=True) for _ in range(2)]
    assert school.call("updateGroup", "<Identifier><Name>Twin</Name></Identifier><Description/>") == "UG:04"
    assert school.update(str(twins[1]), "<Description>second</Description>") == str(twins[1])
    assert school.update(str(twins[1]), "<Status>Inactive</Status>") == str(twins[1])
    assert school.update(str(twins[1]), "<Status>Active</Status>") == "UG:05"
    assert school.update(str(twins[0]), "<GroupID>first</GroupID>") == "first"
    assert school.update("first", "<GroupID/>") == str(twins[0])
    # The number of a group is the text of another: neither is changed by it.
    school.campus.add(groups, name="Third", identifier=str(twins[0]), active=True)
    assert school.update(str(twins[0]), "<Description>one of two</Description>") == "UG:04"
    assert school.call("updateGroup", "<Identifier><Name>Third</Name></Identifier><GroupID>3rd</GroupID>") == "3rd"
    assert school.update(str(twins[0]), "<Description>this one</Description>") == str(twins[0])


def test_learner_manages_own_groups_alone_and_gives_no_permission_beyond_the_own(school: School) -> None:
    own, other = (
        school.create(users=_user("ada"), courses=_course(school.fire)),
        school.create(name="Other", users=_user("ben")),
    )
    key = school.learner_key(own, manage_group_users=True)
    assert school.update(other, "<Description>mine</Description>", key) == "UG:01"
    assert school.update(own, "<Description>mine</Description>", key) == own
    assert school.update(own, f"<Users>{_user('ada', 'Add', _grant('MANAGE_GROUP_USERS'))}</Users>", key) == own
    assert school.update(own, f"<Users>{_user('learner', 'Add', _grant('MANAGE_GROUP'))}</Users>", key) == "UG:01"
    assert school.update(own, f"<Users>{_user('ben', 'Add')}</Users>", key) == "UG:07"  # out of reach
    assert school.create(name="Third", users=_user("ben"), key=key) == "CG:05"
    third = school.create(name="Third", users=_user("ada"), key=key)
    assert school.members(third) == {"ada": set(), "learner": {"group_manager"}}
    assert school.update(third, f"<Users>{_user('ada', 'Add', _grant('MANAGE_GROUP'))}</Users>", key) == third


def test_who_joins_by_create_user_or_update_user_is_enrolled_and_has_the_home_group(school: School) -> None:
    north = school.create(name="North 2", courses=_course(school.fire))
    south = school.create(name="South", users=_user("ada"), courses=_course(school.first_aid))
    names = "<GivenName>Cy</GivenName><Surname>Li</Surname>"
    info = f"<Info><Email>cy@example.org</Email>{names}</Info><Profile><HomeGroup>North 2</HomeGroup></Profile>"
    created = school.campus.call("createUser", f"<User>{info}<Groups/></User>")
    assert b"Success" in school.served.server.post(created).content
    moved = f"<Group><GroupID>{south}</GroupID><GroupAction>Add</GroupAction></Group>"
    identifier = "<Identifier><Email>cy@example.org</Email></Identifier>"
    updated = school.campus.call("updateUser", f"<User>{identifier}<Groups>{moved}</Groups></User>")
    assert b"Success" in school.served.server.post(updated).content
    assert school.enrolled() == {("ada", school.first_aid), ("cy", school.fire), ("cy", school.first_aid)}
    home = "<User><Email>ada@example.org</Email><UserAction>Add</UserAction><HomeGroup>1</HomeGroup></User>"
    for group, has in ((south, {"is_home"}), (north, {"is_home"})):
        assert school.update(group, f"<Users>{home}</Users>") == group
        assert school.members(group)["ada"] == has
    assert school.members(south)["ada"] == set()


def test_of_two_calls_at_once_one_gets_the_name_or_the_last_place(school: School) -> None:
    limited = school.create(name="One place", more="<UserLimit><Enabled>1</Enabled><Amount>1</Amount></UserLimit>")
    with ThreadPoolExecutor(2) as pool:
        for turn in range(5):
            codes = pool.map(lambda _, turn=turn: school.create(name=f"Twin {turn}"), range(2))
            assert sorted(code.startswith("CG") for code in codes) == [False, True]
        joins = pool.map(lambda name: school.update(limited, f"<Users>{_user(name, 'Add')}</Users>"), ("ada", "ben"))
        assert sorted(joins) == [limited, "UG:09"]


def test_a_group_of_100_members_and_courses_costs_the_statements_of_a_group_of_1(school: School) -> None:
    campus, counts = school.campus, []
    person = {"given_name": "Some", "family_name": "Learner", "role": "learner", "active": True}
    for number in range(100):
        campus.add(users, email=f"l{number}@example.org", **person)
    ids = [campus.add(courses, name=f"Course {number}", status="Active") for number in range(20)]
    for count in (1, 100):
        members = "".join(_user(f"l{number}", permissions=_grant("MARKER")) for number in range(count))
        modules = "".join(map(_course, ids[:count]))
        empty = "<Status>Active</Status><Description/><HomeGroupMessage/><NotificationEmails/>"
        lists = f"<Users>{members}</Users><LearningModules>{modules}</LearningModules>"
        package = campus.call("createGroup", f"<Group><Name>Of {count}</Name>{empty}{lists}</Group>")
        call = read_call(package.encode(), Extensions())
        with counted_statements() as seen, campus.database.write() as connection:
            caller = find_caller(connection, call.account_key, call.user_key)
            assert caller is not None
            assert METHODS["createGroup"].prepare(caller, OPERATOR, call)(connection).succeeded
        counts.append(len(seen))
    assert counts[0] == counts[1] < 20


def test_the_permissions_of_a_group_decide_which_methods_about_groups_a_learner_may_call(school: School) -> None:
    own, other = school.create(name="Own"), school.create(name="Other")
    editing = {"group_manager", "manage_group_courses", "manage_group_users"}
    key = school.learner_key(own)
    user = school.campus.user_id("learner@example.org")
    for permission in (each.column for each in Permission):
        with school.campus.database.write() as connection:
            flags = {each.column: each.column == permission for each in Permission}
            connection.execute(sa.update(memberships).where(memberships.c.user_id == user).values(**flags))
        may = permission in editing
        for method, forbidden in (("getGroup", "GG:01"), ("getGroupLearningModules", "GGLM:01")):
            for group in (own, other):
                answer = school.call(method, f"<GroupID>{group}</GroupID>", key)
                assert (answer == forbidden) == (not may), (method, permission)
        assert (school.call("listGroups", "<Filters/>", key) == "LG:01") == (not may), permission
        assert school.update(own, "<Description/>", key) == (own if may else "UG:01"), permission
        assert school.update(other, "<Description/>", key) == "UG:01", permission
        assert school.create(name=f"By {permission}", key=key).startswith("CG:01") == (not may), permission
