"""Calls as XML text, escaped and formatted here and nowhere else: what the client asks for, method by method."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from xml.sax.saxutils import escape

from rollbook.wire.dates import FIRST_OF_LAST_CENTURY, MONTHS, write_time
from rollbook.wire.identifiers import IDENTIFIER
from rollbook.wire.xml import UNWRITABLE

# A character that XML cannot hold is replaced, never dropped: an id with one in it is refused, but without it may be
# that of somebody else.
_REPLACEMENT = "\ufffd"
_CARRIAGE_RETURN = {"\r": "&#13;"}

# The feed's beginning, for who does not name one.
_LONG_AGO = date(1970, 1, 1)


@dataclass(frozen=True)
class Request:
    """A method and its parameters by element: a mapping is children, a list repeats the element, None leaves it out."""

    method: str
    parameters: Mapping[str, Any]

    def write(self, account_key: str, user_key: str) -> str:
        """Write the package that is sent."""
        package = {
            "AccountAPI": account_key,
            "UserAPI": user_key,
            "Method": self.method,
            "Parameters": self.parameters,
        }
        return _write("SmarterU", package)


# The state of the queue; and the same after it was paused, or goes on (D20).
QUEUE = Request("getUnenrollmentQueue", {"UnenrollmentQueue": ""})
PAUSE = Request("pauseUnenrollments", {"UnenrollmentQueue": ""})
RESUME = Request("resumeUnenrollments", {"UnenrollmentQueue": ""})


@dataclass(frozen=True)
class Enrollment:
    """Somebody to be enrolled, named by `email` or by `employee_id`."""

    course_id: int | str
    group: str
    email: str | None = None
    employee_id: str | None = None
    due_date: date | None = None
    tag: str | None = None
    session_id: int | str | None = None

    def __post_init__(self) -> None:
        if bool(self.email) == bool(self.employee_id):
            raise ValueError("an Enrollment has either an email or an employee_id")


@dataclass(frozen=True)
class ReportFilters:
    """Which enrolments a report is about. An empty filter leaves out nothing; `enrolled_to` is the last day meant."""

    enrollment_id: int | str | None = None
    courses: Sequence[str] = ()
    groups: Sequence[str] = ()
    statuses: Sequence[str] = ()
    emails: Sequence[str] = ()
    employee_ids: Sequence[str] = ()
    enrolled_from: date | None = None
    enrolled_to: date | None = None

    def __post_init__(self) -> None:
        for name in ("courses", "groups", "statuses", "emails", "employee_ids"):
            if isinstance(getattr(self, name), str):
                raise TypeError(f"{name} is a list of texts, even of a single one")


def ask_to_unenroll(ids: Iterable[object]) -> Request:
    """At most 100 enrolments (protocol §4, D9)."""
    return Request("unenrollLearningModules", {"LearningModuleEnrollment": _selection(ids)})


def ask_to_enroll(enrollments: Iterable[Enrollment]) -> Request:
    """At most 100 learners (protocol §5, D14)."""
    items = [
        {
            "User": {"Email": item.email or None, "EmployeeID": item.employee_id or None},
            "GroupName": item.group,
            "LearningModuleID": item.course_id,
            "LearningModuleSessionID": item.session_id,
            "EnrollmentTag": item.tag,
            "DueDateSettings": item.due_date
            and {"SettingSource": "Custom", "DueDateSetup": {"DueDate": _day(item.due_date)}},
        }
        for item in enrollments
    ]
    return Request("enrollLearningModules", {"LearningModuleEnrollment": {"Enrollment": items}})


def ask_to_remove(ids: Iterable[object], batch_id: int | None = None) -> Request:
    """At most 100 enrolments, or a batch (D20)."""
    return Request("removeUnenrollments", {"Unenrollments": {"BatchID": batch_id, **_selection(ids)}})


def ask_to_restore(ids: Iterable[object], batch_id: int | None = None) -> Request:
    """At most 100 enrolments, or a batch (D20)."""
    return Request("restoreUnenrollments", {"Unenrollments": {"BatchID": batch_id, **_selection(ids)}})


def ask_for_report(filters: ReportFilters, columns: Iterable[str], page: int, page_size: int) -> Request:
    """One page of the learner report (protocol §6)."""
    enrolled = {"EnrolledDateFrom": _day(filters.enrolled_from), "EnrolledDateTo": _day(filters.enrolled_to)}
    chosen = {
        "EnrollmentID": filters.enrollment_id,
        "Groups": {"GroupNames": {"GroupName": filters.groups}},
        "LearningModules": {
            "LearningModule": {"LearningModuleNames": {"LearningModuleName": filters.courses}},
            "EnrollmentStatuses": {"EnrollmentStatus": filters.statuses},
            "EnrolledDates": {"EnrolledDate": enrolled},
        },
        "Users": {"UserIdentifier": {"EmailAddress": filters.emails, "EmployeeID": filters.employee_ids}},
    }
    report = {"Page": page, "PageSize": page_size, "Filters": chosen, "Columns": {"ColumnName": columns}}
    return Request("getLearnerReport", {"Report": report})


def ask_for_unenrollments(
    batch_id: int | None,
    statuses: Iterable[str],
    ids: Iterable[object],
    requested: tuple[date | None, date | None],
    page: int,
    page_size: int,
) -> Request:
    """One page of the queue and its history; `requested` is the first and the last day or moment (protocol §7)."""
    chosen = {
        "BatchID": batch_id,
        "Status": statuses,
        IDENTIFIER: ids,
        "RequestedDateFrom": _moment(requested[0]),
        "RequestedDateTo": _moment(requested[1]),
    }
    return Request("getUnenrollments", {"Unenrollments": {"Page": page, "PageSize": page_size, "Filters": chosen}})


def ask_for_changes(since: date | None, after: str | None, page_size: int) -> Request:
    """One page of the feed, from a moment on or `after` an earlier page (protocol §7)."""
    begin = {"After": after} if after else {"Filters": {"FinishedDateFrom": _moment(since or _LONG_AGO)}}
    return Request("getUnenrollments", {"Unenrollments": {"PageSize": page_size, **begin}})


def ask_for_batches(batch_id: int | None, page: int, page_size: int) -> Request:
    """One batch, or one page of all, the latest first (D20)."""
    asked = {"BatchID": batch_id, "Page": page, "PageSize": page_size}
    return Request("getUnenrollmentBatches", {"UnenrollmentBatches": asked})


def _selection(ids: Iterable[object]) -> Mapping[str, Any]:
    return {"Unenrollment": [{IDENTIFIER: id_} for id_ in ids]}


def _write(name: str, value: Any) -> str:
    """Write an element as `Request` describes them; one that would hold children and has none is left out."""
    if isinstance(value, Mapping):
        children = "".join(_write(*child) for child in value.items())
        return f"<{name}>{children}</{name}>" if children else ""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "".join(_write(name, each) for each in value)
    if value is None:
        return ""
    return f"<{name}>{escape(UNWRITABLE.sub(_REPLACEMENT, str(value)), _CARRIAGE_RETURN)}</{name}>"


def _day(value: date | None) -> str | None:
    """Write `dd-Mon-yy`, which every server reads; ISO for a year that two digits do not tell."""
    if value is None:
        return None
    if not 0 <= value.year - 1900 - FIRST_OF_LAST_CENTURY < 100:
        return date(value.year, value.month, value.day).isoformat()
    return f"{value.day:02}-{MONTHS[value.month - 1].title()}-{value.year % 100:02}"


def _moment(value: date | None) -> str | None:
    """Write a day, or an aware time of day in UTC."""
    if not isinstance(value, datetime):
        return None if value is None else value.isoformat()
    if value.tzinfo is None:
        raise ValueError("a datetime needs a time zone, such as datetime.UTC")
    return write_time(value)
