"""Runs a mirror: phase after phase, a transaction a page, continued where an interrupted run has stopped."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from rollbook.actions import undo_enrollments, unenroll
from rollbook.brake import MAX_PERCENT, CourseShare, find_large_shares
from rollbook.client.client import Client
from rollbook.errors import UNKNOWN_METHOD, CallRefusedError
from rollbook.mirror.source import MARGIN, Page, Source
from rollbook.model import Account, Action, Actor, Change, UnenrollRequest, utc_now
from rollbook.store.database.database import Database
from rollbook.store.mirror import state
from rollbook.store.mirror.profiles import find_unread
from rollbook.store.mirror.records import find_changed_users
from rollbook.store.operations.audit import record_change
from rollbook.store.people.emails import fold_all_emails
from rollbook.store.queue.process import process_due

# The phases, each with the kind of records that it reads. The ids of enrollments are listed twice if some seem to have
# vanished, because pages shift while enrollments end there; enrollments are read twice if some changed meanwhile.
PHASES = {
    "courses": "courses",
    "groups": "groups",
    "users": "users",
    "members": "memberships",
    "profiles": "profiles",
    "listing": "enrollments",
    "listing again": "enrollments",
    "enrollments": "enrollments",
    "enrollments again": "enrollments",
}
MAX_SPANS = 4
PROFILES_A_PAGE = 20
STEP = 1000

Watch = Callable[[str, int, int | None], None]


@dataclass
class Outcome:
    """The counts of a run by kind of records and by what happened, and remarks about what it did not do."""

    counts: Counter[str] = field(default_factory=Counter)
    vanished: int = 0
    stopped: bool = False
    outdated: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """Whether to end what has vanished, up to a share of the copy in per cent, and to read every user's profile."""

    end_missing: bool = False
    max_percent: float = MAX_PERCENT
    profiles: bool = False


class Run:
    """One run of the mirror of an account, which `bind_mirror` has made one; `watch` gets phase, rows, and all rows."""

    def __init__(self, database: Database, client: Client, account: Account, by: Actor, watch: Watch) -> None:
        self._database, self._account, self._by, self._watch = database, account, by, watch
        self._mirror = database.transact(lambda connection: state.begin_run(connection, account.id))
        self._source = Source(client, self._mirror, utc_now())
        self._position: dict[str, Any] = {"phase": "courses", "at": [0], "counts": {}, **self._mirror.position}
        self.resumed, self._stopped = bool(self._mirror.position), False

    def go(self, options: Options) -> Outcome:
        """Run to the end; errors: UserError, ClientError."""
        names = [*PHASES]
        for name in names[names.index(self._position["phase"]) :]:
            if name == "profiles" and not options.profiles:
                continue
            if name != self._position["phase"]:
                self._position |= {"phase": name, "at": [0], "spans": None}
            if name.startswith("enrollments"):
                self._settle(options)
            self._read(name)
        fold_all_emails(self._database)
        outcome = Outcome(Counter(self._position["counts"]), stopped=self._stopped, notes=self._source.notes)
        self._database.transact(lambda connection: self._complete(connection, outcome))
        return outcome

    def _read(self, name: str) -> None:
        """Read a phase; methods that the server lacks are a note, but for the report."""
        total = self._count() if name.startswith("enrollments") else None
        done = 0
        try:
            for page in self._pages(name):
                self._position = self._database.transact(partial(self._keep, name=name, page=page))
                done += page.rows
                self._watch(name, done, total)
        except CallRefusedError as error:
            if error.code != UNKNOWN_METHOD.code or PHASES[name] == "enrollments":
                raise
            self._source.notes.append(f"The server lacks a method that reads {PHASES[name]}: its report tells of them.")

    def _pages(self, name: str) -> Iterator[Page]:
        at: Sequence[int] = self._position["at"]
        if name == "listing again" and not self._find(state.find_vanished):
            return iter(())
        if name.startswith("listing"):
            return self._source.listing(at)
        if name.startswith("enrollments"):
            spans = self._position.get("spans")
            if spans is None:
                spans = self._position["spans"] = _spans(self._find(state.days_outdated))
            return self._source.enrollments(at, spans)
        if name == "users":
            return self._source.users(at, lambda found: self._find(partial(find_changed_users, rows=found)))
        if name == "profiles":
            return self._source.profiles(at, lambda last: self._find(partial(_unread, after=last)))
        pages: Iterator[Page] = getattr(self._source, name)(at)
        return pages

    def _keep(self, connection: Connection, name: str, page: Page) -> dict[str, Any]:
        """Write a page and the position after it, and return the position."""
        counts = Counter(self._position["counts"])
        verb = "listed" if name.startswith("listing") else "read"
        counts.update({f"{PHASES[name]} {verb}": page.rows, **page.write(connection)})
        position = {**self._position, "at": page.next, "counts": counts}
        state.save_position(connection, self._account.id, position)
        return position

    def _settle(self, options: Options) -> None:
        """End what has vanished there, if it is wanted, and restore what has come back there."""
        ended = 0
        if options.end_missing:
            ended = self._database.transact(partial(self._end, max_percent=options.max_percent))
            while process_due(self._database, self._account.id, utc_now(), STEP).finished:
                pass
        restored = self._database.transact(self._restore)
        counts = Counter(self._position["counts"])
        counts.update({"enrollments ended": ended, "enrollments restored": restored})
        self._position["counts"] = counts

    def _end(self, connection: Connection, max_percent: float) -> int:
        """End what has vanished, unless it is too large a share of what is current here; return how many."""
        ids = state.find_vanished(connection, self._mirror)
        share = CourseShare("", len(ids), state.count_current(connection, self._mirror), 0, 0)
        self._stopped = bool(find_large_shares([share], max_percent))
        if not ids or self._stopped:
            return 0
        reason = f"No longer on {self._mirror.url}"
        request = UnenrollRequest(self._by, ids, reason)
        done = unenroll(connection, self._account.id, self._account.policies, request, codes={}, now=utc_now())
        return len(done.accepted)

    def _restore(self, connection: Connection) -> int:
        ids = state.find_returned(connection, self._mirror)
        if not ids:
            return 0
        reason, now = f"Again on {self._mirror.url}", utc_now()
        done = undo_enrollments(connection, self._by, self._account.id, Action.RESTORE, ids, reason=reason, now=now)
        if done.refused:
            self._source.notes.append(
                f"{len(done.refused):,} enrollments are current there, and cannot be restored here."
            )
        return len(done.changed)

    def _complete(self, connection: Connection, outcome: Outcome) -> None:
        outcome.vanished = len(state.find_vanished(connection, self._mirror))
        if kept := len(state.find_returned(connection, self._mirror, kept=True)):
            outcome.notes.append(f"{kept:,} enrollments that `unenroll --keep` has ended here are still current there.")
        outcome.outdated = state.count_outdated(connection, self._mirror)
        state.complete_run(connection, self._account.id)
        told = ("added", "changed", "ended", "restored")
        if changes := {what: count for what, count in outcome.counts.items() if count and what.endswith(told)}:
            change = Change(Action.IMPORT, f"Mirror of {self._mirror.url}", changes)
            record_change(connection, self._account.id, self._by, change)

    def _find(self, find: Callable[[Connection, state.Mirror], Any]) -> Any:
        with self._database.read() as connection:
            return find(connection, self._mirror)

    def _count(self) -> int:
        count: int = self._find(state.count_outdated)
        return count


def _unread(connection: Connection, mirror: state.Mirror, after: int) -> list[int]:
    return find_unread(connection, mirror, after, PROFILES_A_PAGE)


def _spans(days: Sequence[date]) -> list[list[str]]:
    """Make spans of the days and of those around them; many spans are read as one."""
    spans: list[list[date]] = []
    for day in days:
        first, last = _shift(day, -MARGIN), _shift(day, MARGIN)
        if spans and first <= spans[-1][1]:
            spans[-1][1] = last
        else:
            spans.append([first, last])
    if len(spans) > MAX_SPANS:
        spans = [[spans[0][0], spans[-1][1]]]
    return [[first.isoformat(), last.isoformat()] for first, last in spans]


def _shift(day: date, by: timedelta) -> date:
    try:
        return day + by
    except OverflowError:
        return day
