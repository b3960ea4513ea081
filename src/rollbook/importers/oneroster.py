"""Reads a OneRoster CSV archive, version 1.1 or 1.2: checks its manifest and its files.

Rows are read by oneroster_rows; references between them are checked by store/roster.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO, cast

from rollbook.errors import UserError
from rollbook.importers.csv_file import Record, read_csv
from rollbook.importers.oneroster_columns import COLUMNS, USER_COLUMNS_1_1
from rollbook.importers.oneroster_rows import Layout, Row, lay_out, read_file

Watch = Callable[[BinaryIO], BinaryIO]

# Each after the files that it refers to.
FILES = ("orgs", "academicSessions", "courses", "classes", "users", "roles", "enrollments")
# Read only for a final grade.
GRADEBOOK = ("categories", "lineItems", "results")
VERSION = re.compile(r"1\.[12](\.\d+)*", re.ASCII)
MAX_MANIFEST = 1 << 20
# The errors of zipfile and the decompressors for damaged or (RuntimeError) encrypted files: ValueError for a file name
# that is not UTF-8, OSError for a damaged bz2 file, MemoryError for an LZMA file with a dictionary of gigabytes.
ARCHIVE_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError, MemoryError),
)


@dataclass(frozen=True)
class Archive:
    """An archive with a valid manifest: its version, and the mode (bulk or delta) of each file to read.

    `left_alone` are its files of grades that are not to be read.
    """

    name: str
    content: zipfile.ZipFile
    version: str
    modes: dict[str, str]
    left_alone: list[str]

    @property
    def size(self) -> int:
        """The number of bytes that `read_rows` reads."""
        return sum(self.content.getinfo(f"{file}.csv").file_size for file in self.modes)

    @property
    def complete(self) -> frozenset[str]:
        """The files that list all records of their kind."""
        return frozenset(file for file, mode in self.modes.items() if mode == "bulk")

    def count_rows(self, file: str) -> int | None:
        """Count the rows of a file that is left alone; None when it cannot be read."""
        try:
            with _damage_reported(self.name), self.content.open(f"{file}.csv") as stream:
                return sum(1 for _ in read_csv(f"{file}.csv", cast("BinaryIO", stream))[1])
        except UserError:
            return None

    def read_rows(self, watch: Watch) -> Iterator[tuple[str, Row]]:
        """Yield every row with the name of its staging table; a mistake in a row is a row of `problems`.

        `watch` wraps each file, to show progress. Errors: UserError for a mistake of the archive or a whole file; the
        headers of all files are checked before the first row.
        """
        wrong = []
        for file in self.modes:
            try:
                with self._open(file, lambda stream: stream):
                    pass
            except UserError as error:
                wrong.append(str(error))
        if wrong:
            raise UserError("\n".join(wrong))
        for file in self.modes:
            with self._open(file, watch) as (layout, records):
                yield from read_file(file, layout, records)

    @contextmanager
    def _open(self, file: str, watch: Watch) -> Iterator[tuple[Layout, Iterator[tuple[int, Record]]]]:
        columns = COLUMNS[file]
        if file == "users" and self.version.startswith("1.1"):
            columns += USER_COLUMNS_1_1
        name = f"{file}.csv"
        with _damage_reported(self.name), self.content.open(name) as stream:
            header, records = read_csv(name, watch(cast("BinaryIO", stream)))
            yield lay_out(name, header, columns, self.modes[file] == "delta"), records


@contextmanager
def open_archive(path: Path, *, grades: bool = False, data: bytes | None = None) -> Iterator[Archive]:
    """Open an archive, with or without its grades, and check its manifest; errors: UserError.

    `data` is the content of an archive that is not on disk.
    """
    if data is None and path.exists() and not path.is_file():
        raise UserError(f"{path} is not a file. Name a OneRoster archive (zip).")
    with _damage_reported(path.name):
        try:
            content = zipfile.ZipFile(path if data is None else BytesIO(data))
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    with content:
        names = set(content.namelist())
        if "manifest.csv" not in names:
            workbook = " It is an Excel workbook: progress is imported from CSV." if "xl/workbook.xml" in names else ""
            raise UserError(
                f"{path.name} has no manifest.csv in its top folder, so it is not a OneRoster archive.{workbook}"
            )
        manifest = _read_manifest(path.name, content)
        version = manifest.get("oneroster.version", "")
        if not VERSION.fullmatch(version):
            raise UserError(f"manifest.csv: oneroster.version is '{version}', and Rollbook reads 1.1 and 1.2.")
        modes = {file: manifest.get(f"file.{file}", "absent") for file in (*FILES, *(GRADEBOOK if grades else ()))}
        for file, mode in modes.items():
            if mode not in ("bulk", "delta", "absent"):
                raise UserError(f"manifest.csv: file.{file} is '{mode}', which is none of bulk, delta, absent.")
            if mode != "absent" and f"{file}.csv" not in names:
                raise UserError(f"manifest.csv lists {file}.csv, which the archive does not contain.")
        read = {file: mode for file, mode in modes.items() if mode != "absent"}
        if version.startswith("1.1"):
            read.pop("roles", None)
        if grades and (missing := [f"{file}.csv" for file in GRADEBOOK[1:] if file not in read]):
            raise UserError(f"{path.name} has no {' and no '.join(missing)}, so it has no final grades.")
        listed = [file for file in GRADEBOOK[1:] if manifest.get(f"file.{file}") in ("bulk", "delta")]
        left_alone = [file for file in listed if file not in read and f"{file}.csv" in names]
        yield Archive(path.name, content, version, read, left_alone)


def _read_manifest(archive: str, content: zipfile.ZipFile) -> dict[str, str]:
    with _damage_reported(archive), content.open("manifest.csv") as stream:
        head = stream.read(MAX_MANIFEST)
    header, records = read_csv("manifest.csv", BytesIO(head))
    manifest = {}
    for line, record in ((1, header), *records):
        if isinstance(record, str):
            raise UserError(f"manifest.csv:{line}: {record}.")
        # Spreadsheets pad every row to the length of the longest one.
        name, *values = (field.strip() for field in record)
        if values and not any(values[1:]):
            manifest[name] = values[0]
    return manifest


@contextmanager
def _damage_reported(name: str) -> Iterator[None]:
    try:
        yield
    except ARCHIVE_ERRORS as error:
        raise UserError(f"{name} is not a zip archive that can be read: {error}.") from None
