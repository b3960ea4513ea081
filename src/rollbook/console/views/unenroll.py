"""The unenroll pages: select, preview, give a reason, confirm into one batch."""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from starlette.responses import Response

from rollbook import actions
from rollbook.brake import MAX_PERCENT, find_large_shares
from rollbook.console.request import ConsoleRequest, PageError, redirect
from rollbook.console.views.choice import read_choice
from rollbook.console.views.list_form import FIELDS, ListForm, find_list_form, read_fields, read_list_form
from rollbook.console.views.plan import read_plan, send_plan
from rollbook.errors import UserError
from rollbook.methods.unenroll_learning_modules import REJECT_CODES
from rollbook.model import EnrollmentStatus, UnenrollRequest, utc_now
from rollbook.store.learning.auto_enroll import find_auto_enrolled
from rollbook.store.queue.drafts import Choice, Draft, add_draft, claim_draft, find_draft, finish_draft, read_draft_ids
from rollbook.store.queue.selection import find_courses, find_groups, preview_enrollments

OPTIONS_SHOWN = 50


def show_choice(request: ConsoleRequest, error: str | None = None, form: ListForm | None = None) -> Response:
    """Show the selection forms; what was selected, pasted or uploaded stays."""
    account_id = request.caller.account_id
    searched = {kind: request.search(kind) for kind in ("course", "group")}
    with request.database.read() as connection:
        selected, statuses = _read_selected(request, connection)
        lists = {}
        for kind, find in (("course", find_courses), ("group", find_groups)):
            found = find(connection, account_id, searched[kind], limit=OPTIONS_SHOWN + 1)
            chosen = find(connection, account_id, ids=selected[kind]) if selected[kind] else []
            others = [row for row in found[:OPTIONS_SHOWN] if row.id not in selected[kind]]
            lists[kind] = {"chosen": chosen, "others": others, "more": len(found) > OPTIONS_SHOWN}
    draft_id = request.number("draft")
    form = form or (find_list_form(request, draft_id) if draft_id is not None else None) or read_fields(request)
    return request.render(
        "unenroll.html",
        code=422 if error else 200,
        error=error,
        searched=searched,
        lists=lists,
        statuses=[*EnrollmentStatus],
        selected=selected,
        selected_statuses=statuses,
        form=form,
    )


def _read_selected(request: ConsoleRequest, connection: sa.Connection) -> tuple[dict[str, list[int]], list[str]]:
    """Return the selected courses and groups, and the statuses, of the form or of the user's draft."""
    draft_id = request.number("draft")
    if draft_id is None:
        selected = {kind: request.ids(f"in_{kind}") for kind in ("course", "group")}
        return selected, [str(status) for status in (request.form or request.query).getlist("status")]
    draft = find_draft(connection, request.caller.account_id, draft_id, utc_now())
    choice = draft.choice if draft and draft.user_id == request.caller.user_id else Choice()
    choice = Choice() if choice.listed else choice
    selected = {"course": [id_ for id_, _ in choice.courses], "group": [id_ for id_, _ in choice.groups]}
    return selected, choice.statuses


def choose(request: ConsoleRequest) -> Response:
    """Keep the selection as a draft and redirect to its preview; Find only lists other courses and groups."""
    form = read_fields(request)
    try:
        form = read_list_form(request)
        if "find" in request.form:
            return show_choice(request, form=replace(form, kept=form.keep_file(request)))
        choice, ids = read_choice(request, form)
    except UserError as error:
        return show_choice(request, str(error), replace(form, kept=form.keep_file(request)))
    return keep_choice(request, choice, ids, form)


def read_ticked(request: ConsoleRequest) -> list[int]:
    """Read the enrollments that are ticked on a page; errors: UserError for none."""
    ids = [*dict.fromkeys(request.ids("enrollment"))]
    if not ids:
        raise UserError("No one is selected. Select people, or all of them.")
    return ids


def keep_choice(request: ConsoleRequest, choice: Choice, ids: Sequence[int], form: ListForm | None = None) -> Response:
    """Keep a selection, of this page or of another one, as a draft and redirect to its preview.

    A list without a form of its own is shown as one that was pasted, when the selection is changed.
    """
    if form is None:
        pasted = "\n".join(map(str, ids)) if choice.listed else ""
        form = ListForm({**dict.fromkeys(FIELDS, ""), "ids": pasted})
    with request.database.read() as connection:
        shares = preview_enrollments(connection, request.caller.account_id, ids)
    with request.database.write() as connection:
        source = form.write() if form.lists() else None
        draft_id = add_draft(connection, request.caller, ids, choice, shares, utc_now(), source)
    return redirect(f"/unenroll/{draft_id}")


def show_draft(request: ConsoleRequest, error: str | None = None) -> Response:
    """Show the preview of a draft; a confirmed one redirects to its batch."""
    draft = _find_draft(request)
    if draft.batch_id is not None:
        return redirect(f"/batches/{draft.batch_id}")
    request.search_people("q")
    with request.database.read() as connection:
        ids = read_draft_ids(connection, draft.id)
        auto_enrolled = find_auto_enrolled(connection, request.caller.account_id, ids)
        plan = read_plan(request, connection, ids)
    return request.render(
        "preview.html",
        code=422 if error else 200,
        error=error,
        draft=draft,
        found=sum(share.chosen for share in draft.shares),
        large_shares=find_large_shares(draft.shares),
        max_percent=MAX_PERCENT,
        begun=any(share.started or share.completed for share in draft.shares),
        auto_enrolled=auto_enrolled,
        policies=request.caller.policies,
        mine=draft.user_id == request.caller.user_id,
        **plan,
    )


def download_plan(request: ConsoleRequest) -> Response:
    """Send the learners of a draft as CSV."""
    return send_plan(request, _find_draft(request))


def confirm(request: ConsoleRequest) -> Response:
    """Queue a draft as one batch, once however often it is confirmed, and redirect to the batch."""
    draft = _find_draft(request)
    if draft.user_id != request.caller.user_id:
        raise PageError(403, f"Only {draft.by}, who made this selection, can confirm it.")
    try:
        reason = request.reason()
    except UserError as error:
        return show_draft(request, str(error))
    if reason is None:
        return show_draft(request, "Enter a reason: it is kept with the batch.")
    if find_large_shares(draft.shares) and not request.text("intended"):
        return show_draft(request, "Tick the box to confirm that you intend to unenroll so large a share of a course.")

    def work(connection: sa.Connection) -> int | None:
        ids, batch_id = claim_draft(connection, draft.id)
        if batch_id is None:
            caller = request.caller
            asked = UnenrollRequest(request.actor, ids, reason)
            done = actions.unenroll(
                connection, caller.account_id, caller.policies, asked, codes=REJECT_CODES, now=utc_now()
            )
            batch_id = done.batch_id
        if batch_id is not None:
            finish_draft(connection, draft.id, batch_id)
        return batch_id

    batch_id = request.database.transact(work)
    if batch_id is None:
        return show_draft(
            request, "None of these can be unenrolled any more: each has ended or is in the queue already."
        )
    return redirect(f"/batches/{batch_id}")


def _find_draft(request: ConsoleRequest) -> Draft:
    with request.database.read() as connection:
        draft = find_draft(connection, request.caller.account_id, request.numbers["draft"], utc_now())
    if draft is None or not draft.total:  # without a selection it only keeps a file
        raise PageError(404, "This account has no such selection, or it was not confirmed within a day. Make it again.")
    return draft
