"""A program that keeps groups, members and permissions in step with a directory, over HTTPS by the client."""

from collections.abc import Sequence
from dataclasses import replace

from campus import Campus
from conftest import Served
from rollbook import Client, GroupCourse, GroupValues, Member, UserFilters, UserGroup, UserValues
from rollbook.store.database.tables import courses

# Employee id, given name and family name; the groups are those of the directory.
PEOPLE = [
    ("E1", "Ada", "O'Neil & <Söhne>"),
    ("E2", "Бо", 'Ли "2"'),
    ("E3", "שרה", "כהן"),
    ("E4", "ada", "Zuse"),
]
NORTH, SOUTH = "Nord & <Est>", "דרום"


def test_directory_is_kept_in_step_and_every_user_is_listed_once(served: Served, campus: Campus) -> None:
    fire, aid = campus.course_id, campus.add(courses, name="First Aid é", status="Active")
    with Client(served.server.url, campus.account_key, campus.owner_key, ca_file=served.server.ca_file) as client:
        for name, group_id, course in ((NORTH, "N", fire), (SOUTH, "", aid)):
            assert client.list_groups(name=name) == []
            values = GroupValues(name, group_id, tags={"Source": ["Directory"]})
            client.create_group(values, courses=[GroupCourse(course, auto_enroll=True)])
        south = client.get_group(name=SOUTH).group_id
        assert client.list_groups(tags={"Source": ["Directory"]}) == [
            {"Name": NORTH, "GroupID": "N"},
            {"Name": SOUTH, "GroupID": south},
        ]
        for number, (employee_id, given, family) in enumerate(PEOPLE):
            user = UserValues(employee_id=employee_id, given_name=given, family_name=family, groups=[UserGroup(NORTH)])
            client.create_user(replace(user, teams=["Odd"] if number % 2 else None))

        moved = [Member(employee_id=employee_id) for employee_id in ("E2", "E3")]
        assert client.update_group(name=NORTH, remove=moved) == "N"
        assert client.update_group(group_id=south, add=[*moved, Member(employee_id="E4", home_group=True)]) == south
        report = {(row["EmployeeID"], row["CourseName"]) for row in client.learner_report(columns=["EMPLOYEE_ID"])}
        # A user who leaves a group keeps the enrollments.
        everyone = {(employee_id, "Fire Safety") for employee_id, _, _ in PEOPLE}
        assert report == everyone | {(employee_id, "First Aid é") for employee_id in ("E2", "E3", "E4")}

        granted = UserGroup(group_id=south, permissions=["MANAGE_GROUP_USERS", "MARKER"])
        client.update_user(UserValues(groups=[granted]), employee_id="E4")
        client.update_user(UserValues(groups=[UserGroup(group_id=south, denied=["MARKER"])]), employee_id="E4")
        assert client.get_user_groups(employee_id="E4") == [
            UserGroup(SOUTH, south, ["MANAGE_GROUP_USERS"], is_home=True),
            UserGroup(NORTH, "N"),
        ]

        def listed(filters: UserFilters, sort_by: str = "EMPLOYEE_ID", *, descending: bool = False) -> Sequence[str]:
            users = client.list_users(filters, sort_by=sort_by, descending=descending, page_size=1)
            return [user.employee_id for user in users if user.employee_id]

        assert listed(UserFilters(group=SOUTH)) == ["E2", "E3", "E4"]
        assert listed(UserFilters(group=SOUTH), descending=True) == ["E4", "E3", "E2"]
        assert listed(UserFilters(home_group=SOUTH)) == ["E2", "E3", "E4"]  # without a home group the first group is it
        assert listed(UserFilters(home_group=NORTH)) == ["E1"]
        assert listed(UserFilters(name="ADA ", contains=True), "NAME") == ["E1", "E4"]
        assert listed(UserFilters(teams=["Odd"], active=True)) == ["E2", "E4"]
        ada = client.get_user(employee_id="E1")
        assert (ada.home_group, ada.family_name) == (NORTH, "O'Neil & <Söhne>")
        assert client.get_group(group_id="N").user_count == 2
