"""The output of commands: tables for people, JSON and CSV for programs."""

import json
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rollbook.spreadsheets import Writer


class Format(StrEnum):
    """The values of --format."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[Format, typer.Option("--format", help="A table for people, json or csv for programs.")]

# Numbers, days and times, as a server or this module writes them.
_WHOLE = re.compile(r"[\d.,%]*|\d{4}-\d\d-\d\d([ T][\d:.]+(Z|\+[\d:]+)?)?")


def print_rows(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str],
    form: Format,
    *,
    shown: Sequence[str] = (),
    keep: Sequence[str] = (),
    wrap: bool = False,
) -> None:
    """Print the given columns of rows; times are in UTC, for programs as ISO 8601.

    A table has the columns `shown`, if named, and fits the terminal: numbers, days, times and the columns to
    `keep` stay whole, other texts are shortened, or wrapped with `wrap`.
    """
    if form is Format.TABLE:
        # A program that reads the table needs uncut cells.
        console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 10_000)
        console.print(make_table(rows, shown or columns, console.width, keep=keep, wrap=wrap))
        return
    written = [{column: _plain(row.get(column)) for column in columns} for row in rows]
    if form is Format.JSON:
        print_json(written)
    else:
        writer = Writer(sys.stdout)
        writer.write(columns)
        for row in written:
            writer.write(row.values())


def print_answer(form: Format, sentence: str, **values: object) -> None:
    """Print what a command has done: a sentence for people, the values for programs."""
    if form is Format.TABLE:
        typer.echo(sentence)
    elif form is Format.JSON:
        print_json({name: _plain(value) for name, value in values.items()})
    else:
        print_rows([values], list(values), form)


def print_json(value: object) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def make_table(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str],
    width: int,
    *,
    keep: Sequence[str] = (),
    wrap: bool = False,
) -> Table:
    """Make a table; in one wider than `width`, headers of numbers are wrapped and texts are shortened."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    cells = {column: [_write_cell(row.get(column)) for row in rows] for column in columns}
    labels = {column: _label(column, [row.get(column) for row in rows]) for column in columns}
    natural = sum(max(map(cell_len, [labels[column], *cells[column]])) + 2 for column in columns)
    for column in columns:
        whole = column in keep or all(_WHOLE.fullmatch(cell) for cell in cells[column])
        label = labels[column]
        if whole and natural > width:
            label = textwrap.fill(label, max(map(len, [*cells[column], *label.split()])))
        table.add_column(Text(label), no_wrap=whole)
    for row in zip(*cells.values(), strict=True):
        table.add_row(*(Text(cell, no_wrap=not wrap, overflow="fold" if wrap else "ellipsis") for cell in row))
    return table


def _label(column: str, values: Sequence[object]) -> str:
    zone = " (UTC)" if any(isinstance(value, datetime) for value in values) else ""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", column) + zone


def _write_cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "" if value is None else str(value)


def _plain(value: object) -> object:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
