"""Writes pages of groups, their courses and their members into the account that copies them.

On the wire a group has only its GroupID. A number is kept as the id of the group when it is free; any other text, and a
number that another account has, is kept as the group's own GroupID (D24). A group without one is found by its name.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rollbook.store.database.execute import execute, execute_count
from rollbook.store.mirror.records import Counts, Row, mark, refuse_taken
from rollbook.store.mirror.state import Mirror

# The group of an item with group_key, group_number (if the key is a number) and group_name.
GROUP = """COALESCE(
    (SELECT g.id FROM groups AS g WHERE g.account_id = (SELECT :account_id) AND g.identifier = item ->> 'group_key'),
    (SELECT g.id FROM groups AS g WHERE g.id = CAST(item ->> 'group_number' AS BIGINT)
       AND g.{unindexed_account_id} = :account_id AND g.identifier IS NULL),
    (SELECT MIN(g.id) FROM groups AS g WHERE item ->> 'group_key' IS NULL AND g.account_id = (SELECT :account_id)
       AND g.identifier IS NULL AND g.name = item ->> 'group_name'))"""
_FIND = f"SELECT block, {GROUP} FROM {{rows}} AS r ORDER BY block"
_VALUES = """item ->> 'group_name', COALESCE(CAST(item ->> 'active' AS BOOLEAN), true),
           item ->> 'description', item ->> 'home_group_message', item ->> 'notification_emails',
           COALESCE(CAST(item ->> 'created_at' AS {time_type}), :now_at),
           COALESCE(CAST(item ->> 'modified_at' AS {time_type}), :now_at)"""
_COLUMNS = "name, active, description, home_group_message, notification_emails, created_at, modified_at"
_ADD_NUMBERED = f"""
    INSERT INTO groups (id, account_id, {_COLUMNS})
    SELECT CAST(item ->> 'group_number' AS BIGINT), :account_id, {_VALUES} FROM {{rows}} AS r
    WHERE item ->> 'group_number' IS NOT NULL AND {GROUP} IS NULL
      AND NOT EXISTS (SELECT 1 FROM groups AS k WHERE k.id = CAST(item ->> 'group_number' AS BIGINT))
"""
_ADD = f"""
    INSERT INTO groups (account_id, identifier, {_COLUMNS})
    SELECT :account_id, item ->> 'group_key', {_VALUES} FROM {{rows}} AS r WHERE {GROUP} IS NULL
"""
# A report tells only the name.
_UPDATE = """
    UPDATE groups SET name = n.name, active = COALESCE(n.active, groups.active),
        description = CASE WHEN n.active IS NULL THEN groups.description ELSE n.description END,
        home_group_message = CASE WHEN n.active IS NULL THEN groups.home_group_message ELSE n.home_group_message END,
        notification_emails = CASE WHEN n.active IS NULL THEN groups.notification_emails
                                   ELSE n.notification_emails END,
        created_at = COALESCE(n.created_at, groups.created_at),
        modified_at = COALESCE(n.modified_at, groups.modified_at)
    FROM (SELECT CAST(item ->> 'id' AS BIGINT) AS id, item ->> 'group_name' AS name,
                 CAST(item ->> 'active' AS BOOLEAN) AS active, item ->> 'description' AS description,
                 item ->> 'home_group_message' AS home_group_message,
                 item ->> 'notification_emails' AS notification_emails,
                 CAST(item ->> 'created_at' AS {time_type}) AS created_at,
                 CAST(item ->> 'modified_at' AS {time_type}) AS modified_at
          FROM {rows} AS r) AS n
    WHERE groups.id = n.id AND (groups.name <> n.name OR (n.active IS NOT NULL AND
        (groups.active, groups.description, groups.home_group_message, groups.notification_emails, groups.modified_at)
        IS DISTINCT FROM (n.active, n.description, n.home_group_message, n.notification_emails, n.modified_at)))
"""
_CLEAR_TAGS = "DELETE FROM group_tags WHERE group_id {in_ids}"
_SET_TAGS = """
    INSERT INTO group_tags (account_id, group_id, name, tag_id, tag_values)
    SELECT :account_id, CAST(item ->> 'group_id' AS BIGINT), item ->> 'name', CAST(item ->> 'tag_id' AS BIGINT),
           item ->> 'tag_values'
    FROM {rows} AS r
"""
_DROP_COURSES = """
    DELETE FROM group_courses WHERE group_id {in_ids} AND NOT EXISTS (
        SELECT 1 FROM {rows} AS r WHERE CAST(item ->> 'group_id' AS BIGINT) = group_id
          AND CAST(item ->> 'course_id' AS BIGINT) = course_id)
"""
_ADD_COURSES = """
    INSERT INTO group_courses (account_id, group_id, course_id, allow_self_enroll, auto_enroll)
    SELECT :account_id, CAST(item ->> 'group_id' AS BIGINT), CAST(item ->> 'course_id' AS BIGINT), false, false
    FROM {rows} AS r
    WHERE EXISTS (SELECT 1 FROM courses AS c WHERE c.id = CAST(item ->> 'course_id' AS BIGINT)
                    AND c.{unindexed_account_id} = :account_id)
    ON CONFLICT DO NOTHING
"""
# Only copies leave: members of the copy's own stay.
_LEAVE = """
    DELETE FROM memberships WHERE group_id = :group_id AND NOT user_id {in_ids} AND EXISTS (
        SELECT 1 FROM mirrored AS m WHERE m.account_id = :account_id AND m.kind = 'user' AND m.id = user_id)
"""
_JOIN = """
    INSERT INTO memberships (account_id, group_id, user_id, group_manager, manage_group_users)
    SELECT :account_id, :group_id, u.id, false, false FROM {ids} AS r JOIN users AS u ON u.id = r.id
    WHERE u.{unindexed_account_id} = :account_id AND u.erased_at IS NULL
    ON CONFLICT DO NOTHING
"""
_LEAVE_HOME = """
    UPDATE memberships SET is_home = false
    WHERE is_home AND ((group_id = :group_id AND NOT user_id {in_ids}) OR (group_id <> :group_id AND user_id {in_ids}))
"""
_COME_HOME = "UPDATE memberships SET is_home = true WHERE NOT is_home AND group_id = :group_id AND user_id {in_ids}"


def write_groups(connection: sa.Connection, mirror: Mirror, rows: Sequence[Row], now: datetime) -> Counts:
    """Add and change groups, each of which occurs once, and count them."""
    if not rows:
        return {}
    given = {"account_id": mirror.account_id, "now_at": now, "rows": rows}
    refuse_taken(connection, mirror, "group", filter(None, find_group_ids(connection, mirror, rows)))
    added = execute_count(connection, _ADD_NUMBERED, given)
    if numbered := {*find_group_ids(connection, mirror, rows)} & {row["group_number"] for row in rows} - {None}:
        mark(connection, mirror, "group", [{"id": id_} for id_ in numbered])
    added += execute_count(connection, _ADD, given)
    ids = find_group_ids(connection, mirror, rows)
    whole = [{**row, "id": id_} for row, id_ in zip(rows, ids, strict=True)]
    changed = execute_count(connection, _UPDATE, {**given, "rows": whole})
    mark(connection, mirror, "group", whole)
    return {"groups added": added, "groups changed": changed}


def find_group_ids(connection: sa.Connection, mirror: Mirror, rows: Sequence[Row]) -> list[int | None]:
    """Find the groups of the account that the rows name, in their order."""
    return [id_ for _, id_ in execute(connection, _FIND, {"account_id": mirror.account_id, "rows": rows})]


def describe_groups(
    connection: sa.Connection,
    mirror: Mirror,
    rows: Sequence[Row],
    tags: Sequence[Sequence[Mapping[str, Any]]],
    courses: Sequence[Sequence[int]],
) -> None:
    """Replace the tags and the courses of groups; a new course of a group auto-enrolls no member."""
    ids = find_group_ids(connection, mirror, rows)
    given: dict[str, Any] = {"account_id": mirror.account_id, "ids": ids}
    listed = [{"group_id": id_, **tag} for id_, of_group in zip(ids, tags, strict=True) for tag in of_group]
    execute(connection, _CLEAR_TAGS, given)
    execute(connection, _SET_TAGS, {**given, "rows": listed})
    taught = [
        {"group_id": id_, "course_id": each} for id_, of_group in zip(ids, courses, strict=True) for each in of_group
    ]
    execute(connection, _DROP_COURSES, {**given, "rows": taught})
    execute(connection, _ADD_COURSES, {**given, "rows": taught})


def set_members(
    connection: sa.Connection, mirror: Mirror, row: Row, members: Sequence[int], at_home: Sequence[int]
) -> Counts:
    """Replace the members of a group, and those of them whose home group it is."""
    [group_id] = find_group_ids(connection, mirror, [row])
    if group_id is None:
        return {}
    given = {"account_id": mirror.account_id, "group_id": group_id, "ids": members}
    left = execute_count(connection, _LEAVE, given)
    joined = execute_count(connection, _JOIN, given)
    for change in (_LEAVE_HOME, _COME_HOME):
        execute(connection, change, {**given, "ids": at_home})
    return {"memberships added": joined, "memberships changed": left}


def write_list(texts: Sequence[str]) -> str | None:
    """Write the notification e-mails of a group as they are stored."""
    return json.dumps(texts, ensure_ascii=False) if texts else None
