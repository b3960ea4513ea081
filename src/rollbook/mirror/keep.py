"""Keeps enrollments here before they are unenrolled on a server, and records their batch with its outcomes."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from rollbook.actions import undo_enrollments, unenroll
from rollbook.client.client import Client
from rollbook.client.requests import ReportFilters, split
from rollbook.client.results import ACCEPTED_BEFORE, QUEUED_BEFORE, REFUSED, Outcome
from rollbook.errors import UserError
from rollbook.methods.get_learner_report import COLUMNS
from rollbook.mirror import rows
from rollbook.mirror.source import STATUSES
from rollbook.model import Account, Action, Actor, Policies, UnenrollRequest, utc_now
from rollbook.store.database.database import Database
from rollbook.store.mirror.enrollments import list_enrollments, write_enrollments
from rollbook.store.mirror.kept import find_current, find_ended, find_kept_batch, refuse_policies
from rollbook.store.mirror.state import KEPT, Mirror, bind_mirror, find_mirror
from rollbook.store.people.emails import fold_all_emails
from rollbook.store.queue.process import process_due
from rollbook.wire.identifiers import read_identifier

# An enrollment whose status changes meanwhile is read in the second round.
ROUNDS = 2
STEP = 1000


class Keeper:
    """Keeps the enrollments of one run of `rollbook unenroll` in an account; errors, when it is made: UserError."""

    def __init__(self, database: Database, account: Account, client: Client, by: Actor) -> None:
        self._database, self.account, self._client, self._by = database, account, client, by
        self._mirror = database.transact(self._bind)
        self.batch_id: int | None = None

    def _bind(self, connection: Connection) -> Mirror:
        refuse_policies(connection, self.account)
        bind_mirror(connection, self.account, self._client.url, None)
        return require_mirror(connection, self.account, self._client)

    def copy(self, ids: Iterable[int], course_names: Sequence[str]) -> int:
        """Copy those of the enrollments that the report has, and return their number.

        They are in the courses of these names. Errors: UserError when one cannot be copied whole; nothing must be
        unenrolled then.
        """
        wanted = {*ids}
        count = sum(self._copy_courses(wanted, part) for part in split(course_names))
        fold_all_emails(self._database)
        return count

    def _copy_courses(self, wanted: Collection[int], course_names: Sequence[str]) -> int:
        missing: dict[int, datetime] = {}
        for page in self._client.learner_report_pages(ReportFilters(courses=course_names)):
            found = [row for row in rows.rows_of_list(page) if row["id"] in wanted]
            self._database.transact(lambda link, found=found: list_enrollments(link, self._mirror, found))
            missing |= {row["id"]: row["modified_at"] for row in found}
        present = [*missing]
        self._reopen(present)
        for _ in range(ROUNDS):
            if missing:
                self._copy_missing(missing, course_names)
        if missing:
            raise UserError(
                f"{len(missing):,} enrollments could not be copied into {self.account.name!r}, so nothing was "
                f"unenrolled; the first is {min(missing)}. Run it again, or first: rollbook mirror --end-missing"
            )
        return len(present)

    def _copy_missing(self, missing: dict[int, datetime], course_names: Sequence[str]) -> None:
        for status in STATUSES:
            chosen = ReportFilters(courses=course_names, statuses=[status])
            for page in self._client.learner_report_pages(chosen, [*COLUMNS]):
                found = [row for row in rows.rows_of_report(page, status, None) if row["id"] in missing]
                written = self._database.transact(lambda link, found=found: self._write(link, found))
                for id_ in written:
                    missing.pop(id_, None)

    def _write(self, connection: Connection, found: Sequence[rows.Row]) -> list[int]:
        """Write rows, and return the ids of those that are current here as they are there."""
        if not found:
            return []
        write_enrollments(connection, self._mirror, found, utc_now())
        return find_current(connection, self.account.id, {row["id"]: row["modified_at"] for row in found})

    def _reopen(self, ids: Sequence[int]) -> None:
        """Restore those that were ended here and are current there."""

        def work(connection: Connection) -> None:
            if ended := find_ended(connection, self.account.id, ids):
                reason = f"Again on {self._mirror.url}"
                by, now = self._by, utc_now()
                undo_enrollments(connection, by, self.account.id, Action.RESTORE, ended, reason=reason, now=now)

        self._database.transact(work)

    def record(self, outcomes: Iterable[Outcome], name: str, reason: str | None, *, resumed: bool) -> Iterator[Outcome]:
        """Record outcomes, call by call, in the batch of the run with this name, and yield them.

        An earlier attempt may have made the first call of a resumed run. All its ids were current before: what the
        server no longer accepts, it has accepted then, unless it knows the call by its Idempotency-Key.
        """
        for place, part in enumerate(split(outcomes)):
            in_doubt = resumed and place == 0 and not self._client.is_rollbook
            settled = [_settle(outcome) if in_doubt else outcome for outcome in part]
            self.batch_id = self._database.transact(partial(self._record, settled, name, reason))
            while process_due(self._database, self.account.id, utc_now(), STEP).finished:
                pass
            yield from settled

    def _record(self, part: Sequence[Outcome], name: str, reason: str | None, connection: Connection) -> int | None:
        now = utc_now()
        batch_id = find_kept_batch(connection, self.account.id, name, now)
        ids = [read_identifier(outcome.id) if outcome.accepted else None for outcome in part]
        refused = {block: outcome.code or REFUSED for block, outcome in enumerate(part, 1) if not outcome.accepted}
        sent = [outcome.id for outcome in part]
        request = UnenrollRequest(self._by, ids, reason, KEPT + name, batch_id, sent, refused)
        done = unenroll(connection, self.account.id, Policies(), request, codes={}, now=now)
        return done.batch_id or batch_id


def _settle(outcome: Outcome) -> Outcome:
    if outcome.accepted or outcome.code not in QUEUED_BEFORE:
        return outcome
    return outcome._replace(accepted=True, status=ACCEPTED_BEFORE)


def require_mirror(connection: Connection, account: Account, client: Client) -> Mirror:
    """Find the copy that the account is of one of this server, with real names; errors: UserError."""
    found = find_mirror(connection, account.id)
    if found is None or found.url != client.url:
        raise UserError(f"The account {account.name!r} is no copy of an account of {client.url}.")
    if found.pseudonym_key is not None:
        raise UserError(f"The account {account.name!r} has made-up names, by which the server finds no learner.")
    return found
