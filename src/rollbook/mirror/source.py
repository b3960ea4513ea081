"""Reads the account of a server by its API, page by page, one call at a time; each page says how it is written."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from rollbook.client.client import Client
from rollbook.client.people import UserFilters
from rollbook.client.requests import ReportFilters, split
from rollbook.methods.get_learner_report import COLUMNS
from rollbook.mirror import rows
from rollbook.mirror.pseudonyms import Pseudonyms
from rollbook.model import EnrollmentStatus
from rollbook.store.mirror import enrollments, groups, profiles, records
from rollbook.store.mirror.state import Mirror

Counts = dict[str, int]
Place = Sequence[int]

SMALL_PAGE = 100  # where every row of a page takes further calls
GROUPS_A_PAGE = 20
# The time of a server may be that of a zone, and a filter takes days.
MARGIN = timedelta(days=1)
STATUSES = tuple(EnrollmentStatus)
OF_USERS = ("USER_EMAIL", "EMPLOYEE_ID", "ALTERNATE_EMAIL", "TITLE", "DIVISION")


@dataclass(frozen=True)
class Page:
    """What was read: how many rows, how they are written in a transaction, and where the next page begins."""

    next: Place
    rows: int
    write: Callable[[Connection], Counts]


@dataclass
class Source:
    """The server of a mirror, and the run that reads it."""

    client: Client
    mirror: Mirror
    now: datetime
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        key = self.mirror.pseudonym_key
        self.pseudonyms = None if key is None else Pseudonyms(key)

    def courses(self, at: Place) -> Iterator[Page]:
        """The courses, each with its sessions."""
        for number, page in enumerate(self.client.course_pages(SMALL_PAGE, at[0] + 1), at[0] + 1):
            found = rows.rows_of_courses(page)
            led = [row["id"] for row, told in zip(found, page, strict=True) if told.get("Type") == "Instructor-Led"]
            sessions = [row for id_ in led for row in rows.rows_of_sessions(id_, self.client.sessions(id_))]
            kinds = {"course": found, "session": sessions}
            yield Page([number], len(page), partial(self._write_records, kinds))

    def groups(self, at: Place) -> Iterator[Page]:
        """The groups with their tags and courses."""
        listed = self._list_groups()
        for start in range(at[0], len(listed), GROUPS_A_PAGE):
            part = listed[start : start + GROUPS_A_PAGE]
            named = [_name_of(each) for each in part]
            details = [self.client.get_group(**name) for name in named]
            taught = [[row["id"] for row in rows.rows_of_courses(self.client.group_courses(**name))] for name in named]
            found = [rows.row_of_group(each, self.pseudonyms) for each in details]
            tags = [
                [{"name": tag.name, "tag_id": tag.tag_id, "tag_values": ",".join(tag.values)} for tag in each.tags]
                for each in details
            ]
            yield Page([start + len(part)], len(part), partial(self._write_groups, found, tags, taught))

    def users(self, at: Place, find_changed: Callable[[Sequence[rows.Row]], set[int]]) -> Iterator[Page]:
        """The learners, after a complete run those who were modified since; `find_changed` gives the ids of others."""
        since = self.mirror.complete_since
        chosen = UserFilters(modified_from=since and (since - MARGIN).date())
        for number, page in enumerate(self.client.list_user_pages(chosen, first_page=at[0] + 1), at[0] + 1):
            found = rows.rows_of_users(page, self.pseudonyms)
            teams = {user.id: user.teams for user in page}
            changed = find_changed(found) if since else set()
            more = self._alternate_emails([user.email for user in page if user.email and user.id in changed])
            yield Page([number], len(page), partial(self._write_users, found, teams, more))

    def members(self, at: Place) -> Iterator[Page]:
        """The members of each group. Groups that share a name cannot be told apart, so that they keep theirs."""
        listed = self._list_groups()
        names = Counter(each["Name"] for each in listed)
        for index in range(at[0], len(listed)):
            name = listed[index]["Name"]
            if names[name] > 1:
                self.notes.append(f"{names[name]} groups are named {name!r}: their members are not copied.")
                continue
            members, at_home = [], []
            for user in self.client.list_users(UserFilters(group=name)):
                members.append(user.id)
                at_home += [user.id] if user.home_group == name else []
            row = rows.group_key(listed[index]["GroupID"], name)
            write = partial(groups.set_members, mirror=self.mirror, row=row, members=members, at_home=at_home)
            yield Page([index + 1], len(members), write)

    def profiles(self, at: Place, unread: Callable[[int], Sequence[int]]) -> Iterator[Page]:
        """The profiles and permissions of users, with two calls a user; `unread` gives the next ones after an id."""
        last = at[0]
        while ids := unread(last):
            last = ids[-1]
            users = [self.client.get_user(user_id=id_) for id_ in ids]
            joined = [(id_, group) for id_ in ids for group in self.client.get_user_groups(user_id=id_)]
            found = [rows.row_of_profile(user, self.pseudonyms) for user in users]
            permissions = [rows.row_of_permissions(id_, group) for id_, group in joined]
            write = partial(profiles.write_profiles, mirror=self.mirror, rows=found, permissions=permissions)
            yield Page([last], len(ids), write)

    def listing(self, at: Place) -> Iterator[Page]:
        """The ids of all enrollments, with the time of their last change."""
        for number, page in enumerate(self.client.learner_report_pages(first_page=at[0] + 1), at[0] + 1):
            found = rows.rows_of_list(page)
            write = partial(enrollments.list_enrollments, mirror=self.mirror, rows=found)
            yield Page([number], len(page), write)

    def enrollments(self, at: Place, spans: Sequence[Sequence[str]]) -> Iterator[Page]:
        """The enrollments that were modified in spans of days, status by status, because a report does not tell it."""
        span, status, number = [*at, 0, 0][:3] if len(at) < 3 else at
        while span < len(spans):
            first, last = map(date.fromisoformat, spans[span])
            chosen = ReportFilters(statuses=[STATUSES[status]], modified_from=first, modified_to=last)
            for page in self.client.learner_report_pages(chosen, [*COLUMNS], first_page=number + 1):
                number += 1
                found = rows.rows_of_report(page, STATUSES[status], self.pseudonyms)
                write = partial(enrollments.write_enrollments, mirror=self.mirror, rows=found, now=self.now)
                yield Page([span, status, number], len(page), write)
            number, status = 0, status + 1
            if status == len(STATUSES):
                span, status = span + 1, 0

    def _list_groups(self) -> list[dict[str, str]]:
        return [*{each["GroupID"] or f"name {each['Name']}": each for each in self.client.list_groups()}.values()]

    def _alternate_emails(self, emails: Sequence[str]) -> list[rows.Row]:
        """The users who have these e-mails, as the report tells them: a list of users has no alternate e-mail."""
        users: list[rows.Row] = []
        for part in split(emails):
            report = [*self.client.learner_report(ReportFilters(emails=part), OF_USERS)]
            found = rows.rows_of_report(report, EnrollmentStatus.ENROLLED, self.pseudonyms)
            users += enrollments.users_of(found)
        return users

    def _write_records(self, kinds: Mapping[str, Sequence[rows.Row]], connection: Connection) -> Counts:
        counts: Counts = {}
        for kind, found in kinds.items():
            counts |= records.write_records(connection, self.mirror, kind, found, {"now_at": self.now})
        return counts

    def _write_groups(self, found: Sequence[rows.Row], tags: Any, taught: Any, connection: Connection) -> Counts:
        counts = groups.write_groups(connection, self.mirror, found, self.now)
        groups.describe_groups(connection, self.mirror, found, tags, taught)
        return counts

    def _write_users(
        self, found: Sequence[rows.Row], teams: Mapping[int, Sequence[str]], more: Any, connection: Connection
    ) -> Counts:
        given = {"now_at": self.now, "listed": True}
        counts = records.write_records(connection, self.mirror, "user", found, given)
        if more:
            records.write_records(connection, self.mirror, "user", more, given | {"listed": False})
        records.set_teams(connection, self.mirror, teams)
        return counts


def _name_of(listed: Mapping[str, str]) -> dict[str, str]:
    return {"group_id": listed["GroupID"]} if listed["GroupID"] else {"name": listed["Name"]}
