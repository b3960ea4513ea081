"""The methods about groups, through the client and HTTPS."""

import pytest

from campus import Campus
from conftest import Served
from rollbook import CallRefusedError, Client
from rollbook.client.groups import Tag
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
