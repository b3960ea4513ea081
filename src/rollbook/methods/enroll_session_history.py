"""enrollSessionHistory: adds up to 100 enrollments in past sessions (protocol-neighbours §12)."""

from rollbook.methods.enrolling import COURSE, GIVES, GRADE, GROUP, USER, HistoryCodes, ask, enroll_items
from rollbook.methods.method import GROUP_MANAGERS, Method, MethodCall, MethodResult
from rollbook.wire.identifiers import REFERENCE
from rollbook.wire.messages import Element, optional, parameters, record
from rollbook.wire.values import MAX_ITEMS, STATUS, TIME

CODES = HistoryCodes.of("ESH", "enrollSessionHistory", "Group", "EnrolledDate provided is")

ITEM = record(
    "Enrollment",
    USER,
    GROUP,
    COURSE,
    Element("LearningModuleSessionID", "session_id", REFERENCE, help="the number of a session of that course"),
    Element("EnrollmentStatus", "status", STATUS, wrong=CODES.wrong_status, help="Completed: when the session ended"),
    optional("Grade", "grade", GRADE, wrong=CODES.wrong_grade),
    optional("EnrolledDate", "enrolled_at", TIME, wrong=CODES.wrong_date, help="now unless given"),
    field="items",
    most=MAX_ITEMS,
    is_item=True,
)


def enroll_history(call: MethodCall) -> MethodResult:
    """Add what can be added, and return an error for every other item."""
    return enroll_items(call, CODES, [ask(item, "status", "grade", "enrolled_at") for item in call.values["items"]])


ENROLL_SESSION_HISTORY = Method(
    "enrollSessionHistory",
    help="Adds up to 100 enrollments in past sessions.",
    takes=parameters(record("LearningModuleEnrollment", ITEM)),
    gives=GIVES,
    codes=CODES.all(),
    forbidden=CODES.forbidden,
    allowed=GROUP_MANAGERS,
    changes=True,
    run=enroll_history,
)
