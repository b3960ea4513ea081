"""getLearnerReport: a page of the account's current enrollments with the requested columns (protocol §6)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any

from rollbook import store
from rollbook.errors import WRONG_STRUCTURE, WireCode
from rollbook.methods.get_unenrollment_batches import ROWS
from rollbook.methods.groups import read_tags, tag_filter
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.model import EnrollmentStatus
from rollbook.wire.identifiers import NUMBER
from rollbook.wire.messages import TEXT, Element, Kind, Values, info, optional, parameters, record
from rollbook.wire.paging import MAX_SIZE, PAGING, Pagination
from rollbook.wire.values import DAY, TIME, one_of, word_for

FORBIDDEN = WireCode(
    "GLR:01",
    "The required permissions are not met to call the getLearnerReport method.",
    "the caller is neither administrator nor owner, whatever group permissions; the rest of the call is not read. D18 "
    "[ours]",
)

# The largest number of values and of date ranges in a filter: ours, to bound the query.
MAX_VALUES = 1000
MAX_RANGES = 100

ACTIVITY = word_for({"Active": [True], "Inactive": [False], "All": []})


def _column(name: str, field: str = "", kind: Kind = TEXT, **more: Any) -> Element:
    return Element(name, field, kind, **more)


# Every row begins and ends with these.
FIRST = (
    _column("ID", "id", NUMBER, help="the identifier that unenrollLearningModules takes"),
    _column("CourseName", "course_name"),
    _column("LastName", "family_name"),
    _column("FirstName", "given_name"),
)
LAST = (
    _column("LearningModuleID", "course_id", NUMBER),
    _column("UserID", "user_id", NUMBER),
    _column("CreatedDate", "created_at", TIME),
    _column("ModifiedDate", "modified_at", TIME),
)
# The columns that a call can request; those without a field are always empty: Rollbook does not keep their data.
COLUMNS = {
    "ALTERNATE_EMAIL": _column("AlternateEmail", "alternate_email"),
    "COMPLETED_DATE": _column("CompletedDate", "completed_at", TIME),
    "COURSE_DURATION": _column("CourseDuration", "course_duration"),
    "COURSE_SESSION_ID": _column("CourseSessionID", "session_id"),
    "DIVISION": _column("Division", "division"),
    "DUE_DATE": _column("DueDate", "due_at", TIME),
    "EMPLOYEE_ID": _column("EmployeeID", "employee_id"),
    "ENROLLED_DATE": _column("EnrolledDate", "enrolled_at", TIME),
    "GRADE": _column("Grade", "grade"),
    "GRADE_PERCENTAGE": _column("GradePercentage", "grade_percentage"),
    "GROUP_ID": _column("GroupID", "group_id"),
    "GROUP_NAME": _column("GroupName", "group_name"),
    "LAST_ACCESSED_DATE": _column("LastAccessedDate", "last_accessed_at", TIME),
    "POINTS": _column("Points", "points"),
    "PROGRESS": _column("Progress", "progress"),
    "ROLE_ID": _column("RoleID"),
    "STARTED_DATE": _column("StartedDate", "started_at", TIME),
    "SUBSCRIPTION_NAME": _column("SubscriptionName"),
    "TITLE": _column("Title", "title"),
    "USER_EMAIL": _column("LearnerEmail", "email"),
    "VARIANT_END_DATE": _column("VariantEndDate"),
    "VARIANT_NAME": _column("VariantName"),
    "VARIANT_START_DATE": _column("VariantStartDate"),
}
COLUMN = replace(word_for(COLUMNS), name="column")


def _container(name: str, *children: Element, **more: Any) -> Element:
    return record(name, *children, least=0, **more)


def _one(name: str, field: str, kind: Kind = TEXT, **more: Any) -> Element:
    """A value that may be missing, but not empty."""
    return optional(name, field, kind, empty=WRONG_STRUCTURE, **more)


def _many(name: str, field: str = "", kind: Kind = TEXT, **more: Any) -> Element:
    return optional(name, field, kind, most=MAX_VALUES, **more)


def _check_range(values: Values) -> None:
    if values.get("first") and values.get("last") and values["last"] < values["first"]:
        raise ValueError("it ends before it begins")


def _range(name: str, field: str, most: int) -> Element:
    ends = (
        _one(f"{name}From", "first", DAY, help="on this day or later"),
        _one(f"{name}To", "last", DAY, help="on this day or earlier"),
    )
    return _container(name, *ends, field=field, most=most, check=_check_range)


def _ranges(name: str, field: str) -> Element:
    return _container(f"{name}s", _range(name, field, MAX_RANGES))


GROUPS = _container(
    "Groups",
    _one("GroupStatus", "group_active", ACTIVITY, help="groups with this status"),
    _container("GroupNames", _many("GroupName", "group_names", help="groups with one of these names")),
    _container("GroupTags2", tag_filter("GroupTag2", "group_tags")),
)
COURSE = _container(
    "LearningModule",
    _one(
        "LearningModuleStatus",
        "course_status",
        one_of("Active", "Inactive", "Archived"),
        help="courses with this status",
    ),
    _container(
        "LearningModuleNames", _many("LearningModuleName", "course_names", help="courses with one of these names")
    ),
)
STATUSES = _container(
    "EnrollmentStatuses",
    _many("EnrollmentStatus", "statuses", one_of(*EnrollmentStatus), help="enrollments with one of these statuses"),
)
COURSES = _container(
    "LearningModules",
    COURSE,
    STATUSES,
    _ranges("CompletedDate", "completed_at"),
    _ranges("DueDate", "due_at"),
    _ranges("EnrolledDate", "enrolled_at"),
    _ranges("GracePeriodDate", "grace_period_at"),
    _ranges("LastAccessedDate", "last_accessed_at"),
    _ranges("StartedDate", "started_at"),
)
ENROLLMENTS = _container(
    "Enrollments", _range("CreatedDate", "created_at", 1), _range("ModifiedDate", "modified_at", 1)
)
IDENTIFIERS = _container(
    "UserIdentifier",
    _many("EmailAddress", "emails", help="users with one of these addresses, in upper or lower case"),
    _many("EmployeeID", "employee_ids", help="users with one of these ids"),
)
USERS = _container("Users", _one("UserStatus", "user_active", ACTIVITY, help="users with this status"), IDENTIFIERS)
FILTERS = _container(
    "Filters",
    optional("EnrollmentID", "enrollment_id", NUMBER, help="the enrollment with this number"),
    GROUPS,
    COURSES,
    ENROLLMENTS,
    USERS,
)
TAKES = parameters(
    record(
        "Report",
        *PAGING,
        FILTERS,
        _container("Columns", _many("ColumnName", "columns", COLUMN, help="see [Columns](#columns)")),
        _container("CustomFields", _many("FieldName", help="ignored: Rollbook has no custom fields")),
    )
)
PERIODS = (
    *("completed_at", "due_at", "enrolled_at", "grace_period_at", "last_accessed_at", "started_at"),
    *("created_at", "modified_at"),
)


def _report_of(columns: Sequence[Element]) -> Element:
    """The answer with these columns between the first and the last ones."""
    learner = record("Learner", *FIRST, *columns, *LAST, field="learners", least=0, most=MAX_SIZE)
    return info(record("LearnerReport", learner, attributes=(ROWS,)))


def get_learner_report(call: MethodCall) -> MethodResult:
    """Return the enrollments that match all filters, pending ones included (D17)."""
    values, page = call.values, Pagination.of(call.values)
    # Columns in the order of the call, without repetition.
    columns = [*{column.name: column for column in values.get("columns", ())}.values()]
    fields = [column.field or None for column in (*FIRST, *columns, *LAST)]
    rows = store.report.find_learners(
        call.connection, call.caller.account_id, _filter(values), fields, limit=page.size, offset=page.offset
    )
    learners = [dict(zip(fields, row, strict=True)) for row in rows]
    return MethodResult({"rows": len(learners), "learners": learners}, gives=_report_of(columns))


def _filter(values: Values) -> "store.report.ReportFilter":
    return store.report.ReportFilter(
        enrollment_id=values.get("enrollment_id"),
        statuses=values.get("statuses", ()),
        periods={name: _periods(values.get(name, [])) for name in PERIODS},
        group_active=values.get("group_active", ()),
        group_names=values.get("group_names", ()),
        group_tags=read_tags(values.get("group_tags", [])),
        course_statuses=[values["course_status"]] if "course_status" in values else (),
        course_names=values.get("course_names", ()),
        user_active=values.get("user_active", ()),
        emails=values.get("emails", ()),
        employee_ids=values.get("employee_ids", ()),
    )


def _periods(ranges: Values | list[Values]) -> list["store.report.Period"]:
    """Convert date ranges to periods, from the start of one day to the end of another; skip those without ends."""
    listed = ranges if isinstance(ranges, list) else [ranges]
    return [
        store.report.Period(
            datetime.combine(each["first"], time.min, UTC) if "first" in each else None,
            datetime.combine(each["last"], time.max, UTC) if "last" in each else None,
        )
        for each in listed
        if each
    ]


GET_LEARNER_REPORT = Method(
    "getLearnerReport",
    help="Gives a page of the account's current enrollments with the requested columns.",
    takes=TAKES,
    gives=_report_of([replace(column, least=0) for column in COLUMNS.values()]),
    codes=(FORBIDDEN,),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=False,
    run=get_learner_report,
)
