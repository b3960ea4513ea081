"""The output of commands: tables for people, JSON and CSV for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rollbook.spreadsheets import Writer


class Format(StrEnum):
    """The values of --format."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[Format, typer.Option("--format", help="A table for people, json or csv for programs.")]


def print_rows(rows: Sequence[Mapping[str, object]], columns: Sequence[str], form: Format) -> None:
    """Print the given columns of rows; times are in UTC as ISO 8601."""
    shown = [{column: _plain(row.get(column)) for column in columns} for row in rows]
    if form is Format.JSON:
        print_json(shown)
    elif form is Format.CSV:
        writer = Writer(sys.stdout)
        writer.write(columns)
        for row in shown:
            writer.write(row.values())
    else:
        table = Table(*(column.replace("_", " ") for column in columns), box=None, pad_edge=False, header_style="bold")
        for row in shown:
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        # A program that reads the table needs uncut cells.
        width = None if sys.stdout.isatty() else 10_000
        Console(markup=False, highlight=False, width=width).print(table)


def print_json(value: object) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _plain(value: object) -> object:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
