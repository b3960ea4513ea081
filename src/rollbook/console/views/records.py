"""What was done in the account: the audit, and the last calls with their outcome, for whoever wrote the program."""

from starlette.responses import Response

from rollbook.console.request import Visit
from rollbook.model import Action
from rollbook.store.operations.audit import list_changes
from rollbook.store.operations.call_log import last_calls

LINES = 100


def show_audit(visit: Visit) -> Response:
    """List the lines of the audit, the latest first."""
    action = visit.text("action")
    with visit.database.read() as connection:
        lines = list_changes(
            connection,
            visit.caller.account_id,
            actor=visit.text("actor") or None,
            action=Action(action) if action in [*Action] else None,
            before_id=visit.number("before"),
            limit=LINES + 1,
        )
    last = lines[LINES - 1]["id"] if len(lines) > LINES else None
    filters = {"actor": visit.text("actor"), "action": action}
    return visit.render("audit.html", lines=lines[:LINES], before=last, filters=filters, actions=[*Action])


def show_calls(visit: Visit) -> Response:
    """List the last calls, the latest first."""
    with visit.database.read() as connection:
        calls = last_calls(connection, visit.caller.account_id, LINES + 1, visit.number("before"))
    before = calls[LINES - 1][0] if len(calls) > LINES else None
    return visit.render("calls.html", calls=[call for _, call in calls[:LINES]], before=before)
