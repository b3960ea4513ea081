"""The methods about groups, through the client and HTTPS."""

import pytest

from campus import Campus
from conftest import Served
from rollbook import CallRefusedError, Client, GroupCourse, GroupValues, Member, ReportFilters, Tag
from rollbook.store.database.tables import group_courses, group_tags, groups

NAME = 'R&D <b>"Été"</b> מחקר'


def _client(served: Served, campus: Campus, user_key: str | None = None) -> Client:
    return Client(served.server.url, campus.account_key, user_key or campus.owner_key, ca_file=served.server.ca_file)


def test_client_reads_groups_by_name_by_group_id_and_by_tags(served: Served, campus: Campus) -> None:
    big = campus.add(groups, name=NAME, identifier="R&D", active=True, notification_emails='["a@example.org"]')
    campus.add(group_tags, group_id=big, tag_id=1, name="Region", tag_values="North,West")
    campus.add(group_courses, group_id=big, course_id=campus.course_id, allow_self_enroll=False, auto_enroll=True)
    with _client(served, campus) as client:
        assert client.list_groups(contains="été", active=True) == [{"Name": NAME, "GroupID": "R&D"}]
        assert client.list_groups(name=NAME.upper(), tags={"Region": ["East", "West"]}) == client.list_groups(
            contains="R&D"
        )
        assert client.list_groups(tags={"Region": ["East"]}) == []
        assert client.list_groups(active=False) == []
        group = client.get_group(name=NAME)
        assert group == client.get_group(group_id="R&D")
        assert (group.name, group.description, group.active, group.course_count) == (NAME, "", True, 1)
        assert (group.notification_emails, group.tags) == (["a@example.org"], [Tag(1, "Region", ["North", "West"])])
        assert [row["Name"] for row in client.group_courses(group_id="R&D")] == ["Fire Safety"]
        with pytest.raises(CallRefusedError, match="GG:03"):
            client.get_group(name="r&d")
        with pytest.raises(ValueError, match="name or by its group_id"):
            client.get_group(name=NAME, group_id="R&D")


def test_of_several_groups_of_a_name_the_oldest_active_one_is_read(served: Served, campus: Campus) -> None:
    ids = [campus.add(groups, name="Twin", active=active) for active in (False, True, True)]
    campus.add(groups, name="Seven", identifier=str(ids[0]), active=False)
    with _client(served, campus) as client:
        assert client.get_group(name="Twin").group_id == str(ids[1])
        # A group's own text precedes the number of another.
        assert client.get_group(group_id=str(ids[0])).name == "Seven"


def test_client_creates_a_group_and_changes_it(served: Served, campus: Campus) -> None:
    with _client(served, campus) as client:
        values = GroupValues(
            NAME, description="a & b", notification_emails=["a@example.org"], tags={"Région": ["Nord"]}
        )
        learner = Member(email="learner@example.org", permissions=["MARKER"], home_group=True)
        group_id = client.create_group(values, [learner], [GroupCourse(campus.course_id, auto_enroll=True)])
        columns, by_tag = ["USER_EMAIL", "GROUP_ID"], ReportFilters(group_tags={"Région": ["Nord", "Sud"]})
        (row,) = client.learner_report(by_tag, columns)
        assert (row["LearnerEmail"], row["GroupID"]) == ("learner@example.org", group_id)
        group = client.get_group(group_id=group_id)
        assert (group.name, group.description, group.user_count, group.course_count) == (NAME, "a & b", 1, 1)
        assert ([tag.name for tag in group.tags], group.notification_emails) == (["Région"], ["a@example.org"])
        assert client.update_group(group_id=group_id) == group_id
        assert client.get_group(group_id=group_id) == group
        emptied = GroupValues(description="", notification_emails=[], tags={}, group_id="new", user_limit=0)
        assert (
            client.update_group(
                name=NAME,
                values=emptied,
                add=[Member(email="owner@example.org")],
                remove=[learner],
                remove_courses=[campus.course_id],
            )
            == "new"
        )
        assert [row["GroupID"] for row in client.learner_report(columns=columns)] == ["new"]
        assert list(client.learner_report(by_tag)) == []
        group = client.get_group(group_id="new")
        assert (group.description, group.tags, group.notification_emails) == ("", [], [])
        assert (group.user_count, group.course_count) == (1, 0)
        with pytest.raises(CallRefusedError, match="UG:02"):
            client.update_group(group_id="new", values=GroupValues(name=""))
