"""Client: the methods of the API as Python methods; the trees of methods/ write its calls and read the answers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import count

from rollbook.client.calls import NOTHING, Ids, Rows, Sent, all_pages, named
from rollbook.client.courses import CourseCalls
from rollbook.client.groups import GroupCalls
from rollbook.client.people import PeopleCalls
from rollbook.client.requests import (
    BATCH,
    DRY_RUN,
    changes_of,
    choose_keys,
    items_of,
    new_key,
    split,
    unenrollments_of,
    write_headers,
)
from rollbook.client.results import (
    BECOMES,
    STAYS,
    Batch,
    Outcome,
    QueueState,
    read_large_batch,
    read_outcomes,
    refuse_repeated,
)
from rollbook.methods.get_unenrollment_batches import GET_UNENROLLMENT_BATCHES
from rollbook.methods.get_unenrollment_queue import GET_UNENROLLMENT_QUEUE
from rollbook.methods.get_unenrollments import GET_UNENROLLMENTS
from rollbook.methods.method import Method
from rollbook.methods.pause_unenrollments import PAUSE_UNENROLLMENTS
from rollbook.methods.remove_unenrollments import REMOVE_UNENROLLMENTS
from rollbook.methods.restore_unenrollments import RESTORE_UNENROLLMENTS
from rollbook.methods.resume_unenrollments import RESUME_UNENROLLMENTS
from rollbook.methods.unenroll_learning_modules import UNENROLL_LEARNING_MODULES
from rollbook.wire.identifiers import IDENTIFIER
from rollbook.wire.messages import Values
from rollbook.wire.paging import MAX_SIZE


class Client(CourseCalls, GroupCalls, PeopleCalls):
    """Calls a server of this API as the user of the two keys.

    `url` is the address of the API, `ca_file` the certificate of a private authority, `timeout` is in seconds, and
    `attempts` limits how often a call is sent. A refused item is a value; a failed call raises a ClientError.
    """

    def unenroll(
        self,
        ids: Ids,
        *,
        reason: str | None = None,
        dry_run: bool = False,
        keys: Iterable[str] | None = None,
        batch_id: int | None = None,
    ) -> Iterator[Outcome]:
        """Unenroll in calls of 100, each made when its first outcome is requested; one outcome per id, in order.

        All calls are one batch. To continue an interrupted run, a program passes the same Idempotency-Keys as `keys`,
        with which all ids are read before the first call, and as `batch_id` the batch to continue, begun within a day.
        Errors: ValueError, before the first call, for invalid keys.
        """
        headers = write_headers(reason, dry_run=dry_run)
        return self._change(UNENROLL_LEARNING_MODULES, ids, headers, keys, batch_id)

    def find_auto_enrolled(self, ids: Ids) -> set[str]:
        """Tell in which courses of these enrollments a group of the learner auto-enrolls, by dry runs of 100.

        Unenrolled learners are not enrolled there again by it, only by name. Errors: CallRefusedError from a server
        that is not Rollbook.
        """
        self.queue()  # another server would do the work, as in `_change`
        headers = write_headers(None, dry_run=True)
        parts = (self._send(UNENROLL_LEARNING_MODULES, items_of(part), headers, new_key()) for part in split(ids))
        return {course_id for sent in parts for course_id in sent.auto_enroll}

    def remove(
        self, ids: Ids = (), *, batch_id: int | None = None, reason: str | None = None, dry_run: bool = False
    ) -> Iterator[Outcome]:
        """Take pending items out of the queue: enrollments in calls of 100, or a whole batch."""
        return self._undo(REMOVE_UNENROLLMENTS, ids, batch_id, write_headers(reason, dry_run=dry_run))

    def restore(
        self, ids: Ids = (), *, batch_id: int | None = None, reason: str | None = None, dry_run: bool = False
    ) -> Iterator[Outcome]:
        """Undo unenrollments: enrollments in calls of 100, or a whole batch."""
        return self._undo(RESTORE_UNENROLLMENTS, ids, batch_id, write_headers(reason, dry_run=dry_run))

    def unenrollments(
        self,
        *,
        batch_id: int | None = None,
        statuses: Sequence[str] = (),
        ids: Ids = (),
        requested_from: date | None = None,
        requested_to: date | None = None,
        page_size: int = MAX_SIZE,
    ) -> Iterator[dict[str, str]]:
        """Yield items of the queue and its history in the order of batches and blocks, in calls of 100 ids."""
        for part in [*split(ids)] or [[]]:
            chosen = unenrollments_of(batch_id, statuses, part, requested_from, requested_to)

            def ask(page: int, chosen: Values = chosen) -> Rows:
                return self._ask_items({**chosen, "page": page, "page_size": page_size})[0]

            yield from all_pages(ask, page_size)

    def changes(self, since: date | None = None, after: str | None = None) -> tuple[Rows, str | None]:
        """Return one page of the feed of changes and the next cursor: since a time, or after a cursor."""
        rows, sent = self._ask_items({**changes_of(since, after), "page_size": MAX_SIZE})
        return rows, sent.values.get("after")

    def batches(self, batch_id: int | None = None) -> Iterator[Batch]:
        """Yield all batches, the latest first; or a single one, with its refusals."""

        def ask(page: int) -> list[Batch]:
            asked = {"batch_id": batch_id, "page": page, "page_size": MAX_SIZE}
            sent = self._send(GET_UNENROLLMENT_BATCHES, asked)
            return self._read(lambda: [Batch.of(values) for values in sent.values.get("batches", ())])

        return all_pages(ask, MAX_SIZE)

    def queue(self) -> QueueState:
        """Return the state of the queue."""
        return self._ask_state(GET_UNENROLLMENT_QUEUE)

    def pause(self) -> QueueState:
        """Pause the queue: calls are accepted, but nothing is processed."""
        return self._ask_state(PAUSE_UNENROLLMENTS, new_key())

    def resume(self) -> QueueState:
        """Resume the queue."""
        return self._ask_state(RESUME_UNENROLLMENTS, new_key())

    def _undo(self, method: Method, ids: Ids, batch_id: int | None, headers: Mapping[str, str]) -> Iterator[Outcome]:
        if batch_id is None:
            return self._change(method, ids, headers)
        if ids != ():
            raise ValueError("either ids or a batch_id, not both")
        return self._undo_batch(method, batch_id, headers)

    def _undo_batch(self, method: Method, batch_id: int, headers: Mapping[str, str]) -> Iterator[Outcome]:
        dry_run = DRY_RUN in headers
        sent = self._send(method, {"batch_id": batch_id}, headers, new_key())
        if "refused" in sent.values:  # a large batch: the answer has no items (D33)
            rows = self.unenrollments(batch_id=batch_id)
            yield from read_large_batch(rows, sent.reply.errors, batch_id, BECOMES[method.name] if dry_run else STAYS)
            return
        ids = {item["block"]: str(item.get("id") or "") for item in sent.items if item.get("block")}
        if sent.reply.errors:  # they have blocks, but no ids
            ids |= {int(item["Block"]): item[IDENTIFIER] for item in self.unenrollments(batch_id=batch_id)}
        yield from read_outcomes(sent.items, sent.reply.errors, ids, batch_id=batch_id)

    def _change(
        self,
        method: Method,
        ids: Ids,
        headers: Mapping[str, str],
        keys: Iterable[str] | None = None,
        batch_id: int | None = None,
    ) -> Iterator[Outcome]:
        if DRY_RUN in headers:
            # Another server would ignore the header and do the work; it refuses this call, which only Rollbook has.
            self.queue()
        parts = split(ids)
        if keys is not None:
            whole = [*parts]
            parts, keys = iter(whole), choose_keys(keys, len(whole))
        rest = iter(keys or (new_key() for _ in count()))
        accepted: set[int | None] = set()
        for part in parts:
            continued = {BATCH: str(batch_id)} if batch_id is not None and method.continues else NOTHING
            sent = self._send(method, items_of(part), {**headers, **continued}, next(rest))
            batch_id = sent.batch_id or batch_id
            in_doubt = sent.in_doubt and DRY_RUN not in headers
            outcomes = read_outcomes(
                sent.items, sent.reply.errors, named(part), batch_id=sent.batch_id, in_doubt=in_doubt
            )
            yield from outcomes if DRY_RUN not in headers else refuse_repeated(method, outcomes, accepted)

    def _ask_state(self, method: Method, key: str | None = None) -> QueueState:
        sent = self._send(method, {}, key=key)
        return self._read(lambda: QueueState.of(sent.values["queue"]))

    def _ask_items(self, values: Values) -> tuple[Rows, Sent]:
        return self._ask_rows(GET_UNENROLLMENTS, values, "BatchID", "Block", IDENTIFIER)
