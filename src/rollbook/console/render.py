"""How values look on a page: times, progress, roles; and the templates that show them, always escaped."""

import hashlib
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rollbook.methods.unenroll_learning_modules import MALFORMED_ID, QUEUED_ID, REPEATED_ID, UNKNOWN_ID
from rollbook.store.learning.retention import UndoTerm

REFUSALS = {
    MALFORMED_ID.code: "This is no id of an enrolment.",
    UNKNOWN_ID.code: "No current enrolment of this account has this id, or it is protected.",
    QUEUED_ID.code: "It was in the queue already.",
    REPEATED_ID.code: "The same id stood there twice.",
}
# A status stands for a shape as well as for a colour.
MARKS = {"Pending": "○", "Complete": "●", "Removed": "\N{MINUS SIGN}", "Failed": "!", "Restored": "↺"}

STATIC = {
    name: (files("rollbook.console").joinpath("static", name).read_bytes(), kind)
    for name, kind in (("console.css", "text/css"), ("console.js", "text/javascript"), ("icon.svg", "image/svg+xml"))
}


def static(name: str) -> str:
    """The address of a file of ours; it changes when the file does."""
    return f"/console/static/{name}?{hashlib.sha256(STATIC[name][0]).hexdigest()[:12]}"


def time(moment: datetime | None) -> Markup:
    """A moment, to the minute."""
    if moment is None:
        return Markup("&ndash;")
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc:%Y-%m-%d %H:%M}")


def day(moment: datetime | None) -> Markup:
    """A moment, to the day."""
    return (
        Markup("&ndash;") if moment is None else Markup("<time>{}</time>").format(f"{moment.astimezone(UTC):%Y-%m-%d}")
    )


def progress(item: Any) -> str:
    """How far a learner had come, in the words of the queue (protocol §7)."""
    if item.purged_at is not None:
        return "No longer kept"
    if item.progress is not None:
        return f"{item.progress}%"
    return "Not Started" if item.started_at is None else "0%"


def person(item: Any) -> str:
    """A learner's name, or a word for one who has none."""
    return f"{item.given_name} {item.family_name}".strip() or "No name"


def undo_term(term: UndoTerm) -> Markup:
    """Until when what a batch has done can be undone, or that it cannot any more, and since when."""
    said = []
    if term.lost:
        which = "It" if term.lost == term.complete == 1 else f"{term.lost:,} of {term.complete:,} unenrollments"
        over = Markup("{} can no longer be undone: the progress of what ended by {} is no longer kept.")
        said.append(over.format(which, time(term.kept_after)))
    if term.lost < term.complete:
        each = "The others can" if term.lost else "This can"
        if term.until is None:
            said.append(Markup("{} be undone at any time: the account keeps progress without limit.").format(each))
        else:
            kept = count(term.days or 0, "day")
            said.append(Markup("{} be undone until {}: progress is kept for {}.").format(each, time(term.until), kept))
    return Markup(" ").join(said)


def undo_promise(days: int | None) -> str:
    """For how long an unenrollment to come can be undone."""
    if days is None:
        return "The learners' progress is kept without limit, so that this can be undone at any time."
    if days == 0:
        return "The account keeps no progress after an unenrollment: once it is processed, this cannot be undone."
    return f"The learners' progress is kept for {count(days, 'day')}: until then this can be undone, and not after."


def age(moment: datetime, now: datetime) -> str:
    """How long ago something was, in its largest unit."""
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, size in (("day", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            number = seconds // size
            return count(number, unit) if unit == "day" else f"{number} {unit}"
    return f"{seconds} s"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its word."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def detail(value: object) -> str:
    """A detail of an audit line in a few words."""
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
TEMPLATES.globals |= {"static": static, "MARKS": MARKS}
TEMPLATES.filters |= {
    "time": time,
    "day": day,
    "progress": progress,
    "person": person,
    "count": count,
    "detail": detail,
    "undo_term": undo_term,
    "undo_promise": undo_promise,
    "age": age,
}
TEMPLATES.filters["refusal"] = lambda code: REFUSALS.get(code, code)
