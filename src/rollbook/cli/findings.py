"""What `rollbook doctor` has found: one finding a part, with what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How bad a finding is: a warning will be a trouble, a trouble keeps something from working."""

    OK = "ok"
    WARNING = "warning"
    TROUBLE = "trouble"


@dataclass(frozen=True)
class Finding:
    """A part of the installation, how it is, and what to do when it is not well."""

    part: str
    found: str
    state: State = State.OK
    advice: str = ""


def warning(part: str, found: str, advice: str) -> Finding:
    """Make a finding of something that will be a trouble."""
    return Finding(part, found, State.WARNING, advice)


def trouble(part: str, found: str, advice: str) -> Finding:
    """Make a finding of something that keeps something from working."""
    return Finding(part, found, State.TROUBLE, advice)
