"""The client's calls about groups and their courses."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rollbook.client.calls import Calls, Rows
from rollbook.client.requests import new_key, tags_of
from rollbook.methods.create_group import CREATE_GROUP
from rollbook.methods.get_group import GET_GROUP
from rollbook.methods.get_group_learning_modules import GET_GROUP_LEARNING_MODULES
from rollbook.methods.list_groups import LIST_GROUPS
from rollbook.methods.method import Method
from rollbook.methods.update_group import UPDATE_GROUP
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
        """Take it from the values of an answer; errors: KeyError for a missing value."""
        listed = values["tag_values"]
        return cls(values["tag_id"], values["name"] or "", listed.split(",") if listed else [])


@dataclass(frozen=True)
class Group:
    """A group as a server describes it; missing texts are empty."""

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
        """Take it from the values of an answer; errors: KeyError for a missing value."""
        texts = ("name", "group_id", "description", "home_group_message")
        given: dict[str, Any] = {**values, **{name: values[name] or "" for name in texts}}
        given["notification_emails"] = values.get("notification_emails", [])
        given["tags"] = [Tag.of(tag) for tag in values.get("tags", [])]
        return cls(**given)


@dataclass(frozen=True)
class Member:
    """A member of a group, named by `email` or `employee_id`, with the codes of permissions.

    `home_group` tells whether the group is the member's home group; None keeps it.
    """

    email: str | None = None
    employee_id: str | None = None
    permissions: Sequence[str] = ()
    denied: Sequence[str] = ()
    home_group: bool | None = None

    def values(self, action: str | None) -> Values:
        """The values of the member in a call; errors: ValueError without exactly one name."""
        if bool(self.email) == bool(self.employee_id):
            raise ValueError("a Member has either an email or an employee_id")
        given = {"Grant": self.permissions, "Deny": self.denied}
        codes = [{"action": action and change, "code": code} for change, codes in given.items() for code in codes]
        named = {"email": self.email, "employee_id": self.employee_id, "is_home": self.home_group}
        return {**named, "action": action, "permissions": codes}


@dataclass(frozen=True)
class GroupCourse:
    """A course of a group; None keeps a flag, and is False for a new course of the group."""

    course_id: int | str
    auto_enroll: bool | None = None
    allow_self_enroll: bool | None = None

    def values(self, action: str | None) -> Values:
        """The values of the course in a call."""
        flags = {"auto_enroll": self.auto_enroll, "allow_self_enroll": self.allow_self_enroll}
        return {"id": self.course_id, "action": action, **flags}


@dataclass(frozen=True)
class GroupValues:
    """Values of a group: None keeps a value, an empty text or list clears it. `user_limit` 0 is no limit."""

    name: str | None = None
    group_id: str | None = None
    active: bool | None = None
    description: str | None = None
    home_group_message: str | None = None
    notification_emails: Sequence[str] | None = None
    tags: Mapping[str, Sequence[str]] | None = None
    user_limit: int | None = None

    def values(self) -> dict[str, Any]:
        """The values of the group in a call."""
        texts = ("name", "group_id", "active", "description", "home_group_message")
        given: dict[str, Any] = {name: getattr(self, name) for name in texts}
        if self.notification_emails is not None:
            given["notifications"] = {"emails": self.notification_emails}
        if self.tags is not None:
            given["tags2"] = {"tags": tags_of(self.tags)}
        if self.user_limit is not None:
            given["user_limit"] = {"enabled": self.user_limit > 0, "amount": self.user_limit}
        return given


UNCHANGED = GroupValues()


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
        asked: dict[str, Any] = {"active": active, "name": matching_of(name, contains), "tags": tags_of(tags or {})}
        return self._ask_rows(LIST_GROUPS, asked, "Name", "GroupID")[0]

    def group_courses(self, *, name: str | None = None, group_id: str | None = None) -> Rows:
        """List `LearningModuleID`, `Name`, `Type` and `Status` of the courses of a group."""
        return self._ask_rows(GET_GROUP_LEARNING_MODULES, _one_of(name, group_id), "LearningModuleID")[0]

    def create_group(
        self, values: GroupValues, members: Iterable[Member] = (), courses: Iterable[GroupCourse] = ()
    ) -> str:
        """Add a group, which is active unless the values say otherwise, and return its GroupID."""
        given = {**values.values(), "active": values.active is not False}
        given["users"] = [member.values(None) for member in members]
        given["courses"] = [course.values(None) for course in courses]
        return self._change_group(CREATE_GROUP, given)

    def update_group(
        self,
        *,
        name: str | None = None,
        group_id: str | None = None,
        values: GroupValues = UNCHANGED,
        add: Iterable[Member] = (),
        remove: Iterable[Member] = (),
        add_courses: Iterable[GroupCourse] = (),
        remove_courses: Iterable[int | str] = (),
    ) -> str:
        """Change the group with this name or GroupID, and return its GroupID; other values stay."""
        given = {**values.values(), "identifier": _one_of(name, group_id)}
        given["users"] = [*(each.values("Add") for each in add), *(each.values("Remove") for each in remove)]
        gone = [GroupCourse(id_).values("Remove") for id_ in remove_courses]
        given["courses"] = [*(course.values("Add") for course in add_courses), *gone]
        return self._change_group(UPDATE_GROUP, given)

    def _change_group(self, method: Method, given: Values) -> str:
        sent = self._send(method, given, key=new_key())
        return self._read(lambda: str(sent.values["group_id"]))


def _one_of(name: str | None, group_id: str | None) -> Values:
    if bool(name) == bool(group_id):
        raise ValueError("a group is named by its name or by its group_id")
    return {"name": name, "group_id": group_id}
