"""The learner's page: own courses. Keys of an external authorization open it (protocol-neighbours §13)."""

from starlette.responses import RedirectResponse, Response

from rollbook.console.request import ConsoleRequest, PageError
from rollbook.console.security import NO_REFERRER
from rollbook.console.session_cookie import LEARNER_COOKIE, delete_cookie, set_cookie
from rollbook.model import Limit, utc_now
from rollbook.store.people.learner_sessions import begin_session, end_session
from rollbook.store.people.search import find_enrollments_of

PATH = "/learn/"
COURSES_PER_PAGE = 100
UNUSABLE = "This link was used before or is too old. Open the page again from the site that led you here."
NO_SESSION = "You are not signed in. Open the page again from the site that led you here."


def show_courses(request: ConsoleRequest) -> Response:
    """Show the learner's current enrollments; keys in the address are exchanged for a session first."""
    if "AuthKey" in request.query or "RequestKey" in request.query:
        return _exchange_keys(request)
    if request.learner is None:
        raise PageError(403, NO_SESSION)
    account_id, user_id, page = request.learner.account_id, request.learner.user_id, request.page()
    offset = (page - 1) * COURSES_PER_PAGE
    with request.database.read() as connection:
        found = find_enrollments_of(connection, account_id, user_id, COURSES_PER_PAGE + 1, offset, current=True)
    more = len(found) > COURSES_PER_PAGE
    return request.render("learn.html", enrollments=found[:COURSES_PER_PAGE], page=page, more=more)


def _exchange_keys(request: ConsoleRequest) -> Response:
    """Begin a session with keys that are used for the first time in time; errors: PageError 403, RateLimitError."""
    request.attempts.check(Limit.SIGN_INS_PER_ADDRESS, request.address)
    auth_key, request_key = request.query.get("AuthKey", ""), request.query.get("RequestKey", "")
    token = request.database.transact(
        lambda connection: begin_session(connection, auth_key, request_key, request.token, utc_now())
    )
    if token is None:
        request.attempts.count(Limit.SIGN_INS_PER_ADDRESS, request.address)
        raise PageError(403, UNUSABLE)
    return RedirectResponse(PATH, 303, {**set_cookie(token, LEARNER_COOKIE), **NO_REFERRER})


def sign_out(request: ConsoleRequest) -> Response:
    """End the session."""
    with request.database.write() as connection:
        end_session(connection, request.token)
    response = RedirectResponse(f"{PATH}sign-out", 303)
    delete_cookie(response, LEARNER_COOKIE)
    return response


def show_signed_out(request: ConsoleRequest) -> Response:
    """Say that the session has ended, once it has."""
    return RedirectResponse(PATH, 303) if request.learner else request.render("learn.html", signed_out=True)
