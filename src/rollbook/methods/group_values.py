"""What createGroup and updateGroup take: values of a group, its members and courses, and the codes for wrong ones."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rollbook import actions, store
from rollbook.errors import CallError, WireCode
from rollbook.methods.groups import MAX_TAGS, TEXT_LIST
from rollbook.methods.method import USER_MANAGERS, MethodCall
from rollbook.methods.user_values import LINE, SHORT
from rollbook.methods.users import EMAIL, EMPLOYEE_ID, STATUS
from rollbook.model import Permission
from rollbook.wire.identifiers import REFERENCE
from rollbook.wire.messages import ANY_NUMBER, ANYTHING, Choice, Element, Values, optional, record
from rollbook.wire.values import BOOLEAN, number, one_of, short_text

if TYPE_CHECKING:
    from rollbook.store.people.memberships import Membership

MAX_LONG_TEXT, MAX_LIMIT = 10_000, 2**31 - 1
LONG = short_text(MAX_LONG_TEXT)
ADDS, GRANTS = "Add", "Grant"
COLUMNS = ("name", "active", "description", "home_group_message")
# Kept as it came, by the names of the elements; nothing else is done with it.
KEPT = (
    optional("UserHelpOverrideDefault", "UserHelpOverrideDefault", BOOLEAN),
    optional("UserHelpEnabled", "UserHelpEnabled", BOOLEAN),
    optional("UserHelpEmail", "UserHelpEmail", SHORT),
    optional("UserHelpText", "UserHelpText", LONG),
    optional("SubscriptionVariants", "SubscriptionVariants", ANYTHING),
    optional("DashboardSetID", "DashboardSetID", SHORT),
)


class GroupCodes(NamedTuple):
    """The codes for wrong values; each method has its own numbers."""

    name_missing: WireCode
    name_taken: WireCode
    group_id_taken: WireCode
    unknown_user: WireCode
    unknown_course: WireCode
    limit_reached: WireCode
    unknown_tag: WireCode
    wrong_limit: WireCode


_MESSAGES = (
    ("The Name of the group is missing.", "missing or empty"),
    (
        "The Name provided is already in use.",
        "another active group of the account has it (D29)",
    ),
    ("The GroupID provided is already in use.", "another group has it, as its text or as its number"),
    (
        "User {block} - The User provided does not exist.",
        "no user of this account; for a learner also a user in none of the groups where the learner manages users",
    ),
    ("LearningModule {block} - The ID provided is not valid.", "no course of this account"),
    ("The UserLimit of the group is reached.", "the group would have more members than its limit"),
    ("Tag2 {block} - The TagID provided does not exist.", "no group of the account has a tag with this number"),
    ("The UserLimit provided is not valid.", "an Amount that is not a number, or Enabled without an Amount"),
)


def group_codes(prefix: str, *numbers: int) -> GroupCodes:
    """Return the codes of a method with its numbers."""
    listed = zip(numbers, _MESSAGES, strict=True)
    return GroupCodes(*(WireCode(f"{prefix}:{number:02}", message, when) for number, (message, when) in listed))


def _action(name: str, is_update: bool) -> tuple[Element, ...]:
    return (Element(name, "action", one_of(ADDS, "Remove", any_case=True)),) if is_update else ()


def _members(is_update: bool) -> Element:
    grant = (optional("Action", "action", one_of(GRANTS, "Deny", any_case=True), help="`Grant` unless given"),)
    permission = record(
        "Permission",
        *(grant if is_update else ()),
        Element("Code", "code", one_of(*Permission, any_case=True)),
        field="permissions",
        least=0,
        most=2 * len(Permission),
    )
    return record(
        "User",
        EMAIL,
        EMPLOYEE_ID,
        *_action("UserAction", is_update),
        optional("HomeGroup", "is_home", BOOLEAN, help="whether it is the home group of the user"),
        record("Permissions", permission, least=0),
        field="users",
        least=0,
        most=ANY_NUMBER,
        choices=(Choice(("Email", "EmployeeID"), filled=True),),
    )


def _courses(is_update: bool) -> Element:
    return record(
        "LearningModule",
        Element("ID", "id", REFERENCE, help="the number of a course"),
        *_action("LearningModuleAction", is_update),
        optional("AllowSelfEnroll", "allow_self_enroll", BOOLEAN, help="stored, without an effect"),
        optional("AutoEnroll", "auto_enroll", BOOLEAN, help="whether new members are enrolled in the course"),
        field="courses",
        least=0,
        most=ANY_NUMBER,
    )


def values_of_group(codes: GroupCodes, *, is_update: bool) -> tuple[Element, ...]:
    """The elements of a group; all are optional in an update."""
    least = 0 if is_update else 1
    tag = record(
        "Tag2",
        optional("TagID", "tag_id", REFERENCE, help="the number of a tag of any group"),
        optional("TagName", "tag_name", LINE, help="the name of a known or new tag"),
        optional("TagValues", "tag_values", TEXT_LIST),
        field="tags",
        least=0,
        most=MAX_TAGS,
        choices=(Choice(("TagID", "TagName"), filled=True),),
    )
    limit = record(
        "UserLimit",
        Element("Enabled", "enabled", BOOLEAN),
        optional(
            "Amount",
            "amount",
            number(0, MAX_LIMIT),
            wrong=codes.wrong_limit,
            help="the largest number of members, inactive ones included",
        ),
        field="user_limit",
        least=0,
    )
    emails = optional("NotificationEmail", "emails", SHORT, most=MAX_TAGS, help="empty ones are ignored")
    return (
        optional("Name", "name", LINE, empty=codes.name_missing),
        optional("GroupID", "group_id", LINE, help="if empty, the number of the group"),
        Element("Status", "active", STATUS, least=least),
        Element("Description", "description", LONG, least=least),
        Element("HomeGroupMessage", "home_group_message", LONG, least=least),
        record("NotificationEmails", emails, field="notifications", least=least),
        *KEPT[:4],
        record("Tags2", tag, field="tags2", least=0, help="all tags of the group"),
        limit,
        record("Users", _members(is_update), least=least),
        record("LearningModules", _courses(is_update), least=least),
        *KEPT[4:],
    )


def read_changes(
    call: MethodCall, values: Values, codes: GroupCodes, held: "store.group_search.Row | None" = None
) -> actions.GroupChanges:
    """Find the records that the values name, and check them in the order of the codes; `held` is the changed group."""
    connection, account_id, but = call.connection, call.caller.account_id, held.id if held else None
    columns = _columns(values)
    before = (held.name, held.active) if held else ("", False)
    name, active = columns.get("name", before[0]), columns.get("active", before[1])
    if active and (name, active) != before and store.group_changes.is_name_taken(connection, account_id, name, but):
        raise CallError(codes.name_taken)
    group_id = columns.get("identifier")
    if group_id and store.group_changes.is_identifier_taken(connection, account_id, group_id, but):
        raise CallError(codes.group_id_taken)
    joining, leaving = _read_users(call, values.get("users", ()), codes)
    courses, removed = _read_courses(call, values.get("courses", ()), codes)
    tags = _read_tags(call, values, codes)
    limit = values.get("user_limit")
    if limit and limit["enabled"] and limit.get("amount") is None:
        raise CallError(codes.wrong_limit)
    return actions.GroupChanges(
        columns,
        {element.name: values[element.name] for element in KEPT if element.name in values},
        tags,
        joining,
        leaving,
        courses,
        removed,
    )


def _columns(values: Values) -> dict[str, Any]:
    """Return the named columns; an empty text becomes None."""
    columns = {name: values[name] if name == "active" else values[name] or None for name in COLUMNS if name in values}
    if "group_id" in values:
        columns["identifier"] = values["group_id"] or None
    if "notifications" in values:
        columns["notification_emails"] = [*filter(None, values["notifications"].get("emails", ()))]
    if limit := values.get("user_limit"):
        columns["user_limit"] = limit.get("amount") if limit["enabled"] else None
    return columns


def _read_users(call: MethodCall, listed: Sequence[Values], codes: GroupCodes) -> "tuple[list[Membership], set[int]]":
    """Return the users that join and those that leave; the last entry for a user decides."""
    ids = store.group_changes.find_user_ids(call.connection, call.caller.account_id, listed)
    if not call.caller.administers:
        known = [id_ for id_ in ids if id_ is not None]
        reached = store.permissions.find_reachable(call.connection, call.caller, known, USER_MANAGERS.permissions)
        ids = [id_ if id_ in reached else None for id_ in ids]
    joining: dict[int, list[Membership]] = {}
    leaving: set[int] = set()
    for block, (id_, each) in enumerate(zip(ids, listed, strict=True), 1):
        if id_ is None:
            raise CallError(codes.unknown_user, block=block)
        if each.get("action", ADDS) == ADDS:
            permissions = {one["code"]: (one.get("action") or GRANTS) == GRANTS for one in each.get("permissions", ())}
            wanted = store.memberships.Membership(0, id_, permissions, each.get("is_home"))
            joining.setdefault(id_, []).append(wanted)
            leaving.discard(id_)
        else:
            joining.pop(id_, None)
            leaving.add(id_)
    return [one for wanted in joining.values() for one in wanted], leaving


def _read_courses(
    call: MethodCall, listed: Sequence[Values], codes: GroupCodes
) -> tuple[dict[int, Mapping[str, bool | None]], set[int]]:
    """Return the added courses with their flags, and the removed ones; the last entry for a course decides."""
    ids = {each["id"] for each in listed}
    known = store.group_changes.find_course_ids(call.connection, call.caller.account_id, ids) if ids else set()
    added: dict[int, Mapping[str, bool | None]] = {}
    removed: set[int] = set()
    for block, each in enumerate(listed, 1):
        id_ = each["id"]
        if id_ not in known:
            raise CallError(codes.unknown_course, block=block)
        if each.get("action", ADDS) == ADDS:
            added[id_] = {name: each.get(name) for name in ("allow_self_enroll", "auto_enroll")}
            removed.discard(id_)
        else:
            added.pop(id_, None)
            removed.add(id_)
    return added, removed


def _read_tags(call: MethodCall, values: Values, codes: GroupCodes) -> "list[store.group_changes.Tag] | None":
    if "tags2" not in values:
        return None
    listed = values["tags2"].get("tags", ())
    wanted = [(each.get("tag_id"), each.get("tag_name"), each.get("tag_values") or ()) for each in listed]
    tags = store.group_changes.find_tags(call.connection, call.caller.account_id, wanted)
    if isinstance(tags, int):
        raise CallError(codes.unknown_tag, block=tags)
    return tags
