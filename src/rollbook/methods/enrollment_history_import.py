"""enrollmentHistoryImport: adds up to 100 enrollments as they were elsewhere (protocol-neighbours §12)."""

from rollbook.methods.enrolling import COURSE, GIVES, GRADE, GROUP, USER, HistoryCodes, ask, enroll_items
from rollbook.methods.method import GROUP_MANAGERS, Method, MethodCall, MethodResult
from rollbook.wire.messages import Element, Kind, optional, parameters, record
from rollbook.wire.values import BOOLEAN, MAX_ITEMS, STATUS, TIME, number

CODES = HistoryCodes.of("EHI", "enrollmentHistoryImport", "Group", "EnrollmentSettings provided are")


def _setting(name: str, field: str = "", kind: Kind = TIME, **more: str) -> Element:
    return optional(name, field, kind, wrong=CODES.wrong_date, **more)


ITEM = record(
    "Enrollment",
    USER,
    GROUP,
    COURSE,
    Element("EnrollmentStatus", "status", STATUS, wrong=CODES.wrong_status),
    optional("Passed", "", BOOLEAN, help="not kept"),
    optional("Grade", "grade", GRADE, wrong=CODES.wrong_grade),
    record(
        "EnrollmentSettings",
        _setting("EnrolledDate", "enrolled_at", help="now unless given"),
        _setting("StartedDate", "started_at"),
        _setting("CompletionDate", "completed_at", help="of a Completed enrollment: now unless given"),
        _setting("DueDate", "due_at"),
        _setting("PostDueDateAccessEndDate", "grace_period_at"),
        _setting("CompletionAccessDays", kind=number(0, 3650, "number of days from 0 to 3650", 30), help="not kept"),
        least=0,
    ),
    field="items",
    most=MAX_ITEMS,
    is_item=True,
)
KEPT = ("status", "grade", "enrolled_at", "started_at", "completed_at", "due_at", "grace_period_at")


def import_history(call: MethodCall) -> MethodResult:
    """Add what can be added, and return an error for every other item."""
    return enroll_items(call, CODES, [ask(item, *KEPT) for item in call.values["items"]])


ENROLLMENT_HISTORY_IMPORT = Method(
    "enrollmentHistoryImport",
    help="Adds up to 100 enrollments as they were elsewhere.",
    takes=parameters(record("LearningModuleEnrollment", ITEM)),
    gives=GIVES,
    codes=tuple(code for code in CODES.all() if code is not CODES.unknown_session),
    forbidden=CODES.forbidden,
    allowed=GROUP_MANAGERS,
    changes=True,
    run=import_history,
)
