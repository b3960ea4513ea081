"""`rollbook doctor`: looks at everything that a server needs, and says what to do."""

from dataclasses import asdict

import typer

from rollbook.cli.database_checks import check_database
from rollbook.cli.machine_checks import check_machine
from rollbook.cli.output import Format, FormatOption, print_rows
from rollbook.cli.problems import State
from rollbook.settings import load_settings
from rollbook.store.database.deadline import deadline

PATIENCE_SECONDS = 10  # a database that is frozen says nothing, not even that


def doctor(form: FormatOption = Format.TABLE) -> None:
    """Check the database, the queue, the clock, the certificate and the machine, and say what to do.

    Run it where the server runs, as its user and with its settings. Exit code 0: all is well; 1: something is not.
    """
    settings = load_settings()
    with deadline(PATIENCE_SECONDS):
        findings = [*check_database(settings)]
    findings += check_machine(settings)
    print_rows([asdict(finding) for finding in findings], ("part", "state", "found", "advice"), form)
    if any(finding.state is not State.OK for finding in findings):
        raise typer.Exit(1)
