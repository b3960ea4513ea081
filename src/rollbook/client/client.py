"""Client: every method of the API as a call in Python; how it is written, sent and read is told elsewhere."""

import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import count, islice
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx

from rollbook.client.results import Batch, Outcome, QueueState, read_outcomes
from rollbook.client.transport import Transport
from rollbook.errors import CallError, CallRefusedError, NotAnAnswerError
from rollbook.model import LONGEST_REASON, is_reason
from rollbook.wire import reading, request
from rollbook.wire.answer import ErrorEntry
from rollbook.wire.identifiers import IDENTIFIER, MOST_ITEMS, read_identifier
from rollbook.wire.paging import LARGEST_SIZE
from rollbook.wire.reading import Reply
from rollbook.wire.request import Enrollment, ReportFilters, Request

UNQUOTED = (string.punctuation + " ").replace("%", "")
DRY_RUN = "Rollbook-Dry-Run"
EVERYTHING = ReportFilters()
NOTHING: Mapping[str, str] = {}
UNSAID = ErrorEntry("no code", "The answer is Failed and does not say why.")

T = TypeVar("T")
Item = TypeVar("Item")
Rows = list[dict[str, str]]
Ids = Iterable[int | str]


@dataclass(frozen=True)
class Sent:
    """An answered call: `in_doubt` when it may have been carried out before that, and the server cannot know it."""

    reply: Reply
    batch_id: int | None
    in_doubt: bool


class Client:
    """Calls a server of this API, in the name of the owner of the two keys.

    `url` is the address of the API, `ca_file` the certificate of a private authority, `timeout` in seconds, and
    `attempts` how often a call is sent at most. A refused item is a value; a failed call raises a ClientError.
    """

    def __init__(
        self,
        url: str,
        account_key: str,
        user_key: str,
        *,
        ca_file: str | Path | None = None,
        timeout: float = 60.0,
        attempts: int = 6,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._keys = (account_key, user_key)
        self._transport = Transport(url, ca_file, timeout, attempts, transport)

    def __repr__(self) -> str:
        return f"Client({self._transport.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def unenroll(
        self, ids: Ids, *, reason: str | None = None, dry_run: bool = False, keys: Iterable[str] | None = None
    ) -> Iterator[Outcome]:
        """Unenrol in calls of 100, each made when its first outcome is asked for; one outcome an id, in order.

        `keys` are the Idempotency-Keys of the calls, for a program that goes on where an earlier one was cut off.
        """
        return self._change(request.ask_to_unenroll, ids, _write_headers(reason, dry_run=dry_run), keys)

    def enroll(self, enrollments: Iterable[Enrollment]) -> Iterator[Outcome]:
        """Enrol in calls of 100; the id of an outcome is the learner's, its `new_id` the enrolment's."""
        for part in _split(enrollments):
            sent = self._send(request.ask_to_enroll(part), key=_new_key())
            people = {block: item.email or item.employee_id or "" for block, item in enumerate(part, 1)}
            yield from read_outcomes(sent.reply, people, enrolled=True)

    def remove(
        self, ids: Ids = (), *, batch_id: int | None = None, reason: str | None = None, dry_run: bool = False
    ) -> Iterator[Outcome]:
        """Take pending items out of the queue: enrolments in calls of 100, or a whole batch."""
        return self._undo(request.ask_to_remove, ids, batch_id, _write_headers(reason, dry_run=dry_run))

    def restore(
        self, ids: Ids = (), *, batch_id: int | None = None, reason: str | None = None, dry_run: bool = False
    ) -> Iterator[Outcome]:
        """Undo unenrollments: enrolments in calls of 100, or a whole batch."""
        return self._undo(request.ask_to_restore, ids, batch_id, _write_headers(reason, dry_run=dry_run))

    def learner_report(
        self, filters: ReportFilters = EVERYTHING, columns: Sequence[str] = (), page_size: int = LARGEST_SIZE
    ) -> Iterator[dict[str, str]]:
        """Give the rows of all pages, by the names of their elements."""

        def ask(page: int) -> Rows:
            return self._ask(request.ask_for_report(filters, columns, page, page_size), reading.read_learners)

        return _all_pages(ask, page_size)

    def unenrollments(
        self,
        *,
        batch_id: int | None = None,
        statuses: Sequence[str] = (),
        ids: Ids = (),
        requested_from: date | None = None,
        requested_to: date | None = None,
        page_size: int = LARGEST_SIZE,
    ) -> Iterator[dict[str, str]]:
        """Give the items of the queue and its history in the order of batches and blocks, for each 100 of the ids."""
        requested = (requested_from, requested_to)
        for part in [*_split(ids)] or [[]]:

            def ask(page: int, part: Sequence[int | str] = part) -> Rows:
                asked = request.ask_for_unenrollments(batch_id, statuses, part, requested, page, page_size)
                return self._ask(asked, reading.read_items)

            yield from _all_pages(ask, page_size)

    def changes(self, since: date | None = None, after: str | None = None) -> tuple[Rows, str | None]:
        """Give one page of the feed of changes, and the cursor to go on with: since a moment, or after a cursor."""
        return self._ask(request.ask_for_changes(since, after, LARGEST_SIZE), reading.read_feed)

    def batches(self, batch_id: int | None = None) -> Iterator[Batch]:
        """Give all batches, the latest first; or the one that is named, with what it refused."""

        def ask(page: int) -> list[Batch]:
            asked = request.ask_for_batches(batch_id, page, LARGEST_SIZE)
            return [Batch(*fields) for fields in self._ask(asked, reading.read_batches)]

        return _all_pages(ask, LARGEST_SIZE)

    def queue(self) -> QueueState:
        """Tell the state of the queue."""
        return self._ask(request.QUEUE, _read_state)

    def pause(self) -> QueueState:
        """Pause the queue: calls are accepted, and nothing is processed."""
        return self._ask(request.PAUSE, _read_state, key=_new_key())

    def resume(self) -> QueueState:
        """Let the queue go on."""
        return self._ask(request.RESUME, _read_state, key=_new_key())

    def _undo(
        self, ask: Callable[..., Request], ids: Ids, batch_id: int | None, headers: Mapping[str, str]
    ) -> Iterator[Outcome]:
        if batch_id is None:
            return self._change(ask, ids, headers)
        if ids != ():
            raise ValueError("either ids or a batch_id, not both")
        return self._undo_batch(ask, batch_id, headers)

    def _undo_batch(self, ask: Callable[..., Request], batch_id: int, headers: Mapping[str, str]) -> Iterator[Outcome]:
        reply = self._send(ask((), batch_id), headers, _new_key()).reply
        ids = {block: done.enrollment_id for block, done in reading.read_done(reply).items()}
        if reply.errors:  # which tell blocks, and no ids
            ids |= {int(item["Block"]): item[IDENTIFIER] for item in self.unenrollments(batch_id=batch_id)}
        yield from read_outcomes(reply, ids, batch_id=batch_id)

    def _change(
        self, ask: Callable[..., Request], ids: Ids, headers: Mapping[str, str], keys: Iterable[str] | None = None
    ) -> Iterator[Outcome]:
        if DRY_RUN in headers:
            # A server that is not Rollbook would take no notice of the header and do the work: it refuses this call.
            self.queue()
        rest = iter(keys or (_new_key() for _ in count()))
        for part in _split(ids):
            sent = self._send(ask(part), headers, next(rest))
            given = {block: str(id_) for block, id_ in enumerate(part, 1)}
            in_doubt = sent.in_doubt and DRY_RUN not in headers
            yield from read_outcomes(sent.reply, given, batch_id=sent.batch_id, in_doubt=in_doubt)

    def _ask(self, asked: Request, read: Callable[[Reply], T], key: str | None = None) -> T:
        reply = self._send(asked, key=key).reply
        try:
            return read(reply)
        except ValueError as error:
            raise NotAnAnswerError(f"{self._transport.url} answers what cannot be read: {error}") from None

    def _send(self, asked: Request, headers: Mapping[str, str] = NOTHING, key: str | None = None) -> Sent:
        """Make one call; errors: every ClientError. One that changes something has a key, for its repetitions."""
        named = {"Idempotency-Key": key} if key else NOTHING
        response, in_doubt = self._transport.post(asked.write(*self._keys), {**headers, **named})
        url = self._transport.url
        try:
            reply = reading.read_reply(response.content)
        except CallError as error:
            raise NotAnAnswerError(
                f"{url} answers HTTP {response.status_code} without XML of this API ({error.detail}). Check the url."
            ) from None
        if response.status_code != httpx.codes.OK or reply.failed_whole:
            first = reply.errors[0] if reply.errors else UNSAID
            raise CallRefusedError(url, first.code, first.message, response.headers.get("X-Request-ID"))
        batch_id = read_identifier(response.headers.get("Rollbook-Batch", ""))
        return Sent(reply, batch_id, in_doubt and not self._transport.is_rollbook)


def _split(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Take the items by hundreds, and none before it is needed."""
    if isinstance(items, str):
        raise TypeError("a list is wanted, even of a single id")  # and not its digits, one by one
    rest = iter(items)
    while part := list(islice(rest, MOST_ITEMS)):
        yield part


def _all_pages(ask: Callable[[int], list[Item]], page_size: int) -> Iterator[Item]:
    for page in count(1):
        rows = ask(page)
        yield from rows
        if len(rows) < page_size:
            return


def _new_key() -> str:
    return str(uuid4())


def _read_state(reply: Reply) -> QueueState:
    paused_at, counts, oldest = reading.read_queue(reply)
    return QueueState(paused_at is not None, paused_at, counts, oldest)


def _write_headers(reason: str | None, *, dry_run: bool) -> dict[str, str]:
    """Write the headers of docs/wire.md section 8; errors: ValueError for a reason that no server would take."""
    text = (reason or "").strip()
    if not is_reason(text):
        raise ValueError(f"a reason is text of at most {LONGEST_REASON} characters, on one line")
    headers = {"Rollbook-Reason": quote(text, safe=UNQUOTED)} if text else {}
    return headers | ({DRY_RUN: "true"} if dry_run else {})
