"""What the methods that enroll share: their codes, the learner, group and course of an item, and the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from rollbook import actions, store
from rollbook.errors import WireCode
from rollbook.methods.method import MethodCall, MethodResult
from rollbook.model import EnrollmentStatus, utc_now
from rollbook.wire.answer import BLOCK, ErrorEntry
from rollbook.wire.identifiers import IDENTIFIER, NUMBER, REFERENCE, read_identifier
from rollbook.wire.messages import Choice, Element, Values, info, optional, record
from rollbook.wire.values import MAX_ITEMS, short_text

USER = record(
    "User",
    optional("Email", "email", help="in upper or lower case"),
    optional("EmployeeID", "employee_id", help="exactly as it is stored"),
    choices=(Choice(("Email", "EmployeeID")),),
)
GROUP = record(
    "Group",
    optional("GroupName", "group_name", help="the exact name of an active group, as for enrollLearningModules"),
    optional("GroupID", "group_identifier", help="the GroupID of an active group"),
    choices=(Choice(("GroupName", "GroupID"), filled=True),),
)
COURSE = Element("LearningModuleID", "course_id", REFERENCE, as_sent="course", help="the number of an active course")
ENROLLED = record(
    "Enrollment",
    Element("User", "user", help="the e-mail address or employee id, as sent"),
    Element("LearningModuleID", "course", help="as it was sent"),
    Element(IDENTIFIER, "id", NUMBER, help="the number of the new enrollment, which unenrollLearningModules takes"),
    field="items",
    most=MAX_ITEMS,
    attributes=(BLOCK,),
)
MAX_GRADE = 40
GRADE = short_text(MAX_GRADE)
GIVES = info(record("Enrollments", ENROLLED, least=0, help="missing if no one was enrolled"))


@dataclass(frozen=True)
class EnrollCodes:
    """The codes of a method that enrolls, in the order in which an item is checked, but for the caller's groups."""

    forbidden: WireCode
    unknown_user: WireCode
    unknown_group: WireCode
    no_member: WireCode
    unknown_course: WireCode
    unknown_session: WireCode
    wrong_date: WireCode
    other_group: WireCode
    is_enrolled: WireCode

    @classmethod
    def of(cls, initials: str, method: str, group: str, date: str, **more: WireCode) -> Self:
        """Make the codes of one method: `group` names its element, `date` begins what is said of its dates."""

        def code(number: str, text: str, when: str) -> WireCode:
            return _code(initials, number, text, when)

        return cls(
            WireCode(
                f"{initials}:01",
                f"The required permissions are not met to call the {method} method.",
                "the caller may not enroll for this group. Without `block`: the caller is a learner without a "
                "permission for any group; the rest of the call is not read",
            ),
            code("02", "User provided is not valid", "no active user of this account"),
            code("03", f"{group} provided is not valid", "no active group of this account"),
            code("04", "User provided is not in the group", "the user is not a member of the group"),
            code("05", "LearningModuleID provided is not valid", "not the number of an active course of this account"),
            code("06", "LearningModuleSessionID provided is not valid", "not the number of a session of this course"),
            code(
                "07",
                f"{date} not valid",
                "a date that does not exist or has another format, or not a number of days from 0 to 3650",
            ),
            code(
                "08",
                "LearningModuleID provided is not one of the group",
                "the course is in groups, and none of them is this one (D30); a course in no group can be enrolled "
                "through any",
            ),
            code(
                "19",
                "user is already enrolled",
                "the user has an enrollment in the course that is neither completed "
                "nor unenrolled, and the new one would be open; also the second of two equal items of a call",
            ),
            **more,
        )

    def all(self) -> tuple[WireCode, ...]:
        """The codes by their numbers."""
        return tuple(sorted(vars(self).values(), key=lambda code: code.code))


@dataclass(frozen=True)
class HistoryCodes(EnrollCodes):
    """The codes of a method that adds enrollments as they were."""

    wrong_status: WireCode
    wrong_grade: WireCode

    @classmethod
    def of(cls, initials: str, method: str, group: str, date: str, **more: WireCode) -> Self:
        """Make the codes of one method."""
        status = _code(initials, "09", "EnrollmentStatus provided is not valid", "no status of an enrollment")
        grade = _code(initials, "10", "Grade provided is not valid", f"more than {MAX_GRADE} characters")
        return super().of(initials, method, group, date, wrong_status=status, wrong_grade=grade, **more)


def _code(initials: str, number: str, text: str, when: str) -> WireCode:
    return WireCode(f"{initials}:{number}", f"Enrollment {{block}} - The {text}.", when)


def enroll_items(call: MethodCall, codes: EnrollCodes, asked: "Sequence[store.enroll.Asked]") -> MethodResult:
    """Enroll what can be enrolled, and return an error for every other item."""
    items, found = call.values["items"], store.enroll.find_asked(call.connection, call.caller, asked)
    mistakes = [
        _find_mistake(codes, what, of_item, call.wrong.get(block))
        for block, (what, of_item) in enumerate(zip(asked, found, strict=True), 1)
    ]
    complete = [(asked[i], found[i]) for i, mistake in enumerate(mistakes) if mistake is None]
    refused, now = len(items) - len(complete), utc_now()
    added = actions.enroll(call.connection, call.by, call.caller.account_id, complete, refused=refused, now=now)
    enrolled, errors = [], []
    for block, (item, what, of_item, mistake) in enumerate(zip(items, asked, found, mistakes, strict=True), 1):
        ids = added[of_item.user_id, of_item.course_id, what.status is EnrollmentStatus.COMPLETED]
        if mistake or not ids:
            errors.append(ErrorEntry.of_item(mistake or codes.is_enrolled, block))
        else:
            user = item.get("email") or item["employee_id"]
            # Of two equal items the second finds none left.
            enrolled.append({"block": block, "user": user, "course": item["course"], "id": ids.popleft()})
    return MethodResult({"items": enrolled}, errors)


def ask(item: Values, *kept: str, **more: Any) -> "store.enroll.Asked":
    """Ask for the enrollment of an item, with the values of it that are `kept` and with `more` of them."""
    identifier = item.get("group_identifier")
    learner = {name: item.get(name) for name in ("email", "employee_id", "group_name", "course_id", "session_id")}
    group = {"group_identifier": identifier, "group_number": read_identifier(identifier) if identifier else None}
    given: dict[str, Any] = {name: item[name] for name in kept if item.get(name) is not None}
    return store.enroll.Asked(**learner, **group, **given, **more)  # type: ignore[arg-type]


def _find_mistake(
    codes: EnrollCodes, asked: "store.enroll.Asked", found: "store.enroll.Found", wrong: WireCode | None
) -> WireCode | None:
    """Find the first error of an item.

    The group is checked first, so that a group manager learns nothing about other groups' members.
    """
    checks = (
        (found.named_group_id is None, codes.unknown_group),
        (found.allowed_group_id is None, codes.forbidden),
        (found.user_id is None, codes.unknown_user),
        (found.member_group_id is None, codes.no_member),
        (found.course_id is None, codes.unknown_course),
        (found.group_id is None, codes.other_group),
        (found.session_id is None and asked.session_id is not None, codes.unknown_session),
    )
    return next((code for is_wrong, code in checks if is_wrong), wrong)
