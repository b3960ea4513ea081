"""getUser: all that is known of one user (protocol-neighbours §10)."""

from rollbook.errors import WireCode
from rollbook.methods.method import USER_MANAGERS, Method, MethodCall, MethodResult
from rollbook.methods.users import NAMED_USER, STATUS, describe_user, find_user
from rollbook.wire.identifiers import NUMBER
from rollbook.wire.messages import ANY_NUMBER, ANYTHING, Element, info, optional, parameters, record
from rollbook.wire.values import BOOLEAN, TIME

FORBIDDEN = WireCode(
    "GU:01",
    "The required permissions are not met to call the getUser method.",
    "the caller is a learner who manages no users in any group. Nothing else of the call is looked at",
)
UNKNOWN_USER = WireCode("GU:03", "The user requested does not exist.", "no user of this account; [seen]: the number")
OUT_OF_REACH = WireCode(
    "GU:04",
    "The required permissions are not met to access the user requested.",
    "the user exists and is in none of the groups in which the caller manages users; [seen]: the number",
)


def _kept(name: str, help: str = "") -> Element:  # noqa: A002 the name of the field
    """A value that is given back as it came."""
    return Element(name, name, help=help)


USER = record(
    "User",
    Element("ID", "id", NUMBER),
    Element("Email", "email"),
    Element("EmployeeID", "employee_id"),
    Element("CreatedDate", "created_at", TIME),
    Element("ModifiedDate", "modified_at", TIME),
    Element("GivenName", "given_name"),
    Element("Surname", "family_name"),
    Element("Language", "Language", help="`English` unless another one was given"),
    Element("AllowFeedback", "AllowFeedback", BOOLEAN),
    Element("Status", "active", STATUS),
    Element("AuthenticationType", "AuthenticationType", help="`SmarterU` unless `External` or `Both` was given"),
    Element("Timezone", "timezone", help="with the standard offset, as `(GMT-5:00) - US/Eastern`"),
    Element("AlternateEmail", "alternate_email"),
    Element("HomeGroup", "home_group", help="its name; without a home group, the first group of the user"),
    _kept("Organization"),
    Element("Title", "title"),
    Element("Division", "division"),
    record("Supervisors", optional("Supervisor", "Supervisors", most=ANY_NUMBER)),
    Element("Birthdate", help="always empty: no method takes it"),
    Element("HireDate", help="always empty"),
    Element("TerminationDate", help="always empty"),
    *map(_kept, ("PhonePrimary", "PhoneAlternate", "PhoneMobile", "SendMailTo", "SendEmailTo", "Fax")),
    *map(_kept, ("Address1", "Address2", "City", "PostalCode", "Province", "Country")),
    Element(
        "SendWeeklyTaskReminder", "SendWeeklyTaskReminder", BOOLEAN, help="the `LearnerNotifications` of createUser"
    ),
    Element("SendWeeklyProgressSummary", "SendWeeklyProgressSummary", BOOLEAN, help="its `SupervisorNotifications`"),
    Element("ReceiveNotifications", "ReceiveNotifications", BOOLEAN),
    Element("Roles", "Roles", ANYTHING),
    record("Teams", optional("Team", "teams", most=ANY_NUMBER)),
    *(Element(name, name, ANYTHING) for name in ("CustomFields", "Venues", "Wages")),
    field="user",
)
DEFAULTS = {
    "Language": "English",
    "AuthenticationType": "SmarterU",
    **dict.fromkeys(("AllowFeedback", "SendWeeklyTaskReminder"), False),
    **dict.fromkeys(("SendWeeklyProgressSummary", "ReceiveNotifications"), False),
}


def get_user(call: MethodCall) -> MethodResult:
    """Give the user that the call names."""
    user = find_user(call, call.values, UNKNOWN_USER, OUT_OF_REACH)
    return MethodResult({"user": {**DEFAULTS, **describe_user(call, user)}})


GET_USER = Method(
    "getUser",
    help="Gives all that is known of one user.",
    takes=parameters(NAMED_USER),
    gives=info(USER),
    codes=(FORBIDDEN, UNKNOWN_USER, OUT_OF_REACH),
    forbidden=FORBIDDEN,
    allowed=USER_MANAGERS,
    changes=False,
    run=get_user,
)
