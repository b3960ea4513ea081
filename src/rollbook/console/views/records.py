"""The audit and the last API calls of the account; the calls as CSV too."""

import json
from collections.abc import Iterator
from typing import Any

from starlette.responses import Response

from rollbook.console.downloads import CHUNK, Rows, send_csv
from rollbook.console.request import ConsoleRequest
from rollbook.errors import UserError
from rollbook.methods import METHODS
from rollbook.model import Action
from rollbook.store.operations.audit import list_changes
from rollbook.store.operations.call_log import SPAN, CallFilter, Outcome, find_calls

LINES_PER_PAGE = 100
CALL_COLUMNS = (
    *("answered_at", "method", "user", "key_id", "result", "status", "errors", "detail", "batch_id"),
    *("milliseconds", "address", "request_id"),
)
AUDIT_FILTERS = ("actor", "action", "from", "to")
AUDIT_COLUMNS = ("happened_at", "actor", "action", "subject", "details", "address", "request_id")
FILTERS = ("method", "outcome", "user", "from", "to", "q")


def show_audit(request: ConsoleRequest) -> Response:
    """List the audit, latest first."""
    lines = _read_audit(request, LINES_PER_PAGE + 1, request.number("before"))
    last = lines[LINES_PER_PAGE - 1]["id"] if len(lines) > LINES_PER_PAGE else None
    filters = {name: request.search(name) for name in AUDIT_FILTERS}
    return request.render("audit.html", lines=lines[:LINES_PER_PAGE], before=last, filters=filters, actions=[*Action])


def download_audit(request: ConsoleRequest) -> Response:
    """Send all lines of the audit that match the filters as CSV."""
    _read_audit(request, 0, None)  # answers a wrong filter before the file begins
    return send_csv("audit", AUDIT_COLUMNS, _audit_rows(request))


def _audit_rows(request: ConsoleRequest) -> Iterator[Rows]:
    before, more = None, True
    while more:
        lines = _read_audit(request, CHUNK, before)
        yield [[_audit_cell(line[name]) for name in AUDIT_COLUMNS] for line in lines]
        before, more = (lines[-1]["id"] if lines else None), len(lines) == CHUNK


def _audit_cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def _read_audit(request: ConsoleRequest, limit: int, before: int | None) -> list[dict[str, Any]]:
    action, (first, end) = request.text("action"), request.days()
    if action and action not in [*Action]:
        raise UserError(f"“{action[:20]}” is not an action.")
    with request.database.read() as connection:
        return list_changes(
            connection,
            request.caller.account_id,
            actor=request.text("actor") or None,
            action=Action(action) if action else None,
            since=first,
            until=end,
            before_id=before,
            limit=limit,
        )


def show_calls(request: ConsoleRequest) -> Response:
    """List the calls that match the filters, latest first."""
    chosen = _read_filter(request)
    with request.database.read() as connection:
        found = find_calls(
            connection, request.caller.account_id, chosen, LINES_PER_PAGE, before=request.number("before")
        )
    return request.render(
        "calls.html",
        found=found,
        filters={name: request.text(name) for name in FILTERS},
        methods=sorted(METHODS),
        outcomes=[*Outcome],
        span=SPAN,
    )


def download_calls(request: ConsoleRequest) -> Response:
    """Send all calls that match the filters as CSV."""
    return send_csv("calls", CALL_COLUMNS, _rows(request, _read_filter(request)))


def _rows(request: ConsoleRequest, chosen: CallFilter) -> Iterator[Rows]:
    before, more = None, True
    while more:
        with request.database.read() as connection:
            found = find_calls(connection, request.caller.account_id, chosen, CHUNK, before)
        yield [[_cell(call[name]) for name in CALL_COLUMNS] for call in found.calls]
        before, more = found.older, found.older is not None


def _cell(value: object) -> object:
    return ", ".join(f"{code} x{times}" for code, times in value.items()) if isinstance(value, dict) else value


def _read_filter(request: ConsoleRequest) -> CallFilter:
    """Read the filters; errors: UserError."""
    texts = {name: request.search(name) or None for name in FILTERS}
    outcome, (since, until) = texts["outcome"], request.days()
    if outcome and outcome not in [*Outcome]:
        raise UserError(f"“{outcome[:20]}” is not an outcome.")
    return CallFilter(
        method=texts["method"],
        outcome=Outcome(outcome) if outcome else None,
        user=texts["user"],
        since=since,
        until=until,
        text=texts["q"],
    )
