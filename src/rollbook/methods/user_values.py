"""What createUser and updateUser take: the values of a user, their kinds, and the codes for those that are refused."""

import re
import unicodedata
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from rollbook import store
from rollbook.errors import CallError, WireCode
from rollbook.methods.users import STATUS
from rollbook.model import Permission
from rollbook.wire.entries import entry_kind
from rollbook.wire.messages import ANYTHING, Element, Kind, Values, optional, record
from rollbook.wire.timezones import TIMEZONE
from rollbook.wire.values import BOOLEAN, one_of, short_text

if TYPE_CHECKING:
    from sqlalchemy import Connection

MAX_TEXT, MAX_MARKUP, MIN_PASSWORD = 255, 10_000, 8
# Entries of a list: ours, because a call cannot grow without end.
MAX_ENTRIES = 100


class UserCodes(NamedTuple):
    """The codes for values that are refused; each method numbers them for itself."""

    taken_email: WireCode
    taken_employee_id: WireCode
    wrong_email: WireCode
    unknown_group: WireCode
    wrong_home_group: WireCode
    wrong_value: WireCode
    unknown_timezone: WireCode
    short_password: WireCode
    full_group: WireCode


_MESSAGES = (
    "The Email provided is already in use.",
    "The EmployeeID provided is already in use.",
    "The Email provided is not valid.",
    "A group provided does not exist.",
    "The HomeGroup provided is not one of the user's groups.",
    "A value provided is not valid.",
    "The Timezone provided is not valid.",
    "The Password provided is too short.",
    "The UserLimit of a group is reached.",
)
_WHEN = (
    "another user of the account has it, in any case of its letters",
    "another user of the account has it",
    f"no `@` between other characters, a blank, or over {MAX_TEXT} characters",
    "no active group with that `GroupName` or `GroupID`; for a learner, none in which he or she manages users",
    "also when a new user is to be in no group at all",
    f"none of the words of the element, a text over {MAX_TEXT} characters, or a name of more than one line",
    "neither the name of a time zone nor its shown form",
    f"under {MIN_PASSWORD} characters",
    "with this user a group would have more members than it may have",
)


def user_codes(prefix: str, *numbers: int) -> UserCodes:
    """Number the codes of a method."""
    texts = zip(numbers, _MESSAGES, _WHEN, strict=True)
    return UserCodes(*(WireCode(f"{prefix}:{number:02}", message, when) for number, message, when in texts))


def _read_line(text: str) -> str:
    if len(text) > MAX_TEXT or any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("too long, or more than a line")
    return text


def _read_email(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", _read_line(text)):
        raise ValueError("no e-mail address")
    return text


def _read_markup(text: str) -> str:
    if len(text) > MAX_MARKUP:
        raise ValueError("too long")
    return text


def _read_password(text: str) -> None:
    """Check a password, which is not kept: learners do not sign in (D27)."""
    if len(text) < MIN_PASSWORD:
        raise ValueError("too short")


SHORT = short_text(MAX_TEXT)
LINE = Kind(f"text of one line, at most {MAX_TEXT} characters", "text", _read_line)
SUPERVISOR = entry_kind("SupervisorAction", MAX_TEXT)
EMAIL = Kind("e-mail address", "ada@example.org", _read_email)
MARKUP = replace(ANYTHING, name=f"{ANYTHING.name}, at most {MAX_MARKUP} characters", read=_read_markup)
PASSWORD = Kind(f"text of at least {MIN_PASSWORD} characters", "password", _read_password)
_WORD = one_of(*Permission, any_case=True)
# Programs send lists with a single empty entry.
PERMISSION = replace(_WORD, name="code of a permission, or empty", read=lambda text: _WORD.read(text) if text else None)
AUTHENTICATION = one_of("SmarterU", "External", "Both", any_case=True)

# The columns of a user. A field that is named as its element is kept as it came, and given back by getUser.
COLUMNS = (
    *("email", "employee_id", "given_name", "family_name", "timezone", "alternate_email", "title", "division"),
    "active",
)


def refuse_taken(
    connection: "Connection", account_id: int, values: Values, codes: UserCodes, user_id: int | None = None
) -> None:
    """End the call when a user other than `user_id` has the e-mail or the employee id."""
    wanted = (values.get("email"), values.get("employee_id"))
    for name in store.learners.find_taken(connection, account_id, *wanted, user_id=user_id):
        raise CallError(codes.taken_email if name == "email" else codes.taken_employee_id)


def split_values(values: Values) -> tuple[dict[str, Any], dict[str, Any], list[str] | None]:
    """Give the columns of a user that a call names, what is kept as it came, and the teams; None where not named."""
    lists = ("Supervisors", "teams")
    entries = {name: [*filter(None, values[name].get("entries", ()))] for name in lists if name in values}
    given = {**values, **entries}
    columns = {name: given[name] for name in COLUMNS if name in given}
    kept = {name: value for name, value in given.items() if name[0].isupper()}
    return columns, kept, entries.get("teams")


def values_of_user(codes: UserCodes, *, new: bool) -> tuple[Element, ...]:
    """The elements Info, Profile, Venues and Wages of a user; a new one has the first."""

    value = partial(optional, kind=SHORT, wrong=codes.wrong_value)

    def several(name: str, one: str, field: str, kind: Kind = LINE) -> Element:
        entries = value(one, "entries", kind=kind, most=MAX_ENTRIES)
        return record(name, entries, least=0, field=field)

    def kept(*names: str, kind: Kind = SHORT) -> list[Element]:
        return [value(name, name, kind=kind) for name in names]

    info = record(
        "Info",
        value("Email", "email", kind=EMAIL, wrong=codes.wrong_email),
        value("EmployeeID", "employee_id", kind=LINE),
        value("GivenName", "given_name", kind=LINE),
        value("Surname", "family_name", kind=LINE),
        value("Password", "password", kind=PASSWORD, wrong=codes.short_password, help="it is not kept"),
        value("Timezone", "timezone", kind=TIMEZONE, wrong=codes.unknown_timezone),
        value("LearnerNotifications", "SendWeeklyTaskReminder", kind=BOOLEAN),
        value("SupervisorNotifications", "SendWeeklyProgressSummary", kind=BOOLEAN),
        *kept("SendEmailTo"),
        value("AlternateEmail", "alternate_email", kind=LINE),
        value("AuthenticationType", "AuthenticationType", kind=AUTHENTICATION),
        least=int(new),
    )
    profile = record(
        "Profile",
        several("Supervisors", "Supervisor", "Supervisors", LINE if new else SUPERVISOR),
        *kept("Organization"),
        several("Teams", "Team", "teams"),
        *kept("CustomFields", kind=MARKUP),
        *kept("Language"),
        value("Status", "active", kind=STATUS, help="`Active` unless given" if new else ""),
        value("Title", "title", kind=LINE),
        value("Division", "division", kind=LINE),
        value("AllowFeedback", "AllowFeedback", kind=BOOLEAN),
        *kept("PhonePrimary", "PhoneAlternate", "PhoneMobile", "Fax", "Website"),
        *kept("Address1", "Address2", "City", "Province", "Country", "PostalCode", "SendMailTo"),
        *kept("Roles", kind=MARKUP),
        value("ReceiveNotifications", "ReceiveNotifications", kind=BOOLEAN),
        value("HomeGroup", "home_group", help="the name of a group of the user"),
        least=0,
    )
    return info, profile, *kept("Venues", "Wages", kind=MARKUP)
