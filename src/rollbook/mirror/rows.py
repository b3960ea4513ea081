"""Turns answers of the API into the rows that store/mirror writes."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rollbook.client.calls import Rows
from rollbook.client.courses import Session
from rollbook.client.groups import Group
from rollbook.client.people import User, UserGroup
from rollbook.errors import NotAnAnswerError
from rollbook.methods.get_learner_report import COLUMNS, FIRST, LAST
from rollbook.mirror.pseudonyms import Pseudonyms
from rollbook.store.mirror.groups import write_list
from rollbook.wire.dates import read_time
from rollbook.wire.identifiers import NUMBER
from rollbook.wire.timezones import read_timezone

Row = Mapping[str, Any]

# The elements of the report by the columns of an enrollment, its user, course and group.
_ELEMENTS = {column.field: column for column in (*FIRST, *COLUMNS.values(), *LAST) if column.field}
_NEEDED = ("id", "user_id", "course_id", "modified_at")
_NEVER_NULL = ("given_name", "family_name", "course_name", "group_name")


def rows_of_list(report: Rows) -> list[Row]:
    """Read the ids and times of a page of the report; errors: NotAnAnswerError."""
    return [*{row["id"]: row for row in (_read(each, _read_listed) for each in report)}.values()]


def rows_of_report(report: Rows, status: str, pseudonyms: Pseudonyms | None) -> list[Row]:
    """Read the enrollments of a page of the report, all of which have this status; errors: NotAnAnswerError."""
    rows = [{**_read(each, _read_whole), "status": status} for each in report]
    if pseudonyms:
        rows = [{**pseudonyms.apply(row, row["user_id"])} for row in rows]
    return [*{row["id"]: row for row in rows}.values()]


def rows_of_users(users: Iterable[User], pseudonyms: Pseudonyms | None) -> list[Row]:
    """The rows of listed users."""
    texts = ("email", "employee_id", "title", "division")
    rows = []
    for user in users:
        same = {name: getattr(user, name) for name in ("id", "active", "created_at", "modified_at")}
        names = {"given_name": user.given_name, "family_name": user.family_name}
        row: Row = {**same, **names, **{name: getattr(user, name) or None for name in texts}}
        rows.append(pseudonyms.apply(row, user.id) if pseudonyms else row)
    return rows


def rows_of_courses(courses: Rows) -> list[Row]:
    """The rows of listed courses; errors: NotAnAnswerError."""
    return [_read(each, _read_course) for each in courses]


def rows_of_sessions(course_id: int, sessions: Sequence[Session]) -> list[Row]:
    """The rows of the sessions of a course."""
    return [
        {
            "id": each.id,
            "course_id": course_id,
            "status": each.status or "Active",
            "starts_at": each.starts_at,
            "grade_type": each.grade_type or None,
            "ends_at": each.ends_at,
            "name": f"{each.starts_at:%Y-%m-%d %H:%M}" if each.starts_at else str(each.id),
        }
        for each in sessions
    ]


def row_of_profile(user: User, pseudonyms: Pseudonyms | None) -> Row:
    """The row of a user's profile, without what names a person if names are made up."""
    try:
        timezone = read_timezone(user.timezone)
    except ValueError:
        timezone = None
    kept = {**user.kept, "Supervisors": user.supervisors}
    kept = {name: value for name, value in kept.items() if value not in (None, [], "") and not pseudonyms}
    profile = json.dumps(kept, ensure_ascii=False) if kept else None
    row = {"id": user.id, "modified_at": user.modified_at, "timezone": timezone, "profile": profile}
    row["alternate_email"] = user.alternate_email or None
    return pseudonyms.apply(row, user.id) if pseudonyms else row


def row_of_permissions(user_id: int, group: UserGroup) -> Row:
    """The row of a user's permissions in a group."""
    key = group_key(group.group_id or "", group.name or "")
    return {**key, "user_id": user_id, "codes": group.permissions, "is_home": group.is_home}


def row_of_group(group: Group, pseudonyms: Pseudonyms | None) -> Row:
    """The row of a group; the addresses of its notifications are of persons."""
    return {
        **group_key(group.group_id, group.name),
        "active": group.active,
        "created_at": group.created_at,
        "modified_at": group.modified_at,
        "description": group.description or None,
        "home_group_message": group.home_group_message or None,
        "notification_emails": None if pseudonyms else write_list(group.notification_emails),
    }


def group_key(group_id: str, name: str) -> dict[str, Any]:
    """By what the store finds a group: its GroupID, also as a number if it is one, or without one its name."""
    number = int(group_id) if re.fullmatch("[1-9][0-9]{0,17}", group_id) else None
    return {"group_key": group_id or None, "group_number": number, "group_name": name}


def _read_course(row: Mapping[str, str]) -> Row:
    return {"id": NUMBER.read(row["LearningModuleID"]), "name": row["Name"], "status": row["Status"] or None}


def _read_listed(row: Mapping[str, str]) -> Row:
    return {"id": NUMBER.read(row["ID"]), "modified_at": read_time(row["ModifiedDate"])}


def _read_whole(row: Mapping[str, str]) -> Row:
    values: dict[str, Any] = dict.fromkeys(_ELEMENTS)
    for field, element in _ELEMENTS.items():
        if text := row.get(element.name):
            values[field] = element.kind.read(text)
    if missing := [_ELEMENTS[name].name for name in _NEEDED if values[name] is None]:
        raise ValueError(f"no {missing[0]}")
    values |= {name: values[name] or "" for name in _NEVER_NULL}
    values["created_at"] = values["created_at"] or values["modified_at"]
    values["enrolled_at"] = values["enrolled_at"] or values["created_at"]
    values["session_id"] = NUMBER.read(values["session_id"]) if values["session_id"] else None
    return {**values, **group_key(values["group_id"] or "", values["group_name"])}


def _read(row: Mapping[str, str], read: Any) -> Any:
    try:
        return read(row)
    except (KeyError, ValueError) as error:
        raise NotAnAnswerError(f"A row of the answer cannot be read: {error}. It has: {', '.join(row)}.") from None
