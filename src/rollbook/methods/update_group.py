"""updateGroup: changes a group; what a call leaves out stays as it is (protocol-neighbours §11)."""

from typing import TYPE_CHECKING

from rollbook import actions, store
from rollbook.errors import CallError, WireCode
from rollbook.methods.create_group import IDENTIFIERS
from rollbook.methods.group_values import group_codes, read_changes, values_of_group
from rollbook.methods.groups import NAMING, ONE_NAME
from rollbook.methods.method import GROUP_EDITORS, Method, MethodCall, MethodResult
from rollbook.model import Permission, utc_now
from rollbook.wire.messages import parameters, record

if TYPE_CHECKING:
    from rollbook.store.people.group_search import Row

FORBIDDEN = WireCode(
    "UG:01",
    "The required permissions are not met to call the updateGroup method.",
    "also a learner without one of them in this group, or who gives or takes a permission that he or she does not "
    "have in it (with MANAGE_GROUP all can be given)",
)
UNKNOWN_GROUP = WireCode("UG:03", "The group provided does not exist.", "no group of this account, active or not")
SEVERAL_GROUPS = WireCode(
    "UG:04",
    "Several groups have the Name or GroupID provided.",
    "groups that a roster has given one name, or a group whose number is the `GroupID` of another; name the group by "
    "the other element",
)
CODES = group_codes("UG", 2, *range(5, 12))
IDENTIFIER = record("Identifier", *NAMING, field="identifier", choices=ONE_NAME)


def update_group(call: MethodCall) -> MethodResult:
    """Change the group."""
    connection, account_id, values = call.connection, call.caller.account_id, call.values
    store.group_changes.lock_groups(connection, account_id)
    group = _find_group(call)
    held = {*Permission}
    if not call.caller.administers:
        held = store.permissions.find_permissions(connection, call.caller, group.id)
    if not held & {*GROUP_EDITORS.permissions}:
        raise CallError(FORBIDDEN, "the caller is a learner without a permission for this group")
    changes = read_changes(call, values, CODES, group)
    changed = {permission for each in changes.joining for permission in each.permissions}
    if not (Permission.MANAGE_GROUP in held or changed <= held):
        raise CallError(FORBIDDEN, "the caller lacks a permission that is given or taken")
    joined = actions.update_group(connection, call.by, account_id, group, changes, utc_now())
    if joined and store.group_changes.is_overfull(connection, group.id):
        raise CallError(CODES.limit_reached)
    given = {"name": group.name, "identifier": group.identifier, **changes.columns}
    return MethodResult({"name": given["name"], "group_id": given["identifier"] or str(group.id)})


def _find_group(call: MethodCall) -> "Row":
    """Find the group; errors: the codes for an unknown and for an ambiguous one."""
    named = {field: call.values["identifier"].get(field) or None for field in ("name", "group_id")}
    group = store.group_search.find_group(call.connection, call.caller.account_id, **named)
    if group is None:
        raise CallError(UNKNOWN_GROUP)
    if store.group_search.is_ambiguous(call.connection, group, **named):
        raise CallError(SEVERAL_GROUPS)
    return group


UPDATE_GROUP = Method(
    "updateGroup",
    help="Changes a group; what a call leaves out stays as it is.",
    takes=parameters(record("Group", IDENTIFIER, *values_of_group(CODES, is_update=True))),
    gives=IDENTIFIERS,
    codes=tuple(sorted((FORBIDDEN, UNKNOWN_GROUP, SEVERAL_GROUPS, *CODES), key=lambda code: code.code)),
    forbidden=FORBIDDEN,
    allowed=GROUP_EDITORS,
    changes=True,
    run=update_group,
)
