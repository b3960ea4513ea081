"""createGroup: adds a group with its members, courses and tags (protocol-neighbours §11)."""

from dataclasses import replace

from rollbook import actions, store
from rollbook.errors import CallError, WireCode
from rollbook.methods.group_values import group_codes, read_changes, values_of_group
from rollbook.methods.method import GROUP_EDITORS, Method, MethodCall, MethodResult
from rollbook.model import Permission, utc_now
from rollbook.wire.messages import Element, info, parameters, record

FORBIDDEN = WireCode("CG:01", "The required permissions are not met to call the createGroup method.")
CODES = group_codes("CG", *range(2, 10))

# What createGroup and updateGroup give.
IDENTIFIERS = info(Element("Group", "name", help="the name"), Element("GroupID", "group_id"))


def create_group(call: MethodCall) -> MethodResult:
    """Add the group; a learner who adds it becomes its manager."""
    connection, account_id, values = call.connection, call.caller.account_id, call.values
    if "name" not in values:
        raise CallError(CODES.name_missing)
    store.group_changes.lock_groups(connection, account_id)
    changes = read_changes(call, values, CODES)
    if not call.caller.administers:
        manager = store.memberships.Membership(0, call.caller.user_id, {Permission.MANAGE_GROUP: True})
        changes = replace(changes, joining=[*changes.joining, manager])
    number, _ = actions.create_group(connection, call.by, account_id, changes, utc_now())
    if store.group_changes.is_overfull(connection, number):
        raise CallError(CODES.limit_reached)
    return MethodResult({"name": values["name"], "group_id": values.get("group_id") or str(number)})


CREATE_GROUP = Method(
    "createGroup",
    help="Adds a group with its members, courses and tags.",
    takes=parameters(record("Group", *values_of_group(CODES, is_update=False))),
    gives=IDENTIFIERS,
    codes=(FORBIDDEN, *CODES),
    forbidden=FORBIDDEN,
    allowed=GROUP_EDITORS,
    changes=True,
    run=create_group,
)
