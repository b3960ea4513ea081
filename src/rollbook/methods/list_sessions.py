"""listSessions: the sessions of a course (protocol-neighbours §12)."""

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.courses import COURSE_ID, find_course
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.wire.identifiers import NUMBER
from rollbook.wire.messages import ANY_NUMBER, Element, info, parameters, record
from rollbook.wire.values import TIME

FORBIDDEN = WireCode("LSE:01", "The required permissions are not met to call the listSessions method.")
UNKNOWN_COURSE = WireCode("LSE:02", "The LearningModuleID provided is not valid.", "no course of this account")

TYPE = "Classroom"
DATE = record(
    "Date",
    Element("StartDate", "starts_at", TIME),
    Element("EndDate", "ends_at", TIME),
    Element("StartDateConverted", "starts_at", TIME, help="the same: all times are in UTC"),
    Element("EndDateConverted", "ends_at", TIME),
    *(Element(name, help="always empty") for name in ("URL", "WebinarProvider", "Other", "Venue", "Room")),
    Element("Location", "location"),
    Element("Capacity", help="always empty: there is no limit"),
    field="dates",
    least=0,
    most=ANY_NUMBER,
    help="missing of a session without a date",
)
SESSION = record(
    "Session",
    Element("CourseSessionID", "id", NUMBER),
    Element("Status", "status", help="`Active`"),
    Element("Type", "type", help=f"`{TYPE}`"),
    Element("GradeType", "grade_type", help="as it was given to createHistoricalSession"),
    record("Dates", DATE),
    field="sessions",
    least=0,
    most=ANY_NUMBER,
    help="by their beginning",
)


def list_sessions(call: MethodCall) -> MethodResult:
    """Give the sessions of the course."""
    course_id = find_course(call, UNKNOWN_COURSE)
    listed = store.courses.list_sessions(call.connection, call.caller.account_id, course_id)
    for session in listed:
        session |= {"type": TYPE, "dates": [session] if session["starts_at"] else []}
    return MethodResult({"sessions": listed})


LIST_SESSIONS = Method(
    "listSessions",
    help="Gives the sessions of a course.",
    takes=parameters(record("LearningModule", COURSE_ID)),
    gives=info(record("Sessions", SESSION)),
    codes=(FORBIDDEN, UNKNOWN_COURSE),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=False,
    run=list_sessions,
)
