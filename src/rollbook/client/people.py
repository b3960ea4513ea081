"""The client's calls about people, with their arguments and results."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain
from typing import Any

from rollbook.client.calls import Calls, pages
from rollbook.client.requests import new_key
from rollbook.methods.create_user import CREATE_USER
from rollbook.methods.get_user import GET_USER
from rollbook.methods.get_user_groups import GET_USER_GROUPS
from rollbook.methods.list_users import LIST_USERS
from rollbook.methods.request_external_authorization import REQUEST_EXTERNAL_AUTHORIZATION
from rollbook.methods.update_user import UPDATE_USER
from rollbook.wire.messages import Values
from rollbook.wire.paging import MAX_SIZE


@dataclass(frozen=True)
class UserGroup:
    """A group of a user, named by `name` or by `group_id`, with the codes of the permissions there.

    For update_user: `denied` are the permissions to take away, and `leave` ends the membership.
    """

    name: str | None = None
    group_id: str | None = None
    permissions: Sequence[str] = ()
    denied: Sequence[str] = ()
    leave: bool = False
    is_home: bool = False


@dataclass(frozen=True)
class UserValues:
    """The values of a user: None keeps a value, an empty text or list clears it.

    `kept` has values that the server stores unchanged, by element name: `{"PhonePrimary": "+1 555 0100"}`.
    """

    email: str | None = None
    employee_id: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    password: str | None = None
    timezone: str | None = None
    alternate_email: str | None = None
    active: bool | None = None
    title: str | None = None
    division: str | None = None
    home_group: str | None = None
    teams: Sequence[str] | None = None
    supervisors: Sequence[str] | None = None
    groups: Sequence[UserGroup] = ()
    kept: Mapping[str, object] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """The values of a call, except for the groups."""
        lists = {"teams": self.teams, "Supervisors": self.supervisors}
        # An empty list without an entry would be omitted.
        entries = {name: {"entries": [*listed] or [""]} for name, listed in lists.items() if listed is not None}
        texts = (*_NAMES, "password", "timezone", "alternate_email", "active", "title", "division", "home_group")
        return {**{name: getattr(self, name) for name in texts}, **entries, **self.kept}


@dataclass(frozen=True)
class User:
    """A user as a server describes it; missing texts are empty.

    `kept` has the values that it stores unchanged, by element name; from list_users it is empty.
    """

    id: int
    email: str
    employee_id: str
    given_name: str
    family_name: str
    active: bool
    title: str
    division: str
    home_group: str
    teams: Sequence[str]
    created_at: datetime
    modified_at: datetime
    timezone: str = ""
    alternate_email: str = ""
    supervisors: Sequence[str] = ()
    kept: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Values) -> "User":
        """Take it from the values of an answer; errors: KeyError for a missing value."""
        given: dict[str, Any] = {name: values[name] for name in ("id", "active", "created_at", "modified_at")}
        given |= {name: values[name] or "" for name in (*_NAMES, "title", "division", "home_group")}
        given |= {name: values.get(name) or "" for name in ("timezone", "alternate_email")}
        given |= {"teams": values.get("teams", []), "supervisors": values.get("Supervisors", [])}
        kept = {name: value for name, value in values.items() if name[:1].isupper() and name != "Supervisors"}
        return cls(**given, kept=kept)


@dataclass(frozen=True)
class UserFilters:
    """The filters for a list of users; None or empty excludes nothing, the last days are inclusive.

    At most one of `email`, `employee_id` and `name`, in any letter case: `contains` lists users with the text in it.
    """

    email: str | None = None
    employee_id: str | None = None
    name: str | None = None
    contains: bool = False
    home_group: str | None = None
    group: str | None = None
    active: bool | None = None
    created_from: date | None = None
    created_to: date | None = None
    modified_from: date | None = None
    modified_to: date | None = None
    teams: Sequence[str] = ()

    def values(self) -> dict[str, Any]:
        """The values of the filters in a call; errors: ValueError."""
        match_type = "CONTAINS" if self.contains else "EXACT"
        texts = {"email": self.email, "employee_id": self.employee_id, "name": self.name}
        matches = {name: {"match_type": match_type, "value": text} for name, text in texts.items() if text}
        if len(matches) > 1:
            raise ValueError("at most one of email, employee_id and name")
        spans = {
            "created": {"first": self.created_from, "last": self.created_to},
            "modified": {"first": self.modified_from, "last": self.modified_to},
        }
        same = {"home_group": self.home_group, "group": self.group, "active": self.active, "teams": self.teams}
        return {**matches, **spans, **same}


@dataclass(frozen=True)
class Authorization:
    """Two keys, and the address with them that opens the learner's page once, within 60 seconds."""

    auth_key: str = field(repr=False)
    request_key: str = field(repr=False)
    redirect_path: str = field(repr=False)


_NAMES = ("email", "employee_id", "given_name", "family_name")

EVERYBODY = UserFilters()


class PeopleCalls(Calls):
    """People. A user is named by `user_id`, by `email` or by `employee_id`."""

    def get_user(self, *, user_id: int | None = None, email: str | None = None, employee_id: str | None = None) -> User:
        """Read one user."""
        sent = self._send(GET_USER, _one_of(user_id, email, employee_id))
        return self._read(lambda: User.of(sent.values["user"]))

    def get_user_groups(
        self, *, user_id: int | None = None, email: str | None = None, employee_id: str | None = None
    ) -> list[UserGroup]:
        """List the groups of a user, the home group first."""
        sent = self._send(GET_USER_GROUPS, _one_of(user_id, email, employee_id))
        groups: Sequence[Values] = sent.values.get("groups", ())
        return [
            UserGroup(each["name"], each["group_id"], each.get("permissions", ()), is_home=each["is_home"])
            for each in groups
        ]

    def list_users(
        self,
        filters: UserFilters = EVERYBODY,
        *,
        sort_by: str = "NAME",
        descending: bool = False,
        page_size: int = MAX_SIZE,
    ) -> Iterator[User]:
        """Yield the learners of all pages, sorted by `NAME` or `EMPLOYEE_ID`."""
        return chain.from_iterable(
            self.list_user_pages(filters, sort_by=sort_by, descending=descending, page_size=page_size)
        )

    def list_user_pages(
        self,
        filters: UserFilters = EVERYBODY,
        *,
        sort_by: str = "NAME",
        descending: bool = False,
        page_size: int = MAX_SIZE,
        first_page: int = 1,
    ) -> Iterator[list[User]]:
        """Yield the pages of the list; the last one is not full, and may be empty."""
        asked = {**filters.values(), "order": sort_by, "descending": descending, "page_size": page_size}

        def ask(page: int) -> list[User]:
            sent = self._send(LIST_USERS, {**asked, "page": page})
            return self._read(lambda: [User.of(values) for values in sent.values.get("users", ())])

        return pages(ask, page_size, first_page)

    def create_user(self, user: UserValues) -> None:
        """Add a learner to the groups; the home group is `home_group`, or else the first."""
        if any(each.denied or each.leave for each in user.groups):
            raise ValueError("a new user can neither leave a group nor lose a permission")
        groups = [{**_named(each), "permissions": each.permissions} for each in user.groups]
        self._send(CREATE_USER, {"user": {**user.values(), "groups": groups}}, key=new_key())

    def update_user(self, user: UserValues, *, email: str | None = None, employee_id: str | None = None) -> None:
        """Change the given values of a learner; `leave` ends the membership in a group, else it begins or changes."""
        groups = [
            {
                **_named(each),
                "action": "Remove" if each.leave else "Add",
                "permissions": [
                    {"code": code, "is_granted": given}
                    for codes, given in ((each.permissions, True), (each.denied, False))
                    for code in codes
                ],
            }
            for each in user.groups
        ]
        identifier = _one_of(None, email, employee_id)
        self._send(UPDATE_USER, {"user": {"identifier": identifier, **user.values(), "groups": groups}}, key=new_key())

    def request_authorization(self, *, email: str | None = None, employee_id: str | None = None) -> Authorization:
        """Authorize a learner to open the learner's page; lead the learner's browser to the `redirect_path`."""
        sent = self._send(REQUEST_EXTERNAL_AUTHORIZATION, _one_of(None, email, employee_id))
        names = ("auth_key", "request_key", "redirect_path")
        return self._read(lambda: Authorization(*(str(sent.values[name]) for name in names)))


def _named(group: UserGroup) -> dict[str, Any]:
    if bool(group.name) == bool(group.group_id):
        raise ValueError("a group is named by its name or by its group_id")
    return {"group_name": group.name, "group_id": group.group_id}


def _one_of(user_id: int | None, email: str | None, employee_id: str | None) -> Values:
    if sum(map(bool, (user_id, email, employee_id))) != 1:
        raise ValueError("a user is named by one of user_id, email and employee_id")
    return {"id": user_id, "email": email, "employee_id": employee_id}
