"""Small accounts to test on: people, keys, courses and enrollments, made through the store."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from io import BytesIO

import httpx
import sqlalchemy as sa
from lxml import etree

from rollbook.importers.apply_progress import import_progress
from rollbook.importers.progress import ProgressFile
from rollbook.model import Acceptance, Account, Actor, EnrollmentStatus, Role, UnenrollRequest, utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.tables import (
    courses,
    enrollments,
    group_courses,
    groups,
    memberships,
    unenrollments,
    users,
    workers,
)
from rollbook.store.operations.audit import list_changes
from rollbook.store.people.accounts import add_account, find_account, set_policies
from rollbook.store.people.api_keys import new_key
from rollbook.store.people.emails import folded
from rollbook.store.people.users import add_user
from rollbook.store.queue.accept import accept_batches
from rollbook.store.queue.process import process_due
from rollbook.store.queue.workers import heartbeat_file

_numbers = itertools.count(1)

OPERATOR = Actor("operator root")


def read_outcomes(answer: httpx.Response) -> list[str]:
    """Return `accepted` or the code of the error for every item of a call."""
    root = etree.fromstring(answer.content)
    accepted = root.iterfind("Info//Unenrollment")
    return ["accepted" for _ in accepted] + [code.text or "" for code in root.iterfind("Errors/Error/ErrorID")]


def forget_workers(database: Database) -> None:
    """Delete every trace of a worker."""
    if (file := heartbeat_file(database.engine)) is not None:
        file.unlink(missing_ok=True)
    with database.write() as connection:
        connection.execute(workers.delete())


@dataclass
class Campus:
    """One account with an owner, an administrator and a learner with keys, and any number of enrollments."""

    database: Database
    name: str = field(default_factory=lambda: f"Campus {next(_numbers)}")

    def __post_init__(self) -> None:
        with self.database.write() as connection:
            self.account_key, self.owner_key = add_account(connection, self.name, "owner@example.org", by=OPERATOR)
            self.account: Account = find_account(connection, self.name)
            add_user(connection, self.account, "administrator@example.org", Role.ADMINISTRATOR, by=OPERATOR)
            add_user(connection, self.account, "learner@example.org", Role.LEARNER, by=OPERATOR)
            stamp = {"created_at": utc_now(), "modified_at": utc_now(), "account_id": self.account.id}
            group = {"name": "North", "active": True, **stamp}
            course = {"name": "Fire Safety", "status": "Active", **stamp}
            self.group_id = connection.execute(groups.insert().returning(groups.c.id), group).scalar_one()
            self.course_id = connection.execute(courses.insert().returning(courses.c.id), course).scalar_one()

    # Most tests need none of these keys.
    @cached_property
    def administrator_key(self) -> str:
        """The key of the administrator, made when it is first needed."""
        return self._new_key("administrator@example.org")

    @cached_property
    def learner_key(self) -> str:
        """The key of the learner, made when it is first needed."""
        return self._new_key("learner@example.org")

    def _new_key(self, email: str) -> str:
        with self.database.write() as connection:
            return new_key(connection, self.account, email, by=OPERATOR)

    def enroll(self, count: int, status: EnrollmentStatus = EnrollmentStatus.ENROLLED) -> list[int]:
        """Add learners, each enrolled in the one course, and return the ids of their enrollments."""
        now = utc_now()
        stamp = {"account_id": self.account.id, "created_at": now, "modified_at": now}
        person = {"given_name": "Some", "family_name": "Learner", "role": "learner", "active": True, **stamp}
        place = {"group_id": self.group_id, "course_id": self.course_id, "enrolled_at": now, "status": "Enrolled"}
        with self.database.write() as connection:
            added = connection.execute(users.insert().returning(users.c.id), [person] * count).scalars()
            rows = [{"user_id": user_id, **place, **stamp} for user_id in added]
            ids = sorted(connection.execute(enrollments.insert().returning(enrollments.c.id), rows).scalars())
        if status is not EnrollmentStatus.ENROLLED:
            self.import_progress("ID,EnrollmentStatus", *(f"{id_},{status}" for id_ in ids))
        return ids

    def enroll_named(self, count: int) -> dict[str, int]:
        """Add learners with an e-mail and an employee id, and return the ids of their enrollments by e-mail."""
        ids, stamp = self.enroll(count), next(_numbers)
        mine = sa.select(enrollments.c.id, enrollments.c.user_id).where(enrollments.c.id.in_(ids))
        named = {}
        with self.database.write() as connection:
            for number, (id_, user_id) in enumerate(connection.execute(mine.order_by(enrollments.c.id)).all(), 1):
                email = f"ann.{stamp}.{number}@example.org"
                values = {"email": email, "employee_id": f"E{stamp}-{number:03}", **folded(email)}
                connection.execute(users.update().where(users.c.id == user_id).values(values))
                named[email] = id_
        return named

    def import_progress(self, *lines: str) -> None:
        """Write progress as `rollbook import progress` does with a file of these lines."""
        file = ProgressFile("progress.csv", BytesIO("\n".join(lines).encode()))
        done = import_progress(self.database, self.account, file, skip_bad_rows=False, dry_run=False, by=OPERATOR)
        assert done.problems == []

    def add(self, table: sa.Table, **values: object) -> int:
        """Add a row to a table of the account, with the times that the table has, and return its id."""
        row = {"account_id": self.account.id, "created_at": utc_now(), "modified_at": utc_now(), **values}
        known = {name: value for name, value in row.items() if name in table.columns}
        with self.database.write() as connection:
            added: int = connection.execute(table.insert().returning(table.columns[0]), known).scalar_one()
        return added

    def audit(self) -> list[dict[str, object]]:
        """List the audit of the account, the latest line first."""
        with self.database.read() as connection:
            return list_changes(connection, self.account.id)

    def auto_enroll(self, *enrollment_ids: int) -> None:
        """Make the course one that the group auto-enrolls, and the learners of these enrollments its members."""
        flags = {"allow_self_enroll": False, "auto_enroll": True}
        self.add(group_courses, group_id=self.group_id, course_id=self.course_id, **flags)
        query = sa.select(enrollments.c.user_id).where(enrollments.c.id.in_(enrollment_ids))
        with self.database.read() as connection:
            ids = list(connection.execute(query).scalars())
        for user_id in ids:
            member = {"group_id": self.group_id, "user_id": user_id}
            self.add(memberships, **member, group_manager=False, manage_group_users=False)

    def user_id(self, email: str) -> int:
        """Return the id of a user of the account."""
        query = sa.select(users.c.id).where(users.c.account_id == self.account.id, users.c.email == email)
        return self._count(query)

    def set(self, **policies: bool | int | str | None) -> None:
        """Change the account's policies."""
        with self.database.write() as connection:
            set_policies(connection, self.account, policies, by=OPERATOR)

    def package(self, identifiers: Sequence[object], user_key: str | None = None) -> str:
        """Write the call that unenrolls the identifiers, as the owner unless another key is given."""
        items = "".join(
            "<Unenrollment><AccountUserLearningModuleRelID>"
            f"{identifier}</AccountUserLearningModuleRelID></Unenrollment>"
            for identifier in identifiers
        )
        parameters = f"<LearningModuleEnrollment>{items}</LearningModuleEnrollment>"
        return self.call("unenrollLearningModules", parameters, user_key)

    def call(self, method: str, parameters: str, user_key: str | None = None) -> str:
        """Write a call of any method, as the owner unless another key is given."""
        return (
            f"<SmarterU><AccountAPI>{self.account_key}</AccountAPI><UserAPI>{user_key or self.owner_key}</UserAPI>"
            f"<Method>{method}</Method><Parameters>{parameters}</Parameters></SmarterU>"
        )

    def drain(self) -> None:
        """Process every due item, as a worker does."""
        while process_due(self.database, self.account.id, utc_now(), 1000).finished:
            pass

    def accept(self, ids: Sequence[int | None], requested_at: datetime | None = None) -> Acceptance:
        """Queue enrollments as one batch through the store, at the given time."""
        with self.database.write() as connection:
            policies = find_account(connection, self.name).policies
            request = UnenrollRequest(OPERATOR, ids, reason=None)
            [done] = accept_batches(connection, self.account.id, policies, [request], requested_at or utc_now())
            return done

    def wait_until_drained(self) -> None:
        """Wait until a worker has processed every pending item."""
        deadline = time.monotonic() + 60
        pending = sa.select(sa.func.count()).select_from(unenrollments)
        pending = pending.where(unenrollments.c.account_id == self.account.id, unenrollments.c.status == "Pending")
        while self._count(pending):
            assert time.monotonic() < deadline, "the queue is not drained"
            time.sleep(0.05)

    def queue(self) -> dict[int, str]:
        """Return the latest status of every enrollment in the queue."""
        query = sa.select(unenrollments.c.enrollment_id, unenrollments.c.status)
        query = query.where(unenrollments.c.account_id == self.account.id)
        with self.database.read() as connection:
            rows = connection.execute(query.order_by(unenrollments.c.batch_id, unenrollments.c.block)).all()
        return {row.enrollment_id: row.status for row in rows}

    def current(self) -> int:
        """Count the current enrollments."""
        query = sa.select(sa.func.count()).where(
            enrollments.c.account_id == self.account.id, enrollments.c.unenrolled_at.is_(None)
        )
        return self._count(query)

    def _count(self, query: sa.Select[int]) -> int:
        with self.database.read() as connection:
            return connection.execute(query).scalar_one()
