"""Changes courses and their sessions, and writes the audit line."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from rollbook import store
from rollbook.model import Action, Actor, Change, utc_now

if TYPE_CHECKING:
    from sqlalchemy import Connection


def add_course(
    connection: "Connection", by: Actor, account_id: int, name: str, *, term: str | None, duration: str | None
) -> int:
    """Add an active course, and return its number."""
    number = store.courses.add_course(connection, account_id, name, utc_now(), term=term, duration=duration)
    store.audit.record_change(connection, account_id, by, Change(Action.ADD_COURSE, name, {"course": number}))
    return number


def archive_course(connection: "Connection", by: Actor, account_id: int, course_id: int) -> str | None:
    """Archive a course, whose enrollments stay, and return its name; None when the account has no such course."""
    found = store.courses.archive_course(connection, account_id, course_id, utc_now())
    if found is None:
        return None
    name, before = found
    if details := store.audit.compare({"status": before}, {"status": "Archived"}):
        change = Change(Action.ARCHIVE_COURSE, name, {"course": course_id, **details})
        store.audit.record_change(connection, account_id, by, change)
    return name


def add_session(
    connection: "Connection",
    by: Actor,
    account_id: int,
    course_id: int,
    *,
    starts_at: datetime,
    ends_at: datetime | None,
    grade_type: str | None = None,
    details: Mapping[str, object] | None = None,
) -> int:
    """Add a session to a course, named by its beginning, and return its number."""
    name = f"{starts_at:%Y-%m-%d %H:%M}"
    times = {"starts_at": starts_at, "ends_at": ends_at}
    number = store.courses.add_session(
        connection, account_id, course_id, name=name, **times, grade_type=grade_type, details=details
    )
    what = {"session": number, "course": course_id}
    store.audit.record_change(connection, account_id, by, Change(Action.ADD_SESSION, name, what))
    return number
