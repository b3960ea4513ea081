"""The audit and the last API calls of the account."""

from starlette.responses import Response

from rollbook.console.request import ConsoleRequest
from rollbook.errors import UserError
from rollbook.model import Action
from rollbook.store.operations.audit import list_changes
from rollbook.store.operations.call_log import list_calls

LINES_PER_PAGE = 100


def show_audit(request: ConsoleRequest) -> Response:
    """List the audit, latest first."""
    action = request.text("action")
    if action and action not in [*Action]:
        raise UserError(f"“{action[:20]}” is not an action.")
    with request.database.read() as connection:
        lines = list_changes(
            connection,
            request.caller.account_id,
            actor=request.text("actor") or None,
            action=Action(action) if action else None,
            before_id=request.number("before"),
            limit=LINES_PER_PAGE + 1,
        )
    last = lines[LINES_PER_PAGE - 1]["id"] if len(lines) > LINES_PER_PAGE else None
    filters = {"actor": request.text("actor"), "action": action}
    return request.render("audit.html", lines=lines[:LINES_PER_PAGE], before=last, filters=filters, actions=[*Action])


def show_calls(request: ConsoleRequest) -> Response:
    """List the last calls, latest first."""
    with request.database.read() as connection:
        calls = list_calls(connection, request.caller.account_id, LINES_PER_PAGE + 1, request.number("before"))
    before = calls[LINES_PER_PAGE - 1][0] if len(calls) > LINES_PER_PAGE else None
    return request.render("calls.html", calls=[call for _, call in calls[:LINES_PER_PAGE]], before=before)
