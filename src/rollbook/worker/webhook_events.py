"""Makes the events of webhooks from the feed of changes, from new batches and from the audit lines of progress.

The id of an event depends only on what happened, so that a receiver recognizes a repeated one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from rollbook.model import UnenrollmentStatus
from rollbook.store.operations.webhook_feed import BATCHES, PROGRESS, find_new, is_finished
from rollbook.store.operations.webhooks import Webhook
from rollbook.store.queue.history import Cursor, ItemFilter, find_batches, find_items

# How many rows are read at once, and how many blocks of a batch share an event.
PAGE = 1000
BLOCKS = 100
WORDS = {status: status.lower() for status in UnenrollmentStatus} | {UnenrollmentStatus.COMPLETE: "unenrolled"}
ITEM = ("block", "enrollment_id", "user_id", "learner_email", "course", "session", "progress")
# What the counts of an import call changed enrollments.
CHANGED = ("added", "updated", "changed", "ended", "restored")


@dataclass(frozen=True)
class Event:
    """An event: its id, and its body as JSON."""

    id: str
    body: str


@dataclass(frozen=True)
class Step:
    """Events that are delivered before the webhook passes `place` and the batches and audit lines of `passed`."""

    events: Sequence[Event]
    place: tuple[int, int, int] | None = None
    passed: Sequence[tuple[str, int]] = ()


def read_steps(connection: Connection, webhook: Webhook) -> list[Step]:
    """Read the next page of what a webhook is to deliver, in order."""
    new = [row.id for row in find_new(connection, webhook, BATCHES, PAGE // BLOCKS)]
    steps = [_announce(connection, webhook, id_) for id_ in new]
    steps += _read_changes(connection, webhook, new)
    if webhook.items:
        lines = find_new(connection, webhook, PROGRESS, PAGE // BLOCKS)
        steps += [Step(_describe_progress(webhook, line), passed=[(PROGRESS.table.name, line.id)]) for line in lines]
    return steps


def write_test(webhook: Webhook) -> Event:
    """Write the event of a test."""
    asked: datetime = webhook.test_asked_at
    return _write(f"test_{webhook.id}_{asked.timestamp():.0f}", "webhook.test", asked, {"account": webhook.account})


def _read_changes(connection: Connection, webhook: Webhook, announced: Sequence[int]) -> Iterator[Step]:
    """Read a page of changed items; items of up to BLOCKS blocks of a batch that changed together are one step."""
    after = Cursor(webhook.change, webhook.batch_id, webhook.block)
    rows = find_items(connection, webhook.account_id, ItemFilter(after=after), PAGE, 0)
    groups = [list(each) for _, each in groupby(rows, lambda row: (*_place(row)[:2], (row.block - 1) // BLOCKS))]
    # The rest of the last group may be on the next page.
    following = [_place(group[0])[:2] for group in groups[1:]] + ([] if len(rows) == PAGE else [None])
    late = {row.batch_id for row in rows} - {*announced}
    unannounced = {row.id for row in find_new(connection, webhook, BATCHES, PAGE, late)} if late else set()
    skipped = None
    for group, next_ in zip(groups, following, strict=False):
        last, first = group[-1], Step([])
        if last.batch_id in unannounced:
            unannounced.remove(last.batch_id)
            first = _announce(connection, webhook, last.batch_id)
        events = [*first.events]
        events += _describe_items(webhook, group) if webhook.items else []
        is_last = next_ != _place(last)[:2]
        if is_last and is_finished(connection, webhook.account_id, last.batch_id, last.change):
            id_ = f"batch_{last.batch_id}_finished_{last.change}"
            events.append(_describe_batch(connection, webhook, last.batch_id, id_, "batch.finished", _time(last)))
        step = Step(events, _place(last), first.passed)
        skipped = None if events else step
        if events:
            yield step
    if skipped:
        yield skipped


def _place(row: Any) -> tuple[int, int, int]:
    return row.change, row.batch_id, row.block


def _time(row: Any) -> datetime:
    time: datetime = row.restored_at or row.finished_at
    return time


def _announce(connection: Connection, webhook: Webhook, batch_id: int) -> Step:
    event = _describe_batch(connection, webhook, batch_id, f"batch_{batch_id}_queued", "batch.queued")
    return Step([event], passed=[(BATCHES.table.name, batch_id)])


def _describe_batch(
    connection: Connection, webhook: Webhook, batch_id: int, id_: str, type_: str, time: datetime | None = None
) -> Event:
    [batch] = find_batches(connection, webhook.account_id, batch_id, 1, 0)
    counts = {word: getattr(batch, status.lower()) for status, word in WORDS.items()} | {"refused": batch.refused}
    data = {"batch": _who(batch.id, batch.requested_by_email, batch), "counts": counts}
    return _write(id_, type_, time or batch.requested_at, {"account": webhook.account, **data})


def _who(batch_id: int, requested_by: str | None, row: Any) -> dict[str, object]:
    return {"id": batch_id, "requested_by": requested_by, "requested_at": row.requested_at, "reason": row.reason}


def _describe_items(webhook: Webhook, group: Sequence[Any]) -> list[Event]:
    """Write an event for each status of the items, which one transaction has changed."""
    events = []
    for status in dict.fromkeys(row.status for row in group):
        rows = [row for row in group if row.status == status]
        first, word = rows[0], WORDS[status]
        items = [
            {name: getattr(row, name) for name in ITEM} | {"learner": _name(row), "group": row.origin} for row in rows
        ]
        data = {
            "account": webhook.account,
            "batch": _who(first.batch_id, first.requested_by, first),
            "by": first.restored_by or first.removed_by,
            "notes": first.notes,
            "count": len(items),
            "items": items,
        }
        hundred = (first.block - 1) // BLOCKS * BLOCKS + 1
        id_ = f"items_{first.batch_id}_{first.change}_{hundred}_{word}"
        events.append(_write(id_, f"items.{word}", _time(first), data))
    return events


def _name(row: Any) -> str:
    return f"{row.given_name} {row.family_name}".strip()


def _describe_progress(webhook: Webhook, line: Any) -> list[Event]:
    """Write the event of an audit line: the enrollments that it names, and counts; none if it changed no enrollment."""
    details = json.loads(line.details or "{}")
    ids = details.pop("enrollments") if isinstance(details.get("enrollments"), list) else None
    counts = details.get("enrollments", details)  # a roster's counts are by kind
    if not ids and not any(count for name, count in counts.items() if name.removeprefix("enrollments ") in CHANGED):
        return []
    data = {"by": line.actor, "action": line.action, "subject": line.subject, "enrollment_ids": ids, "counts": details}
    id_ = f"enrollments_{line.id}"
    return [_write(id_, "enrollments.changed", line.happened_at, {"account": webhook.account, **data})]


def _write(id_: str, type_: str, time: datetime, data: Mapping[str, object]) -> Event:
    event = {"type": type_, "timestamp": _write_time(time), "data": data}
    return Event(id_, json.dumps(event, ensure_ascii=False, default=_write_time))


def _write_time(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
