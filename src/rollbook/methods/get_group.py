"""getGroup: what is kept of one group (protocol-neighbours §11)."""

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.groups import GROUP, find_group
from rollbook.methods.method import GROUP_EDITORS, Method, MethodCall, MethodResult
from rollbook.methods.users import STATUS
from rollbook.wire.identifiers import NUMBER
from rollbook.wire.messages import ANY_NUMBER, Element, info, optional, parameters, record
from rollbook.wire.values import COUNT, TIME

FORBIDDEN = WireCode("GG:01", "The required permissions are not met to call the getGroup method.")
UNKNOWN_GROUP = WireCode("GG:03", "The group provided does not exist.", "no group of this account, active or not")

TAG = record(
    "Tag2",
    Element("TagID", "tag_id", NUMBER, help="the same for a tag of the same name on other groups"),
    Element("TagName", "name"),
    Element("TagValues", "tag_values", help="separated by commas"),
    field="tags",
    least=0,
    most=ANY_NUMBER,
)
GIVES = info(
    record(
        "Group",
        Element("Name", "name"),
        Element("GroupID", "group_id", help="the account's own text; of a group without one its number. D24 [ours]"),
        Element("CreatedDate", "created_at", TIME),
        Element("ModifiedDate", "modified_at", TIME),
        Element("Description", "description"),
        Element("HomeGroupMessage", "home_group_message"),
        record("NotificationEmails", optional("NotificationEmail", "notification_emails", most=ANY_NUMBER)),
        Element("UserCount", "user_count", COUNT, help="how many members it has, active or not"),
        Element("LearningModuleCount", "course_count", COUNT, help="how many courses it has"),
        record("Tags2", TAG),
        Element("Status", "active", STATUS),
    )
)


def get_group(call: MethodCall) -> MethodResult:
    """Give the group."""
    return MethodResult(store.group_search.describe_group(call.connection, find_group(call, UNKNOWN_GROUP)))


GET_GROUP = Method(
    "getGroup",
    help="Gives what is kept of one group.",
    takes=parameters(GROUP),
    gives=GIVES,
    codes=(FORBIDDEN, UNKNOWN_GROUP),
    forbidden=FORBIDDEN,
    allowed=GROUP_EDITORS,
    changes=False,
    run=get_group,
)
