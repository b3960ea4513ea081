"""requestExternalAuthorization: two keys that open the learner's page once, within 60 seconds (§13)."""

from rollbook import actions, store
from rollbook.errors import CallError, WireCode
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.methods.users import EMAIL, EMPLOYEE_ID
from rollbook.model import Role, utc_now
from rollbook.wire.messages import Choice, Element, info, parameters, record

FORBIDDEN = WireCode(
    "REA:01",
    "The required permissions are not met to call the requestExternalAuthorization method.",
    "the caller is a learner, or calls from an address that the account does not allow for this method",
)
UNKNOWN_USER = WireCode("REA:02", "The user requested does not exist.", "no active user of this account")
ADMINISTRATOR = WireCode(
    "REA:03",
    "External authorization is not available to the user requested.",
    "the user is an administrator or owner",
)
SECURITY = record("Security", EMAIL, EMPLOYEE_ID, choices=(Choice(("Email", "EmployeeID"), filled=True),))
GIVES = info(
    Element("AuthKey", "auth_key", help="43 characters"),
    Element("RequestKey", "request_key", help="43 characters"),
    Element("RedirectPath", "redirect_path", help="the address of the learner's page with both keys"),
)


def request_authorization(call: MethodCall) -> MethodResult:
    """Authorize the learner and give the keys."""
    account_id, address = call.caller.account_id, call.by.address
    if not store.learner_sessions.may_authorize_from(call.connection, account_id, address):
        raise CallError(FORBIDDEN, f"the account's authorization addresses do not include {address}")
    named = {name: call.values.get(name) for name in ("email", "employee_id")}
    user = store.profiles.find_profile(call.connection, account_id, **named)
    if user is None or not user.active or user.erased_at is not None:
        raise CallError(UNKNOWN_USER, "the account has no such active user")
    if user.role != Role.LEARNER:
        raise CallError(ADMINISTRATOR, f"the user is an {user.role}")
    auth_key, request_key = actions.authorize_learner(call.connection, call.by, account_id, user.id, utc_now())
    path = f"{call.public_url}/learn/?AuthKey={auth_key}&RequestKey={request_key}"
    return MethodResult({"auth_key": auth_key, "request_key": request_key, "redirect_path": path})


REQUEST_EXTERNAL_AUTHORIZATION = Method(
    "requestExternalAuthorization",
    help="Gives two keys that open the learner's page once, within 60 seconds.",
    takes=parameters(SECURITY),
    gives=GIVES,
    codes=(FORBIDDEN, UNKNOWN_USER, ADMINISTRATOR),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=True,
    run=request_authorization,
    gives_secrets=True,
)
