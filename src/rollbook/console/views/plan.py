"""The learners of a selection: a page of them for the preview, and all of them as CSV."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from rollbook.console.downloads import CHUNK, in_chunks, send_csv
from rollbook.console.render import person, progress
from rollbook.console.request import ConsoleRequest
from rollbook.model import EnrollmentStatus
from rollbook.store.queue.drafts import Draft, read_draft_ids
from rollbook.store.queue.plan import find_planned, search_planned

PER_PAGE = 100
COLUMNS = (
    *("AccountUserLearningModuleRelID", "Learner", "E-mail", "Employee id", "Course", "Group", "Enrolled"),
    *("Status", "Progress", "Outcome"),
)


@dataclass(frozen=True)
class Planned:
    """An id of a selection, its enrollment if it is a current one, and what would happen to it."""

    id: int
    enrollment: Any | None
    outcome: str


def read_plan(request: ConsoleRequest, connection: sa.Connection, ids: Sequence[int]) -> dict[str, object]:
    """Read the page of the plan that the address names, or of those that match its `q`."""
    part, page = request.search("q"), request.page()
    offset = (page - 1) * PER_PAGE
    ids = search_planned(connection, request.caller.account_id, ids, part) if part else ids
    planned = [*_plan(request, connection, ids[offset : offset + PER_PAGE + 1])]
    return {"planned": planned[:PER_PAGE], "q": part, "page": page, "more": len(planned) > PER_PAGE}


def _plan(request: ConsoleRequest, connection: sa.Connection, ids: Sequence[int]) -> Iterator[Planned]:
    found = find_planned(connection, request.caller.account_id, ids) if ids else []
    rows = {row.id: row for row in found}
    for id_ in ids:
        yield Planned(id_, rows.get(id_), _describe(request, rows.get(id_)))


def _describe(request: ConsoleRequest, row: Any | None) -> str:
    if row is None:
        return "Refused: not a current enrollment"
    if row.queued:
        return "Refused: in the queue already"
    if row.status == EnrollmentStatus.COMPLETED and request.caller.policies.protect_completed:
        return "Refused: completed enrollments are protected"
    return "Unenrolled, not auto-enrolled again" if row.auto_enrolled else "Unenrolled"


def send_plan(request: ConsoleRequest, draft: Draft) -> Response:
    """Send the whole plan as CSV."""
    with request.database.read() as connection:
        ids = read_draft_ids(connection, draft.id)
    chunks = in_chunks(request, lambda connection, offset: [*_plan(request, connection, ids[offset : offset + CHUNK])])
    return send_csv(f"plan-{draft.id}", COLUMNS, (map(_cells, planned) for planned in chunks))


def _cells(planned: Planned) -> Sequence[object]:
    e = planned.enrollment
    if e is None:
        return (planned.id, *[None] * (len(COLUMNS) - 2), planned.outcome)
    named = (planned.id, person(e), e.learner_email, e.employee_id, e.course, e.origin, e.enrolled_at)
    return (*named, e.status, progress(e), planned.outcome)
