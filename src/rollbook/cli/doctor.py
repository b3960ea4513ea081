"""`rollbook doctor`: checks everything that a server needs, and gives advice."""

from dataclasses import asdict

import typer

from rollbook.cli.database_checks import check_database
from rollbook.cli.machine_checks import check_machine
from rollbook.cli.output import Format, FormatOption, print_rows
from rollbook.cli.problems import State
from rollbook.settings import load_settings
from rollbook.store.database.deadline import deadline

TIMEOUT_SECONDS = 10  # for a database that does not answer


def doctor(form: FormatOption = Format.TABLE) -> None:
    """Check the database, the queue, the clock, the certificate and the machine, and give advice.

    Run it on the server's machine, as its user and with its settings. Exit code 1: a warning or a problem.
    """
    settings = load_settings()
    with deadline(TIMEOUT_SECONDS):
        findings = [*check_database(settings)]
    findings += check_machine(settings)
    print_rows([asdict(finding) for finding in findings], ("part", "state", "found", "advice"), form, wrap=True)
    if any(finding.state is not State.OK for finding in findings):
        raise typer.Exit(1)
