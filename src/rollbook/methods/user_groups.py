"""The groups that createUser and updateUser name: found at once, with what the caller may change in each."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rollbook import store
from rollbook.errors import CallError, WireCode
from rollbook.methods.method import USER_MANAGERS, MethodCall
from rollbook.methods.user_values import MAX_ENTRIES, UserCodes
from rollbook.model import Caller, Permission
from rollbook.wire.messages import Choice, Element, Values, optional, record

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rollbook.store.people.learners import Row


def groups_of_user(*of_each: Element) -> Element:
    """The groups of a user, each named by its name or GroupID."""
    group = record(
        "Group",
        optional("GroupName", "group_name", help="exactly the name of an active group; of several, the oldest"),
        optional("GroupID", "group_id", help="exactly as getUserGroups gives it"),
        *of_each,
        field="groups",
        least=0,
        most=MAX_ENTRIES,
        choices=(Choice(("GroupName", "GroupID"), filled=True),),
    )
    return record("Groups", group, least=0)


class NamedGroups:
    """The groups that the values of a call name, the home group included."""

    def __init__(self, call: MethodCall, values: Values, codes: UserCodes) -> None:
        self._codes = codes
        listed: Sequence[Values] = values.get("groups", ())
        names = [name for each in listed if (name := each.get("group_name"))]
        ids = [id_ for each in listed if (id_ := each.get("group_id"))]
        if home := values.get("home_group"):
            names.append(home)
        self._rows: Sequence[Row] = store.learners.find_named_groups(
            call.connection, call.caller, names, ids, USER_MANAGERS.permissions
        )
        if any(row.user_limit is not None for row in self._rows):
            store.group_changes.lock_groups(call.connection, call.caller.account_id)

    def find(self, name: str | None, group_id: str | None = None, *, inactive: bool = False) -> "Row":
        """Find one of them; errors: the code for one that does not exist, or is inactive unless that is all right."""
        # A text that is the GroupID of a group precedes a number that stands for one (D24).
        for row in sorted(self._rows, key=lambda row: name is None and row.group_id == str(row.id)):
            is_named = row.name == name if name is not None else row.group_id == group_id
            if is_named and (row.active or inactive):
                return row
        raise CallError(self._codes.unknown_group, "a group is unknown, inactive, or none of the caller's")

    def refuse_overfull(self, connection: "Connection", joined: Iterable[int]) -> None:
        """End the call when a group that the user has joined has more members than its limit."""
        limited = {row.id for row in self._rows if row.user_limit is not None}
        if any(store.group_changes.is_overfull(connection, group_id) for group_id in limited.intersection(joined)):
            raise CallError(self._codes.full_group)


def check_grants(caller: Caller, group: "Row", permissions: Iterable[Permission], forbidden: WireCode) -> None:
    """End the call when a learner gives or takes permissions that the learner does not have in the group."""
    if caller.administers or group.group_manager:
        return
    if not all(group._mapping[each.column] for each in permissions):
        raise CallError(forbidden, "the caller lacks a permission that is given or taken")
