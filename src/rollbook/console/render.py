"""Formats values for pages, and loads the templates, which escape everything by default."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rollbook.methods.refusals import say_refusal
from rollbook.model import NOT_STARTED, UnenrollmentStatus, describe_progress
from rollbook.store.learning.retention import UndoTerm

# A status is told by a shape as well as by a color.
MARKS = {"Pending": "○", "Complete": "●", "Removed": "\N{MINUS SIGN}", "Failed": "!", "Restored": "↺"}

STATIC = {
    name: (files("rollbook.console").joinpath("static", name).read_bytes(), kind)
    for name, kind in (("console.css", "text/css"), ("console.js", "text/javascript"), ("icon.svg", "image/svg+xml"))
}


def static(name: str) -> str:
    """Return the address of a static file, with a digest of its content."""
    return f"/console/static/{name}?{hashlib.sha256(STATIC[name][0]).hexdigest()[:12]}"


def time(moment: datetime | None) -> Markup:
    """Format a time to the minute."""
    if moment is None:
        return Markup("&ndash;")
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc:%Y-%m-%d %H:%M}")


def day(moment: datetime | None) -> Markup:
    """Format a time to the day."""
    if moment is None:
        return Markup("&ndash;")
    return Markup("<time>{}</time>").format(f"{moment.astimezone(UTC):%Y-%m-%d}")


def progress(item: Any) -> str:
    """Format a learner's progress in the words of the queue (protocol §7)."""
    if item.purged_at is not None:
        return "Deleted"
    return describe_progress(item.progress, item.started_at, item.completed_at)


def has_progress(items: Sequence[Any]) -> bool:
    """Tell whether a list has any progress to show."""
    return any(progress(item) != NOT_STARTED for item in items)


def person(item: Any) -> str:
    """Format a learner's name."""
    return f"{item.given_name} {item.family_name}".strip() or "No name"


def status_name(status: str) -> str:
    """Return the name of an item's status: "Complete" would be read as the course's "Completed"."""
    return "Unenrolled" if status == UnenrollmentStatus.COMPLETE else status


def undo_term(term: UndoTerm) -> Markup:
    """Describe until when the unenrolled items of a batch can be undone."""
    sentences = []
    if term.lost:
        lost = Markup("{:,} of {} can no longer be undone: progress of what ended by {} is deleted.")
        sentences.append(lost.format(term.lost, count(term.complete, "unenrollment"), time(term.kept_after)))
    if term.lost < term.complete:
        rest, kept = "The others" if term.lost else "This", count(term.days or 0, "day")
        until = Markup("{} can be undone until {}: progress is kept for {}.")
        always = Markup("{} can be undone at any time: the account keeps progress without limit.")
        sentences.append(until.format(rest, time(term.until), kept) if term.until else always.format(rest))
    return Markup(" ").join(sentences)


def undo_end(term: UndoTerm) -> Markup:
    """Describe the same in a table cell."""
    if not term.complete:
        return Markup("&ndash;")
    if term.lost == term.complete:
        return Markup("no longer")
    end = Markup("at any time") if term.until is None else Markup("until {}").format(time(term.until))
    return Markup("{:,} of {:,} {}").format(term.complete - term.lost, term.complete, end) if term.lost else end


def undo_promise(days: int | None, now: datetime) -> Markup:
    """Describe until when an item that is pending now can be undone once it is processed."""
    if days is None:
        return Markup("The account keeps progress without limit, so that this can be undone at any time.")
    if days == 0:
        return Markup("The account keeps no progress: once an item is processed, it cannot be undone.")
    kept = Markup("Progress is kept for {} after an item is processed: this can be undone until {} or later.")
    return kept.format(count(days, "day"), day(now + timedelta(days=days)))


def age(moment: datetime, now: datetime) -> str:
    """Format how long ago a time was, in one unit."""
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, size in (("day", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            number = seconds // size
            return count(number, unit) if unit == "day" else f"{number} {unit}"
    return f"{seconds} s"


def code_spans(text: str) -> Markup:
    """Format text with code spans in backticks."""
    parts = text.split("`")
    return Markup().join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def count(number: int, one: str, many: str | None = None) -> str:
    """Format a number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def detail(value: object) -> str:
    """Format a detail of an audit line."""
    if isinstance(value, dict):
        if value.keys() == {"from", "to"}:
            return f"{detail(value['from'])} → {detail(value['to'])}"
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return str(len(value)) if isinstance(value, list) else str(value)


TEMPLATES = Environment(
    loader=PackageLoader("rollbook.console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals |= {"static": static, "MARKS": MARKS, "sandbox": False}
_FILTERS = (
    time,
    day,
    progress,
    has_progress,
    person,
    code_spans,
    count,
    detail,
    status_name,
    undo_term,
    undo_end,
    undo_promise,
    age,
)
TEMPLATES.filters |= {each.__name__: each for each in _FILTERS}
TEMPLATES.filters["refusal"] = say_refusal
