"""Any order of accepting, pausing, removing, draining, crashing, restoring and purging keeps records consistent.

The model below knows the rules (D19) and nothing of the code; after every step what the API shows must be what it says.
"""

from contextlib import suppress

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from campus import Campus
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.tables import enrollments, unenrollments
from rollbook.store.learning.purge import purge_progress
from rollbook.store.queue.process import process_due
from rollbook.store.queue.state import pause_queue, resume_queue
from rollbook.store.queue.undo import Undo, Undoing


class CrashError(Exception):
    """A power cut before the commit."""


class Books(RuleBasedStateMachine):
    """An account with some enrollments, and the expected state of each."""

    database: Database
    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.campus = Campus(self.database)
        self.account_id = self.campus.account.id
        self.paused = False
        self.history: dict[int, list[str]] = {}  # the statuses of an enrollment's items, in order
        self.learner: dict[int, int] = {}  # whose enrollment it is, by the id of the first one
        self.purged: set[int] = set()

    @rule(target=known, count=st.integers(1, 3))
    def enroll(self, count: int) -> object:
        ids = self.campus.enroll(count)
        self.history.update({id_: [] for id_ in ids})
        self.learner.update({id_: id_ for id_ in ids})
        return multiple(*ids)

    @rule(target=known, id_=known)
    def enroll_again(self, id_: int) -> object:
        learner = self.learner[id_]
        if any(self._is_current(other) for other, whose in self.learner.items() if whose == learner):
            return multiple()
        with self.database.write() as connection:
            old = connection.execute(sa.select(enrollments).where(enrollments.c.id == id_)).one()._asdict()
            fresh = {**old, "unenrolled_at": None, "purged_at": None}
            del fresh["id"]
            new: int = connection.execute(enrollments.insert().returning(enrollments.c.id), fresh).scalar_one()
        self.history[new], self.learner[new] = [], learner
        return new

    @rule(target=known, id_=known)
    def leave_and_come_back(self, id_: int) -> object:
        self.resume()
        self.accept([id_])
        self.drain(1000)
        return self.enroll_again(id_)

    @rule(ids=st.lists(known, min_size=1, max_size=8, unique=True))
    def accept(self, ids: list[int]) -> None:
        expected = [id_ for id_ in ids if self._is_current(id_) and self._status(id_) != "Pending"]
        acceptance = self.campus.accept(ids)
        assert [ids[block - 1] for block in acceptance.accepted] == expected
        for id_ in expected:
            self.history[id_].append("Pending")

    @rule()
    def everybody_leaves(self) -> None:
        if self.history:
            self.accept(list(self.history))
            self.drain(1000)

    @rule()
    def pause(self) -> None:
        with self.database.write() as connection:
            pause_queue(connection, self.account_id, utc_now())
        self.paused = True

    @rule()
    def resume(self) -> None:
        with self.database.write() as connection:
            resume_queue(connection, self.account_id)
        self.paused = False

    @rule(step=st.integers(1, 4))
    def drain(self, step: int) -> None:
        pending = [id_ for id_ in self.history if self._status(id_) == "Pending"]
        finished = process_due(self.database, self.account_id, utc_now(), step).finished
        assert finished == (0 if self.paused else min(step, len(pending)))
        for id_ in self._now_complete(pending):
            self.history[id_][-1] = "Complete"

    @rule(ids=st.lists(known, min_size=1, max_size=8, unique=True))
    def crash(self, ids: list[int]) -> None:
        with suppress(CrashError), self.database.write() as connection:
            undo = self._undo(connection)
            undo.restore(undo.find_enrollments(ids))
            pause_queue(connection, self.account_id, utc_now())
            raise CrashError

    @rule(ids=st.lists(known, min_size=1, max_size=8, unique=True))
    def remove(self, ids: list[int]) -> None:
        expected = {id_: "Removed" for id_ in ids if self._status(id_) == "Pending"}
        with self.database.write() as connection:
            undo = self._undo(connection)
            self._note(undo.remove(undo.find_enrollments(ids)), expected)

    @rule(id_=known)
    def restore_all_of_a_learner(self, id_: int) -> None:
        self.restore([other for other, whose in self.learner.items() if whose == self.learner[id_]])

    @rule(ids=st.lists(known, min_size=1, max_size=8, unique=True))
    def restore(self, ids: list[int]) -> None:
        expected = {id_: "Removed" for id_ in ids if self._status(id_) == "Pending"}
        for id_ in ids:
            rivals = [other for other, whose in self.learner.items() if whose == self.learner[id_] and other != id_]
            beaten = any(
                self._is_current(other) or (other in ids and other > id_ and self._gone(other)) for other in rivals
            )
            if self._gone(id_) and id_ not in self.purged and not beaten:
                expected[id_] = "Restored"
        with self.database.write() as connection:
            undo = self._undo(connection)
            self._note(undo.restore(undo.find_enrollments(ids)), expected)

    @rule(id_=known)
    def purge(self, id_: int) -> None:
        self.campus.set(retention_days=0)
        purge_progress(self.database, utc_now(), 1000)
        self.campus.set(retention_days=None)
        self.purged.update(other for other in self.history if self._gone(other))

    @invariant()
    def what_is_shown_is_what_happened(self) -> None:
        with self.database.read() as connection:
            mine = sa.select(enrollments.c.id, enrollments.c.unenrolled_at, enrollments.c.purged_at)
            for id_, unenrolled_at, purged_at in connection.execute(
                mine.where(enrollments.c.account_id == self.account_id)
            ):
                assert (unenrolled_at is None) == self._is_current(id_)
                assert (purged_at is not None) == (id_ in self.purged)
            u = unenrollments.c
            items = sa.select(u.enrollment_id, u.status).where(u.account_id == self.account_id)
            found: dict[int, list[str]] = {id_: [] for id_ in self.history}
            for id_, status in connection.execute(items.order_by(u.batch_id, u.block)):
                found[id_].append(status)
        assert found == self.history

    def _status(self, id_: int) -> str | None:
        return self.history[id_][-1] if self.history[id_] else None

    def _gone(self, id_: int) -> bool:
        return self._status(id_) == "Complete"

    def _is_current(self, id_: int) -> bool:
        return not self._gone(id_)

    def _now_complete(self, ids: list[int]) -> list[int]:
        with self.database.read() as connection:
            gone = sa.select(enrollments.c.id).where(
                enrollments.c.account_id == self.account_id, enrollments.c.unenrolled_at.is_not(None)
            )
            return [id_ for id_ in connection.execute(gone).scalars() if id_ in ids]

    def _undo(self, connection: sa.Connection) -> Undo:
        return Undo(connection, account_id=self.account_id, user_id=1, reason=None, now=utc_now())

    def _note(self, undoing: Undoing, expected: dict[int, str]) -> None:
        assert {id_: str(status) for id_, status in undoing.changed.values()} == expected
        for id_, status in expected.items():
            self.history[id_][-1] = status


def test_any_order_of_operations_leaves_the_records_the_model_predicts(database: Database, soaks: bool) -> None:
    machine = type("BooksOnThisDatabase", (Books,), {"database": database})
    checked = settings(
        max_examples=400 if soaks else 25,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=False,
    )
    run_state_machine_as_test(machine, settings=checked)
