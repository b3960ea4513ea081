"""The import pages: upload a roster or a file of progress, preview what would change, confirm."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from io import BytesIO
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from rollbook.console.forms import read_upload
from rollbook.console.render import count, person
from rollbook.console.request import ConsoleRequest, PageError, redirect
from rollbook.console.views import rosters
from rollbook.errors import UserError
from rollbook.importers.apply_progress import apply_progress
from rollbook.importers.progress import VALUES, ProgressFile
from rollbook.model import utc_now
from rollbook.store.learning.progress import describe_enrollments
from rollbook.store.learning.uploads import (
    Outcome,
    Upload,
    add_upload,
    claim_upload,
    find_upload,
    finish_upload,
    keep_preview,
)
from rollbook.store.people.emails import fold_all_emails
from rollbook.store.roster.people import MatchBy

# The most bad rows that are listed.
PROBLEMS_SHOWN = 200
MAX_NAME = 200


class _BadRowsError(Exception):
    """Rolls an import back, because rows are bad and are not to be skipped."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


def show_form(request: ConsoleRequest, error: str | None = None) -> Response:
    """Show the form for a file."""
    columns = [element.name for element in VALUES.values()]
    return request.render("import.html", code=422 if error else 200, error=error, columns=columns, matches=[*MatchBy])


def upload(request: ConsoleRequest) -> Response:
    """Keep a file with the preview of its import, and redirect there."""
    try:
        name, content = _read_file(request)
        options = rosters.read_options(request, name, content)
        if options is not None:
            return rosters.upload_roster(request, name, content, options)
        fold_all_emails(request.database)
        preview = request.database.transact(partial(_apply, request, name, content), rollback=True)
    except UserError as error:
        return show_form(request, str(error))
    with request.database.write() as connection:
        upload_id = add_upload(connection, request.caller, name, content, preview, utc_now())
    return redirect(f"/import/{upload_id}")


def show_upload(request: ConsoleRequest, error: str | None = None) -> Response:
    """Show the preview of an upload, or the result of its import."""
    found = _find(request)
    if found.options is not None:
        return rosters.show_roster(request, found, error)
    mine = found.user_id == request.caller.user_id
    return request.render("upload.html", code=422 if error else 200, error=error, upload=found, mine=mine)


def confirm(request: ConsoleRequest) -> Response:
    """Import an upload in one transaction, once however often it is confirmed, and redirect to its result."""
    found = _find(request)
    if found.user_id != request.caller.user_id:
        raise PageError(403, f"Only {found.by}, who uploaded this file, can import it.")
    if found.options is not None:
        return rosters.confirm_roster(request, found)
    skip_bad_rows = bool(request.text("skip_bad_rows"))

    def work(connection: sa.Connection) -> None:
        content = claim_upload(connection, found.id)
        if content is None:
            return
        outcome = _apply(request, found.name, content, connection)
        if outcome["refused"] and not skip_bad_rows:
            raise _BadRowsError(outcome)
        finish_upload(connection, found.id, outcome, utc_now())

    fold_all_emails(request.database)
    try:
        request.database.transact(work)
    except _BadRowsError as error:
        with request.database.write() as connection:
            keep_preview(connection, found.id, error.outcome)
        rows = count(error.outcome["refused"], "row is bad", "rows are bad")
        return show_upload(request, f"{rows}, so nothing was imported. Tick the box to import the others.")
    return redirect(f"/import/{found.id}")


def download(request: ConsoleRequest) -> Response:
    """Send all changes and bad rows of a roster as CSV."""
    return rosters.download_listing(request, _find(request))


def _read_file(request: ConsoleRequest) -> tuple[str, bytes]:
    found = read_upload(request.form, "file")
    if found is None:
        raise UserError("Choose a roster or a file of progress.")
    if len(found[0]) > MAX_NAME or not found[0].isprintable():
        raise UserError(f"The name of the file has more than {MAX_NAME} characters, or control characters. Rename it.")
    return found


def _find(request: ConsoleRequest) -> Upload:
    with request.database.read() as connection:
        found = find_upload(connection, request.caller.account_id, request.numbers["upload"], utc_now())
    if found is None:
        raise PageError(404, "This account has no such upload, or it is more than a day old. Upload the file again.")
    return found


def _apply(request: ConsoleRequest, name: str, content: bytes, connection: sa.Connection) -> Outcome:
    """Import a file without its bad rows, and describe the outcome for the page."""
    file = ProgressFile(name, BytesIO(content))
    done = apply_progress(connection, request.caller.account_id, file, by=request.actor)
    changes = [
        {
            "id": row.id,
            "learner": person(row),
            "email": row.email,
            "course": row.course,
            "new": _compare(*done.shown[row.id]),
        }
        for row in describe_enrollments(connection, done.shown)
    ]
    counts = {name: getattr(done, name) for name in ("rows", "changed", "unchanged", "refused")}
    problems = [list(remark[1:]) for remark in done.problems[:PROBLEMS_SHOWN]]
    return {**counts, "ignored": file.ignored, "changes": changes, "problems": problems}


def _compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    pairs = ((element.name, before.get(element.field), after.get(element.field)) for element in VALUES.values())
    return [(name, _shown(old), _shown(new)) for name, old, new in pairs if old != new]


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "\N{EN DASH}" if value is None else str(value)
