"""The learner report on the wire: the columns that can be asked for, and how its rows are written (protocol §6)."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from rollbook.wire.answer import Markup, element
from rollbook.wire.dates import write_time


class Column(NamedTuple):
    """The element of a column, and the field of store/reports that it holds; None when Rollbook keeps no such thing."""

    element: str
    field: str | None


# Each row begins and ends with these, asked for or not.
FIRST = (
    Column("ID", "id"),
    Column("CourseName", "course_name"),
    Column("LastName", "family_name"),
    Column("FirstName", "given_name"),
)
LAST = (
    Column("LearningModuleID", "course_id"),
    Column("UserID", "user_id"),
    Column("CreatedDate", "created_at"),
    Column("ModifiedDate", "modified_at"),
)
COLUMNS = {
    "ALTERNATE_EMAIL": Column("AlternateEmail", "alternate_email"),
    "COMPLETED_DATE": Column("CompletedDate", "completed_at"),
    "COURSE_DURATION": Column("CourseDuration", "course_duration"),
    "COURSE_SESSION_ID": Column("CourseSessionID", "session_id"),
    "DIVISION": Column("Division", "division"),
    "DUE_DATE": Column("DueDate", "due_at"),
    "EMPLOYEE_ID": Column("EmployeeID", "employee_id"),
    "ENROLLED_DATE": Column("EnrolledDate", "enrolled_at"),
    "GRADE": Column("Grade", "grade"),
    "GRADE_PERCENTAGE": Column("GradePercentage", "grade_percentage"),
    "GROUP_ID": Column("GroupID", "group_id"),
    "GROUP_NAME": Column("GroupName", "group_name"),
    "LAST_ACCESSED_DATE": Column("LastAccessedDate", "last_accessed_at"),
    "POINTS": Column("Points", "points"),
    "PROGRESS": Column("Progress", "progress"),
    "ROLE_ID": Column("RoleID", None),
    "STARTED_DATE": Column("StartedDate", "started_at"),
    "SUBSCRIPTION_NAME": Column("SubscriptionName", None),
    "TITLE": Column("Title", "title"),
    "USER_EMAIL": Column("LearnerEmail", "email"),
    "VARIANT_END_DATE": Column("VariantEndDate", None),
    "VARIANT_NAME": Column("VariantName", None),
    "VARIANT_START_DATE": Column("VariantStartDate", None),
}


def choose_columns(names: Sequence[str]) -> list[Column]:
    """Give the columns of a row: those asked for stand in the order of the call, each once."""
    return [*FIRST, *(COLUMNS[name] for name in dict.fromkeys(names)), *LAST]


def write_learners(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> Markup:
    """Write the rows, whose values stand in the order of the columns."""
    names = [column.element for column in columns]
    learners = "".join(f"<Learner>{''.join(map(_value, names, row))}</Learner>" for row in rows)
    return Markup(f'<LearnerReport rows="{len(rows)}">{learners}</LearnerReport>')


def _value(name: str, value: object) -> Markup:
    return element(name, write_time(value) if isinstance(value, datetime) else value)
