"""getUserGroups: the groups of one user, with the permissions that the user has there (protocol-neighbours §10)."""

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.get_user import OUT_OF_REACH as USER_OUT_OF_REACH
from rollbook.methods.get_user import UNKNOWN_USER as USER_UNKNOWN
from rollbook.methods.method import USER_MANAGERS, Method, MethodCall, MethodResult
from rollbook.methods.users import NAMED_USER, find_user
from rollbook.model import Permission
from rollbook.wire.messages import ANY_NUMBER, Element, info, optional, parameters, record
from rollbook.wire.values import BOOLEAN

FORBIDDEN = WireCode(
    "GUG:01",
    "The required permissions are not met to call the getUserGroups method.",
    "the caller is a learner who manages no users in any group. Nothing else of the call is looked at",
)
UNKNOWN_USER = WireCode("GUG:03", USER_UNKNOWN.message, "no user of this account")
OUT_OF_REACH = WireCode(
    "GUG:04",
    USER_OUT_OF_REACH.message,
    "the user exists and is in none of the groups in which the caller manages users",
)

GROUP = record(
    "Group",
    Element("Name", "name"),
    Element("Identifier", "group_id", help="the `GroupID`; without one, the number of the group"),
    Element("IsHomeGroup", "is_home", BOOLEAN, help="`1` for one group; without a home group, for the first"),
    record("Permissions", optional("Permission", "permissions", most=len(Permission), help="its code")),
    field="groups",
    least=0,
    most=ANY_NUMBER,
)


def get_user_groups(call: MethodCall) -> MethodResult:
    """Give the groups of the user that the call names."""
    user = find_user(call, call.values, UNKNOWN_USER, OUT_OF_REACH)
    rows = store.profiles.list_memberships(call.connection, user.id)
    groups = [
        {
            "name": row.name,
            "group_id": row.identifier or str(row.group_id),
            "is_home": row is rows[0],
            "permissions": [str(each) for each in Permission if row._mapping[each.column]],
        }
        for row in rows
    ]
    return MethodResult({"groups": groups})


GET_USER_GROUPS = Method(
    "getUserGroups",
    help="Gives the groups of one user, with the permissions that the user has there.",
    takes=parameters(NAMED_USER),
    gives=info(record("UserGroups", GROUP)),
    codes=(FORBIDDEN, UNKNOWN_USER, OUT_OF_REACH),
    forbidden=FORBIDDEN,
    allowed=USER_MANAGERS,
    changes=False,
    run=get_user_groups,
)
