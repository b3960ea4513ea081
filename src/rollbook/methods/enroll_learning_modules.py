"""enrollLearningModules: enrols up to 100 learners in courses (protocol §5, D14, D15)."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import sqlalchemy as sa
from lxml import etree

from rollbook.errors import (
    ENROLL_FORBIDDEN,
    ENROLL_IS_ENROLLED,
    ENROLL_NO_MEMBER,
    ENROLL_UNKNOWN_COURSE,
    ENROLL_UNKNOWN_GROUP,
    ENROLL_UNKNOWN_SESSION,
    ENROLL_UNKNOWN_USER,
    ENROLL_WRONG_DATE,
    WRONG_STRUCTURE,
    CallError,
    WireCode,
)
from rollbook.model import Action, Caller, Change, utc_now
from rollbook.store.engine import Work
from rollbook.store.enrolling import Asked, Found, add_enrollments, find_asked, manages_a_group
from rollbook.wire.answer import Answer, ErrorEntry, enrollments
from rollbook.wire.call import Call
from rollbook.wire.dates import read_date
from rollbook.wire.identifiers import MOST_ITEMS, read_identifier
from rollbook.wire.shape import TEXT, Shape
from rollbook.wire.xml import text_of

_ONCE = Shape(least=0)
_DUE_DATES = {
    "SettingSource": _ONCE,
    "DueDateSetup": Shape({"DueDate": _ONCE, "DueDateDays": _ONCE}, least=0),
    "AccessSetup": Shape({"AccessEndDate": _ONCE, "AccessEndDays": _ONCE}, least=0),
    "CompletionAccessDays": _ONCE,
}
_ENROLLMENT = {
    "User": Shape({"Email": _ONCE, "EmployeeID": _ONCE}),
    "GroupName": TEXT,
    "LearningModuleID": TEXT,
    "LearningModuleSessionID": _ONCE,
    "EnrollmentTag": _ONCE,
    "DueDateSettings": Shape(_DUE_DATES, least=0),
}
SHAPE = Shape({"LearningModuleEnrollment": Shape({"Enrollment": Shape(_ENROLLMENT, most=MOST_ITEMS)})})
ALTERNATIVES = (("Email", "EmployeeID"), ("DueDate", "DueDateDays"), ("AccessEndDate", "AccessEndDays"))

MOST_DAYS = 3650
DAYS = re.compile("[0-9]{1,9}")


@dataclass(frozen=True)
class Item:
    """One Enrollment of a call: learner and course as they were sent, and what they mean."""

    user: str
    course: str
    asked: Asked
    has_wrong_date: bool


def enroll_learning_modules(caller: Caller, call: Call) -> Work[Answer]:
    """Enrol who can be enrolled and say of every other item why not; errors: ELM:01, SU:12, SU:13."""

    def enroll(connection: sa.Connection) -> Answer:
        # A learner's permissions are in the database, and without any nothing of the call is read.
        if not caller.administers and not manages_a_group(connection, caller):
            raise CallError(ENROLL_FORBIDDEN, "the caller is a learner without a permission for any group")
        now = utc_now()
        elements = call.read_parameters(SHAPE).iter("Enrollment")
        items = [_read_item(block, element, now.date()) for block, element in enumerate(elements, 1)]
        found = find_asked(connection, caller, [item.asked for item in items])
        mistakes = [_find_mistake(*pair) for pair in zip(items, found, strict=True)]
        complete = [(items[i].asked, found[i]) for i in range(len(items)) if mistakes[i] is None]
        ids = add_enrollments(connection, caller.account_id, complete, now)
        return _answer(items, found, mistakes, ids)

    return enroll


def _find_mistake(item: Item, found: Found) -> WireCode | None:
    """Name the first thing that is wrong with an item.

    The group comes first, so that nobody learns anything by way of a group in which he or she has no say.
    """
    checks = (
        (found.named_group_id is None, ENROLL_UNKNOWN_GROUP),
        (found.allowed_group_id is None, ENROLL_FORBIDDEN),
        (found.user_id is None, ENROLL_UNKNOWN_USER),
        (found.group_id is None, ENROLL_NO_MEMBER),
        (found.course_id is None, ENROLL_UNKNOWN_COURSE),
        (found.session_id is None and item.asked.session_id is not None, ENROLL_UNKNOWN_SESSION),
        (item.has_wrong_date, ENROLL_WRONG_DATE),
    )
    return next((code for is_wrong, code in checks if is_wrong), None)


def _answer(
    items: list[Item],
    found: list[Found],
    mistakes: list[WireCode | None],
    ids: dict[tuple[int | None, int | None], int],
) -> Answer:
    accepted: list[tuple[int, str, str, int]] = []
    errors: list[ErrorEntry] = []
    for block, (item, what, mistake) in enumerate(zip(items, found, mistakes, strict=True), 1):
        # Taken out, so that for the second of two equal items the learner is enrolled already.
        id_ = None if mistake else ids.pop((what.user_id, what.course_id), None)
        if id_ is None:
            errors.append(ErrorEntry.of_item(mistake or ENROLL_IS_ENROLLED, block))
        else:
            accepted.append((block, item.user, item.course, id_))
    details = {"enrollments": [id_ for *_, id_ in accepted], "refused": len(errors)}
    change = Change(Action.ENROLL, details=details) if accepted else None
    return Answer(bool(accepted), enrollments(accepted), errors, change=change)


def _read_item(block: int, element: etree._Element, today: date) -> Item:
    # No name stands twice in an Enrollment, at whatever depth. An empty element counts as not given.
    texts = {part.tag: text_of(part) or None for part in element.iter()}
    if texts.keys().isdisjoint(("Email", "EmployeeID")):
        raise CallError(WRONG_STRUCTURE, f"Enrollment {block}: User has neither Email nor EmployeeID")
    for one, other in ALTERNATIVES:
        if texts.get(one) and texts.get(other):
            raise CallError(WRONG_STRUCTURE, f"Enrollment {block}: {one} and {other}, where one of them may be")
    email, employee_id, course = texts.get("Email"), texts.get("EmployeeID"), texts["LearningModuleID"] or ""
    session = texts.get("LearningModuleSessionID")
    ends = _read_ends(texts, today)
    asked = Asked(
        email=email,
        employee_id=employee_id,
        group_name=texts["GroupName"] or "",
        course_id=read_identifier(course) or 0,
        session_id=None if session is None else read_identifier(session) or 0,
        tag=texts.get("EnrollmentTag"),
        due_at=ends and ends[0],
        access_ends_at=ends and ends[1],
    )
    return Item(email or employee_id or "", course, asked, has_wrong_date=ends is None)


def _read_ends(texts: dict[str, str | None], today: date) -> tuple[datetime | None, datetime | None] | None:
    """Read when the enrolment is due and when the access ends; None when a value makes no sense."""
    try:
        _read_end(None, texts.get("CompletionAccessDays"), today)  # has to make sense, and is not kept
        return (
            _read_end(texts.get("DueDate"), texts.get("DueDateDays"), today),
            _read_end(texts.get("AccessEndDate"), texts.get("AccessEndDays"), today),
        )
    except ValueError:
        return None


def _read_end(day: str | None, days: str | None, today: date) -> datetime | None:
    """Read a date, or a number of days from today, as the first moment of that day; errors: ValueError."""
    if day is not None:
        return datetime.combine(read_date(day), time.min, UTC)
    if days is None:
        return None
    if not DAYS.fullmatch(days) or int(days) > MOST_DAYS:
        raise ValueError("not a number of days")
    return datetime.combine(today + timedelta(days=int(days)), time.min, UTC)
