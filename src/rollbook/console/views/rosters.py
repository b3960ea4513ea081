"""Rosters on the import pages: a OneRoster archive, the listing of what it would change, and its import."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from starlette.responses import Response

from rollbook.actions import apply_roster
from rollbook.console.downloads import CHUNK, send_csv
from rollbook.console.request import ConsoleRequest, PageError, redirect
from rollbook.console.views.account import account_of
from rollbook.errors import UserError
from rollbook.importers.oneroster import Archive, open_archive
from rollbook.methods.unenroll_learning_modules import UNKNOWN_ID
from rollbook.model import RejectReason, utc_now
from rollbook.store.database.deadlocks import repeat
from rollbook.store.learning.uploads import (
    Upload,
    add_upload,
    claim_upload,
    finish_upload,
    keep_preview,
    read_file,
)
from rollbook.store.people.emails import fold_all_emails
from rollbook.store.roster.apply import Options, begin_import
from rollbook.store.roster.grades import FinalGrade
from rollbook.store.roster.listing import CHANGES, COLUMNS, read_listing, search_listing, write_listing
from rollbook.store.roster.people import MatchBy
from rollbook.store.roster.staging import stage_rows

PER_PAGE = 100
# The size of the files in an archive, as a multiple of the largest upload: a small archive can unpack to gigabytes.
UNPACK_FACTOR = 10
CHANGED = "The account has changed since the preview, so nothing was imported. Check the new preview and confirm again."

Given = Mapping[str, Any]


class _OtherOutcomeError(Exception):
    """Rolls an import back that would do something else than was previewed."""

    def __init__(self, outcome: Given, listing: bytes) -> None:
        self.outcome = outcome
        self.listing = listing


def read_options(request: ConsoleRequest, name: str, content: bytes) -> Given | None:
    """Read the fields of the form about rosters; None when the file is no archive. Errors: UserError."""
    given = {"match": request.text("match"), "final": request.text("final_grade")}
    given |= {"completes": request.text("complete")}
    if not content.startswith(b"PK"):
        if any(given.values()):
            raise UserError(f"{name} is no zip archive, and the options are for rosters. Leave them empty.")
        return None
    if given["match"] not in ("", *MatchBy):
        raise UserError(f"“{given['match'][:20]}” is nothing by which users are matched. Select it again.")
    if given["completes"] and not given["final"]:
        raise UserError("Only a final grade completes an enrollment: name the final line item.")
    return given


def upload_roster(request: ConsoleRequest, name: str, content: bytes, given: Given) -> Response:
    """Keep an archive with the preview of its import, and redirect there; errors: UserError."""
    outcome, listing = _import(request, name, content, given)
    with request.database.write() as connection:
        caller, now = request.caller, utc_now()
        number = add_upload(connection, caller, name, content, outcome, now, options=given, listing=listing)
    return redirect(f"/import/{number}")


def show_roster(request: ConsoleRequest, found: Upload, error: str | None = None) -> Response:
    """Show the preview of an archive, or the result of its import: all changes, or those that a search finds."""
    change, part, page = request.text("change"), request.search("q"), request.page()
    if change not in ("", *CHANGES):
        raise UserError(f"“{change[:20]}” is not a change.")
    with request.database.read() as connection:
        listing = read_file(connection, found.id)[1] or b""
    lines = search_listing(listing, change, part, PER_PAGE + 1, (page - 1) * PER_PAGE)
    return request.render(
        "roster.html",
        code=422 if error else 200,
        error=error,
        upload=found,
        mine=found.user_id == request.caller.user_id,
        lines=[dict(zip(COLUMNS, line, strict=True)) for line in lines[:PER_PAGE]],
        change=change,
        changes=CHANGES,
        q=part,
        page=page,
        more=len(lines) > PER_PAGE,
    )


def confirm_roster(request: ConsoleRequest, found: Upload) -> Response:
    """Import an archive if that does exactly what was previewed, once however often it is confirmed."""
    if found.outcome["listed"]["bad"] and not request.text("skip_bad_rows"):
        return show_roster(request, found, "Nothing was imported. Tick the box to import the other rows.")
    with request.database.read() as connection:
        content, listing = read_file(connection, found.id)
    if content:
        try:
            _import(request, found.name, content, found.options or {}, found.id, listing)
        except _OtherOutcomeError as error:
            with request.database.write() as connection:
                keep_preview(connection, found.id, error.outcome, error.listing)
            return show_roster(request, replace(found, outcome=error.outcome), CHANGED)
    return redirect(f"/import/{found.id}")


def download_listing(request: ConsoleRequest, found: Upload) -> Response:
    """Send the listing of an archive as CSV."""
    with request.database.read() as connection:
        listing = read_file(connection, found.id)[1]
    if listing is None:
        raise PageError(404, "This upload is no roster.")
    lines = iter(read_listing(listing))
    return send_csv(f"import-{found.id}", COLUMNS, iter(lambda: [*islice(lines, CHUNK)], []))


def _import(
    request: ConsoleRequest,
    name: str,
    content: bytes,
    given: Given,
    upload_id: int | None = None,
    previewed: bytes | None = None,
) -> tuple[Given, bytes]:
    """Import the rows of an archive that are not bad, or without `upload_id` preview it; return outcome and listing."""
    final = FinalGrade(given["final"], bool(given["completes"])) if given["final"] else None
    match = MatchBy(given["match"]) if given["match"] else None
    with open_archive(Path(name), grades=final is not None, data=content) as archive:
        if archive.size > (most := UNPACK_FACTOR * request.max_upload_bytes):
            raise UserError(f"The files in {name} have more than {most:,} bytes. Use rollbook import oneroster.")
        preview = upload_id is None
        options = Options(archive.complete, match, skip_bad_rows=True, dry_run=preview, final=final, keeps_before=True)
        fold_all_emails(request.database)
        return repeat(lambda: _import_archive(request, archive, options, upload_id, previewed))


def _import_archive(
    request: ConsoleRequest, archive: Archive, options: Options, upload_id: int | None, previewed: bytes | None
) -> tuple[Given, bytes]:
    reason, codes, now = f"OneRoster import {archive.name}", {RejectReason.UNKNOWN: UNKNOWN_ID}, utc_now()
    account = account_of(request)
    with request.database.session() as connection:
        stage_rows(connection, archive.read_rows(lambda stream: stream))
        with (
            request.database.turn(connection, rollback=options.dry_run),
            begin_import(connection) as transaction,
        ):
            if upload_id is not None and claim_upload(connection, upload_id) is None:
                return {}, b""  # another confirmation has imported it
            done = apply_roster(connection, request.actor, account, reason, options, codes=codes, now=now)
            listing, listed = write_listing(connection, account.id, now, done.batch_id)
            left = [f"{name}.csv ({archive.count_rows(name) or 0:,} rows)" for name in archive.left_alone]
            outcome = {"counts": done.counts, "listed": listed, "batch_id": done.batch_id, "left_alone": left}
            if upload_id is None:
                transaction.rollback()
            elif listing != previewed:
                raise _OtherOutcomeError(outcome, listing)
            else:
                finish_upload(connection, upload_id, outcome, utc_now())
    return outcome, listing
