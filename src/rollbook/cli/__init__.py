"""The command `rollbook`: its subcommands and exit codes.

Exit codes: 0 all done, 1 some refused, 2 wrong usage, 3 server or database not reached or access denied, 4 stopped by
a brake, 130 interrupted.
"""

import errno
import sys
from collections import Counter, UserDict
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from rollbook import __version__
from rollbook.errors import ClientError, TransportError, UserError

# The module of each command, in the order of the help.
HOMES = {
    "init": "initialize",
    "migrate": "initialize",
    "serve": "serve",
    "worker": "worker",
    "sandbox": "sandbox",
    "doctor": "doctor",
    "backup": "backup",
    "unenroll": "unenroll",
    "reenroll": "reenroll",
    "report": "report",
    "queue": "queue",
    "batches": "queue",
    "batch": "queue",
    "remove": "queue",
    "restore": "queue",
    "pause": "queue",
    "resume": "queue",
    "account": "accounts",
    "user": "users",
    "group": "groups",
    "course": "courses",
    "session": "sessions",
    "key": "keys",
    "webhook": "webhooks",
    "import": "imports",
    "mirror": "mirror",
    "audit": "audit",
}
ALIASES = {"unenrol": "unenroll"}  # British spelling; hidden


class _Command(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; errors: UserError for an option of one value that is given twice."""
        given = Counter(self.make_parser(ctx).parse_args(args=[*args])[2])
        for option, times in given.items():
            if not isinstance(option, TyperOption) or option.multiple:
                continue
            if times > 1 and not (option.is_flag and not option.secondary_opts):
                raise UserError(f"{option.opts[0]} is given {times} times, and takes one value.")
        return super().parse_args(ctx, args)


class _Commands(UserDict[str, Any]):
    """The commands by name; a module is imported when its command is used, so that `queue` loads no server."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return a command, also by an alias."""
        return super().get(ALIASES.get(name, name), default)

    def __getitem__(self, name: str) -> Any:
        module = import_module(f"{__name__}.{self.data[name]}")
        parent = typer.Typer(rich_markup_mode=None)
        if hasattr(module, "app"):
            for command in module.app.registered_commands:
                command.cls = _Command
            parent.add_typer(module.app, name=name)
        else:
            parent.command(name, cls=_Command)(getattr(module, name))
        return typer.main.get_group(parent).commands[name]


class _Group(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands(HOMES)


app = typer.Typer(
    name="rollbook",
    cls=_Group,
    help="A self-hosted enrollment server: batch unenrollment that you can watch, audit and undo.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rollbook {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", help="Show the version.", is_eager=True, callback=_show_version),
) -> None:
    """A self-hosted enrollment server: batch unenrollment that you can watch, audit and undo."""


def main() -> None:
    """Run the command line; a user's mistake ends with a sentence and an exit code, never with a traceback."""
    try:
        app()
    except UserError as error:
        sys.exit(_complain(error, 2))
    except (TransportError, ClientError) as error:
        sys.exit(_complain(error, 3))
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        what = "The output cannot be written" if error.filename is None else repr(str(error.filename)[:200])
        sys.exit(_complain(f"{what}: {error.strerror}.", 2))


def _complain(error: Exception | str, code: int) -> int:
    # Arguments can hold bytes that are not UTF-8.
    typer.echo(f"rollbook: {error}".encode("utf-8", "backslashreplace"), err=True)
    return code
