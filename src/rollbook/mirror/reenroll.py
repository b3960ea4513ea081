"""Enrolls learners again on a server that has no undo, by what the account here has kept of them.

Before a call the enrollments that its learners have there are noted, so that a call whose answer was lost is settled by
the report, and never made twice.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from json import loads
from typing import Any

from rollbook.client.client import Client
from rollbook.client.requests import Enrollment, PastEnrollment, ReportFilters, split
from rollbook.client.results import Outcome
from rollbook.model import EnrollmentStatus, utc_now
from rollbook.store.database.database import Database
from rollbook.store.mirror.kept import Row, list_removed, note_outcomes, note_sent
from rollbook.wire.identifiers import read_identifier

# How an enrollment comes back, and what is noted of one that has.
WHOLE, ANEW, NOT_AT_ALL = "with its history", "from its beginning", "not at all"
BACK = "enrolled again, {way}"
STILL = "still enrolled there: the server has not processed the removal"
FOUND = "enrolled again, found in the report after an interruption"

# By the columns of an enrollment, what does not come back: of any, of one in a session, of one without its history.
LOST = {
    "progress": "progress",
    "grade_percentage": "grade percentage",
    "points": "points",
    "last_accessed_at": "last access",
}
LOST_IN_SESSION = {"started_at": "start", "completed_at": "completion date", "due_at": "due date"}
LOST_ANEW = {"grade": "grade", "enrolled_at": "enrollment date", "started_at": "start"}

Known = Mapping[tuple[int, int], set[int]]


@dataclass(frozen=True)
class Plan:
    """How the items of a batch come back on a server, and what of them does not.

    `takes` tells whether the server takes the history of enrollments without and with a session.
    """

    rows: Sequence[Row]
    takes: Mapping[bool, bool]

    def way(self, row: Row) -> str:
        """Tell how an enrollment comes back; a completed course is not begun again."""
        if row.purged_at is not None or not (row.email or row.employee_id):
            return NOT_AT_ALL
        if self.takes[row.session_id is not None]:
            return WHOLE
        return NOT_AT_ALL if row.status == EnrollmentStatus.COMPLETED else ANEW

    def lost(self, row: Row) -> list[str]:
        """Name what an enrollment has that does not come back."""
        way, names = self.way(row), dict(LOST)
        if row.outcome == BACK.format(way=ANEW) or (row.new_id is None and way == ANEW):
            names |= LOST_ANEW
        elif row.session_id is not None:
            names |= LOST_IN_SESSION
        return [told for name, told in names.items() if row._mapping[name] not in (None, "")]

    def reason(self, row: Row) -> str:
        """Tell why an enrollment is not back."""
        if row.outcome or self.way(row) != NOT_AT_ALL:
            return row.outcome or "not tried yet"
        if row.purged_at is not None:
            return "its progress is deleted here, by the retention of the account"
        named = row.email or row.employee_id
        return "the server takes no history of a completed course" if named else "no e-mail and no employee id"

    def todo(self) -> list[Row]:
        """The enrollments that are not back yet, and can be."""
        return [row for row in self.missing() if self.way(row) != NOT_AT_ALL]

    def missing(self) -> list[Row]:
        """The enrollments that are not back yet."""
        return [row for row in self.rows if row.new_id is None]

    def summary(self) -> list[dict[str, object]]:
        """Count the enrollments that are not back yet by status and way, and what of them is lost."""
        lost: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        counts = Counter((row.status, self.way(row)) for row in self.missing())
        for row in self.missing():
            lost[row.status, self.way(row)].update(self.lost(row))
        return [
            {
                "status": status,
                "enrollments": count,
                "come_back": way,
                "without": ", ".join(f"{what} of {n}" for what, n in lost[status, way].items()),
            }
            for (status, way), count in sorted(counts.items())
        ]


def make_plan(database: Database, client: Client, account_id: int, batch_id: int) -> Plan | None:
    """Plan how the items of a batch come back; None for an unknown batch."""
    with database.read() as connection:
        found = list_removed(connection, account_id, batch_id)
    if found is None:
        return None
    kinds = {row.session_id is not None for row in found if row.new_id is None}
    return Plan(found, {kind: kind in kinds and client.takes_history(in_sessions=kind) for kind in (False, True)})


def read_plan(database: Database, account_id: int, batch_id: int, plan: Plan) -> Plan:
    """Read the items of a plan again."""
    with database.read() as connection:
        return replace(plan, rows=list_removed(connection, account_id, batch_id) or ())


class Reenrollment:
    """Carries out the plan for a batch."""

    def __init__(self, database: Database, client: Client, account_id: int, batch_id: int, plan: Plan) -> None:
        self._database, self._client, self._plan = database, client, plan
        self._account_id, self._batch_id = account_id, batch_id

    def go(self, watch: Callable[[int], None]) -> None:
        """Enroll again what can be, in calls of 100; errors: ClientError, after which another attempt continues."""
        for part in split(self._plan.todo()):
            known = self._find_there(part)
            calls: dict[tuple[str, bool], list[Row]] = defaultdict(list)
            still = []
            for row in self._settle(part, known):
                if row.id in known[row.user_id, row.course_id]:
                    still.append(row)
                else:
                    calls[self._plan.way(row), row.session_id is not None].append(row)
            self._note_sent(still, known)
            self._note([{"id": row.id, "outcome": STILL} for row in still])
            for (way, _), rows in calls.items():
                self._call(way, rows, known)
            watch(len(part))

    def _find_there(self, rows: Sequence[Row]) -> Known:
        """Find the enrollments that the learners have there, by user and course."""
        emails = [row.email for row in rows if row.email]
        chosen: list[dict[str, Any]] = [{"emails": emails}] if emails else []
        if numbers := [row.employee_id for row in rows if not row.email]:
            chosen.append({"employee_ids": numbers})
        known: dict[tuple[int, int], set[int]] = defaultdict(set)
        for row in chain.from_iterable(self._client.learner_report(ReportFilters(**each)) for each in chosen):
            user_id, course_id, id_ = (read_identifier(row[name]) or 0 for name in ("UserID", "LearningModuleID", "ID"))
            known[user_id, course_id].add(id_)
        return known

    def _settle(self, rows: Sequence[Row], known: Known) -> list[Row]:
        """Note the successors that calls without an answer have made; return the other rows."""
        found: dict[int, int] = {}
        for row in rows:
            if row.sent_at is not None and row.outcome is None:
                made = known[row.user_id, row.course_id] - {*loads(row.known_ids), *found.values()}
                found |= {row.id: min(made)} if made else {}
        self._note([{"id": id_, "new_id": new_id, "outcome": FOUND} for id_, new_id in found.items()])
        return [row for row in rows if row.id not in found]

    def _call(self, way: str, rows: Sequence[Row], known: Known) -> None:
        self._note_sent(rows, known)
        if way == ANEW:
            self._note(_read_outcomes(rows, self._client.enroll(map(_anew, rows), once=True), ANEW))
            return
        notes = _read_outcomes(rows, self._client.import_history(map(_past, rows), once=True), WHOLE)
        # A server may take the history of completed courses only.
        refused = {note["id"] for note in notes if note["new_id"] is None}
        open_rows = [row for row in rows if row.id in refused and row.status != EnrollmentStatus.COMPLETED]
        if open_rows:
            anew = _read_outcomes(open_rows, self._client.enroll(map(_anew, open_rows), once=True), ANEW)
            notes = [*{note["id"]: note for note in (*notes, *anew)}.values()]
        self._note(notes)

    def _note_sent(self, rows: Sequence[Row], known: Known) -> None:
        there = {row.id: known[row.user_id, row.course_id] for row in rows}
        self._database.transact(lambda link: note_sent(link, self._account_id, self._batch_id, there, utc_now()))

    def _note(self, notes: Sequence[Mapping[str, object]]) -> None:
        if notes:
            self._database.transact(lambda link: note_outcomes(link, self._account_id, notes))


def _read_outcomes(rows: Sequence[Row], outcomes: Iterable[Outcome], way: str) -> list[Mapping[str, object]]:
    notes: list[Mapping[str, object]] = []
    for row, outcome in zip(rows, outcomes, strict=True):
        told = BACK.format(way=way) if outcome.accepted else f"{outcome.code}: {outcome.message}"
        new_id = read_identifier(outcome.new_id or "") if outcome.accepted else None
        notes.append({"id": row.id, "new_id": new_id, "outcome": told})
    return notes


def _learner(row: Row) -> dict[str, Any]:
    return {"email": row.email} if row.email else {"employee_id": row.employee_id}


def _anew(row: Row) -> Enrollment:
    due = row.due_at and row.due_at.date()
    return Enrollment(row.course_id, row.group_name, **_learner(row), due_date=due, session_id=row.session_id)


def _past(row: Row) -> PastEnrollment:
    group: dict[str, Any] = {"group_id": row.group_identifier} if row.group_identifier else {"group": row.group_name}
    same = {"course_id": row.course_id, "status": row.status, "grade": row.grade, "enrolled": row.enrolled_at}
    given: dict[str, Any] = {**same, **group, **_learner(row)}
    if row.session_id is not None:
        return PastEnrollment(**given, session_id=row.session_id)
    dates = {"started": row.started_at, "completed": row.completed_at, "due": row.due_at}
    return PastEnrollment(**given, **dates)
