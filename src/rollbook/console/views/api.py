"""The pages of the API: all methods; one method with its elements, codes, a call to copy and its last calls."""

import re

from starlette.responses import Response

from rollbook.console.request import ConsoleRequest, PageError
from rollbook.console.snippets import write_snippets
from rollbook.methods import METHODS, OWN_METHODS
from rollbook.store.operations.call_log import CallFilter, find_calls
from rollbook.wire.describe import describe

CALLS_SHOWN = 10
# Stands in the examples, so that it may hold nothing that a program could take for the end of a text.
ORIGIN = re.compile(r"https://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.ASCII | re.IGNORECASE)


def show_methods(request: ConsoleRequest) -> Response:
    """List the methods."""
    return request.render("api.html", methods=METHODS.values(), own=OWN_METHODS, address=_address(request))


def show_method(request: ConsoleRequest) -> Response:
    """Show one method. Its example has every element, or only the required ones: by default those of a reading method.

    A call that changes records and has only these would often be refused.
    """
    method = METHODS.get(request.path.rpartition("/")[2])
    if method is None:
        raise PageError(404, "There is no such method.")
    whole = method.changes if request.text("elements") not in ("all", "required") else request.text("elements") == "all"
    with request.database.read() as connection:
        found = find_calls(connection, request.caller.account_id, CallFilter(method=method.name), CALLS_SHOWN)
    return request.render(
        "api_method.html",
        method=method,
        takes=describe(method.takes),
        gives=[*describe(method.gives)],
        whole=whole,
        snippets=write_snippets(method, _address(request), whole=whole),
        found=found,
    )


def _address(request: ConsoleRequest) -> str:
    """Return the address of the API under the host name that the browser has used."""
    if not ORIGIN.fullmatch(request.origin):
        raise PageError(400, "The host name of this address has characters that no host name has.")
    return f"{request.origin}/apiv2/"
