"""Shared by the methods about users: how a call names a user, and which users a caller reaches."""

from typing import TYPE_CHECKING

from rollbook import store
from rollbook.errors import CallError, WireCode
from rollbook.methods.method import USER_MANAGERS, MethodCall
from rollbook.model import utc_now
from rollbook.wire.identifiers import REFERENCE
from rollbook.wire.messages import Choice, Values, optional, record
from rollbook.wire.timezones import show_timezone
from rollbook.wire.values import word_for

if TYPE_CHECKING:
    from rollbook.store.people.profiles import Row

EMAIL = optional("Email", "email", help="in any case of its letters")
EMPLOYEE_ID = optional("EmployeeID", "employee_id", help="exactly as it is stored")
NAMED_USER = record(
    "User",
    optional("ID", "id", REFERENCE, help="the number of the user"),
    EMAIL,
    EMPLOYEE_ID,
    choices=(Choice(("ID", "Email", "EmployeeID"), filled=True),),
)

STATUS = word_for({"Active": True, "Inactive": False}, any_case=True)


def find_user(call: MethodCall, named: Values, unknown: WireCode, out_of_reach: WireCode) -> "Row":
    """Find the user that a call names; errors: the codes for an unknown user, and for one in no group of the caller."""
    user = store.profiles.find_profile(
        call.connection,
        call.caller.account_id,
        user_id=named.get("id"),
        email=named.get("email"),
        employee_id=named.get("employee_id"),
    )
    if user is None:
        raise CallError(unknown, "the account has no such user")
    if not store.permissions.reaches_user(call.connection, call.caller, user.id, USER_MANAGERS.permissions):
        raise CallError(out_of_reach, "the user is in no group of the caller")
    return user


def describe_user(call: MethodCall, user: "Row") -> Values:
    """Add to the row of a user what was kept as it came, the teams, and the time zone as it is shown."""
    kept = store.profiles.read_profile(user)
    teams = store.profiles.list_teams(call.connection, [user.id]).get(user.id, [])
    shown = {"teams": teams, "timezone": show_timezone(user.timezone, utc_now())}
    return {**user._mapping, **kept, **shown}
