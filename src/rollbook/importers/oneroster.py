"""Reads a OneRoster CSV archive, version 1.1 or 1.2: checks its manifest and the form of every row.

What the rows refer to, and whether they fit together, is for store/rosters to find out.
"""

import csv
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from io import BufferedReader, RawIOBase, TextIOWrapper
from lzma import LZMAError
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from rollbook.errors import UserError

if TYPE_CHECKING:
    import _csv

Row = tuple[object, ...]
Watch = Callable[[BinaryIO], BinaryIO]
Parse = Callable[[str], object]

# In the order in which they depend on each other.
FILES = ("orgs", "academicSessions", "courses", "classes", "users", "roles", "enrollments")
VERSION = re.compile(r"1\.[12](\.\d+)*", re.ASCII)
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # what no XML answer could carry
TEXT_LIMIT = 255
# What zipfile and the decompressors raise when something is damaged, or (RuntimeError) encrypted; a file name that is
# no UTF-8 is a ValueError, a damaged bz2 file an OSError, an LZMA file that asks for gigabytes a MemoryError.
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError, MemoryError),
)

# The words of both versions; `ext:` stands for the extensions that 1.2 allows.
ORG_TYPES = "department school district local state national ext:"
ENROLLMENT_ROLES = "administrator proctor student teacher ext:"
USER_ROLES = (
    "administrator aide counselor districtAdministrator guardian parent principal proctor relative siteAdministrator "
    "student systemAdministrator teacher ext:"
)


def _parse_text(text: str) -> str:
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"the value is longer than {TEXT_LIMIT} characters")
    return text


def _parse_date(text: str) -> str:
    try:
        if DATE.fullmatch(text):
            # Midnight in UTC, as both databases read it.
            return f"{date.fromisoformat(text)} 00:00:00.000000"
    except ValueError:
        pass
    raise ValueError(f"'{text[:60]}' is no date like 2026-01-31")


def _parse_list(text: str) -> list[str]:
    values = list(dict.fromkeys(_parse_text(value.strip()) for value in text.split(",") if value.strip()))
    if not values:
        raise ValueError("the value is missing")
    return values


def _one_of(words: str, wanted: str = "") -> Callable[[str], bool]:
    """Accept one of the words, and tell whether it is the wanted one."""
    known = words.split()

    def parse(text: str) -> bool:
        if text in known or ("ext:" in known and text.startswith("ext:")):
            return text == wanted
        raise ValueError(f"'{text[:60]}' is none of {', '.join(known)}")

    return parse


@dataclass(frozen=True)
class Column:
    """A column that is read; `parse` gives its value or raises ValueError with the reason."""

    name: str
    parse: Parse = _parse_text
    required: bool = True


STATUS = _one_of("active tobedeleted", "tobedeleted")
ENABLED = _one_of("true false", "true")  # in any case of letters: spreadsheets write TRUE
_ID = Column("sourcedId")
# The columns in the order of their staging table; lists and columns that are only checked stand last.
COLUMNS: dict[str, tuple[Column, ...]] = {
    "orgs": (_ID, Column("name"), Column("type", _one_of(ORG_TYPES, "school"))),
    "academicSessions": (_ID, Column("title")),
    "courses": (_ID,),
    "classes": (
        *(_ID, Column("title"), Column("courseSourcedId"), Column("schoolSourcedId")),
        Column("termSourcedIds", _parse_list),
    ),
    "users": (
        *(_ID, Column("enabledUser", lambda text: ENABLED(text.lower())), Column("givenName"), Column("familyName")),
        *(Column("email", required=False), Column("identifier", required=False)),
    ),
    "roles": (_ID, Column("userSourcedId"), Column("orgSourcedId"), Column("role", _one_of(USER_ROLES))),
    "enrollments": (
        *(_ID, Column("classSourcedId"), Column("schoolSourcedId"), Column("userSourcedId")),
        Column("role", _one_of(ENROLLMENT_ROLES, "student")),
        *(Column("beginDate", _parse_date, required=False), Column("endDate", _parse_date, required=False)),
    ),
}
# Version 1.2 has moved these two to roles.csv.
USER_COLUMNS_1_1 = (Column("orgSourcedIds", _parse_list), Column("role", _one_of(USER_ROLES)))


@dataclass(frozen=True)
class Archive:
    """An archive whose manifest was checked: its version, and the mode (bulk or delta) of each file that is read."""

    name: str
    content: zipfile.ZipFile
    version: str
    modes: dict[str, str]

    @property
    def size(self) -> int:
        """The bytes that `read_rows` will read."""
        return sum(self.content.getinfo(f"{file}.csv").file_size for file in self.modes)

    @property
    def complete(self) -> frozenset[str]:
        """The files that name everything of their kind."""
        return frozenset(file for file, mode in self.modes.items() if mode == "bulk")

    def read_rows(self, watch: Watch) -> Iterator[tuple[str, Row]]:
        """Yield every row with the name of its staging table; what is wrong with a row is a row of `problems`.

        `watch` may wrap each file to follow the reading. Errors: UserError when the archive itself is damaged.
        """
        for file, mode in self.modes.items():
            columns = COLUMNS[file]
            if file == "users" and self.version.startswith("1.1"):
                columns += USER_COLUMNS_1_1
            with _damage_reported(self.name), self.content.open(f"{file}.csv") as stream:
                buffered = BufferedReader(cast("RawIOBase", watch(cast("BinaryIO", stream))), 65536)
                text = TextIOWrapper(buffered, "utf-8-sig", errors="surrogateescape", newline="")
                yield from _read_file(csv.reader(text, strict=True), file, columns, mode == "delta")


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an archive and check its manifest; errors: UserError."""
    with _damage_reported(path.name):
        try:
            content = zipfile.ZipFile(path)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    with content:
        names = set(content.namelist())
        if "manifest.csv" not in names:
            raise UserError(f"{path.name} has no manifest.csv at its top, so it is no OneRoster archive.")
        with _damage_reported(path.name), content.open("manifest.csv") as stream:
            rows = csv.reader(stream.read(1 << 20).decode("utf-8-sig", "replace").splitlines())
            try:
                manifest = {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}
            except csv.Error as error:
                raise UserError(f"manifest.csv is not in CSV format: {error}.") from None
        version = manifest.get("oneroster.version", "")
        if not VERSION.fullmatch(version):
            raise UserError(f"manifest.csv: oneroster.version is '{version}', and Rollbook reads 1.1 and 1.2.")
        modes = {file: manifest.get(f"file.{file}", "absent") for file in FILES}
        for file, mode in modes.items():
            if mode not in ("bulk", "delta", "absent"):
                raise UserError(f"manifest.csv: file.{file} is '{mode}', which is none of bulk, delta, absent.")
            if mode != "absent" and f"{file}.csv" not in names:
                raise UserError(f"manifest.csv says that there is a {file}.csv, and the archive has none.")
        read = {file: mode for file, mode in modes.items() if mode != "absent"}
        if version.startswith("1.1"):
            read.pop("roles", None)
        yield Archive(path.name, content, version, read)


@contextmanager
def _damage_reported(name: str) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise UserError(f"{name} is not a zip archive that can be read: {error}.") from None


def _read_file(reader: "_csv.Reader", file: str, columns: tuple[Column, ...], delta: bool) -> Iterator[tuple[str, Row]]:
    records = _read_records(reader)
    _, first = next(records, (1, []))
    if isinstance(first, str):
        yield _problem(file, 1, "", first)
        return
    header = [name.strip() for name in first]
    needed = [column.name for column in columns if column.required] + ["status"] * delta
    if missing := [name for name in needed if name not in header]:
        yield from (_problem(file, 1, name, "the column is missing") for name in missing)
        return
    places = [header.index(column.name) if column.name in header else None for column in columns]
    status_place = header.index("status") if "status" in header else None
    status = Column("status", STATUS, required=delta)
    for line, row in records:
        if isinstance(row, str):
            yield _problem(file, line, "", row)
        elif row:
            problems: list[tuple[str, str]] = []
            clean = (text := "".join(row)).isascii() and not CONTROL.search(text)
            named, deleted = 1, False
            if len(row) != len(header):
                # Only its id is read, so that what refers to it is not called unknown.
                problems.append(("", f"the row has {len(row)} fields, the header has {len(header)}"))
                row.extend([""] * len(header))
            else:
                deleted = bool(_read_value(row, status_place, status, clean, problems))
                named = 1 if deleted else len(columns)  # a row that takes something away has to name it, no more
            pairs = zip(places[:named], columns, strict=False)
            values = [_read_value(row, place, column, clean, problems) for place, column in pairs]
            yield from (_problem(file, line, *problem) for problem in problems)
            yield from _arrange(file, line, deleted, values + [None] * (len(columns) - named))


def _read_records(reader: "_csv.Reader") -> Iterator[tuple[int, list[str] | str]]:
    """Yield each record, or what is wrong with it, with the number of its first line."""
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"not in CSV format: {error}"


def _read_value(
    row: list[str], place: int | None, column: Column, clean: bool, problems: list[tuple[str, str]]
) -> object:
    text = "" if place is None else row[place].strip()
    if not text:
        if column.required:
            problems.append((column.name, "the value is missing"))
        return None
    try:
        if not clean:
            text.encode()
            if CONTROL.search(text):
                raise ValueError("the value has a NUL byte or another control character")  # noqa: TRY301 joins the others
        return column.parse(text)
    except UnicodeEncodeError:
        problems.append((column.name, "the value is not in UTF-8"))
    except ValueError as error:
        problems.append((column.name, str(error)))
    return None


def _arrange(file: str, line: int, deleted: bool, values: list[object]) -> Iterator[tuple[str, Row]]:
    """Give the row of the file's staging table, and one for each value of its list."""
    source, *rest = values
    if file == "roles":
        yield "memberships", (file, line, source, deleted, *rest[:2])
    elif file == "classes":
        yield file, (line, source, deleted, *rest[:3])
        for position, term in enumerate(_listed(rest[3])):
            yield "class_terms", (line, position, term)
    elif file == "users":
        yield file, (line, source, deleted, *rest[:5])
        for org in _listed(rest[5] if len(rest) > 5 else None):
            yield "memberships", (file, line, None, deleted, source, org)
    else:
        yield "terms" if file == "academicSessions" else file, (line, source, deleted, *rest)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _problem(file: str, line: int, column: str, reason: str) -> tuple[str, Row]:
    return "problems", (file, line, column, reason, False)
