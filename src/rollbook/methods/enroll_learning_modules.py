"""enrollLearningModules: enrolls up to 100 learners in courses (protocol §5, D14, D15)."""

from datetime import UTC, date, datetime, time, timedelta

from rollbook import store
from rollbook.methods.enrolling import COURSE, GIVES, USER, EnrollCodes, ask, enroll_items
from rollbook.methods.method import GROUP_MANAGERS, Method, MethodCall, MethodResult
from rollbook.model import utc_now
from rollbook.wire.identifiers import REFERENCE
from rollbook.wire.messages import Choice, Element, Values, optional, parameters, record
from rollbook.wire.values import DAY, MAX_ITEMS, number

CODES = EnrollCodes.of("ELM", "enrollLearningModules", "GroupName", "DueDateSettings provided are")
WRONG_DATE = CODES.wrong_date
DAYS = number(0, 3650, "number of days from 0 to 3650", example=30)

DUE_DATES = record(
    "DueDateSettings",
    optional("SettingSource", "setting_source", help="any text; not kept"),
    record(
        "DueDateSetup",
        optional("DueDate", "due_date", DAY, wrong=WRONG_DATE, help="due at 00:00 UTC of this day"),
        optional("DueDateDays", "due_days", DAYS, wrong=WRONG_DATE, help="counted from today, a day of UTC"),
        least=0,
        choices=(Choice(("DueDate", "DueDateDays"), least=0),),
    ),
    record(
        "AccessSetup",
        optional(
            "AccessEndDate", "access_end_date", DAY, wrong=WRONG_DATE, help="access ends at 00:00 UTC of this day"
        ),
        optional("AccessEndDays", "access_end_days", DAYS, wrong=WRONG_DATE, help="counted from today, a day of UTC"),
        least=0,
        choices=(Choice(("AccessEndDate", "AccessEndDays"), least=0),),
    ),
    optional("CompletionAccessDays", "", DAYS, wrong=WRONG_DATE, help="not kept"),
    least=0,
)
ITEM = record(
    "Enrollment",
    USER,
    Element(
        "GroupName",
        "group_name",
        help="the exact name of an active group; of several, the oldest that the caller manages and the learner is in",
    ),
    COURSE,
    optional("LearningModuleSessionID", "session_id", REFERENCE, help="the number of a session of that course"),
    optional("EnrollmentTag", "tag", help="any text; kept with the enrollment"),
    DUE_DATES,
    field="items",
    most=MAX_ITEMS,
    is_item=True,
)


def enroll(call: MethodCall) -> MethodResult:
    """Enroll what can be enrolled, and return an error for every other item."""
    today = utc_now().date()
    return enroll_items(call, CODES, [_ask(item, today) for item in call.values["items"]])


def _ask(item: Values, today: date) -> "store.enroll.Asked":
    return ask(
        item,
        "tag",
        due_at=_first_moment(item.get("due_date"), item.get("due_days"), today),
        access_ends_at=_first_moment(item.get("access_end_date"), item.get("access_end_days"), today),
    )


def _first_moment(day: date | None, days: int | None, today: date) -> datetime | None:
    """The first moment of a day, or of the day `days` from today."""
    if day is None and days is not None:
        day = today + timedelta(days=days)
    return None if day is None else datetime.combine(day, time.min, UTC)


ENROLL_LEARNING_MODULES = Method(
    "enrollLearningModules",
    help="Enrolls up to 100 learners in courses.",
    takes=parameters(record("LearningModuleEnrollment", ITEM)),
    gives=GIVES,
    codes=CODES.all(),
    forbidden=CODES.forbidden,
    allowed=GROUP_MANAGERS,
    changes=True,
    run=enroll,
)
