"""Adds and changes groups with their members, courses and tags, and writes the audit line."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rollbook import store
from rollbook.actions.memberships import join_groups
from rollbook.model import Action, Actor, Change

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rollbook.store.people.group_changes import Tag
    from rollbook.store.people.group_search import Row
    from rollbook.store.people.memberships import Membership


@dataclass(frozen=True)
class GroupChanges:
    """The changes of a group; columns and tags that are not named stay.

    `details` is kept as it came. `joining` members have the group 0 until the group is known; `courses` are flags by
    number, of which None leaves one as it is.
    """

    columns: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    tags: "Sequence[Tag] | None" = None
    joining: "Sequence[Membership]" = ()
    leaving: Collection[int] = ()
    courses: Mapping[int, Mapping[str, bool | None]] = field(default_factory=dict)
    removed_courses: Collection[int] = ()


def create_group(
    connection: "Connection", by: Actor, account_id: int, changes: GroupChanges, now: datetime
) -> tuple[int, set[int]]:
    """Add a group; return its id and its members."""
    columns = {"active": True, **changes.columns, "details": _keep(changes.details)}
    number = store.group_changes.add_group(connection, account_id, columns, now)
    joined = _apply(connection, by, account_id, number, changes, now)
    details = {"group": number, **_counts(changes, joined, 0)}
    store.audit.record_change(connection, account_id, by, Change(Action.ADD_GROUP, columns["name"], details))
    return number, joined


def update_group(
    connection: "Connection", by: Actor, account_id: int, group: "Row", changes: GroupChanges, now: datetime
) -> set[int]:
    """Change a group and return its new members; a call that changes nothing writes no audit line."""
    before = store.group_changes.read_columns(group)
    wanted = {**changes.columns, "details": _keep({**before["details"], **changes.details})}
    columns = {name: value for name, value in wanted.items() if value != before[name]}
    if columns or changes.tags is not None or changes.courses or changes.removed_courses:
        store.group_changes.change_group(connection, group.id, columns, now)
    left = store.memberships.leave_groups(connection, account_id, changes.leaving, [group.id]) if changes.leaving else 0
    joined = _apply(connection, by, account_id, group.id, changes, now)
    details = {**store.audit.compare(before, columns), **_counts(changes, joined, left)}
    if details:
        change = Change(Action.UPDATE_GROUP, group.name, {"group": group.id, **details})
        store.audit.record_change(connection, account_id, by, change)
    return joined


def _apply(
    connection: "Connection", by: Actor, account_id: int, number: int, changes: GroupChanges, now: datetime
) -> set[int]:
    """Change tags, courses and members; courses first, so that AutoEnroll includes new courses."""
    if changes.tags is not None:
        store.group_changes.set_tags(connection, account_id, number, changes.tags)
    if changes.removed_courses:
        store.group_changes.remove_courses(connection, number, changes.removed_courses)
    if changes.courses:
        store.group_changes.set_courses(connection, account_id, number, changes.courses)
    joining = [replace(each, group_id=number) for each in changes.joining]
    return {user_id for _, user_id in join_groups(connection, by, account_id, joining, now)}


def _keep(details: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in details.items() if value not in (None, "")}


def _counts(changes: GroupChanges, joined: Collection[int], left: int) -> dict[str, Any]:
    """Return the named changes of members, tags and courses for the audit."""
    granted = {
        f"user {each.user_id}": {code.value: has for code, has in each.permissions.items()}
        for each in changes.joining
        if each.permissions
    }
    named = {
        "joined": len(joined),
        "left": left,
        "permissions": granted,
        "tags": [tag.name for tag in changes.tags or ()],
        "courses": {str(id_): dict(flags) for id_, flags in changes.courses.items()},
        "removed_courses": sorted(changes.removed_courses),
    }
    return {name: value for name, value in named.items() if value}
