"""Reads the rows of a file of a OneRoster archive: checks its header and the values of every row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from rollbook.errors import UserError
from rollbook.importers.csv_file import Record
from rollbook.importers.oneroster_columns import CONTROL, PLAIN, STATUS, TEXT_LIMIT, CsvColumn, parse_name

Row = tuple[object, ...]

TABLES = {"academicSessions": "terms", "lineItems": "line_items"}
# Further bad rows of a file are counted, not listed.
MAX_BAD_ROWS = 1000


@dataclass(frozen=True)
class Layout:
    """The places of the columns in the rows of a file, None for a missing column."""

    width: int
    columns: tuple[CsvColumn, ...]
    places: list[int | None]
    status: CsvColumn
    status_place: int | None


def lay_out(name: str, header: list[str], columns: tuple[CsvColumn, ...], delta: bool) -> Layout:
    """Find the columns in the header of a file; errors: UserError."""
    status = CsvColumn("status", STATUS, required=delta)
    needed = [column.name for column in (*columns, status) if column.required]
    if missing := [column for column in needed if column not in header]:
        raise UserError(f"{name} has no column {', '.join(missing)}. Its first row is: {', '.join(header)[:200]}")
    if twice := [column.name for column in (*columns, status) if header.count(column.name) > 1]:
        raise UserError(f"{name} has more than one column {', '.join(twice)}.")
    status_place, *places = (
        header.index(column.name) if column.name in header else None for column in (status, *columns)
    )
    return Layout(len(header), columns, places, status, status_place)


def read_file(file: str, layout: Layout, records: Iterator[tuple[int, Record]]) -> Iterator[tuple[str, Row]]:
    """Yield the staged rows of a file, each with its table; of too many bad rows only the number."""
    bad, read_plain = 0, _plain_reader(layout)
    for line, record in records:
        if (values := read_plain(record)) is not None:
            yield from _arrange(file, line, 0, values)
            continue
        problems: list[tuple[str, str]] = []
        rows = list(_read_row(file, line, record, layout, problems))
        bad += bool(problems)
        if not problems or bad <= MAX_BAD_ROWS:
            for column, reason in problems:
                yield "problems", (file, line, column, reason, "bad", 1)
            yield from rows
    if bad > MAX_BAD_ROWS:
        yield "problems", (file, 0, "", "", "bad", bad - MAX_BAD_ROWS)


def _plain_reader(layout: Layout) -> Callable[[Record], list[object] | None]:
    """Return a reader of rows of short, printable text without a mistake, as nearly all are; others give None.

    Such a row needs one check of its characters and its length, not one for each value.
    """
    columns = [*enumerate((*layout.columns, layout.status))]
    # A missing column is a further, empty field.
    places = (layout.width if place is None else place for place in (*layout.places, layout.status_place))
    pick, needed = itemgetter(*places), itemgetter(0, *(place for place, column in columns if column.required))
    parsed = [
        (place, str if column.parse in PLAIN else column.parse)
        for place, column in columns
        if not column.required or column.parse not in PLAIN
    ]

    def read(record: Record) -> list[object] | None:
        text = "".join(record)
        if isinstance(record, str) or len(record) != layout.width or len(text) > TEXT_LIMIT or not text.isprintable():
            return None
        values: list[Any] = [*map(str.strip, pick((*record, "")))]
        if not all(needed(values)):
            return None
        try:
            for place, parse in parsed:
                text = values[place]
                values[place] = parse(text) if text else None
        except ValueError:
            return None
        return None if values.pop() else values

    return read


def _read_row(
    file: str, line: int, record: Record, layout: Layout, problems: list[tuple[str, str]]
) -> Iterator[tuple[str, Row]]:
    """Yield the staged rows of a record, also of a bad one, so that references to it are not reported as missing."""
    if isinstance(record, str):
        problems.append(("", record))
        return
    columns, named, deleted = layout.columns, 1, 0
    while len(record) > layout.width and not record[-1].strip():
        record.pop()  # padding by a spreadsheet
    if len(record) != layout.width:
        problems.append(("", f"the row has {len(record)} fields, the header has {layout.width}"))
        record.extend([""] * layout.width)
    else:
        deleted = int(bool(_read_value(record, layout.status_place, layout.status, problems)))
        named = 1 if deleted else len(columns)  # a row that deletes needs only the sourcedId
    pairs = zip(layout.places[:named], columns, strict=False)
    values = [_read_value(record, place, column, problems) for place, column in pairs]
    yield from _arrange(file, line, deleted, values + [None] * (len(columns) - named))


def _read_value(row: list[str], place: int | None, column: CsvColumn, problems: list[tuple[str, str]]) -> object:
    text = "" if place is None else row[place].strip()
    if not text and not column.required:
        return None
    try:
        if not text.isascii():
            text.encode()
        if not text.isprintable() and column.parse is not parse_name and CONTROL.search(text):
            raise ValueError("the value has a line break or another control character")  # noqa: TRY301 joins the others
        value = column.parse(text) if text else ""
    except UnicodeEncodeError:
        problems.append((column.name, "the value is not in UTF-8"))
    except ValueError as error:
        problems.append((column.name, str(error)))
    else:
        if value != "":
            return value
        if column.required:
            problems.append((column.name, "the value is missing"))
    return None


def _arrange(file: str, line: int, deleted: int, values: list[object]) -> Iterator[tuple[str, Row]]:
    """Yield the row of the file's staging table, and one for each value of its list."""
    source, *rest = values
    if file == "roles":
        yield "memberships", (file, line, source, deleted, *rest[:3])
    elif file == "classes":
        yield file, (line, source, deleted, *rest[:3])
        for position, term in enumerate(_listed(rest[3])):
            yield "class_terms", (line, position, term)
    elif file == "users":
        yield file, (line, source, deleted, *rest[:5])
        orgs, role = rest[5:] or (None, None)
        for org in _listed(orgs):
            yield "memberships", (file, line, None, deleted, source, org, role)
    else:
        yield TABLES.get(file, file), (line, source, deleted, *rest)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
