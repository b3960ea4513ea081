"""Users come in by createUser and are given back by getUser and getUserGroups, over HTTPS."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from lxml import etree

from campus import Campus, read_outcomes
from conftest import Served
from rollbook import CallRefusedError, Client, UserFilters, UserGroup, UserValues
from rollbook.model import Permission, utc_now
from rollbook.store.database.tables import enrollments, groups, users
from rollbook.store.people.memberships import Membership, join_groups

NEW = "<Email>{email}</Email><GivenName>Ann &amp; Bo</GivenName><Surname>&lt;Ünal&gt;</Surname>"


def _ask(served: Served, campus: Campus, method: str, user: str) -> etree._Element:
    answer = served.server.post(campus.call(method, f"<User>{user}</User>"))
    info = etree.fromstring(answer.content).find("Info")
    assert info is not None
    assert b"<Result>Success" in answer.content, answer.text
    return info


def _texts(element: etree._Element | None) -> dict[str, str | None]:
    assert element is not None
    return {str(child.tag): child.text for child in element if not len(child)}


def test_everything_that_createuser_brings_is_given_back(served: Served, campus: Campus) -> None:
    info = (
        NEW.format(email="Ann@example.org")
        + "<Timezone>us/eastern</Timezone><LearnerNotifications>1</LearnerNotifications>"
    )
    kept = {"Organization": "A&B <c>", "Language": "Français", "PhonePrimary": "+1", "Address1": '"x"', "Roles": "chef"}
    profile = "".join(f"<{name}><![CDATA[{text}]]></{name}>" for name, text in kept.items())
    profile += "<Supervisors><Supervisor>Max</Supervisor><Supervisor/></Supervisors><Status>inactive</Status>"
    profile += "<Teams><Team>Red</Team><Team>Blue &amp; white</Team><Team>Red</Team></Teams><Title>Dr</Title>"
    profile += "<CustomFields><Field n='1'>a &amp; b<b>c</b> d</Field></CustomFields>"
    permissions = "<GroupPermissions><Permission>marker</Permission></GroupPermissions>"
    groups = f"<Groups><Group><GroupName>North</GroupName>{permissions}</Group></Groups>"
    _ask(served, campus, "createUser", f"<Info>{info}</Info><Profile>{profile}</Profile>{groups}")
    (user,) = _ask(served, campus, "getUser", "<Email>ann@EXAMPLE.org</Email>")
    shown = _texts(user)
    assert {name: shown[name] for name in kept} == kept
    expected = {
        "Email": "Ann@example.org",
        "GivenName": "Ann & Bo",
        "Surname": "<Ünal>",
        "Timezone": "(GMT-5:00) - US/Eastern",
        "SendWeeklyTaskReminder": "1",
        "Status": "Inactive",
        "HomeGroup": "North",
        "Title": "Dr",
        "EmployeeID": None,
    }
    assert {name: shown[name] for name in expected} == expected
    assert [team.text for team in user.iterfind("Teams/Team")] == ["Blue & white", "Red"]
    assert [each.text for each in user.iterfind("Supervisors/Supervisor")] == ["Max"]
    assert b'<CustomFields><Field n="1">a &amp; b<b>c</b> d</Field></CustomFields>' in etree.tostring(user)
    (listed,) = _ask(served, campus, "getUserGroups", f"<ID>{shown['ID']}</ID>")
    assert _texts(listed[0]) == {"Name": "North", "Identifier": str(campus.group_id), "IsHomeGroup": "1"}
    assert [each.text for each in listed.iterfind("Group/Permissions/Permission")] == ["MARKER"]


def test_of_two_calls_at_once_with_one_address_one_adds_the_user(served: Served, campus: Campus) -> None:
    calls = [
        campus.call(
            "createUser",
            f"<User><Info>{NEW.format(email=email)}</Info><Profile><HomeGroup>North</HomeGroup></Profile></User>",
        )
        for email in ("jörg@example.org", "JÖRG@example.org") * 4
    ]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(served.server.post, calls))
    refused = [outcome for answer in answers for outcome in read_outcomes(answer)]
    assert refused == ["CU:03"] * 7


def test_dry_run_of_createuser_adds_nobody_and_the_audit_names_no_person(served: Served, campus: Campus) -> None:
    user = f"<Info>{NEW.format(email='ann@example.org')}</Info><Profile><HomeGroup>North</HomeGroup></Profile>"
    call = campus.call("createUser", f"<User>{user}</User>")
    assert b"<Email>ann@example.org" in served.server.post(call, headers={"Rollbook-Dry-Run": "true"}).content
    assert b"<Email>ann@example.org" in served.server.post(call).content
    lines = [line for line in campus.audit() if line["action"] == "add-user" and line["user_id"]]
    assert [re.sub(r"\d+", "#", str(line["subject"])) for line in lines] == ["user #"]
    assert "ann" not in str(lines).lower().replace(campus.name.lower(), "")


def _client(served: Served, campus: Campus, key: str = "") -> Client:
    return Client(served.server.url, campus.account_key, key or campus.owner_key, ca_file=served.server.ca_file)


ANN = UserValues(
    email="ann@example.org",
    employee_id="A&1",
    given_name="Ann",
    family_name='<Ö"Hara>',
    timezone="Asia/Kolkata",
    title="Dr",
    teams=["Red", "Blue"],
    supervisors=["Max"],
    groups=[UserGroup("North", permissions=[Permission.MARKER, Permission.PROCTOR]), UserGroup("South & Co")],
    kept={"City": "Łódź", "AllowFeedback": True, "CustomFields": "<A>1</A>"},
)


def test_updateuser_changes_what_it_names_and_leaves_all_else(served: Served, campus: Campus) -> None:
    south = campus.add(groups, name="South & Co", active=True)
    with _client(served, campus) as client:
        client.create_user(ANN)
        before = client.get_user(email=ANN.email)
        campus.add(
            enrollments,
            user_id=before.id,
            group_id=south,
            course_id=campus.course_id,
            status="Enrolled",
            enrolled_at=utc_now(),
        )
        assert (before.teams, before.supervisors, before.home_group) == (["Blue", "Red"], ["Max"], "North")
        assert before.kept["AllowFeedback"] is True
        client.update_user(UserValues(), employee_id="A&1")
        assert client.get_user(user_id=before.id) == before
        client.update_user(UserValues(email="", family_name="", title="", teams=[], kept={"City": ""}), email=ANN.email)
        emptied = client.get_user(user_id=before.id)
        kept = {**before.kept, "City": None}
        assert emptied == replace(before, title="", teams=[], kept=kept, modified_at=emptied.modified_at)
        changed = UserValues(
            email="Ann@example.com",
            home_group="South & Co",
            active=False,
            timezone="(GMT-9:00) - Europe/Dublin",
            groups=[
                UserGroup("North", permissions=["INSTRUCTOR"], denied=["MARKER"]),
                UserGroup(group_id=str(south), leave=False),
            ],
        )
        client.update_user(changed, employee_id="A&1")
        after = client.get_user(email="ANN@example.com")
        assert (after.email, after.home_group, after.active) == ("Ann@example.com", "South & Co", False)
        assert after.timezone == "(GMT+0:00) - Europe/Dublin"
        assert [(each.name, each.is_home, each.permissions) for each in client.get_user_groups(user_id=before.id)] == [
            ("South & Co", True, ()),
            ("North", False, ["PROCTOR", "INSTRUCTOR"]),
        ]
        client.update_user(UserValues(groups=[UserGroup("South & Co", leave=True)]), employee_id="A&1")
        assert [each.name for each in client.get_user_groups(user_id=before.id)] == ["North"]
        assert client.get_user(user_id=before.id).home_group == "North"
        assert [row["UserID"] for row in client.learner_report()] == [str(before.id)]  # the enrollment stays
        with pytest.raises(CallRefusedError, match="UU:03"):
            client.update_user(UserValues(), email=ANN.email)
    lines = [line for line in campus.audit() if line["action"] == "update-user"]
    assert [line["details"] for line in lines] == [
        {"values": [], "groups": {"South & Co": {"from": ["home"], "to": None}}},
        {
            "values": ["email", "timezone", "active"],
            "email": {"from": "ann@example.org", "to": "Ann@example.com"},
            "groups": {
                "North": {"from": ["PROCTOR", "MARKER", "home"], "to": ["PROCTOR", "INSTRUCTOR"]},
                "South & Co": {"from": [], "to": ["home"]},
            },
        },
        {"values": ["title", "City", "teams"], "groups": {}},
    ]


def test_listusers_goes_page_by_page_in_a_stable_order_whatever_the_page_size(served: Served, campus: Campus) -> None:
    for number, (given, family) in enumerate(
        [("Bo", "Lee"), ("ann", "lee"), ("Ann", "Lee"), ("Ann", "Bo"), ("Cy", "")]
    ):
        person = {"given_name": given, "family_name": family, "employee_id": f"E{number}", "role": "learner"}
        campus.add(users, **person, active=number % 2 == 0)
    employees = UserFilters(employee_id="e", contains=True)

    with _client(served, campus) as client:

        def listed(filters: UserFilters = employees, page_size: int = 1000, **order: Any) -> list[str]:
            return [user.employee_id for user in client.list_users(filters, page_size=page_size, **order)]

        for size in (1, 2, 3, 5):
            assert listed(page_size=size) == ["E3", "E1", "E2", "E0", "E4"]
            assert listed(page_size=size, descending=True) == ["E4", "E0", "E2", "E1", "E3"]
            assert listed(page_size=size, sort_by="EMPLOYEE_ID") == ["E0", "E1", "E2", "E3", "E4"]
            assert listed(UserFilters(active=True), size, sort_by="EMPLOYEE_ID") == ["", "E0", "E2", "E4"]
        assert listed(UserFilters(name="ANN LEE")) == ["E1", "E2"]
        assert listed(UserFilters(name="Cy")) == ["E4"]


def test_manager_of_users_gains_no_permission_and_no_group(served: Served, campus: Campus) -> None:
    campus.add(groups, name="South", active=True)
    learner = campus.user_id("learner@example.org")
    with campus.database.write() as connection:
        held = {Permission.MANAGE_USERS: True, Permission.MARKER: True}
        join_groups(connection, campus.account.id, [Membership(campus.group_id, learner, held)])
    refused = [
        (UserGroup("North", permissions=["MANAGE_GROUP"]), "01"),
        (UserGroup("North", denied=["PROCTOR"]), "01"),
        (UserGroup("South"), "group"),
        (UserGroup("South", leave=True), "group"),
    ]
    with _client(served, campus, campus.learner_key) as client:
        for group, code in refused:
            with pytest.raises(CallRefusedError) as update:
                client.update_user(UserValues(groups=[group]), email="learner@example.org")
            assert update.value.code == {"01": "UU:01", "group": "UU:08"}[code]
            if not (group.leave or group.denied):
                with pytest.raises(CallRefusedError) as creation:
                    client.create_user(replace(ANN, groups=[group]))
                assert creation.value.code == {"01": "CU:01", "group": "CU:07"}[code]
        client.create_user(replace(ANN, groups=[UserGroup("North", permissions=["MARKER"])]))
        client.update_user(UserValues(groups=[UserGroup("North", denied=["MARKER"])]), email=ANN.email)
        assert [(each.name, each.permissions) for each in client.get_user_groups(email=ANN.email)] == [("North", ())]
        assert [user.email for user in client.list_users()] == ["learner@example.org", ANN.email]


def test_supervisors_are_replaced_or_added_and_removed_one_by_one(served: Served, campus: Campus) -> None:
    change = "<Supervisor><Name>{}</Name><SupervisorAction>{}</SupervisorAction></Supervisor>"
    wanted = [
        ("<Supervisor>A &amp; B</Supervisor><Supervisor><![CDATA[<C>]]></Supervisor>", ["A & B", "<C>"]),
        (
            change.format("Dé", "Add") + change.format("A &amp; B", "remove") + change.format("E", "Remove"),
            ["<C>", "Dé"],
        ),
        (change.format("Dé", "add"), ["<C>", "Dé"]),
        ("", []),
    ]
    with _client(served, campus) as client:
        client.create_user(replace(ANN, groups=[UserGroup("North")]))
        for supervisors, expected in wanted:
            profile = f"<Profile><Supervisors>{supervisors}</Supervisors></Profile>"
            _ask(served, campus, "updateUser", f"<Identifier><Email>{ANN.email}</Email></Identifier>{profile}")
            assert client.get_user(email=ANN.email).supervisors == expected
        client.update_user(UserValues(supervisors=["<F>", "G & H"]), email=ANN.email)
        assert client.get_user(email=ANN.email).supervisors == ["<F>", "G & H"]


@pytest.mark.parametrize("text", ["élan vital", "ÉLAN VITAL", "Élan Vital"])
def test_letters_beyond_ascii_are_found_in_any_case(served: Served, campus: Campus, text: str) -> None:
    campus.add(users, given_name="Élan", family_name="vital", employee_id="ÄÖ^]-[1", role="learner", active=True)
    with _client(served, campus) as client:
        for filters in (
            *(
                UserFilters(name=text),
                UserFilters(name=text[2:7], contains=True),
                UserFilters(name=text[:3], contains=True),
            ),
            *(UserFilters(employee_id="äö^]-[1"), UserFilters(employee_id="Ö^]-[", contains=True)),
        ):
            assert [user.employee_id for user in client.list_users(filters)] == ["ÄÖ^]-[1"], filters
        assert list(client.list_users(UserFilters(name="élan vita"))) == []
        assert list(client.list_users(UserFilters(employee_id="Ö.]", contains=True))) == []


def test_groupid_that_is_the_text_of_a_group_precedes_a_number_that_stands_for_one(
    served: Served, campus: Campus
) -> None:
    number = str(campus.group_id)
    campus.add(groups, name="South", identifier=number, active=True)
    with Client(served.server.url, campus.account_key, campus.owner_key, ca_file=served.server.ca_file) as client:
        named = UserGroup(group_id=number)
        client.create_user(UserValues(employee_id="E1", given_name="Ann", family_name="Bo", groups=[named]))
        assert [group.name for group in client.get_user_groups(employee_id="E1")] == ["South"]
