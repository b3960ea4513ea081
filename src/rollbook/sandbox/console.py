"""The page "Sandbox" of the console: the changes of the endpoint /sandbox/ as plain forms."""

from pydantic import ValidationError
from starlette.responses import Response

from rollbook.console.request import ConsoleRequest, Page, PageError, redirect
from rollbook.errors import UserError
from rollbook.methods import METHODS
from rollbook.sandbox.control import Nothing, changes, describe, is_here
from rollbook.sandbox.faults import KINDS
from rollbook.sandbox.state import State

PATH = "/sandbox"
MAX_SHOWN = 50
# What the page says after a change. A reset has none: it ends the session, and the sign-in page follows.
SENTENCES = {
    "faults": "The fault waits for its calls.",
    "clear": "No fault waits any more.",
    "clock": "The time of the holds has passed.",
    "worker": "The worker is {}.",
}


def pages(state: State) -> tuple[Page, ...]:
    """Make the page; `more_pages` of a server take it."""
    offered = changes(state) | {"clear": (Nothing, lambda _: state.faults.waiting.clear())}

    def show(request: ConsoleRequest, error: str | None = None) -> Response:
        _require_here(request)
        return request.render(
            "sandbox.html",
            code=422 if error else 200,
            error=error,
            paused=state.worker.paused,
            faults=[*state.faults.waiting],
            calls=[*state.calls][: -MAX_SHOWN - 1 : -1],
            kinds=KINDS,
            methods=sorted(METHODS),
        )

    def change(request: ConsoleRequest) -> Response:
        _require_here(request)
        name = request.text("change")
        if name not in offered:
            return show(request, f"“{name[:20]}” is no change of a sandbox.")
        kind, run = offered[name]
        asked = {field: request.text(field) or None for field in request.form if field != "change"}
        try:
            run(kind.model_validate(asked, strict=False))  # a form has texts alone
        except ValidationError as error:
            return show(request, describe(error))
        except UserError as error:
            return show(request, str(error))
        if name in SENTENCES:
            with request.database.write() as connection:
                sentence = SENTENCES[name].format("paused" if state.worker.paused else "running")
                request.notify(connection, PATH, sentence)
        return redirect(PATH)

    return (Page(PATH, show=show, change=change),)


def _require_here(request: ConsoleRequest) -> None:
    """Raise PageError 403 for other machines, as /sandbox/ does: they know the passwords."""
    if not is_here(request.address):
        raise PageError(403, "Only browsers on the machine of the sandbox may use this page.")
