"""Reads a CSV file record by record in bounded memory; a mistake of the whole file is one error."""

import csv
from collections.abc import Iterator
from functools import partial
from io import BufferedReader, RawIOBase, TextIOWrapper
from typing import TYPE_CHECKING, BinaryIO, cast

from rollbook.errors import UserError

if TYPE_CHECKING:
    import _csv

# A longer line is read in parts, each a row with a wrong number of fields.
MAX_LINE = 1 << 20
SEPARATORS = {b";": "semicolons", b"\t": "tabs", b"|": "vertical bars"}
# The csv module's errors for a quotation mark that is not closed.
NEVER_CLOSED = ("unexpected end of data", "field larger than field limit")

Record = list[str] | str


def read_csv(
    name: str, stream: BinaryIO, kind: str = "A OneRoster archive"
) -> tuple[list[str], Iterator[tuple[int, Record]]]:
    """Return the header of the file, and its records, each with the number of its first line.

    In place of a record that is not in CSV format stands the reason; empty records are skipped. Errors, at any time:
    UserError for another encoding, other separators, or a field without an end.
    """
    buffered = BufferedReader(cast("RawIOBase", stream), 65536)
    _refuse_foreign(name, buffered.peek(65536), kind)
    text = TextIOWrapper(buffered, "utf-8-sig", errors="surrogateescape", newline="")
    records = _read_records(name, csv.reader(iter(partial(text.readline, MAX_LINE), ""), strict=True))
    line, header = next(records, (1, "it is empty"))
    if isinstance(header, str):
        raise UserError(f"{name}:{line}: {header}.")
    return [field.strip() for field in header], records


def _refuse_foreign(name: str, head: bytes, kind: str) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:2]:
        raise UserError(f"{name} is in UTF-16. {kind} is in UTF-8: save the file as CSV in UTF-8.")
    if head.startswith(b"PK\x03\x04"):
        raise UserError(f"{name} is a workbook or an archive. Save the sheet as CSV in UTF-8, and give that file.")
    first = head.partition(b"\n")[0]
    for mark, noun in SEPARATORS.items():
        if mark in first and b"," not in first:
            raise UserError(f"{name} separates its fields by {noun}. {kind} separates them by commas.")


def _read_records(name: str, reader: "_csv.Reader") -> Iterator[tuple[int, Record]]:
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if str(error).startswith(NEVER_CLOSED):
                raise UserError(
                    f"{name}:{line}: a field of this row has no end, or more than {csv.field_size_limit():,} "
                    "characters. Is a quotation mark not closed?"
                ) from None
            yield line, f"not in CSV format: {error}"
        else:
            if "".join(row).strip():
                yield line, row
