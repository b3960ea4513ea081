"""The outcome file of a long run, and the plan beside it from which an interrupted run goes on.

The plan holds every id in order, and is there before the first call. A run that was cut off goes on after the last
whole call in the outcome file, with the Idempotency-Keys of before, so that a call whose answer was lost is not done
twice.
"""

import csv
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import TextIO

from rollbook.client.results import Outcome
from rollbook.errors import UserError
from rollbook.wire.values import MAX_ITEMS

COLUMNS = ["id", "outcome", "code", "message", "batch"]


class Run:
    """Ids to work through, and what has become of them so far."""

    def __init__(self, plan: TextIO, outcomes: TextIO | None, plan_path: Path | None) -> None:
        self._plan = plan
        self._plan_path = plan_path
        self._outcomes = outcomes
        self._writer = None if outcomes is None else csv.writer(outcomes, lineterminator="\n")
        self._name = ""
        self.total = self.done = self.accepted = self.refused = 0
        self.refusals: dict[str, tuple[str, int]] = {}
        self.last_batch: int | None = None
        self.resumed = False

    def begin(self, ids: Iterable[str]) -> None:
        """Write down what is to be done, before anything is."""
        self._name = secrets.token_hex(16)
        self._plan.write(f"{self._name}\n")
        for id_ in ids:
            self._plan.write(id_.replace("\n", " ").replace("\r", " ") + "\n")
            self.total += 1
        self._plan.flush()
        if self._plan_path is not None:
            _unfinished(self._plan_path).replace(self._plan_path)  # a plan that was cut off is no plan
        if self._writer is not None:
            self._writer.writerow(COLUMNS)

    def go_on(self, finished: list[list[str]]) -> None:
        """Take up a plan of which these outcomes were written before."""
        self.resumed = True
        self._name = self._plan.readline().rstrip("\n")
        self.total = sum(1 for _ in self._plan)
        for _, outcome, code, message, batch in finished:
            self._count(outcome != "refused", code, message, int(batch) if batch else None)

    def ids(self) -> Iterator[str]:
        """Read every id of the plan."""
        self._plan.seek(0)
        self._plan.readline()
        return (line.rstrip("\n") for line in iter(self._plan.readline, ""))

    def remaining(self) -> Iterator[str]:
        """Read what is left of the plan."""
        return islice(self.ids(), self.done, None)

    def call_keys(self) -> Iterator[str]:
        """Name every call that is left, the same in every run of this plan."""
        return (f"{self._name}-{number}" for number in count(self.done // MAX_ITEMS))

    def keep(self, outcome: Outcome) -> None:
        """Write an outcome; those of a whole call reach the disk together."""
        self._count(outcome.accepted, outcome.code or "", outcome.message or "", outcome.batch_id)
        if self._writer is not None and self._outcomes is not None:
            batch = "" if outcome.batch_id is None else outcome.batch_id
            self._writer.writerow((outcome.id, outcome.status, outcome.code, outcome.message, batch))
            if self.done % MAX_ITEMS == 0:
                self._outcomes.flush()

    def _count(self, accepted: bool, code: str, message: str, batch: int | None) -> None:
        self.done += 1
        self.accepted += accepted
        self.refused += not accepted
        if not accepted:
            first, times = self.refusals.get(code, (message, 0))
            self.refusals[code] = (first, times + 1)
        self.last_batch = self.last_batch if batch is None else batch


@contextmanager
def open_run(output: Path | None) -> Iterator[Run]:
    """Begin a run, or take up the one that was interrupted with the same output; errors: UserError.

    The plan is forgotten when everything in it has its outcome, or when nothing was begun.
    """
    with ExitStack() as files:
        if output is None:
            yield Run(files.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")), None, None)
            return
        plan_path = output.with_name(output.name + ".plan")
        finished = _read_finished(output, plan_path)
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
            run.go_on(finished)
        try:
            yield run
        finally:
            if run.done in (0, run.total):
                plan_path.unlink(missing_ok=True)
                _unfinished(plan_path).unlink(missing_ok=True)
            if run.done == 0:
                output.unlink()


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _read_finished(output: Path, plan_path: Path) -> list[list[str]] | None:
    """Read the outcomes of whole calls and cut off what came after them; None when there is nothing to go on with."""
    if not plan_path.exists():
        if output.exists():
            raise UserError(f"{output} is there already, from a run that came to its end. Choose another --output.")
        return None
    with output.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == len(COLUMNS)][1:]
    finished = rows[: len(rows) - len(rows) % MAX_ITEMS]
    shorter = _unfinished(output)
    with shorter.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *finished])
    shorter.replace(output)
    return finished
