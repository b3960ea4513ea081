"""createHistoricalSession: adds a session that has taken place (protocol-neighbours §12)."""

import re
from datetime import UTC, datetime, time, timedelta

from rollbook import actions, store
from rollbook.errors import CallError, WireCode
from rollbook.methods.courses import COURSE_ID, find_course
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.methods.users import EMAIL, EMPLOYEE_ID
from rollbook.wire.identifiers import NUMBER
from rollbook.wire.messages import ANYTHING, Choice, Element, Kind, info, optional, parameters, record
from rollbook.wire.values import DAY, MAX_ITEMS, number, short_text

FORBIDDEN = WireCode("CHS:01", "The required permissions are not met to call the createHistoricalSession method.")
UNKNOWN_COURSE = WireCode("CHS:02", "The LearningModuleID provided is not valid.", "no course of this account")
WRONG_DATE = WireCode("CHS:03", "The StartDate provided is not valid.", "no day")
WRONG_TIME = WireCode("CHS:04", "The StartTime provided is not valid.", "neither `14:30` nor `02:30 PM`")
WRONG_DURATION = WireCode(
    "CHS:05",
    "The duration provided is not valid.",
    "hours above 999, minutes above 59, no number, or an end after the year 9999",
)
UNKNOWN_INSTRUCTOR = WireCode("CHS:06", "An instructor provided is not valid.", "no active user of this account")
LONG_TEXT = WireCode("CHS:07", "A text provided is too long.", "more than 255 characters")

_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?: ?([AaPp])[Mm])?")


def _read_time(text: str) -> time:
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError("no time of the day")
    hour, minute = int(found[1]), int(found[2])
    if found[3]:
        if not 1 <= hour <= 12:
            raise ValueError("no hour of half a day")
        hour = hour % 12 + (12 if found[3] in "Pp" else 0)
    return time(hour, minute, tzinfo=UTC)


START_TIME = Kind("time of the day", "14:30", _read_time, lambda value: f"{value:%H:%M}")


def _kept(name: str) -> Element:
    return optional(name, name, short_text(255), wrong=LONG_TEXT)


SESSION = record(
    "CourseSession",
    COURSE_ID,
    Element("StartDate", "date", DAY, wrong=WRONG_DATE),
    optional("StartTime", "time", START_TIME, wrong=WRONG_TIME, help="in UTC; 00:00 unless given"),
    optional("DurationHour", "hours", number(0, 999, example=1), wrong=WRONG_DURATION),
    optional("DurationMinute", "minutes", number(0, 59, example=30), wrong=WRONG_DURATION),
    optional("GradeType", "grade_type", short_text(255), wrong=LONG_TEXT, help="kept as it came"),
    _kept("InstructorType"),
    _kept("InstructorNotes"),
    record(
        "InternalInstructors",
        record(
            "Instructor",
            EMAIL,
            EMPLOYEE_ID,
            field="instructors",
            least=0,
            most=MAX_ITEMS,
            choices=(Choice(("Email", "EmployeeID"), filled=True),),
        ),
        least=0,
    ),
    optional("ExternalInstructors", "ExternalInstructors", ANYTHING),
)
KEPT = ("InstructorType", "InstructorNotes", "ExternalInstructors")


def create(call: MethodCall) -> MethodResult:
    """Add the session, and give its number."""
    values, course_id = call.values, find_course(call, UNKNOWN_COURSE)
    starts_at = datetime.combine(values["date"], values.get("time") or time(tzinfo=UTC))
    try:
        ends_at = starts_at + timedelta(hours=values.get("hours") or 0, minutes=values.get("minutes") or 0)
    except OverflowError:
        raise CallError(WRONG_DURATION, "the session would end after the year 9999") from None
    instructors = [_find_instructor(call, **named) for named in values.get("instructors", ())]
    details = {name: values[name] for name in KEPT if values.get(name)} | {"instructors": instructors}
    number = actions.add_session(
        call.connection,
        call.by,
        call.caller.account_id,
        course_id,
        starts_at=starts_at,
        ends_at=ends_at,
        grade_type=values.get("grade_type"),
        details=details,
    )
    return MethodResult({"id": number})


def _find_instructor(call: MethodCall, email: str | None = None, employee_id: str | None = None) -> int:
    user = store.profiles.find_profile(call.connection, call.caller.account_id, email=email, employee_id=employee_id)
    if user is None or not user.active:
        raise CallError(UNKNOWN_INSTRUCTOR, "the account has no such active user")
    return int(user.id)


CREATE_HISTORICAL_SESSION = Method(
    "createHistoricalSession",
    help="Adds a session that has taken place.",
    takes=parameters(record("LearningModule", SESSION)),
    gives=info(Element("CourseSessionID", "id", NUMBER)),
    codes=(FORBIDDEN, UNKNOWN_COURSE, WRONG_DATE, WRONG_TIME, WRONG_DURATION, UNKNOWN_INSTRUCTOR, LONG_TEXT),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=True,
    run=create,
)
