"""An account with learners like those of demo/roster and a day of batches, for the images of the console."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from campus import OPERATOR, Campus
from rollbook.actions.webhooks import add_webhook
from rollbook.model import Actor, Policies, UnenrollRequest, utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.tables import courses, enrollments, groups, memberships, users, webhooks
from rollbook.store.queue.accept import accept_batches, keep_refusals
from rollbook.store.queue.process import process_due
from rollbook.store.queue.undo import Undo
from rollbook.store.queue.workers import note_worker
from rollbook.wire.dates import write_time
from visitor import give_password

COURSES = ("Fire Safety (spring)", "Fire Safety (autumn)", "First Aid (spring)", "First Aid (all year)")
NUMBERS = ["One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"]
NUMBERS += [
    "Eleven",
    "Twelve",
    "Thirteen",
    "Fourteen",
    "Fifteen",
    "Sixteen",
    "Seventeen",
    "Eighteen",
    "Nineteen",
    "Twenty",
]


class School(Campus):
    """An account with 20 learners in four courses; times are relative to the current hour."""

    def __init__(self, database: Database, name: str = "Example Academy") -> None:
        super().__init__(database, name)
        give_password(self)
        self.now = utc_now().replace(minute=0, second=0, microsecond=0)
        self._fill()

    def live_a_day(self) -> None:
        """Add batches with every outcome, one of them pending."""
        spring, autumn, aid, year = self.courses
        self.moved = self._ask(21, spring[:12], "Fire Safety moves to the new provider")
        self._drain(20.5)
        self._enroll_again(spring[2])
        self.left = self._ask(14, [*year[:3], None, year[4], None, None], "Left the company", by_call=True)
        refused = [(4, "twelve", "ULM:01"), (6, "987654321", "ULM:03"), (7, str(year[0]), "ULM:05")]
        with self.database.write() as connection:
            keep_refusals(connection, self.account.id, self.left, refused)
        self._drain(13.5)
        self.wrong = self._ask(9, year[8:17], "The wrong course was chosen")
        self._drain(8.75)
        self._undo(self.wrong, 8, "They stay in First Aid")
        self.late = self._ask(5, autumn[:11], "No longer required", policies=Policies(hold_seconds=3600))
        self._remove(autumn[:2], 4.5, "Asked to stay")
        self._complete(autumn[2:4])
        self.set(protect_completed=True)
        self._drain(3.75)
        self.learner = self.learner_ids[8]
        note_worker(self.database, "worker of the images", utc_now() + timedelta(hours=1))  # the queue is Running
        self._add_webhooks()
        self.waiting = self._ask(0.75, aid[2:16], "End of the spring term", policies=Policies(hold_seconds=7200))

    def _add_webhooks(self) -> None:
        """Add webhooks in each state, as a day of deliveries leaves them."""
        behind = {"items": False, "change": 1, "batch_id": 0, "block": 0}
        late = {
            "failing_since": self._ago(2),
            "failed_at": self._ago(0.5),
            "failure": "There was no answer within 10 s.",
        }
        gone = {"disabled_at": self._ago(6), "failed_at": self._ago(6), "failure": "The receiver answered 410."}
        self._add_webhook("hooks.example.org/rollbook", delivered_at=self._ago(3.75), tested_at=self._ago(20))
        self._add_webhook("warehouse.example.org/enrollments", delivered_at=self._ago(5), **late, **behind)
        self._add_webhook("old-directory.example.org/hook", delivered_at=self._ago(9), **gone, **behind)

    def _add_webhook(self, address: str, **state: object) -> None:
        with self.database.write() as connection:
            url = f"https://{address}"
            number, _ = add_webhook(connection, OPERATOR, self.account, url, items=True, allowed=[])
            connection.execute(webhooks.update().where(webhooks.c.id == number).values(state))

    def _fill(self) -> None:
        stamp = {"account_id": self.account.id, "created_at": self._ago(300), "modified_at": self._ago(300)}
        people = [
            {
                "given_name": "Learner",
                "family_name": number,
                "email": f"learner.{number.lower()}@example.org",
                "employee_id": f"L{place:03}",
                "role": "learner",
                "active": True,
            }
            for place, number in enumerate(NUMBERS, 1)
        ]
        with self.database.write() as connection:
            connection.execute(groups.update().where(groups.c.id == self.group_id).values(name="Example Academy"))
            connection.execute(courses.delete().where(courses.c.id == self.course_id))
            self.course_ids = [
                connection.execute(
                    courses.insert().returning(courses.c.id), {"name": name, "status": "Active", **stamp}
                ).scalar_one()
                for name in COURSES
            ]
            insert = users.insert().returning(users.c.id)
            self.learner_ids = list(connection.execute(insert, [person | stamp for person in people]).scalars())
            place = {"group_id": self.group_id, "account_id": self.account.id}
            rights = {"group_manager": False, "manage_group_users": False}
            connection.execute(memberships.insert(), [{"user_id": id_, **place, **rights} for id_ in self.learner_ids])
            self.courses = [self._enroll_all(connection, course, stamp) for course in self.course_ids]
        begun = [
            _progress(id_, place + course_id, self._ago(24 * 20))
            for course_id, ids in zip(self.course_ids, self.courses, strict=True)
            for place, id_ in enumerate(ids)
        ]
        self.import_progress("ID,EnrollmentStatus,Progress,StartedDate,CompletedDate", *filter(None, begun))

    def _enroll_all(self, connection: sa.Connection, course_id: int, stamp: dict[str, object]) -> list[int]:
        rows = [
            {
                "user_id": user_id,
                "group_id": self.group_id,
                "course_id": course_id,
                "enrolled_at": self._ago(24 * 40 + place * 7),
                "status": "Enrolled",
                **stamp,
            }
            for place, user_id in enumerate(self.learner_ids)
        ]
        return sorted(connection.execute(enrollments.insert().returning(enrollments.c.id), rows).scalars())

    def _ago(self, hours: float) -> datetime:
        return self.now - timedelta(hours=hours)

    def _ask(
        self,
        hours: float,
        ids: Sequence[int | None],
        reason: str,
        *,
        by_call: bool = False,
        policies: Policies | None = None,
    ) -> int:
        email = "administrator@example.org" if by_call else "owner@example.org"
        with self.database.write() as connection:
            request = UnenrollRequest(Actor(email, self._user_id(connection, email)), ids, reason)
            [asked] = accept_batches(connection, self.account.id, policies or Policies(), [request], self._ago(hours))
        assert asked.batch_id is not None
        return asked.batch_id

    def _user_id(self, connection: sa.Connection, email: str) -> int:
        mine = sa.and_(users.c.account_id == self.account.id, users.c.email == email)
        found: int = connection.execute(sa.select(users.c.id).where(mine)).scalar_one()
        return found

    def _drain(self, hours: float) -> None:
        process_due(self.database, self.account.id, self._ago(hours), 1000)

    def _undo(self, batch_id: int, hours: float, reason: str) -> None:
        with self.database.write() as connection:
            undo = self._begin(connection, hours, reason)
            undo.restore(undo.find_batch(batch_id) or [])

    def _remove(self, ids: Sequence[int], hours: float, reason: str) -> None:
        with self.database.write() as connection:
            undo = self._begin(connection, hours, reason)
            undo.remove(undo.find_enrollments(ids))

    def _begin(self, connection: sa.Connection, hours: float, reason: str) -> Undo:
        owner = self._user_id(connection, "owner@example.org")
        return Undo(connection, account_id=self.account.id, user_id=owner, reason=reason, now=self._ago(hours))

    def _complete(self, ids: Sequence[int]) -> None:
        done = write_time(self._ago(4))
        self.import_progress(
            "ID,EnrollmentStatus,Progress,CompletedDate", *(f"{id_},Completed,100,{done}" for id_ in ids)
        )

    def _enroll_again(self, id_: int) -> None:
        with self.database.read() as connection:
            old = connection.execute(sa.select(enrollments).where(enrollments.c.id == id_)).mappings().one()
        fresh = {"unenrolled_at": None, "status": "Enrolled", "enrolled_at": self._ago(12), "progress": None}
        kept = {name: old[name] for name in ("user_id", "group_id", "course_id")}
        self.add(enrollments, **kept, **fresh)


def _progress(id_: int, place: int, started: datetime) -> str:
    """Write the row of an enrollment: every third has not started, every eighth has completed."""
    if place % 3 == 0:
        return ""
    if place % 8 == 0:
        return f"{id_},Completed,100,{write_time(started)},{write_time(started + timedelta(days=9))}"
    return f"{id_},In Progress,{place * 17 % 90 + 5},{write_time(started)},"
