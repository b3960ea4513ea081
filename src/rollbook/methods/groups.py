"""What the methods about groups have in common: how a call names a group, and how it chooses groups by tags."""

from typing import TYPE_CHECKING, Any

from rollbook import store
from rollbook.errors import CallError, WireCode
from rollbook.methods.method import MethodCall
from rollbook.wire.messages import Choice, Element, Kind, Values, optional, record
from rollbook.wire.values import REFERENCE

if TYPE_CHECKING:
    from rollbook.store.people.group_search import Row, TagFilter

# Of tags in a filter and of values of a tag; ours, because a query cannot grow without end.
MAX_TAGS = 100


def _read_texts(text: str) -> list[str]:
    found = [each for part in text.split(",") if (each := part.strip())]
    if not 1 <= len(found) <= MAX_TAGS:
        raise ValueError("no text at all, or too many")
    return found


TEXT_LIST = Kind(f"1 to {MAX_TAGS} texts, separated by commas", "text", _read_texts, ",".join)

# A record that names a group has these, and the choice between them.
NAMING = (
    optional("Name", "name", help="exactly the name; of several groups the oldest active one"),
    optional("GroupID", "group_id", help="exactly as it is shown"),
)
ONE_NAME = (Choice(("Name", "GroupID"), filled=True),)
GROUP = record("Group", *NAMING, choices=ONE_NAME)


def find_group(call: MethodCall, unknown: WireCode) -> "Row":
    """Find the group that a call names; errors: the code for an unknown one."""
    name, group_id = (call.values.get(field) or None for field in ("name", "group_id"))
    group = store.group_search.find_group(call.connection, call.caller.account_id, name=name, group_id=group_id)
    if group is None:
        raise CallError(unknown, "the account has no such group")
    return group


def tag_filter(name: str, field: str, **more: Any) -> Element:
    """A filter by a tag of groups."""
    return record(
        name,
        optional("TagID", "tag_id", REFERENCE, help="groups that bear the tag with this number"),
        optional("TagName", "tag_name", help="groups that bear the tag with exactly this name"),
        optional("TagValues", "tag_values", TEXT_LIST, help="and one of these values of it, exactly"),
        field=field,
        least=0,
        most=MAX_TAGS,
        choices=(Choice(("TagID", "TagName"), filled=True),),
        help="of several, groups that bear all",
        **more,
    )


def read_tags(tags: list[Values]) -> "list[TagFilter]":
    """Read the filters by tags."""
    return [
        store.group_search.TagFilter(tag.get("tag_id"), tag.get("tag_name"), tag.get("tag_values") or ())
        for tag in tags
    ]
