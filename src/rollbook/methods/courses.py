"""What the methods about courses have in common: how a course is listed, and how a call names one."""

from rollbook import store
from rollbook.errors import CallError, WireCode
from rollbook.methods.method import MethodCall
from rollbook.wire.identifiers import NUMBER, REFERENCE
from rollbook.wire.messages import Element
from rollbook.wire.values import word_for

COURSE_ID = Element("LearningModuleID", "course_id", REFERENCE, help="the number of a course")
# What is told of a course in a list.
LISTED_COURSE = (
    Element("LearningModuleID", "id", NUMBER),
    Element("Name", "name"),
    Element(
        "Type",
        "has_sessions",
        word_for({"Online": False, "Instructor-Led": True}),
        help="a course with sessions is `Instructor-Led`",
    ),
    Element("Status", "status", help="`Active`, `Inactive` or `Archived`"),
)


def find_course(call: MethodCall, unknown: WireCode) -> int:
    """The number of the course that a call names; errors: the code for one that the account has not."""
    course_id: int = call.values["course_id"]
    if not store.courses.has_course(call.connection, call.caller.account_id, course_id):
        raise CallError(unknown, "the account has no such course")
    return course_id
