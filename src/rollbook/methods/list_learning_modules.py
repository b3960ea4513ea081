"""listLearningModules: the courses of the account that filters choose (protocol-neighbours §12)."""

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.courses import LISTED_COURSE
from rollbook.methods.method import GROUP_MANAGERS, Method, MethodCall, MethodResult
from rollbook.wire.matching import match, matching
from rollbook.wire.messages import Element, info, optional, parameters, record
from rollbook.wire.paging import MAX_SIZE, PAGING, Pagination
from rollbook.wire.values import COUNT, one_of

FORBIDDEN = WireCode("LLM:01", "The required permissions are not met to call the listLearningModules method.")

STATUS = one_of("Active", "Inactive", "Archived", any_case=True)
FILTERS = record(
    "Filters",
    matching("Name", "name"),
    optional("Status", "status", STATUS, help="any, unless given"),
    least=0,
)
LISTED = record("LearningModule", *LISTED_COURSE, field="courses", least=0, most=MAX_SIZE, help="by their numbers")
TOTAL = Element("TotalRecords", "total", COUNT, help="how many there are on all pages")


def list_courses(call: MethodCall) -> MethodResult:
    """Give one page of the courses that agree with all filters."""
    values, page = call.values, Pagination.of(call.values)
    matches = match(values["name"]) if "name" in values else None
    status = values.get("status")
    found = store.courses.list_courses(call.connection, call.caller.account_id, matches=matches, status=status)
    return MethodResult({"courses": found[page.offset : page.offset + page.size], "total": len(found)})


LIST_LEARNING_MODULES = Method(
    "listLearningModules",
    help="Gives the courses of the account that filters choose.",
    takes=parameters(record("LearningModule", *PAGING, FILTERS)),
    gives=info(record("LearningModules", LISTED), TOTAL),
    codes=(FORBIDDEN,),
    forbidden=FORBIDDEN,
    allowed=GROUP_MANAGERS,
    changes=False,
    run=list_courses,
)
