"""listGroups: the names and GroupIDs of the groups that filters choose (protocol-neighbours §11)."""

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.groups import read_tags, tag_filter
from rollbook.methods.list_users import STATUSES
from rollbook.methods.method import GROUP_EDITORS, Method, MethodCall, MethodResult
from rollbook.wire.matching import match, matching
from rollbook.wire.messages import ANY_NUMBER, Element, info, optional, parameters, record

FORBIDDEN = WireCode("LG:01", "The required permissions are not met to call the listGroups method.")

FILTERS = record(
    "Filters",
    matching("GroupName", "name"),
    optional("GroupStatus", "active", STATUSES, help="`All` unless given"),
    record("Tags2", tag_filter("Tag2", "tags"), least=0),
    least=0,
)
GROUP = record(
    "Group",
    Element("Name", "name"),
    Element("GroupID", "group_id"),
    field="groups",
    least=0,
    most=ANY_NUMBER,
    help="in the order in which they were added",
)


def list_groups(call: MethodCall) -> MethodResult:
    """Give the groups that agree with all filters."""
    values = call.values
    groups = store.group_search.list_groups(
        call.connection,
        call.caller.account_id,
        matches=match(values["name"]) if "name" in values else None,
        active=values.get("active"),
        tags=read_tags(values.get("tags", [])),
    )
    return MethodResult({"groups": groups})


LIST_GROUPS = Method(
    "listGroups",
    help="Gives the names and GroupIDs of the groups that filters choose.",
    takes=parameters(record("Group", FILTERS)),
    gives=info(record("Groups", GROUP)),
    codes=(FORBIDDEN,),
    forbidden=FORBIDDEN,
    allowed=GROUP_EDITORS,
    changes=False,
    run=list_groups,
)
