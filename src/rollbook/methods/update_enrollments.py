"""updateEnrollments: writes the progress of up to 100 current enrollments (protocol-neighbours §12)."""

from rollbook import actions
from rollbook.errors import WireCode
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.model import PERCENTAGE, RejectReason, utc_now
from rollbook.wire.answer import BLOCK, ErrorEntry
from rollbook.wire.identifiers import IDENTIFIER, NUMBER
from rollbook.wire.messages import Element, Kind, info, optional, parameters, record
from rollbook.wire.values import MAX_ITEMS, STATUS, TIME, short_text

FORBIDDEN = WireCode("UEN:01", "The required permissions are not met to call the updateEnrollments method.")
MALFORMED_ID = WireCode(
    "UEN:02", "Enrollment {block} - The AccountUserLearningModuleRelID provided is not valid.", "the text is no number"
)
WRONG_STATUS = WireCode(
    "UEN:03", "Enrollment {block} - The EnrollmentStatus provided is not valid.", "no status of an enrollment, or empty"
)
WRONG_VALUE = WireCode(
    "UEN:04",
    "Enrollment {block} - The progress provided is not valid.",
    "Progress, Grade, GradePercentage or Points of more than 40 characters, or a number not from 0 to 100 as Progress",
)
WRONG_DATE = WireCode("UEN:05", "Enrollment {block} - A date provided is not valid.", "no day and no time")
UNKNOWN_ID = WireCode(
    "UEN:06",
    "Enrollment {block} - The AccountUserLearningModuleRelID provided is not that of a current enrollment.",
    "unknown, of another account or unenrolled. One that is in the unenrollment queue is current",
)
ENROLLED_AGAIN = WireCode(
    "UEN:19",
    "Enrollment {block} - The user is already enrolled.",
    "the enrollment was Completed and shall be so no more, and the user has another one that is and stays open in the "
    "course; of several that a call opens again, the one with the lowest number is opened",
)
REASONS = {RejectReason.UNKNOWN: UNKNOWN_ID, RejectReason.ENROLLED_AGAIN: ENROLLED_AGAIN}

MAX_TEXT = 40
SHORT_TEXT = short_text(MAX_TEXT)


def _read_progress(text: str) -> str:
    progress = str(SHORT_TEXT.read(text))
    if PERCENTAGE.fullmatch(progress) and not 0 <= float(progress.replace(",", ".")) <= 100:
        raise ValueError("not from 0 to 100")
    return progress


PROGRESS = Kind("number from 0 to 100, or text of at most 40 characters", "50", _read_progress)


def _text(name: str, field: str, kind: Kind = SHORT_TEXT) -> Element:
    return optional(name, field, kind, wrong=WRONG_VALUE)


def _date(name: str, field: str) -> Element:
    return optional(name, field, TIME, wrong=WRONG_DATE)


ITEM = record(
    "Enrollment",
    Element(IDENTIFIER, "id", NUMBER, wrong=MALFORMED_ID, as_sent="sent", help="the number of a current enrollment"),
    optional("EnrollmentStatus", "status", STATUS, wrong=WRONG_STATUS, empty=WRONG_STATUS),
    _text("Progress", "progress", PROGRESS),
    _text("Grade", "grade"),
    _text("GradePercentage", "grade_percentage"),
    _text("Points", "points"),
    _date("StartedDate", "started_at"),
    _date("CompletedDate", "completed_at"),
    _date("LastAccessedDate", "last_accessed_at"),
    _date("DueDate", "due_at"),
    _date("GracePeriodDate", "grace_period_at"),
    _date("AccessEndDate", "access_ends_at"),
    field="items",
    most=MAX_ITEMS,
    is_item=True,
)
UPDATED = record(
    "Enrollment",
    Element(IDENTIFIER, "sent", help="as it was sent"),
    field="items",
    most=MAX_ITEMS,
    attributes=(BLOCK,),
)
GIVES = info(record("Enrollments", UPDATED, least=0, help="missing when no enrollment was found"))


def update(call: MethodCall) -> MethodResult:
    """Write the progress of every item that can be written; of several items about one enrollment the later wins."""
    items = dict(enumerate(call.values["items"], 1))
    wanted: dict[int, dict[str, object]] = {}
    for block, item in items.items():
        if block not in call.wrong:
            values = {name: value for name, value in item.items() if name not in ("id", "sent")}
            wanted.setdefault(item["id"], {}).update(values)
    account_id, wrong = call.caller.account_id, call.wrong
    reasons = actions.update_progress(call.connection, call.by, account_id, wanted, refused=len(wrong), now=utc_now())
    found = {id_: REASONS[reason] for id_, reason in reasons.items()}
    codes = {block: wrong.get(block) or found.get(item["id"]) for block, item in items.items()}
    errors = [ErrorEntry.of_item(code, block) for block, code in codes.items() if code]
    done = [{"block": block, "sent": item["sent"]} for block, item in items.items() if codes[block] is None]
    return MethodResult({"items": done}, errors)


UPDATE_ENROLLMENTS = Method(
    "updateEnrollments",
    help="Writes the progress of up to 100 current enrollments.",
    takes=parameters(record("LearningModuleEnrollment", ITEM)),
    gives=GIVES,
    codes=(FORBIDDEN, MALFORMED_ID, WRONG_STATUS, WRONG_VALUE, WRONG_DATE, UNKNOWN_ID, ENROLLED_AGAIN),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=True,
    run=update,
)
