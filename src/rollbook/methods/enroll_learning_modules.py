"""enrollLearningModules: enrolls up to 100 learners in courses (protocol §5, D14, D15)."""

from datetime import UTC, date, datetime, time, timedelta

from rollbook import actions, store
from rollbook.errors import WireCode
from rollbook.methods.method import GROUP_MANAGERS, Method, MethodCall, MethodResult
from rollbook.model import utc_now
from rollbook.wire.answer import BLOCK, ErrorEntry
from rollbook.wire.messages import Choice, Element, Values, info, optional, parameters, record
from rollbook.wire.values import DAY, IDENTIFIER, MAX_ITEMS, NUMBER, REFERENCE, number

FORBIDDEN = WireCode(
    "ELM:01",
    "The required permissions are not met to call the enrollLearningModules method.",
    "the caller may not enroll for this group. Without `block`: the caller is a learner without a permission for any "
    "group; the rest of the call is not read",
)
UNKNOWN_USER = WireCode(
    "ELM:02", "Enrollment {block} - The User provided is not valid.", "no active user of this account"
)
UNKNOWN_GROUP = WireCode(
    "ELM:03", "Enrollment {block} - The GroupName provided is not valid.", "no active group of this account"
)
NO_MEMBER = WireCode(
    "ELM:04", "Enrollment {block} - The User provided is not in the group.", "the user is not a member of the group"
)
UNKNOWN_COURSE = WireCode(
    "ELM:05",
    "Enrollment {block} - The LearningModuleID provided is not valid.",
    "not the number of an active course of this account",
)
UNKNOWN_SESSION = WireCode(
    "ELM:06",
    "Enrollment {block} - The LearningModuleSessionID provided is not valid.",
    "not the number of a session of this course",
)
WRONG_DATE = WireCode(
    "ELM:07",
    "Enrollment {block} - The DueDateSettings provided are not valid.",
    "a date that does not exist or has another format, or not a number of days from 0 to 3650",
)
IS_ENROLLED = WireCode(
    "ELM:19",
    "Enrollment {block} - The user is already enrolled.",
    "the user has an enrollment in the course that is neither completed nor unenrolled; also the second of two equal "
    "items of a call",
)

DAYS = number(0, 3650, "number of days from 0 to 3650", example=30)

USER = record(
    "User",
    optional("Email", "email", help="in upper or lower case"),
    optional("EmployeeID", "employee_id", help="exactly as it is stored"),
    choices=(Choice(("Email", "EmployeeID")),),
)
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
    Element("LearningModuleID", "course_id", REFERENCE, as_sent="course", help="the number of an active course"),
    optional("LearningModuleSessionID", "session_id", REFERENCE, help="the number of a session of that course"),
    optional("EnrollmentTag", "tag", help="any text; kept with the enrollment"),
    DUE_DATES,
    field="items",
    most=MAX_ITEMS,
    is_item=True,
)
ENROLLED = record(
    "Enrollment",
    Element("User", "user", help="the e-mail address or employee id, as sent"),
    Element("LearningModuleID", "course", help="as it was sent"),
    Element(IDENTIFIER, "id", NUMBER, help="the number of the new enrollment, which unenrollLearningModules takes"),
    field="items",
    most=MAX_ITEMS,
    attributes=(BLOCK,),
)
GIVES = info(record("Enrollments", ENROLLED, least=0, help="missing if no one was enrolled"))


def enroll(call: MethodCall) -> MethodResult:
    """Enroll what can be enrolled, and return an error for every other item."""
    now, items = utc_now(), call.values["items"]
    asked = [_ask(item, now.date()) for item in items]
    found = store.enroll.find_asked(call.connection, call.caller, asked)
    mistakes = [
        _find_mistake(what, of_item, call.wrong.get(block))
        for block, (what, of_item) in enumerate(zip(asked, found, strict=True), 1)
    ]
    complete = [(asked[i], found[i]) for i, mistake in enumerate(mistakes) if mistake is None]
    refused = len(items) - len(complete)
    ids = actions.enroll(call.connection, call.by, call.caller.account_id, complete, refused=refused, now=now)
    enrolled, errors = [], []
    for block, (item, of_item, mistake) in enumerate(zip(items, found, mistakes, strict=True), 1):
        # Removed from the mapping: the second of two equal items is IS_ENROLLED.
        id_ = None if mistake else ids.pop((of_item.user_id, of_item.course_id), None)
        if id_ is None:
            errors.append(ErrorEntry.of_item(mistake or IS_ENROLLED, block))
        else:
            user = item.get("email") or item["employee_id"]
            enrolled.append({"block": block, "user": user, "course": item["course"], "id": id_})
    return MethodResult({"items": enrolled}, errors)


def _find_mistake(asked: "store.enroll.Asked", found: "store.enroll.Found", wrong: WireCode | None) -> WireCode | None:
    """Find the first error of an item.

    The group is checked first, so that a group manager learns nothing about other groups' members.
    """
    checks = (
        (found.named_group_id is None, UNKNOWN_GROUP),
        (found.allowed_group_id is None, FORBIDDEN),
        (found.user_id is None, UNKNOWN_USER),
        (found.group_id is None, NO_MEMBER),
        (found.course_id is None, UNKNOWN_COURSE),
        (found.session_id is None and asked.session_id is not None, UNKNOWN_SESSION),
    )
    return next((code for is_wrong, code in checks if is_wrong), wrong)


def _ask(item: Values, today: date) -> "store.enroll.Asked":
    return store.enroll.Asked(
        email=item.get("email"),
        employee_id=item.get("employee_id"),
        group_name=item["group_name"],
        course_id=item["course_id"],
        session_id=item.get("session_id"),
        tag=item.get("tag"),
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
    takes=parameters(record("LearningModuleEnrollment", ITEM)),
    gives=GIVES,
    codes=(
        *(FORBIDDEN, UNKNOWN_USER, UNKNOWN_GROUP, NO_MEMBER, UNKNOWN_COURSE, UNKNOWN_SESSION, WRONG_DATE),
        IS_ENROLLED,
    ),
    forbidden=FORBIDDEN,
    allowed=GROUP_MANAGERS,
    changes=True,
    run=enroll,
)
