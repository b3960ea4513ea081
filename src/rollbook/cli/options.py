"""Checks the values of options before anything is done: days, times, reasons, known words, output files."""

import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated

import typer

from rollbook.errors import UserError
from rollbook.model import EnrollmentStatus, read_reason, suggest
from rollbook.wire.dates import read_date

MIN_YEAR = 1900  # an earlier year lacks a digit, as in 0026-01-31


def read_day(text: str) -> date:
    """Read a day in any form that the API reads; errors: BadParameter."""
    try:
        day = read_date(text.strip())
    except ValueError:
        day = date.min
    if day.year < MIN_YEAR:
        raise typer.BadParameter(f"{text!r} is not a day. Write it as 2026-01-31 or 31-Jan-2026.")
    return day


def read_since(text: str) -> datetime:
    """Read the value of --since."""
    return read_moment("--since", text)


def read_moment(option: str, text: str) -> datetime:
    """Read a day or a time, in UTC unless it names a zone; errors: UserError, which names the option."""
    written = text.strip()
    try:
        if "T" in written.upper():
            moment = datetime.fromisoformat(written)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        else:
            moment = datetime.combine(read_day(written), time.min, UTC)
        if moment.year >= MIN_YEAR:
            return moment
    except (ValueError, OverflowError, typer.BadParameter):
        pass
    raise UserError(f"{option} is a time like 2026-01-31 or 2026-01-31T08:00, not {text!r}.")


def check_reason(text: str | None) -> str | None:
    """Return the reason without surrounding white space; errors: BadParameter."""
    try:
        return read_reason(text or "")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def check_known(known: Iterable[str]) -> Callable[[list[str] | None], list[str] | None]:
    """Make a check that each value is a known word, in upper or lower case; errors: BadParameter."""
    words = {word.lower(): word for word in known}

    def check(values: list[str] | None) -> list[str] | None:
        for value in values or ():
            if value.lower() not in words:
                asked = suggest(value, words.values()) or f" Known are: {', '.join(words.values())}."
                raise typer.BadParameter(f"{value!r} is unknown.{asked}")
        return [words[value.lower()] for value in values] if values else values

    return check


def check_text(arguments: Iterable[str]) -> None:
    """Refuse characters that XML cannot hold, because the server would see another value; errors: UserError."""
    for argument in arguments:
        # Python represents a byte that is not UTF-8 as a lone surrogate.
        if not argument.isascii() and any("\ud800" <= character <= "\udfff" for character in argument):
            raise UserError(f"The argument {argument[:200]!r} is not text in UTF-8. Write it in UTF-8.")
        if any(unicodedata.category(character) == "Cc" for character in argument):
            raise UserError(f"The argument {argument[:200]!r} holds a control character. Leave it out.")


def check_target(path: Path | None) -> Path | None:
    """Check the path of a file to be written; errors: UserError."""
    if path is None:
        return None
    check_text([str(path)])
    try:
        if path.is_dir():
            raise UserError(f"{path} cannot be written: it is a folder.")
        if not path.parent.is_dir():
            raise UserError(f"{path} cannot be written: '{path.parent}' is no folder.")
        path.exists()
    except OSError as error:
        raise UserError(f"{str(path)[:80]!r} cannot be written: {error.strerror}.") from None
    return path


DayOption = Annotated[
    date | None, typer.Option(parser=read_day, metavar="DAY", help="A day, such as 2026-01-31, inclusive.")
]
StatusOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STATUS",
        callback=check_known(EnrollmentStatus),
        help=f"Only this status: {', '.join(EnrollmentStatus)}.",
    ),
]
