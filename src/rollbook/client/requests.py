"""The arguments of the client's calls, and the values and headers of its requests."""

import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from secrets import token_hex
from typing import Any, TypeVar
from urllib.parse import quote

from rollbook.model import read_reason
from rollbook.wire.messages import Values
from rollbook.wire.values import MAX_ITEMS

Item = TypeVar("Item")

MAX_KEY = 255  # D21
DRY_RUN = "Rollbook-Dry-Run"
BATCH = "Rollbook-Batch"
# The characters of a header that are not percent-encoded.
UNQUOTED = (string.punctuation + " ").replace("%", "")
# The default start of the feed.
_LONG_AGO = date(1970, 1, 1)


@dataclass(frozen=True)
class Enrollment:
    """An enrollment to be made, of the learner with `email` or `employee_id`."""

    course_id: int | str
    group: str
    email: str | None = None
    employee_id: str | None = None
    due_date: date | None = None
    tag: str | None = None
    session_id: int | str | None = None

    def __post_init__(self) -> None:
        if bool(self.email) == bool(self.employee_id):
            raise ValueError("an Enrollment has either an email or an employee_id")
        _check_date(self.due_date)

    def values(self) -> Values:
        """The values of the item in a call."""
        return {
            "email": self.email or None,
            "employee_id": self.employee_id or None,
            "group_name": self.group,
            "course_id": self.course_id,
            "session_id": self.session_id,
            "tag": self.tag,
            "setting_source": "Custom" if self.due_date else None,
            "due_date": self.due_date,
        }


@dataclass(frozen=True)
class PastEnrollment:
    """An enrollment as it was elsewhere, in a session when there is a `session_id`.

    The learner is named by `email` or `employee_id`, the group by its name or by `group_id`. Only an enrollment without
    a session has dates besides `enrolled`.
    """

    course_id: int | str
    status: str
    group: str | None = None
    group_id: str | None = None
    email: str | None = None
    employee_id: str | None = None
    session_id: int | str | None = None
    grade: str | None = None
    enrolled: date | None = None
    started: date | None = None
    completed: date | None = None
    due: date | None = None
    grace_period: date | None = None

    def __post_init__(self) -> None:
        if bool(self.email) == bool(self.employee_id):
            raise ValueError("a PastEnrollment has either an email or an employee_id")
        if bool(self.group) == bool(self.group_id):
            raise ValueError("a PastEnrollment has either a group or a group_id")
        if self.session_id is not None and (self.started or self.completed or self.due or self.grace_period):
            raise ValueError("an enrollment in a session has no date but enrolled")

    def values(self) -> Values:
        """Give the values of the item of a call; errors: ValueError for a time without a zone."""
        same = ("course_id", "status", "email", "employee_id", "session_id", "grade")
        dates = ("enrolled", "started", "completed", "due", "grace_period")
        return {
            **{name: getattr(self, name) for name in same},
            "group_name": self.group,
            "group_identifier": self.group_id,
            **{f"{name}_at": _with_zone(getattr(self, name)) for name in dates},
        }


@dataclass(frozen=True)
class Progress:
    """What a learner has reached in an enrollment; None leaves a value as it is, an empty text empties it."""

    enrollment_id: int | str
    status: str | None = None
    progress: str | None = None
    grade: str | None = None
    grade_percentage: str | None = None
    points: str | None = None
    started: date | None = None
    completed: date | None = None
    last_accessed: date | None = None
    due: date | None = None
    grace_period: date | None = None
    access_ends: date | None = None

    def values(self) -> Values:
        """Give the values of the item of a call; errors: ValueError for a time without a zone."""
        dates = ("started", "completed", "last_accessed", "due", "grace_period", "access_ends")
        texts = ("status", "progress", "grade", "grade_percentage", "points")
        return {
            "id": self.enrollment_id,
            **{name: getattr(self, name) for name in texts},
            **{f"{name}_at": _with_zone(getattr(self, name)) for name in dates},
        }


@dataclass(frozen=True)
class ReportFilters:
    """The enrollments of a report. An empty filter excludes nothing; `enrolled_to` and `modified_to` are inclusive."""

    enrollment_id: int | str | None = None
    courses: Sequence[str] = ()
    groups: Sequence[str] = ()
    statuses: Sequence[str] = ()
    emails: Sequence[str] = ()
    employee_ids: Sequence[str] = ()
    enrolled_from: date | None = None
    enrolled_to: date | None = None
    modified_from: date | None = None
    modified_to: date | None = None
    group_tags: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("courses", "groups", "statuses", "emails", "employee_ids"):
            if isinstance(getattr(self, name), str):
                raise TypeError(f"{name} is a list of texts, not a single text")
        for name in ("enrolled", "modified"):
            first, last = (_check_date(getattr(self, f"{name}_{end}")) for end in ("from", "to"))
            if first and last and type(first) is type(last) and last < first:
                raise ValueError(f"{name}_to {last} is before {name}_from {first}")

    def values(self) -> dict[str, Any]:
        """The values of the filters in a call."""
        modified = self.modified_from or self.modified_to
        return {
            "enrollment_id": self.enrollment_id,
            "course_names": self.courses,
            "group_names": self.groups,
            "group_tags": tags_of(self.group_tags),
            "statuses": self.statuses,
            "emails": self.emails,
            "employee_ids": self.employee_ids,
            "enrolled_at": [{"first": self.enrolled_from, "last": self.enrolled_to}],
            "modified_at": {"first": self.modified_from, "last": self.modified_to} if modified else None,
        }


def tags_of(tags: Mapping[str, Sequence[str]]) -> list[Values]:
    """Give the values of tags by their names; errors: TypeError for a single text in place of a list."""
    if any(isinstance(values, str) for values in tags.values()):
        raise TypeError("the values of a tag are a list of texts")
    return [{"tag_name": name, "tag_values": values or None} for name, values in tags.items()]


def choose_keys(keys: Iterable[str], calls: int) -> list[str]:
    """Take a key for each call; errors: ValueError for too few, repeated or invalid keys."""
    chosen = [*islice(keys, calls)]
    if len(chosen) < calls:
        raise ValueError(f"there are {calls} calls of up to {MAX_ITEMS} ids, and {len(chosen)} keys")
    if len({*chosen}) < calls:
        raise ValueError("two keys are equal, and each call needs its own")
    for key in chosen:
        if not (1 <= len(key) <= MAX_KEY and all("!" <= character <= "~" for character in key)):
            raise ValueError(f"a key has 1 to {MAX_KEY} visible ASCII characters, unlike {key[:80]!r}")
    return chosen


def items_of(ids: Iterable[object]) -> Values:
    """The values of a call that names enrollments."""
    return {"items": [{"id": id_} for id_ in ids]}


def unenrollments_of(
    batch_id: int | None, statuses: Sequence[str], ids: Sequence[object], first: date | None, last: date | None
) -> dict[str, Any]:
    """The filters for items of the queue and its history; `first` and `last` are days or times (protocol §7)."""
    return {
        "batch_id": batch_id,
        "statuses": statuses,
        "enrollment_ids": ids,
        "requested_from": _with_zone(first),
        "requested_before": _with_zone(last),
    }


def changes_of(since: date | None, after: str | None) -> dict[str, Any]:
    """The filter for the feed since a time, or after an earlier page (protocol §7)."""
    if after is None:
        return {"finished_from": _with_zone(_LONG_AGO if since is None else since)}
    if not after or since is not None:
        raise ValueError("the feed begins since a time or continues after a cursor: pass one of the two")
    return {"after": after}


def _check_date(value: date | None) -> date | None:
    if value is not None and not isinstance(value, date):
        raise TypeError(f"expected a date or datetime, not {value!r}")
    return value


def _with_zone(value: date | None) -> date | None:
    _check_date(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("a datetime needs a time zone, such as datetime.UTC")
    return value


def write_headers(reason: str | None, *, dry_run: bool) -> dict[str, str]:
    """Write the headers of docs/wire.md section 8; errors: ValueError for an invalid reason."""
    text = read_reason(reason or "")
    headers = {"Rollbook-Reason": quote(text, safe=UNQUOTED)} if text else {}
    return headers | ({DRY_RUN: "true"} if dry_run else {})


def split(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the items in lists of 100, reading none before it is needed."""
    if isinstance(items, str):
        raise TypeError("expected a list, not a single id")  # whose digits would become ids
    rest = iter(items)
    while part := list(islice(rest, MAX_ITEMS)):
        yield part


def new_key() -> str:
    """Make the Idempotency-Key of a call."""
    return token_hex(16)
