"""Answers as the client reads them: from XML, which may come from anywhere, to Python values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from rollbook.errors import NO_ROOT, CallError
from rollbook.model import UnenrollmentStatus
from rollbook.wire.answer import ErrorEntry
from rollbook.wire.dates import read_time
from rollbook.wire.identifiers import IDENTIFIER, read_identifier
from rollbook.wire.xml import parse, text_at, text_of

QueueFields = tuple[datetime | None, dict[str, int], int | None]
BatchFields = tuple[int, datetime, str | None, str | None, dict[str, int], list[tuple[int, str, str]]]


@dataclass(frozen=True)
class Reply:
    """An answer that is whole (protocol §2)."""

    succeeded: bool
    errors: Sequence[ErrorEntry]
    root: etree._Element

    @property
    def failed_whole(self) -> bool:
        """Whether the call failed as a whole, and not item by item."""
        return not self.succeeded and not any(error.block for error in self.errors)


@dataclass(frozen=True)
class Done:
    """What Info says of one item: the enrolment, and its new status where the method tells one."""

    enrollment_id: str
    status: str | None


def read_reply(body: bytes) -> Reply:
    """Read an answer; errors: CallError for what is none."""
    root = parse(body)
    result = root.findtext("Result", "").strip()
    if root.tag != "SmarterU" or result not in ("Success", "Failed"):
        raise CallError(NO_ROOT, "the XML is no SmarterU element with a Result")
    errors = [
        ErrorEntry(text_at(error, "ErrorID") or "", text_at(error, "ErrorMessage") or "", _block(error))
        for error in root.iterfind("Errors/Error")
    ]
    return Reply(result == "Success", errors, root)


def read_done(reply: Reply) -> dict[int, Done]:
    """Read by block which items were accepted, removed, restored or enrolled."""
    found = ((_block(item), _texts(item)) for item in reply.root.iterfind("Info/*/*"))
    return {block: Done(texts.get(IDENTIFIER, ""), texts.get("Status")) for block, texts in found if block}


def read_learners(reply: Reply) -> list[dict[str, str]]:
    """Read the rows of a report, by the names of their elements; errors: ValueError for one that tells too little."""
    rows = _rows(reply)
    if not all("ID" in row and "CourseName" in row for row in rows):
        raise ValueError("a row of the report has no ID or no CourseName")
    return rows


def read_items(reply: Reply) -> list[dict[str, str]]:
    """Read items of the queue, by the names of their elements; errors: ValueError for one that tells too little."""
    rows = _rows(reply)
    if not all(read_identifier(row.get(name, "")) for row in rows for name in ("BatchID", "Block", IDENTIFIER)):
        raise ValueError("an item of the queue has no batch, no block or no enrolment")
    return rows


def read_feed(reply: Reply) -> tuple[list[dict[str, str]], str | None]:
    """Read a page of the feed, and where it goes on; errors: ValueError."""
    listed = reply.root.find("Info/Unenrollments")
    return read_items(reply), None if listed is None else listed.get("after")


def read_queue(reply: Reply) -> QueueFields:
    """Read when the queue was paused (None: it is not), its counts by status, and the oldest item's age in seconds.

    Errors: ValueError.
    """
    queue = reply.root.find("Info/UnenrollmentQueue")
    if queue is None:
        raise ValueError("the answer holds no UnenrollmentQueue")
    paused, age = text_at(queue, "PausedDate"), text_at(queue, "OldestPendingSeconds")
    return read_time(paused) if paused else None, dict(_counts(queue)), int(age) if age else None


def read_batches(reply: Reply) -> list[BatchFields]:
    """Read id, time, person, reason, counts and refusals of batches; errors: ValueError."""
    return [
        (
            int(text_at(batch, "BatchID") or ""),
            read_time(text_at(batch, "RequestedDate") or ""),
            text_at(batch, "RequestedBy"),
            text_at(batch, "Reason"),
            {**dict(_counts(batch)), "Refused": int(text_at(batch, "Refused") or 0)},
            [
                (_block(refusal) or 0, text_at(refusal, IDENTIFIER) or "", text_at(refusal, "ErrorID") or "")
                for refusal in batch.iterfind("Refusal")
            ],
        )
        for batch in reply.root.iterfind("Info/UnenrollmentBatches/UnenrollmentBatch")
    ]


def _rows(reply: Reply) -> list[dict[str, str]]:
    return [_texts(row) for row in reply.root.iterfind("Info/*/*")]


def _counts(parent: etree._Element) -> Iterator[tuple[str, int]]:
    for status in UnenrollmentStatus:
        yield str(status), int(text_at(parent, status) or 0)


def _block(element: etree._Element) -> int | None:
    """Read the place of an item; the contract's samples write its name in both ways (protocol §4)."""
    return read_identifier(element.get("block") or element.get("Block") or "")


def _texts(parent: etree._Element) -> dict[str, str]:
    return {child.tag: text_of(child) for child in parent}
