"""The output file of a long run, and the plan beside it by which an interrupted run continues.

The plan holds the options and every id in order, and is written before the first call. An interrupted run continues
after the last complete call in the output file, with the same Idempotency-Keys, so that a call whose answer was lost is
not repeated. It continues only with the options of the plan.
"""

import csv
import hashlib
import json
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import TextIO

from rollbook.client.results import Outcome
from rollbook.errors import UserError
from rollbook.methods.refusals import IDS_SHOWN
from rollbook.model import utc_now
from rollbook.spreadsheets import Writer
from rollbook.wire.values import MAX_ITEMS

COLUMNS = ["id", "outcome", "code", "message", "batch"]
WOULD_BE = "would be "
# Less than the day within which a batch can be continued (D32).
CONTINUED = timedelta(hours=23)

Options = Mapping[str, object]


class Run:
    """The ids of a run, and their outcomes so far."""

    def __init__(self, plan: TextIO, outcomes: TextIO | None, plan_path: Path | None, *, dry: bool = False) -> None:
        self._plan = plan
        self._plan_path = plan_path
        self._outcomes = outcomes
        self._writer = None if outcomes is None else Writer(outcomes)
        self._dry = dry
        self.name = ""
        self._begun_at = utc_now()
        self.total = self.done = self.accepted = self.refused = 0
        self.refusals: dict[str, tuple[str, int, list[str]]] = {}  # by code: message, number, first ids
        self.last_batch: int | None = None
        self.options: Options = {}
        self.resumed = False
        self.sent = False  # whether a call may have gone out

    def begin(self, ids: Sequence[int], options: Options) -> None:
        """Write the plan, before the first call."""
        self.name = secrets.token_hex(16)
        self.options = options
        self.total = len(ids)
        self._plan.write(json.dumps({"name": self.name, "begun": self._begun_at.isoformat(), **options}) + "\n")
        self._plan.writelines(f"{id_}\n" for id_ in ids)
        self._plan.flush()
        if self._plan_path is not None:
            _unfinished(self._plan_path).replace(self._plan_path)  # an incomplete plan never has this name
        if self._writer is not None:
            self._writer.write(COLUMNS)

    def resume(self, finished: list[list[str]]) -> None:
        """Read a plan and these outcomes of it; errors: UserError when they do not fit together."""
        fits = True
        try:
            options = json.loads(self._plan.readline())
            self.name = options.pop("name")
            self._begun_at = datetime.fromisoformat(options.pop("begun"))
            self.options = options
            self.total = sum(1 for _ in self._plan)
            for id_, (given, outcome, code, message, batch) in zip(self.ids(), finished, strict=False):
                fits = fits and str(id_) == given
                self._count(given, outcome != "refused", code, message, int(batch) if batch else None)
        except (ValueError, KeyError, AttributeError, TypeError):
            fits = False
        if not fits or self.done < len(finished):
            what = f"{self._plan_path} and the output beside it do not fit together, so the run cannot continue."
            raise UserError(f"{what} Keep both as a record, and choose another --output.")
        self.resumed = True

    def require_same(self, options: Options) -> None:
        """Refuse to continue with other options than those of the plan; errors: UserError."""
        other = [name for name, value in options.items() if value != self.options.get(name)]
        if other:
            raise UserError(
                f"An interrupted run with this --output has done {self.done:,} of {self.total:,}, and had another "
                f"{', another '.join(other)}. Continue with the same, or drop the rest of it: remove {self._plan_path} "
                "and choose another --output."
            )

    def ids(self) -> Iterator[int]:
        """Read every id of the plan."""
        self._plan.seek(0)
        self._plan.readline()
        return (int(line) for line in iter(self._plan.readline, ""))

    def remaining(self) -> Iterator[int]:
        """Read the ids without an outcome."""
        return islice(self.ids(), self.done, None)

    def call_keys(self) -> Iterator[str]:
        """The Idempotency-Keys of the remaining calls, the same in every attempt of this run."""
        return (f"{self.name}-{number}" for number in count(self.done // MAX_ITEMS))

    def batch_to_continue(self) -> int | None:
        """The batch of the calls so far, as long as a server continues it."""
        return self.last_batch if utc_now() < self._begun_at + CONTINUED else None

    def keep(self, outcome: Outcome) -> None:
        """Write an outcome; those of a call reach the disk together."""
        self._count(outcome.id, outcome.accepted, outcome.code or "", outcome.message or "", outcome.batch_id)
        if self._writer is not None and self._outcomes is not None:
            batch = "" if outcome.batch_id is None else outcome.batch_id
            status = WOULD_BE + outcome.status if self._dry else outcome.status
            self._writer.write((outcome.id, status, outcome.code, outcome.message, batch))
            if self.done % MAX_ITEMS == 0:
                self._outcomes.flush()

    def _count(self, id_: str, accepted: bool, code: str, message: str, batch: int | None) -> None:
        self.done += 1
        self.accepted += accepted
        self.refused += not accepted
        if not accepted:
            first, times, ids = self.refusals.get(code, (message, 0, []))
            self.refusals[code] = (first, times + 1, [*ids, id_][:IDS_SHOWN])
        self.last_batch = self.last_batch if batch is None else batch


def digest(ids: Iterable[object]) -> str:
    """A digest of a list of ids or of people."""
    return hashlib.sha256("\n".join(map(str, ids)).encode()).hexdigest()


@contextmanager
def open_run(output: Path | None, *, dry: bool) -> Iterator[Run]:
    """Begin a run, or continue the interrupted one with the same output; errors: UserError.

    The plan is deleted when every id has its outcome, or when no call was made. A dry run has none.
    """
    if output is None or dry:
        with _open_dry_run(output) as run:
            yield run
        return
    plan_path = output.with_name(output.name + ".plan")
    finished = _read_finished(output, plan_path)
    with ExitStack() as files:
        try:
            if finished is None:
                plan = files.enter_context(_unfinished(plan_path).open("w+", encoding="utf-8"))
            else:
                plan = files.enter_context(plan_path.open(encoding="utf-8"))
            outcomes = files.enter_context(output.open("w" if finished is None else "a", encoding="utf-8", newline=""))
        except OSError as error:
            raise UserError(f"{error.filename} cannot be written: {error.strerror}.") from None
        run = Run(plan, outcomes, plan_path)
        if finished is not None:
            run.resume(finished)
        try:
            yield run
        finally:
            nothing_begun = not (run.sent or run.resumed)
            if nothing_begun or run.done == run.total:
                plan_path.unlink(missing_ok=True)
                _unfinished(plan_path).unlink(missing_ok=True)
            if nothing_begun:
                output.unlink()


@contextmanager
def _open_dry_run(output: Path | None) -> Iterator[Run]:
    """Begin a run without a plan; an incomplete output is deleted."""
    with ExitStack() as files:
        plan = files.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
        if output is None:
            yield Run(plan, None, None)
            return
        _refuse_existing(output)
        try:
            outcomes = files.enter_context(output.open("x", encoding="utf-8", newline=""))
        except OSError as error:
            raise UserError(f"{error.filename} cannot be written: {error.strerror}.") from None
        run = Run(plan, outcomes, None, dry=True)
        try:
            yield run
        finally:
            if not run.sent or run.done < run.total:
                output.unlink()


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _refuse_existing(output: Path) -> None:
    if output.exists():
        raise UserError(f"{output} exists already. Choose another --output.")


def _read_finished(output: Path, plan_path: Path) -> list[list[str]] | None:
    """Read the outcomes of complete calls and cut off the rest; None without a plan."""
    if not plan_path.exists():
        _refuse_existing(output)
        return None
    try:
        with output.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if len(row) == len(COLUMNS)][1:]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{plan_path} is from an interrupted run, but its output cannot be read: {error}. "
            "Choose another --output, or remove the plan."
        ) from None
    finished = rows[: len(rows) - len(rows) % MAX_ITEMS]
    shorter = _unfinished(output)
    with shorter.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *finished])
    shorter.replace(output)
    return finished
