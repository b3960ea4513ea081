"""Which enrollments a command is about: ids as arguments or in a file, or a choice that the report resolves."""

import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from rollbook.client.client import Client
from rollbook.client.requests import ReportFilters
from rollbook.errors import NotAnAnswerError, UserError
from rollbook.id_lists import MAX_BYTES, Only, join, read_id_list, read_words
from rollbook.wire.values import read_identifier

IdsArgument = Annotated[list[str] | None, typer.Argument(help="Ids of enrollments.", show_default=False)]
FileOption = Annotated[Path | None, typer.Option(help="A CSV or a plain list of ids; - is standard input.")]
ColumnOption = Annotated[str | None, typer.Option(help="The column of the file that holds the ids: name or number.")]
SkipOption = Annotated[bool, typer.Option("--skip-bad-rows", help="Leave out rows of the file that hold no id.")]


@dataclass
class Preview:
    """What would be unenrolled, by course: how many are chosen, of how many, how many of them have come how far.

    `progress` tells whether any enrollment of the account has begun: another server may keep no progress.
    """

    chosen: Counter[str] = field(default_factory=Counter)
    enrolled: Counter[str] = field(default_factory=Counter)
    started: Counter[str] = field(default_factory=Counter)
    completed: Counter[str] = field(default_factory=Counter)
    progress: bool = False

    def count(self, row: dict[str, str], *, chosen: bool) -> None:
        """Count a row of the report."""
        course, started, completed = row["CourseName"], bool(row.get("StartedDate")), bool(row.get("CompletedDate"))
        self.enrolled[course] += 1
        self.progress = self.progress or started or completed
        if chosen:
            self.chosen[course] += 1
            self.started[course] += started
            self.completed[course] += completed

    def percent(self, course: str) -> float:
        """Tell which part of the course's enrollments is chosen."""
        return 100 * self.chosen[course] / max(1, self.enrolled[course])


def read_ids(
    words: Sequence[str], file: Path | None, column: str | None, *, skip_bad_rows: bool, only: Only | None = None
) -> list[int]:
    """Read the ids of the arguments and of a file, each once, and say what was read; errors: UserError."""
    found = read_words(words)
    name = "standard input" if str(file) == "-" else str(file)
    if file is not None:
        found = join([found, read_id_list(_read_bytes(file), name, column, only=only)])
    elif column is not None or skip_bad_rows:
        raise UserError("--column and --skip-bad-rows are about --file, and there is none.")
    if found.bad and not skip_bad_rows:
        rows = "\n  ".join(found.complaints())
        raise UserError(
            f"{len(found.bad):,} without an id, so nothing was done:\n  {rows}\n"
            + ("Mend the file, or leave exactly these out with --skip-bad-rows." if file else "Mend the arguments.")
        )
    if file is not None:
        typer.echo(f"{name}: {len(found.ids):,} ids from {found.column}.", err=True)
    if found.bad:
        typer.echo("\n  ".join([f"{len(found.bad):,} without an id are left out:", *found.complaints()]), err=True)
    if found.repeats:
        typer.echo(f"{len(found.repeats):,} repeated, sent once: {found.describe_repeats()}", err=True)
    if found.left_out and only:
        typer.echo(f"{found.left_out:,} left out, because their {only.column} is another.", err=True)
    return [*found.ids]


def _read_bytes(file: Path) -> bytes:
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from None


def find_ids(client: Client, filters: ReportFilters) -> list[int]:
    """Find the enrollments that the filters choose; errors: UserError for a name that no enrollment has."""
    ids, seen = [], _Names()
    for row in client.learner_report(filters, _NAME_COLUMNS):
        id_ = read_identifier(row["ID"])
        if id_ is None:
            raise NotAnAnswerError(f"The report has a row whose ID is {row['ID'][:40]!r}.")
        ids.append(id_)
        seen.add(row)
    asked = {"course": filters.courses, "group": filters.groups, "email": filters.emails}
    missed = [
        (kind, name) for kind, names in asked.items() for name in names if name.strip().casefold() not in seen.of(kind)
    ]
    if missed:
        known = _Names()
        for row in client.learner_report(columns=_NAME_COLUMNS):
            known.add(row)
        if unknown := [known.complain(kind, name) for kind, name in missed if not known.has(kind, name.strip())]:
            raise UserError(" ".join(unknown))
        for kind, name in missed:
            typer.echo(f"Nothing is chosen of {kind} '{name}': the other options leave nothing of it.", err=True)
    return ids


_NAME_COLUMNS = ("GROUP_NAME", "USER_EMAIL")
_NAME_ELEMENTS = {"course": "CourseName", "group": "GroupName", "email": "LearnerEmail"}


class _Names:
    """The names of courses, groups and learners that rows of the report bear."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, set[str]]] = {kind: {} for kind in _NAME_ELEMENTS}

    def add(self, row: dict[str, str]) -> None:
        for kind, element in _NAME_ELEMENTS.items():
            name = row.get(element, "")
            self._names[kind].setdefault(name.casefold(), set()).add(name)

    def of(self, kind: str) -> Collection[str]:
        """Give the names in small letters."""
        return self._names[kind]

    def has(self, kind: str, name: str) -> bool:
        """Tell whether a server finds it: courses and groups by the same letters, e-mails in any case of them."""
        spelled = self._names[kind].get(name.casefold(), set())
        return name in spelled or (kind == "email" and bool(spelled))

    def complain(self, kind: str, name: str) -> str:
        near = get_close_matches(name.casefold(), self._names[kind])
        spelled = [f"'{each}'" for folded in near for each in sorted(self._names[kind][folded])]
        asked = f" Nearest: {', '.join(spelled)}." if spelled else ""
        return f"No enrollment has the {kind} '{name}'.{asked}"


def preview_ids(client: Client, ids: Iterable[int]) -> Preview:
    """Look the ids up in the report of the whole account; memory: eight bytes an id."""
    wanted = array("q", sorted(ids))
    preview = Preview()
    for row in client.learner_report(columns=["STARTED_DATE", "COMPLETED_DATE"]):
        id_ = read_identifier(row["ID"]) or 0
        place = bisect_left(wanted, id_)
        preview.count(row, chosen=place < len(wanted) and wanted[place] == id_)
    return preview
