"""Unenrolling: choose, see what would happen, give a reason, confirm, watch it."""

import sqlalchemy as sa
from starlette.responses import Response

from rollbook.console.forms import read_upload
from rollbook.console.id_lists import read_ids
from rollbook.console.visit import PageError, Visit, redirect
from rollbook.errors import UserError
from rollbook.model import Action, Change, EnrollmentStatus, utc_now
from rollbook.store.choosing import choose_enrollments, find_courses, find_groups, preview_enrollments
from rollbook.store.runs import (
    Run,
    count_outcomes,
    draft_run,
    find_batches_of,
    find_run,
    find_runs,
    start_run,
    stop_run,
)

LISTED = 50
# Of one run: two seconds of work for the server, and more than anybody should do with one confirmation.
MOST = 100_000
# A larger part of a course has to be meant, as with `rollbook unenroll --max-percent`.
BRAKE_PERCENT = 50
BATCHES = 50


def show_choice(visit: Visit, wrong: str | None = None) -> Response:
    """Offer courses, groups and statuses, or a list of ids; and the runs that were made."""
    account_id = visit.caller.account_id
    course, group = visit.query.get("course", "").strip()[:255], visit.query.get("group", "").strip()[:255]
    with visit.database.read() as connection:
        courses = find_courses(connection, account_id, course, LISTED + 1)
        groups = find_groups(connection, account_id, group, LISTED + 1)
        runs = find_runs(connection, account_id, 10)
    return visit.render(
        "unenrol.html",
        code=422 if wrong else 200,
        wrong=wrong,
        searched={"course": course, "group": group},
        courses=courses[:LISTED],
        more_courses=len(courses) > LISTED,
        groups=groups[:LISTED],
        more_groups=len(groups) > LISTED,
        statuses=[*EnrollmentStatus],
        ticked={name: visit.ids(f"in_{name}") for name in ("course", "group")},
        ticked_statuses=visit.form.getlist("status"),
        pasted=visit.text("ids"),
        runs=runs,
    )


def choose(visit: Visit) -> Response:
    """Keep what was chosen and lead to the page that says what it would mean."""
    try:
        ids = _chosen(visit)
    except UserError as error:
        return show_choice(visit, str(error))
    with visit.database.read() as connection:
        shares = preview_enrollments(connection, visit.caller.account_id, ids)
    with visit.database.write() as connection:
        run_id = draft_run(connection, visit.caller, ids, shares, utc_now())
    return redirect(f"/unenrol/{run_id}")


def _chosen(visit: Visit) -> list[int]:
    courses, groups = visit.ids("in_course"), visit.ids("in_group")
    text = "\n".join(filter(None, (visit.text("ids"), read_upload(visit.form, "file"))))
    if bool(text.strip()) == bool(courses or groups):
        raise UserError("Tick a course or a group, or else give ids: one of the two ways.")
    if text.strip():
        ids = read_ids(text)
    else:
        statuses = [status for status in visit.form.getlist("status") if status in [*EnrollmentStatus]]
        with visit.database.read() as connection:
            ids = choose_enrollments(
                connection,
                visit.caller.account_id,
                course_ids=courses,
                group_ids=groups,
                statuses=[str(status) for status in statuses],
                limit=MOST + 1,
            )
    if not ids:
        raise UserError("Nobody is enrolled there with these statuses.")
    if len(ids) > MOST:
        raise UserError(f"That is more than {MOST:,} enrolments. Choose fewer at a time.")
    return ids


def show_run(visit: Visit, wrong: str | None = None) -> Response:
    """Show what a run would do, or how far it has come."""
    account_id = visit.caller.account_id
    with visit.database.read() as connection:
        run = find_run_of(visit, connection)
        outcomes = count_outcomes(connection, account_id, run.id) if run.started_at else {}
        batches = find_batches_of(connection, account_id, run.id, BATCHES) if run.started_at else []
    return visit.render(
        "run.html" if run.started_at else "preview.html",
        code=422 if wrong else 200,
        wrong=wrong,
        run=run,
        found=sum(share.chosen for share in run.courses),
        brakes=_brakes(run),
        brake_percent=BRAKE_PERCENT,
        protects=visit.caller.policies.protect_completed,
        hold_seconds=visit.caller.policies.hold_seconds,
        mine=run.user_id == visit.caller.user_id,
        outcomes=outcomes,
        batches=batches,
    )


def start(visit: Visit) -> Response:
    """Start a run, once however often it is asked for, and show its progress."""
    with visit.database.read() as connection:
        run = find_run_of(visit, connection)
    try:
        reason = visit.reason()
    except UserError as error:
        return show_run(visit, str(error))
    if reason is None:
        return show_run(visit, "Say why: the reason is kept with every batch.")
    if _brakes(run) and not visit.text("meant"):
        return show_run(visit, "Tick the box that says that so large a part of a course is meant.")
    with visit.database.write() as connection:
        start_run(connection, visit.caller.account_id, run.id, visit.actor, reason, utc_now())
        run = find_run_of(visit, connection)
    if not run.started_at:  # by this confirmation or by another one
        raise PageError(409, "This choice cannot be started any more. Choose again.")
    return redirect(f"/unenrol/{run.id}")


def stop(visit: Visit) -> Response:
    """Queue nothing more of a run."""
    with visit.database.write() as connection:
        stopped = stop_run(connection, visit.caller.account_id, visit.numbers["run"], utc_now())
        if stopped:
            visit.record(connection, Change(Action.STOP_RUN, f"run {visit.numbers['run']}"))
    return redirect(f"/unenrol/{visit.numbers['run']}", done="cancelled" if stopped else None)


def find_run_of(visit: Visit, connection: sa.Connection) -> Run:
    """Read the run that the address names; errors: PageError 404, also for one of another account."""
    run = find_run(connection, visit.caller.account_id, visit.numbers["run"])
    if run is None:
        raise PageError(404, "This account has no such run, or it was not started within a day.")
    return run


def _brakes(run: Run) -> list[str]:
    return [
        f"{share.chosen:,} of {share.enrolled:,} in {share.course} ({share.percent:.0f} %)"
        for share in run.courses
        if share.percent > BRAKE_PERCENT
    ]
