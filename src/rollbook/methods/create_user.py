"""createUser: adds a learner to one or more groups (protocol-neighbours §10)."""

from collections.abc import Callable, Iterable, Sequence

from rollbook import actions, store
from rollbook.errors import CallError, WireCode
from rollbook.methods.method import USER_MANAGERS, Method, MethodCall, MethodResult
from rollbook.methods.user_groups import NamedGroups, check_grants, groups_of_user
from rollbook.methods.user_values import PERMISSION, refuse_taken, split_values, user_codes, values_of_user
from rollbook.model import Permission, utc_now
from rollbook.wire.messages import Element, Values, info, optional, parameters, record

FORBIDDEN = WireCode(
    "CU:01",
    "The required permissions are not met to call the createUser method.",
    "the caller is a learner who manages no users in any group; then nothing else of the call is looked at. Or the "
    "learner gives a permission that he or she does not have in that group",
)
NO_IDENTIFIER = WireCode("CU:02", "An Email or an EmployeeID is required.", "both are missing or empty")
NO_NAME = WireCode("CU:06", "A GivenName and a Surname are required.", "one of them is missing or empty")
CODES = user_codes("CU", 3, 4, 5, 7, 8, 9, 10, 11, 12)

PERMISSIONS = record(
    "GroupPermissions",
    optional("Permission", "permissions", PERMISSION, most=2 * len(Permission), wrong=CODES.wrong_value),
    least=0,
)
USER = record("User", *values_of_user(CODES, new=True), groups_of_user(PERMISSIONS), field="user", is_item=True)
# What createUser and updateUser give.
IDENTIFIERS = info(Element("Email", "email"), Element("EmployeeID", "employee_id"))


def create_user(call: MethodCall) -> MethodResult:
    """Add the learner."""
    values, wrong, account_id = call.values["user"], call.wrong.get(1), call.caller.account_id
    email, employee_id = values.get("email"), values.get("employee_id")
    _require(values, ("email", "employee_id"), any, NO_IDENTIFIER, wrong)
    refuse_taken(call.connection, account_id, values, CODES)
    if wrong is CODES.wrong_email:
        raise CallError(wrong)
    _require(values, ("given_name", "family_name"), all, NO_NAME, wrong)
    named = NamedGroups(call, values, CODES)
    groups = _choose_groups(call, values, named)
    if wrong:
        raise CallError(wrong)
    columns, kept, teams = split_values(values)
    given = {name: value for name, value in columns.items() if value is not None}
    actions.create_user(call.connection, call.by, account_id, given, kept, teams or (), groups, utc_now())
    named.refuse_overfull(call.connection, [membership.group_id for _, membership in groups])
    return MethodResult({"email": email, "employee_id": employee_id})


def _require(
    values: Values,
    names: Sequence[str],
    which: Callable[[Iterable[object]], bool],
    missing: WireCode,
    wrong: WireCode | None,
) -> None:
    """End the call when values are missing; one that is wrong is not missing, but has a code of its own."""
    if not which(values.get(name) for name in names):
        can_be_wrong = wrong in (CODES.wrong_email, CODES.wrong_value) and which(name in values for name in names)
        raise CallError(wrong if wrong and can_be_wrong else missing)


def _choose_groups(
    call: MethodCall, values: Values, named: NamedGroups
) -> "list[tuple[str, store.memberships.Membership]]":
    """Give the memberships by the names of their groups; the user has no number yet."""
    home, chosen = values.get("home_group"), []
    for each in values.get("groups", ()):
        group = named.find(each.get("group_name"), each.get("group_id"))
        permissions = [code for code in each.get("permissions", ()) if code]
        check_grants(call.caller, group, permissions, FORBIDDEN)
        chosen.append((group, permissions))
    if not chosen and home:
        chosen.append((named.find(home), []))
    home_id = next((group.id for group, _ in chosen if home in (None, group.name)), None)
    if home_id is None:
        raise CallError(CODES.wrong_home_group)
    return [
        (group.name, store.memberships.Membership(group.id, 0, dict.fromkeys(permissions, True), group.id == home_id))
        for group, permissions in chosen
    ]


CREATE_USER = Method(
    "createUser",
    help="Adds a learner to one or more groups.",
    takes=parameters(USER),
    gives=IDENTIFIERS,
    codes=tuple(sorted((FORBIDDEN, NO_IDENTIFIER, NO_NAME, *CODES), key=lambda code: code.code)),
    forbidden=FORBIDDEN,
    allowed=USER_MANAGERS,
    changes=True,
    run=create_user,
)
