"""The command `rollbook`: what it can do, and how it ends.

Exit codes: 0 all done, 1 some of it refused, 2 wrong usage, 3 could not reach what it needs or not allowed, 4 stopped
by a brake, 130 interrupted.
"""

import sys

import typer

from rollbook import __version__
from rollbook.cli import accounts, imports, keys, queue, report, serve, start, unenroll, users, worker
from rollbook.errors import ClientError, TransportError, UserError

app = typer.Typer(
    name="rollbook",
    help="A self-hosted enrolment server: batch unenrolment that you can watch, audit and undo.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(start.init)
app.command()(start.migrate)
app.command()(serve.serve)
app.command()(worker.worker)
app.command()(unenroll.unenroll)
app.command()(report.report)
for command in (queue.queue, queue.batches, queue.batch, queue.remove, queue.restore, queue.pause, queue.resume):
    app.command()(command)
app.add_typer(accounts.app, name="account")
app.add_typer(users.app, name="user")
app.add_typer(keys.app, name="key")
app.add_typer(imports.app, name="import")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rollbook {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", help="Show the version.", is_eager=True, callback=_show_version),
) -> None:
    """A self-hosted enrolment server: batch unenrolment that you can watch, audit and undo."""


def main() -> None:
    """Run the command line; a user's mistake is a sentence and an exit code, never a traceback."""
    try:
        app()
    except UserError as error:
        sys.exit(_complain(error, 2))
    except (TransportError, ClientError) as error:
        sys.exit(_complain(error, 3))


def _complain(error: Exception, code: int) -> int:
    typer.echo(f"rollbook: {error}", err=True)
    return code
