"""Writes the profiles and permissions of users into the account that copies them."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from rollbook.model import Permission
from rollbook.store.database.execute import execute
from rollbook.store.mirror.groups import find_group_ids
from rollbook.store.mirror.records import Counts, Row, mark
from rollbook.store.mirror.state import Mirror
from rollbook.store.people.memberships import Membership, join_groups

# `mirrored` holds profiles apart from users: a profile is read when its user has another time of change.
_FIND_UNREAD = """
    SELECT u.id FROM users AS u
    JOIN mirrored AS m ON m.account_id = :account_id AND m.kind = 'user' AND m.id = u.id
    LEFT JOIN mirrored AS p ON p.account_id = :account_id AND p.kind = 'profile' AND p.id = u.id
    WHERE u.id > :after AND u.erased_at IS NULL AND p.modified_at IS DISTINCT FROM u.modified_at
    ORDER BY u.id LIMIT :most
"""
_WRITE = """
    UPDATE users SET timezone = item ->> 'timezone', profile = item ->> 'profile',
        alternate_email = item ->> 'alternate_email', modified_at = CAST(item ->> 'modified_at' AS {time_type})
    FROM {rows} AS r WHERE users.id = CAST(item ->> 'id' AS BIGINT) AND users.erased_at IS NULL
"""


def find_unread(connection: sa.Connection, mirror: Mirror, after: int, most: int) -> list[int]:
    """Find copied users with ids above `after` whose profiles were not read since their last change."""
    given = {"account_id": mirror.account_id, "after": after, "most": most}
    return [id_ for (id_,) in execute(connection, _FIND_UNREAD, given)]


def write_profiles(
    connection: sa.Connection, mirror: Mirror, rows: Sequence[Row], permissions: Sequence[Mapping[str, Any]]
) -> Counts:
    """Write profiles, and the permissions of users in groups: `user_id`, the group, `codes`, and whether it is home."""
    execute(connection, _WRITE, {"rows": rows})
    wanted = []
    for each, group_id in zip(permissions, find_group_ids(connection, mirror, permissions), strict=True):
        if group_id is not None:
            codes = {permission: str(permission) in each["codes"] for permission in Permission}
            wanted.append(Membership(group_id, each["user_id"], codes, is_home=each["is_home"]))
    join_groups(connection, mirror.account_id, wanted)
    mark(connection, mirror, "profile", rows)
    return {"profiles changed": len(rows)}
