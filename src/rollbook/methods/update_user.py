"""updateUser: changes values, groups and permissions of a learner (protocol-neighbours §10)."""

from typing import TYPE_CHECKING

from rollbook import actions, store
from rollbook.errors import CallError, WireCode
from rollbook.methods.create_user import IDENTIFIERS
from rollbook.methods.get_user import OUT_OF_REACH as USER_OUT_OF_REACH
from rollbook.methods.get_user import UNKNOWN_USER as USER_UNKNOWN
from rollbook.methods.method import USER_MANAGERS, Method, MethodCall, MethodResult
from rollbook.methods.user_groups import NamedGroups, check_grants, groups_of_user
from rollbook.methods.user_values import PERMISSION, refuse_taken, split_values, user_codes, values_of_user
from rollbook.methods.users import EMAIL, EMPLOYEE_ID, find_user
from rollbook.model import Permission, Role, utc_now
from rollbook.wire.entries import change_list
from rollbook.wire.messages import Choice, Element, Values, parameters, record
from rollbook.wire.values import one_of, word_for

if TYPE_CHECKING:
    from rollbook.store.people.profiles import Row

FORBIDDEN = WireCode(
    "UU:01",
    "The required permissions are not met to call the updateUser method.",
    "the caller is a learner who manages no users in any group; then nothing else of the call is looked at. Or the "
    "learner gives or takes a permission that he or she does not have in that group",
)
UNKNOWN_USER = WireCode("UU:03", USER_UNKNOWN.message, "no user of this account")
OUT_OF_REACH = WireCode("UU:04", USER_OUT_OF_REACH.message, "as GU:04")
CODES = user_codes("UU", 5, 6, 7, 8, 9, 10, 11, 12, 13)
NO_LEARNER = WireCode(
    "UU:69",
    "The requested user cannot be updated via the API.",
    "an administrator or owner; [seen]: the number and the message. It precedes UU:05",
)

PERMISSIONS = record(
    "GroupPermissions",
    record(
        "Permission",
        Element(
            "Action", "is_granted", word_for({"Grant": True, "Deny": False}, any_case=True), wrong=CODES.wrong_value
        ),
        Element("Code", "code", PERMISSION, wrong=CODES.wrong_value),
        field="permissions",
        least=0,
        most=2 * len(Permission),
    ),
    least=0,
)
ACTION = Element("GroupAction", "action", one_of("Add", "Remove", any_case=True), wrong=CODES.wrong_value)
IDENTIFIER = record(
    "Identifier", EMAIL, EMPLOYEE_ID, field="identifier", choices=(Choice(("Email", "EmployeeID"), filled=True),)
)
USER = record(
    "User",
    IDENTIFIER,
    *values_of_user(CODES, new=False),
    groups_of_user(ACTION, PERMISSIONS),
    field="user",
    is_item=True,
)


def update_user(call: MethodCall) -> MethodResult:
    """Change the learner that the call names."""
    values, wrong = call.values["user"], call.wrong.get(1)
    user = find_user(call, values["identifier"], UNKNOWN_USER, OUT_OF_REACH)
    if user.role != Role.LEARNER:
        raise CallError(NO_LEARNER)
    refuse_taken(call.connection, call.caller.account_id, values, CODES, user.id)
    if wrong is CODES.wrong_email:
        raise CallError(wrong)
    named = NamedGroups(call, values, CODES)
    left, joined = _change_groups(call, values, user, named)
    if wrong:
        raise CallError(wrong)
    columns, kept, teams = split_values(values)
    if "Supervisors" in kept:
        kept["Supervisors"] = change_list(store.profiles.read_profile(user).get("Supervisors", ()), kept["Supervisors"])
    # An empty element empties its value, but a user keeps these (D28).
    lasting = ("email", "employee_id", "given_name", "family_name", "active")
    given = {name: value for name, value in columns.items() if value is not None or name not in lasting}
    who = (call.connection, call.by, call.caller.account_id, user)
    new = actions.update_user(*who, given, kept, teams, left=left, joined=joined, now=utc_now())
    named.refuse_overfull(call.connection, new)
    return MethodResult({name: given.get(name, user._mapping[name]) for name in ("email", "employee_id")})


def _change_groups(
    call: MethodCall, values: Values, user: "Row", named: NamedGroups
) -> "tuple[set[int], list[store.memberships.Membership]]":
    """Give the groups that the user leaves, and the memberships that begin or change after that."""
    left = set[int]()
    joined: list[store.memberships.Membership] = []
    rows = store.profiles.list_memberships(call.connection, user.id)
    members = {row.group_id: row.name for row in rows}
    for each in values.get("groups", ()):
        is_left = each["action"] == "Remove"
        group = named.find(each.get("group_name"), each.get("group_id"), inactive=is_left)
        if is_left:
            left.add(group.id)
            joined = [other for other in joined if other.group_id != group.id]
            members.pop(group.id, None)
            continue
        permissions = {given["code"]: given["is_granted"] for given in each.get("permissions", ()) if given["code"]}
        check_grants(call.caller, group, permissions, FORBIDDEN)
        joined.append(store.memberships.Membership(group.id, user.id, permissions))
        members[group.id] = group.name
    if name := values.get("home_group"):
        home_id = next((group_id for group_id, its_name in members.items() if its_name == name), None)
        if home_id is None:
            raise CallError(CODES.wrong_home_group)
        joined.append(store.memberships.Membership(home_id, user.id, is_home=True))
    elif "home_group" in values:
        homes = [row.group_id for row in rows if row.is_home and row.group_id in members]
        joined += [store.memberships.Membership(group_id, user.id, is_home=False) for group_id in homes]
    return left, joined


UPDATE_USER = Method(
    "updateUser",
    help="Changes values, groups and permissions of a learner.",
    takes=parameters(USER),
    gives=IDENTIFIERS,
    codes=(FORBIDDEN, UNKNOWN_USER, OUT_OF_REACH, *CODES, NO_LEARNER),
    forbidden=FORBIDDEN,
    allowed=USER_MANAGERS,
    changes=True,
    run=update_user,
)
