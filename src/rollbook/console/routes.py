"""The pages of the console and their addresses."""

from starlette.responses import RedirectResponse, Response

from rollbook.console.render import STATIC
from rollbook.console.request import BASE, ConsoleRequest, Page, PageError
from rollbook.console.views import (
    account,
    api,
    batches,
    courses,
    enroll,
    groups,
    imports,
    invitation,
    keys,
    learn,
    learners,
    queue,
    records,
    second_factor,
    sign_in,
    undo,
    unenroll,
    users,
    webhooks,
)


def show_home(_request: ConsoleRequest) -> Response:
    """Redirect to the queue."""
    return RedirectResponse(f"{BASE}/queue", 303)


def show_static(request: ConsoleRequest) -> Response:
    """Serve a static file; caches may keep it, because its address changes with its content."""
    content, kind = STATIC.get(request.path.rpartition("/")[2], (None, None))
    if content is None:
        raise PageError(404, "There is no such file.")
    return Response(content, media_type=kind, headers={"Cache-Control": "public, max-age=31536000, immutable"})


def show_not_found(_request: ConsoleRequest) -> Response:
    """Answer 404."""
    raise PageError(404, "There is no such page.")


NOT_FOUND = Page("{rest:path}", show=show_not_found, change=show_not_found, public=True)

# The address of the server itself.
HOME = Page("/", show=show_home, public=True)

# The styles are the learner's page's too.
STATIC_PAGE = Page("/static/{name}", show=show_static, public=True)

PAGES = (
    Page("", show=show_home, public=True),
    Page("/", show=show_home, public=True),
    STATIC_PAGE,
    Page("/sign-in", show=sign_in.show_sign_in, change=sign_in.sign_in, public=True),
    Page("/invitation", show=invitation.show_invitation, change=invitation.accept_invitation, public=True),
    Page("/sign-in/code", show=second_factor.show_code, change=second_factor.check_code, public=True),
    Page("/sign-out", change=sign_in.sign_out, setting_up=True),
    Page("/queue", show=queue.show_queue),
    Page("/queue.csv", show=queue.download_queue),
    Page("/queue/pause", change=queue.pause),
    Page("/queue/resume", change=queue.resume),
    Page("/queue/remove", show=undo.preview_removal, change=undo.remove),
    Page("/batches", show=batches.show_batches),
    Page("/batches.csv", show=batches.download_batches),
    Page("/batches/undo", show=undo.preview_batches, change=undo.undo_batches),
    Page("/batches/{batch:int}", show=batches.show_batch),
    Page("/batches/{batch:int}/items.csv", show=batches.download_batch),
    Page("/batches/{batch:int}/undo", show=undo.preview_undo, change=undo.undo),
    Page("/unenroll", show=unenroll.show_choice, change=unenroll.choose, takes_file=True),
    Page("/unenroll/{draft:int}", show=unenroll.show_draft, change=unenroll.confirm),
    Page("/unenroll/{draft:int}/plan.csv", show=unenroll.download_plan),
    Page("/import", show=imports.show_form, change=imports.upload, takes_file=True),
    Page("/import/{upload:int}", show=imports.show_upload, change=imports.confirm),
    Page("/import/{upload:int}/changes.csv", show=imports.download),
    Page("/courses", show=courses.show_courses),
    Page("/courses.csv", show=courses.download_courses),
    Page("/courses/{course:int}", show=courses.show_course, change=courses.choose),
    Page("/courses/{course:int}/enroll", show=enroll.show_form, change=enroll.enroll, takes_file=True),
    Page("/courses/{course:int}/people.csv", show=courses.download_course),
    Page("/groups", show=groups.show_groups),
    Page("/groups.csv", show=groups.download_groups),
    Page("/groups/{group:int}", show=groups.show_members, change=groups.change_members),
    Page("/groups/{group:int}/members.csv", show=groups.download_members),
    Page("/groups/{group:int}/courses", show=groups.show_courses, change=groups.change_courses),
    Page("/groups/{group:int}/courses.csv", show=groups.download_courses),
    Page("/learners", show=learners.show_learners),
    Page("/api", show=api.show_methods),
    Page("/api/{method}", show=api.show_method),
    Page("/learners.csv", show=learners.download_learners),
    Page("/learners/{user:int}", show=learners.show_learner, change=learners.unenroll),
    Page("/learners/{user:int}/state", change=learners.change_state),
    Page("/account", show=account.show_account, change=account.change_policies),
    Page("/account/second-factor", show=second_factor.show_factor, change=second_factor.confirm, setting_up=True),
    Page("/account/second-factor/new", change=second_factor.begin, setting_up=True),
    Page("/account/second-factor/codes", change=second_factor.renew_codes),
    Page("/account/second-factor/remove", change=second_factor.remove),
    Page("/account/password", change=account.change_password),
    Page("/account/users", show=users.show_users),
    Page("/account/users.csv", show=users.download_users),
    Page("/account/users/new", change=users.add),
    Page("/account/users/find", show=users.find),
    Page("/account/users/{user:int}", show=users.show_user),
    Page("/account/users/{user:int}/role", change=users.change_role),
    Page("/account/users/{user:int}/invitation", change=users.create_invitation),
    Page("/account/users/{user:int}/password", change=users.create_password),
    Page("/account/users/{user:int}/second-factor", change=users.reset_second_factor),
    Page("/account/users/{user:int}/state", change=users.change_state),
    Page("/account/users/{user:int}/erase", show=users.preview_erasure, change=users.erase),
    Page("/account/keys", show=keys.show_keys, change=keys.create_key),
    Page("/account/keys.csv", show=keys.download_keys),
    Page("/account/keys/revoke", change=keys.revoke),
    Page("/account/webhooks", show=webhooks.show_webhooks, change=webhooks.add),
    Page("/account/webhooks.csv", show=webhooks.download_webhooks),
    Page("/account/webhooks/enable", change=webhooks.enable),
    Page("/account/webhooks/test", change=webhooks.test),
    Page("/account/webhooks/remove", change=webhooks.remove),
    Page("/account/audit", show=records.show_audit),
    Page("/account/audit.csv", show=records.download_audit),
    Page("/account/calls", show=records.show_calls),
    Page("/account/calls.csv", show=records.download_calls),
)

LEARNER_PAGES = (
    Page("/learn", show=learn.show_courses, public=True, learner=True),
    Page("/learn/", show=learn.show_courses, public=True, learner=True),
    Page("/learn/sign-out", show=learn.show_signed_out, change=learn.sign_out, public=True, learner=True),
    Page("/learn/{rest:path}", show=show_not_found, change=show_not_found, public=True, learner=True),
)
