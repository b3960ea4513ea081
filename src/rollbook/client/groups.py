"""The client's calls about groups and their courses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rollbook.client.calls import Calls, Rows
from rollbook.methods.get_group import GET_GROUP
from rollbook.methods.get_group_learning_modules import GET_GROUP_LEARNING_MODULES
from rollbook.methods.list_groups import LIST_GROUPS
from rollbook.wire.matching import matching_of
from rollbook.wire.messages import Values


@dataclass(frozen=True)
class Tag:
    """A tag of a group, and its values there."""

    tag_id: int
    name: str
    values: Sequence[str] = ()

    @classmethod
    def of(cls, values: Values) -> "Tag":
        """Take it from the values of an answer; errors: KeyError for what is missing."""
        listed = values["tag_values"]
        return cls(values["tag_id"], values["name"] or "", listed.split(",") if listed else [])


@dataclass(frozen=True)
class Group:
    """What a server tells of a group; a text that it has not is empty."""

    name: str
    group_id: str
    created_at: datetime
    modified_at: datetime
    description: str
    home_group_message: str
    notification_emails: Sequence[str]
    user_count: int
    course_count: int
    tags: Sequence[Tag]
    active: bool

    @classmethod
    def of(cls, values: Values) -> "Group":
        """Take it from the values of an answer; errors: KeyError for what is missing."""
        texts = ("name", "group_id", "description", "home_group_message")
        given: dict[str, Any] = {**values, **{name: values[name] or "" for name in texts}}
        given["notification_emails"] = values.get("notification_emails", [])
        given["tags"] = [Tag.of(tag) for tag in values.get("tags", [])]
        return cls(**given)


class GroupCalls(Calls):
    """Groups, their members and their courses. A group is named by its `name` or by its `group_id`."""

    def get_group(self, *, name: str | None = None, group_id: str | None = None) -> Group:
        """Read one group."""
        sent = self._send(GET_GROUP, _one_of(name, group_id))
        return self._read(lambda: Group.of(sent.values))

    def list_groups(
        self,
        *,
        name: str | None = None,
        contains: str | None = None,
        active: bool | None = None,
        tags: Mapping[str, Sequence[str]] | None = None,
    ) -> Rows:
        """List `Name` and `GroupID` of groups: those of exactly this name, or whose names contain a text, in any case.

        `tags` are names of tags with the values of which a group has one; with no values, any.
        """
        asked: dict[str, Any] = {"active": active, "name": matching_of(name, contains)}
        asked["tags"] = [{"tag_name": tag, "tag_values": values or None} for tag, values in (tags or {}).items()]
        return self._ask_rows(LIST_GROUPS, asked, "Name", "GroupID")[0]

    def group_courses(self, *, name: str | None = None, group_id: str | None = None) -> Rows:
        """List `LearningModuleID`, `Name`, `Type` and `Status` of the courses of a group."""
        return self._ask_rows(GET_GROUP_LEARNING_MODULES, _one_of(name, group_id), "LearningModuleID")[0]


def _one_of(name: str | None, group_id: str | None) -> Values:
    if bool(name) == bool(group_id):
        raise ValueError("a group is named by its name or by its group_id")
    return {"name": name, "group_id": group_id}
