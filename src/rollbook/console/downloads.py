"""Sends lists as CSV, in chunks that are read when they are sent; formulas are defused."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, count
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response, StreamingResponse

from rollbook.console.request import ConsoleRequest
from rollbook.spreadsheets import Writer

CHUNK = 2000

Rows = Iterable[Sequence[object]]


def send_csv(name: str, columns: Sequence[str], chunks: Iterable[Rows]) -> Response:
    """Send the columns and chunks of rows as a file."""
    header = {"Content-Disposition": f'attachment; filename="rollbook-{name}.csv"'}
    lines = (_write_lines(rows) for rows in chain([[columns]], chunks))
    return StreamingResponse(lines, headers=header, media_type="text/csv")


def in_chunks(request: ConsoleRequest, read: Callable[[sa.Connection, int], Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Yield what `read` reads with each offset, up to CHUNK rows at a time, each in its own transaction."""
    for offset in count(0, CHUNK):
        with request.database.read() as connection:
            rows = read(connection, offset)
        yield rows
        if len(rows) < CHUNK:
            return


def _write_lines(rows: Rows) -> str:
    text = io.StringIO()
    writer = Writer(text)
    for row in rows:
        writer.write(row)
    return text.getvalue()
