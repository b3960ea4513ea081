"""What the methods about groups share: naming a group, and the filter by tags."""

from typing import TYPE_CHECKING, Any

from rollbook import store
from rollbook.errors import CallError, WireCode
from rollbook.methods.method import MethodCall
from rollbook.wire.identifiers import REFERENCE
from rollbook.wire.messages import Choice, Element, Kind, Values, optional, record

if TYPE_CHECKING:
    from rollbook.store.people.group_search import Row, TagFilter

# The most tags of a filter and values of a tag; ours, because a query has a maximum size.
MAX_TAGS = 100


def _read_texts(text: str) -> list[str]:
    found = [each for part in text.split(",") if (each := part.strip())]
    if not 1 <= len(found) <= MAX_TAGS:
        raise ValueError("no text at all, or too many")
    return found


TEXT_LIST = Kind(f"1 to {MAX_TAGS} texts, separated by commas", "text", _read_texts, ",".join)

# The children of a record that names a group, and the choice between them.
NAMING = (
    optional("Name", "name", help="the exact name; of several groups the oldest active one"),
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
        optional("TagID", "tag_id", REFERENCE, help="groups that have the tag with this number"),
        optional("TagName", "tag_name", help="groups that have the tag with this exact name"),
        optional("TagValues", "tag_values", TEXT_LIST, help="one of these exact values of the tag"),
        field=field,
        least=0,
        most=MAX_TAGS,
        choices=(Choice(("TagID", "TagName"), filled=True),),
        help="with several, groups that have all",
        **more,
    )


def read_tags(tags: list[Values]) -> "list[TagFilter]":
    """Read the filters by tags."""
    return [
        store.group_search.TagFilter(tag.get("tag_id"), tag.get("tag_name"), tag.get("tag_values") or ())
        for tag in tags
    ]
