"""getLearnerReport: a page of the account's current enrolments, with the columns asked for (protocol §6)."""

from collections.abc import Collection
from datetime import UTC, datetime, time

import sqlalchemy as sa
from lxml import etree

from rollbook.errors import REPORT_FORBIDDEN, WRONG_STRUCTURE, CallError
from rollbook.model import Caller, EnrollmentStatus
from rollbook.store.engine import Work
from rollbook.store.reports import Period, ReportFilter, find_learners
from rollbook.wire.answer import Answer
from rollbook.wire.call import Call
from rollbook.wire.dates import read_date
from rollbook.wire.identifiers import read_identifier
from rollbook.wire.paging import PAGING, read_page
from rollbook.wire.report import COLUMNS, choose_columns, write_learners
from rollbook.wire.shape import Shape
from rollbook.wire.xml import text_of

# How many values and date ranges a filter may have; ours, because a query cannot grow without end.
MOST_VALUES = 1000
MOST_RANGES = 100

STATUSES = [*EnrollmentStatus]
COURSE_STATUSES = ("Active", "Inactive", "Archived")
ACTIVITIES: dict[str, list[bool]] = {"Active": [True], "Inactive": [False], "All": []}
# The date ranges below LearningModules, and the time that each is about.
MODULE_DATES = {
    "CompletedDate": "completed_at",
    "DueDate": "due_at",
    "EnrolledDate": "enrolled_at",
    "GracePeriodDate": "grace_period_at",
    "LastAccessedDate": "last_accessed_at",
    "StartedDate": "started_at",
}


def _container(**children: Shape) -> Shape:
    return Shape(children, least=0)


def _range(name: str, most: int) -> Shape:
    return Shape({f"{name}From": _ONE, f"{name}To": _ONE}, least=0, most=most)


_ONE = Shape(least=0)
_MANY = Shape(least=0, most=MOST_VALUES)
_GROUPS = _container(
    GroupStatus=_ONE,
    GroupNames=_container(GroupName=_MANY),
    GroupTags2=_container(
        GroupTag2=Shape({"TagID": _ONE, "TagName": _ONE, "TagValues": _ONE}, least=0, most=MOST_VALUES)
    ),
)
_MODULES = _container(
    LearningModule=_container(LearningModuleStatus=_ONE, LearningModuleNames=_container(LearningModuleName=_MANY)),
    EnrollmentStatuses=_container(EnrollmentStatus=_MANY),
    **{f"{name}s": _container(**{name: _range(name, MOST_RANGES)}) for name in MODULE_DATES},
)
_ENROLLMENTS = _container(CreatedDate=_range("CreatedDate", 1), ModifiedDate=_range("ModifiedDate", 1))
_USERS = _container(UserStatus=_ONE, UserIdentifier=_container(EmailAddress=_MANY, EmployeeID=_MANY))
_REPORT = {
    **PAGING,
    "Filters": _container(
        EnrollmentID=_ONE, Groups=_GROUPS, LearningModules=_MODULES, Enrollments=_ENROLLMENTS, Users=_USERS
    ),
    "Columns": _container(ColumnName=_MANY),
    "CustomFields": _container(FieldName=_MANY),
}
SHAPE = Shape({"Report": Shape(_REPORT)})


def get_learner_report(caller: Caller, call: Call) -> Work[Answer]:
    """Answer the enrolments that agree with all filters, pending ones included (D17); errors: GLR:01, SU:12, SU:13."""
    caller.require_administration(REPORT_FORBIDDEN)
    report = call.read_parameters(SHAPE)[0]
    page = read_page(report)
    columns = choose_columns(_read_known(report, "Columns/ColumnName", COLUMNS))
    fields = [column.field for column in columns]
    chosen = _read_filter(report)
    tagged = _has_tags(report)

    def get(connection: sa.Connection) -> Answer:
        if tagged:
            return Answer(True, write_learners(columns, ()))
        rows = find_learners(connection, caller.account_id, chosen, fields, limit=page.size, offset=page.offset)
        return Answer(True, write_learners(columns, rows))

    return get


def _read_filter(report: etree._Element) -> ReportFilter:
    group, modules, user = "Filters/Groups", "Filters/LearningModules", "Filters/Users"
    periods = {column: _read_periods(report, f"{modules}/{name}s/{name}") for name, column in MODULE_DATES.items()}
    periods["created_at"] = _read_periods(report, "Filters/Enrollments/CreatedDate")
    periods["modified_at"] = _read_periods(report, "Filters/Enrollments/ModifiedDate")
    return ReportFilter(
        enrollment_id=_read_enrollment_id(report),
        statuses=_read_known(report, f"{modules}/EnrollmentStatuses/EnrollmentStatus", STATUSES),
        periods=periods,
        group_active=_read_activity(report, f"{group}/GroupStatus"),
        group_names=_read_values(report, f"{group}/GroupNames/GroupName"),
        course_statuses=_read_known(report, f"{modules}/LearningModule/LearningModuleStatus", COURSE_STATUSES),
        course_names=_read_values(report, f"{modules}/LearningModule/LearningModuleNames/LearningModuleName"),
        user_active=_read_activity(report, f"{user}/UserStatus"),
        emails=_read_values(report, f"{user}/UserIdentifier/EmailAddress"),
        employee_ids=_read_values(report, f"{user}/UserIdentifier/EmployeeID"),
    )


def _read_values(report: etree._Element, path: str) -> list[str]:
    return [text_of(element) for element in report.iterfind(path)]


def _read_known(report: etree._Element, path: str, known: Collection[str]) -> list[str]:
    values = _read_values(report, path)
    if any(value not in known for value in values):
        raise CallError(WRONG_STRUCTURE, f"Report/{path} is none of {', '.join(known)}")
    return values


def _read_activity(report: etree._Element, path: str) -> list[bool]:
    values = _read_known(report, path, ACTIVITIES)
    return ACTIVITIES[values[0]] if values else []


def _read_enrollment_id(report: etree._Element) -> int | None:
    """Read the one value that may be empty, because the contract names it among the containers."""
    text = "".join(_read_values(report, "Filters/EnrollmentID"))
    number = read_identifier(text)
    if text and number is None:
        raise CallError(WRONG_STRUCTURE, "Report/Filters/EnrollmentID is not a number from 1")
    return number


def _has_tags(report: etree._Element) -> bool:
    """Tell whether groups are chosen by tags, which no group bears: a filter is never ignored (D16)."""
    tags = report.findall("Filters/Groups/GroupTags2/GroupTag2")
    if any((tag.find("TagID") is None) == (tag.find("TagName") is None) for tag in tags):
        raise CallError(WRONG_STRUCTURE, "a GroupTag2 holds either TagID or TagName")
    return bool(tags)


def _read_periods(report: etree._Element, path: str) -> list[Period]:
    """Read date ranges, each from the first moment of a day to the last one of another; one without ends is none."""
    ends = [(_read_end(each, "From", time.min), _read_end(each, "To", time.max)) for each in report.iterfind(path)]
    if any(first and last and last < first for first, last in ends):
        raise CallError(WRONG_STRUCTURE, f"Report/{path} ends before it begins")
    return [Period(first, last) for first, last in ends if first or last]


def _read_end(parent: etree._Element, end: str, moment: time) -> datetime | None:
    found = parent.find(f"{parent.tag}{end}")
    if found is None:
        return None
    try:
        return datetime.combine(read_date(text_of(found)), moment, UTC)
    except ValueError:
        raise CallError(WRONG_STRUCTURE, f"{found.tag}, line {found.sourceline}, is no date") from None
