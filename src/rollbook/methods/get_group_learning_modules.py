"""getGroupLearningModules: the courses of a group (protocol-neighbours §11)."""

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.courses import LISTED_COURSE
from rollbook.methods.groups import GROUP, find_group
from rollbook.methods.method import GROUP_EDITORS, Method, MethodCall, MethodResult
from rollbook.wire.messages import ANY_NUMBER, info, parameters, record

FORBIDDEN = WireCode("GGLM:01", "The required permissions are not met to call the getGroupLearningModules method.")
UNKNOWN_GROUP = WireCode("GGLM:03", "The group provided does not exist.", "no group of this account, active or not")

LISTED = record("LearningModule", *LISTED_COURSE, field="courses", least=0, most=ANY_NUMBER, help="by their numbers")


def get_courses(call: MethodCall) -> MethodResult:
    """Give the courses of the group, whatever their status."""
    return MethodResult(
        {"courses": store.group_search.list_group_courses(call.connection, find_group(call, UNKNOWN_GROUP))}
    )


GET_GROUP_LEARNING_MODULES = Method(
    "getGroupLearningModules",
    help="Gives the courses of a group.",
    takes=parameters(GROUP),
    gives=info(record("LearningModules", LISTED)),
    codes=(FORBIDDEN, UNKNOWN_GROUP),
    forbidden=FORBIDDEN,
    allowed=GROUP_EDITORS,
    changes=False,
    run=get_courses,
)
