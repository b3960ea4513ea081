"""The command `rollbook`: its subcommands and exit codes.

Exit codes: 0 all done, 1 some refused, 2 wrong usage, 3 server or database not reached or access denied, 4 stopped by
a brake, 130 interrupted.
"""

import errno
import os
import sys
from collections import UserDict
from collections.abc import Iterable, Mapping
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import typer

from rollbook import __version__
from rollbook.cli.help_format import HelpfulCommand, HelpfulGroup
from rollbook.errors import ClientError, TransportError, UserError

# The module of each command, in the order of the help.
PANELS = {
    "Unenroll and undo, by calls to a server": {
        "unenroll": "unenroll",
        "restore": "undo",
        "remove": "undo",
        "reenroll": "reenroll",
        "queue": "queue",
        "pause": "queue",
        "resume": "queue",
        "batches": "queue",
        "batch": "queue",
    },
    "People and courses": {
        "account": "accounts",
        "user": "users",
        "key": "keys",
        "group": "groups",
        "course": "courses",
        "session": "sessions",
    },
    "Records": {"report": "report", "import": "imports", "mirror": "mirror", "audit": "audit"},
    "Server": {
        "init": "initialize",
        "migrate": "initialize",
        "serve": "serve",
        "worker": "worker",
        "sandbox": "sandbox",
        "webhook": "webhooks",
        "doctor": "doctor",
        "backup": "backup",
    },
}
ALIASES = {"unenrol": "unenroll"}  # British spelling; hidden


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
                command.cls = HelpfulCommand
            parent.add_typer(module.app, name=name, cls=HelpfulGroup)
        else:
            parent.command(name, cls=HelpfulCommand)(getattr(module, name))
        return typer.main.get_group(parent).commands[name]


class _Group(HelpfulGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands({name: home for panel in PANELS.values() for name, home in panel.items()})

    def panels(self) -> Mapping[str, Iterable[str]]:
        return PANELS


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
    _open_streams()
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


def _open_streams() -> None:
    """Open closed standard streams on /dev/null; a file or pipe gets UTF-8, a terminal what its encoding can show."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 stays open
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")


def _complain(error: Exception | str, code: int) -> int:
    # Arguments can hold bytes that are not UTF-8.
    typer.echo(f"rollbook: {error}".encode("utf-8", "backslashreplace"), err=True)
    return code
