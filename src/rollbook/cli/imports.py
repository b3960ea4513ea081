"""Stub until the importer is here."""

import typer

app = typer.Typer()


@app.command()
def oneroster() -> None:
    """Import."""
