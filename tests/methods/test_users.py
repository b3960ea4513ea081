"""Users come in by createUser and are given back by getUser and getUserGroups, over HTTPS."""

import re
from concurrent.futures import ThreadPoolExecutor

from lxml import etree

from campus import Campus, read_outcomes
from conftest import Served

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
