"""listUsers: the learners of the account page by page, chosen by filters (protocol-neighbours §10)."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.method import USER_MANAGERS, Method, MethodCall, MethodResult
from rollbook.methods.users import STATUS
from rollbook.wire.dates import read_slashed_date
from rollbook.wire.identifiers import NUMBER
from rollbook.wire.matching import matching
from rollbook.wire.messages import Choice, Element, Values, info, optional, parameters, record
from rollbook.wire.paging import MAX_SIZE, PAGING, Pagination
from rollbook.wire.values import COUNT, DAY, TIME, one_of, word_for

if TYPE_CHECKING:
    from rollbook.store.people.user_list import Match, Span

FORBIDDEN = WireCode(
    "LU:01",
    "The required permissions are not met to call the listUsers method.",
    "the caller is a learner who manages no users in any group. Nothing else of the call is looked at",
)

ANY_DAY = replace(DAY, name="day, also `dd/mm/yyyy`", read=read_slashed_date)
STATUSES = word_for({"Active": True, "Inactive": False, "All": None}, any_case=True)
MAX_TEAMS = 1000


def _check_span(values: Values) -> None:
    if values.get("first") and values.get("last") and values["last"] < values["first"]:
        raise ValueError("it ends before it begins")


def _span(name: str, field: str) -> Element:
    return record(
        name,
        optional(f"{name}From", "first", ANY_DAY, help="on this day or later"),
        optional(f"{name}To", "last", ANY_DAY, help="on this day or earlier"),
        field=field,
        least=0,
        check=_check_span,
    )


IDENTIFIERS = ("Email", "EmployeeID", "Name")
FILTERS = record(
    "Filters",
    record(
        "Users",
        record(
            "UserIdentifier",
            matching("Email", "email"),
            matching("EmployeeID", "employee_id"),
            matching("Name", "name"),
            least=0,
            choices=(Choice(IDENTIFIERS, least=0),),
            help="the name is given name, blank, surname",
        ),
        least=0,
    ),
    optional("HomeGroup", "home_group", help="users whose home group has exactly this name"),
    optional("GroupName", "group", help="members of a group with exactly this name"),
    optional("UserStatus", "active", STATUSES, help="`All` unless given"),
    _span("CreatedDate", "created"),
    _span("ModifiedDate", "modified"),
    record(
        "Teams",
        optional("TeamName", "teams", most=MAX_TEAMS, help="users in one of these teams, exactly by name"),
        least=0,
    ),
    least=0,
)
DIRECTION = word_for({"ASC": False, "DESC": True}, any_case=True)
LISTED = record(
    "User",
    *PAGING,
    optional("SortField", "order", one_of("NAME", "EMPLOYEE_ID", any_case=True), help="`NAME` unless given"),
    optional("SortOrder", "descending", DIRECTION, help="`ASC` unless given"),
    FILTERS,
)
USER = record(
    "User",
    Element("ID", "id", NUMBER),
    Element("Email", "email"),
    Element("EmployeeID", "employee_id"),
    Element("GivenName", "given_name"),
    Element("Surname", "family_name"),
    Element("Name", "name", help="given name, blank, surname"),
    Element("Status", "active", STATUS),
    Element("Title", "title"),
    Element("Division", "division"),
    Element("HomeGroup", "home_group", help="as in getUser"),
    Element("CreatedDate", "created_at", TIME),
    Element("ModifiedDate", "modified_at", TIME),
    record("Teams", optional("Team", "teams", most=MAX_TEAMS)),
    field="users",
    least=0,
    most=MAX_SIZE,
)


def list_users(call: MethodCall) -> MethodResult:
    """Give the page that the call asks for, and how many users there are in all."""
    values, page = call.values, Pagination.of(call.values)
    rows, total = store.user_list.list_profiles(
        call.connection,
        call.caller,
        _chosen(values),
        USER_MANAGERS.permissions,
        order=values.get("order") or "NAME",
        descending=bool(values.get("descending")),
        limit=page.size,
        offset=page.offset,
    )
    teams = store.profiles.list_teams(call.connection, [row.id for row in rows])
    users = [
        {
            **row._mapping,
            "name": f"{row.given_name} {row.family_name}".strip(),
            "teams": teams.get(row.id, []),
        }
        for row in rows
    ]
    return MethodResult({"users": users, "total": total})


def _chosen(values: Values) -> "store.user_list.UserFilter":
    return store.user_list.UserFilter(
        email=_match(values.get("email")),
        employee_id=_match(values.get("employee_id")),
        name=_match(values.get("name")),
        home_group=values.get("home_group"),
        group=values.get("group"),
        active=values.get("active"),
        created=_span_of(values.get("created", {})),
        modified=_span_of(values.get("modified", {})),
        teams=[name for name in values.get("teams", ()) if name],
    )


def _match(values: Values | None) -> "Match | None":
    if not values:
        return None
    return store.user_list.Match(values["value"], values["match_type"] == "EXACT")


def _span_of(values: Values) -> "Span":
    """Give the first moment of the first day, and the first moment after the last day."""
    last = values.get("last")
    after = last + timedelta(days=1) if last and last < date.max else None
    return _midnight(values.get("first")), _midnight(after)


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time.min, UTC)


LIST_USERS = Method(
    "listUsers",
    help="Gives the learners of the account page by page, chosen by filters.",
    takes=parameters(LISTED),
    gives=info(record("Users", USER), Element("TotalRecords", "total", COUNT, help="of all pages")),
    codes=(FORBIDDEN,),
    forbidden=FORBIDDEN,
    allowed=USER_MANAGERS,
    changes=False,
    run=list_users,
)
