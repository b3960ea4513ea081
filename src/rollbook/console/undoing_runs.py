"""Taking back a whole run: batch by batch, the latest first, each in a transaction of its own."""

from collections import Counter

from starlette.responses import Response

from rollbook.console.undoing import undo_batch
from rollbook.console.unenrolling import find_run_of
from rollbook.console.visit import PageError, Visit, redirect
from rollbook.model import Obstacle
from rollbook.store.runs import Run, count_outcomes, list_batches


def preview_undo(visit: Visit) -> Response:
    """Show how many would come back and how many would be taken out of the queue."""
    with visit.database.read() as connection:
        run = find_run_of(visit, connection)
        outcomes = count_outcomes(connection, visit.caller.account_id, run.id)
    _require_end(run)
    return visit.render("undo_run.html", run=run, outcomes=outcomes)


def undo(visit: Visit) -> Response:
    """Undo what can be undone. Where it is cut off, the same again does the rest."""
    reason = visit.reason()
    with visit.database.read() as connection:
        run = find_run_of(visit, connection)
        batches = list_batches(connection, visit.caller.account_id, run.id)
    _require_end(run)
    counts: Counter[str] = Counter()
    for batch_id in batches:
        done = undo_batch(visit, batch_id, (), reason)
        counts.update(done.counts())
        # What was settled before, as by the same again, is nothing that could not be undone.
        counts["refused"] += sum(why is not Obstacle.WRONG_STATUS for why in done.refused.values())
    return redirect(
        f"/unenrol/{run.id}",
        done="run-undone",
        n=counts["restored"],
        removed=counts["removed"],
        refused=counts["refused"],
    )


def _require_end(run: Run) -> None:
    if run.finished_at is None:
        raise PageError(409, "This run is still being queued, or was never started. Stop it first.")
